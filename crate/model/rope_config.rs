//! Rotary settings in both spellings: the hub's `rope_theta` + `rope_scaling`, and transformers
//! 5's `rope_parameters`.

use super::ops::{RopeScaling, inverse_frequencies};
use crate::checkpoint::gguf::{Description, MetaValue, llama3_factors};
use crate::error::{Error, Result};
use crate::json::Fields;

/// One rotary table's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base θ.
    pub theta: f64,
    /// Stretching.
    pub scaling: RopeScaling,
}

impl Rope {
    /// Unscaled, with base `theta`.
    pub fn plain(theta: f64) -> Self {
        Self { theta, scaling: RopeScaling::None }
    }

    /// See [`inverse_frequencies`].
    pub fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        inverse_frequencies(head_dim, self.theta, self.scaling)
    }

    /// Says in a GGUF file what the table is.
    ///
    /// # Errors
    /// In words, what such a file has no place for.
    pub fn describe(&self, d: &mut Description, head_dim: usize) -> Result<(), &'static str> {
        d.count("rope.dimension_count", head_dim);
        d.number("rope.freq_base", self.theta);
        match self.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => {
                d.own.push(("rope.scaling.type", MetaValue::Text("linear".to_owned())));
                d.number("rope.scaling.factor", factor);
            }
            RopeScaling::Llama3 { factor, original_context, .. } => {
                if original_context.fract() != 0.0 || !(1.0..2f64.powi(31)).contains(&original_context) {
                    return Err("an original context that is no whole number");
                }
                d.count("rope.scaling.original_context_length", original_context as usize);
                d.rope_factors = Some(llama3_factors(factor, original_context, self.theta, head_dim));
            }
        }
        Ok(())
    }

    /// Reads the one rotary table of a Llama-style or Gemma 2 config.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a scaling this program does not compute.
    pub fn read(fields: &mut Fields, default_theta: f64) -> Result<Self> {
        let theta = fields.optional("rope_theta")?;
        refuse_both(fields)?;
        let old = fields.object("rope_scaling")?;
        match fields.object("rope_parameters")?.or(old) {
            None => Ok(Self::plain(theta.unwrap_or(default_theta))),
            Some(parameters) => Self::from_parameters(parameters, theta.unwrap_or(default_theta)),
        }
    }

    /// Reads a `rope_parameters` or `rope_scaling` object.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a scaling this program does not compute.
    pub fn from_parameters(mut p: Fields, default_theta: f64) -> Result<Self> {
        let theta = p.or("rope_theta", default_theta)?;
        let old_kind: Option<String> = p.optional("type")?;
        let kind = p.optional("rope_type")?.or(old_kind).unwrap_or_else(|| "default".to_owned());
        let scaling = match kind.as_str() {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: p.required("factor")? },
            "llama3" => RopeScaling::Llama3 {
                factor: p.required("factor")?,
                low_freq_factor: p.required("low_freq_factor")?,
                high_freq_factor: p.required("high_freq_factor")?,
                original_context: p.required("original_max_position_embeddings")?,
            },
            other => {
                return Err(Error::unsupported(
                    format!("{}: rope_type \"{other}\"", p.file()),
                    "known: default, linear, llama3",
                ));
            }
        };
        p.finish()?;
        if theta.is_nan() || theta <= 0.0 {
            return Err(Error::malformed(
                "config.json",
                "rope_theta",
                "a positive number",
                theta.to_string(),
                "check the config",
            ));
        }
        Ok(Self { theta, scaling })
    }
}

/// The two spellings in one file contradict each other, or repeat each other at best.
///
/// # Errors
/// [`Error::Unsupported`] when both are there.
pub fn refuse_both(fields: &Fields) -> Result<()> {
    if fields.has("rope_scaling") && fields.has("rope_parameters") {
        return Err(Error::unsupported(
            format!("{}: rope_scaling beside rope_parameters", fields.file()),
            "keep the one that the checkpoint was trained with",
        ));
    }
    Ok(())
}
