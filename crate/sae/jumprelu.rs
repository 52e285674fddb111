//! JumpReLU: a = h where h = pre + b_enc is above both its threshold and 0, strictly.
//!
//! arXiv:2407.14435; the inference form in which SAELens also saves BatchTopK.

use super::Feature;

/// Biases and thresholds of a JumpReLU SAE.
#[derive(Debug, Clone)]
pub(super) struct JumpRelu {
    /// Shape `[d_sae]`.
    pub(super) b_enc: Vec<f32>,
    /// Shape `[d_sae]`.
    pub(super) threshold: Vec<f32>,
}

impl JumpRelu {
    /// Active features of one row; `pre` is x·W_enc without bias, shape `[d_sae]`.
    pub(super) fn activate(&self, pre: &[f32]) -> Vec<Feature> {
        pre.iter()
            .zip(&self.b_enc)
            .map(|(p, b)| p + b)
            .zip(&self.threshold)
            .map(|(h, t)| if h > *t { h } else { 0.0 })
            .enumerate()
            .filter_map(Feature::positive)
            .collect()
    }
}
