//! How a GGUF says that rotary frequencies are scaled.

use std::f64::consts::TAU;

use serde_json::{Value, json};

use super::keys::Keys;
use crate::error::Result;

/// Rope scaling, as far as it is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scaling {
    None,
    /// Positions divided by the factor.
    Linear(f64),
    /// Llama 3: long wavelengths divided by the factor, short ones kept, a ramp between.
    Llama3 {
        factor: f64,
        original: u32,
    },
}

/// llama.cpp's converter takes these where config.json has none, and no Llama 3 has others.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;

impl Scaling {
    /// Reads the metadata and, for Llama 3, the frequency divisors that llama.cpp's converter
    /// stores as the tensor `rope_freqs.weight` in place of the four numbers they come from.
    pub(super) fn read(keys: &Keys<'_>, theta: f64, head_dim: usize, factors: Option<&[f32]>) -> Result<Self> {
        let kind = keys.text("rope.scaling.type")?;
        let factor = keys.positive("rope.scaling.factor")?;
        let old_factor = keys.positive("rope.scale_linear")?;
        let original = keys.count("rope.scaling.original_context_length")?;
        keys.harmless(&["rope.scaling.finetuned"]);
        let scaling = match kind {
            None | Some("none") => Self::None,
            Some("linear") => match factor {
                Some(factor) => Self::Linear(factor),
                None => return Err(keys.missing("rope.scaling.factor")),
            },
            Some(other) => return Err(keys.refuse(format!("rope scaling of type {other:?}"))),
        };
        let scaling = match (scaling, old_factor) {
            (Self::None, Some(factor)) => Self::Linear(factor),
            (scaling, _) => scaling,
        };
        match (factors, scaling) {
            (None, scaling) => Ok(scaling),
            (Some(factors), Self::None) => {
                let original = original.and_then(|n| u32::try_from(n).ok()).unwrap_or(8192);
                llama3(factors, theta, head_dim, original)
                    .ok_or_else(|| keys.refuse("tensor rope_freqs.weight that is not Llama 3's rope scaling"))
            }
            (Some(_), _) => Err(keys.refuse("tensor rope_freqs.weight beside another rope scaling")),
        }
    }

    /// The value of `rope_scaling`.
    pub(super) fn json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Linear(factor) => json!({"rope_type": "linear", "factor": factor}),
            Self::Llama3 { factor, original } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": LOW,
                "high_freq_factor": HIGH,
                "original_max_position_embeddings": original,
            }),
        }
    }
}

/// The scaling whose divisors these are, if it is Llama 3's.
fn llama3(factors: &[f32], theta: f64, head_dim: usize, original: u32) -> Option<Scaling> {
    // the longest wavelength is divided by the whole factor
    let factor = f64::from(*factors.last()?);
    if factors.len() != head_dim / 2 || !factor.is_finite() || factor < 1.0 {
        return None;
    }
    let expected = llama3_factors(factor, f64::from(original), theta, head_dim);
    // the converter computes them in single precision
    let same = factors.iter().zip(expected).all(|(f, expected)| (f64::from(*f) - expected).abs() <= 1e-4 * expected);
    same.then_some(Scaling::Llama3 { factor, original })
}

/// The divisors of Llama 3's scaling.
pub(super) fn llama3_factors(factor: f64, context: f64, theta: f64, head_dim: usize) -> impl Iterator<Item = f64> {
    (0..head_dim / 2).map(move |i| {
        let wavelength = TAU * libm::pow(theta, 2.0 * i as f64 / head_dim as f64);
        if wavelength < context / HIGH {
            1.0
        } else if wavelength > context / LOW {
            factor
        } else {
            let smooth = (context / wavelength - LOW) / (HIGH - LOW);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    })
}
