//! What an SAE does to its input before the encoder, and how its output gets back to x's units.
//!
//! The order is SAELens's: centring (part of the model there), normalisation, then − b_dec.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// `normalize_activations` of SAELens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Normalization {
    /// x as it is.
    None,
    /// x · factor, one factor for all rows, estimated in training so that the mean norm is √d_in
    /// (`expected_average_only_in` with the weights unfolded).
    ExpectedAverage {
        /// √d_in / mean ‖x‖ over the training data.
        factor: f64,
    },
    /// x · √d_in / ‖x‖, row by row (`constant_norm_rescale`).
    ConstantNorm,
    /// (x − mean) / (std + 1e-5) with the unbiased std, row by row (`layer_norm`).
    LayerNorm,
}

impl Normalization {
    /// Which of SAELens's it is.
    pub fn kind(self) -> NormalizeActivations {
        match self {
            Self::None => NormalizeActivations::None,
            Self::ExpectedAverage { .. } => NormalizeActivations::ExpectedAverageOnlyIn,
            Self::ConstantNorm => NormalizeActivations::ConstantNormRescale,
            Self::LayerNorm => NormalizeActivations::LayerNorm,
        }
    }

    /// The factor of `expected_average_only_in`.
    pub fn factor(self) -> Option<f64> {
        match self {
            Self::ExpectedAverage { factor } => Some(factor),
            Self::None | Self::ConstantNorm | Self::LayerNorm => None,
        }
    }
}

/// A [`Normalization`] without its factor, under the name that SAELens gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum NormalizeActivations {
    /// See [`Normalization::None`].
    None,
    /// See [`Normalization::ExpectedAverage`].
    ExpectedAverageOnlyIn,
    /// See [`Normalization::ConstantNorm`].
    ConstantNormRescale,
    /// See [`Normalization::LayerNorm`].
    LayerNorm,
}

/// SAELens's layer_norm epsilon, added to the standard deviation and not to the variance.
const LAYER_NORM_EPS: f64 = 1e-5;

/// One row ready for the encoder, and what is needed to bring a decoded row back to x's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What is multiplied with W_enc, shape `[d_in]`.
    pub input: Vec<f32>,
    /// x̂ = scale · (decoder output) + shift.
    pub scale: f64,
    /// See `scale`.
    pub shift: f64,
}

/// Input handling of one SAE.
#[derive(Debug, Clone)]
pub(super) struct InputRule {
    pub(super) normalization: Normalization,
    pub(super) center: bool,
    /// Subtracted after normalisation where the SAE asks for it, shape `[d_in]`.
    pub(super) b_dec: Option<Vec<f32>>,
}

impl InputRule {
    /// Applies the rule to one row; `name` of the SAE is for messages.
    pub(super) fn prepare(&self, name: &str, x: &[f32]) -> Result<Prepared> {
        let d = x.len() as f64;
        if let Some(i) = x.iter().position(|v| !v.is_finite()) {
            return Err(Error::malformed(
                format!("input of SAE {name}"),
                format!("value {i}"),
                "a finite number",
                x[i].to_string(),
                "the model's own computation overflowed; try --precision f32",
            ));
        }
        let mean = |x: &[f64]| x.iter().sum::<f64>() / d;
        let mut row: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let (mut scale, mut shift) = (1.0, 0.0);
        if self.center {
            let mu = mean(&row);
            row.iter_mut().for_each(|v| *v -= mu);
            shift = mu;
        }
        match self.normalization {
            Normalization::None => {}
            Normalization::ExpectedAverage { factor } => {
                row.iter_mut().for_each(|v| *v *= factor);
                scale = 1.0 / factor;
            }
            Normalization::ConstantNorm => {
                let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                if norm == 0.0 {
                    return Err(Error::unsupported(
                        format!("a zero vector as input of SAE {name}, which rescales its input to constant norm,"),
                        "its activations are undefined (0/0); look at the text and the layer",
                    ));
                }
                let coefficient = d.sqrt() / norm;
                row.iter_mut().for_each(|v| *v *= coefficient);
                scale = 1.0 / coefficient;
            }
            Normalization::LayerNorm => {
                let mu = mean(&row);
                row.iter_mut().for_each(|v| *v -= mu);
                let std = (row.iter().map(|v| v * v).sum::<f64>() / (d - 1.0)).sqrt();
                row.iter_mut().for_each(|v| *v /= std + LAYER_NORM_EPS);
                scale = std;
                shift += mu;
            }
        }
        let mut input: Vec<f32> = row.into_iter().map(|v| v as f32).collect();
        if let Some(b_dec) = &self.b_dec {
            input.iter_mut().zip(b_dec).for_each(|(v, b)| *v -= b);
        }
        Ok(Prepared { input, scale, shift })
    }
}
