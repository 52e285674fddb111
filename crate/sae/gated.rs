//! Gated: one W_enc, two paths (arXiv:2404.16014).
//!
//! gate = pre + b_gate opens strictly above 0; magnitude = ReLU(pre · exp(r_mag) + b_mag).

use super::Feature;

/// Biases of a gated SAE.
#[derive(Debug, Clone)]
pub(super) struct Gated {
    /// Shape `[d_sae]`.
    pub(super) b_gate: Vec<f32>,
    /// Shape `[d_sae]`.
    pub(super) b_mag: Vec<f32>,
    /// exp(r_mag), shape `[d_sae]`.
    pub(super) mag_scale: Vec<f32>,
}

impl Gated {
    /// Active features of one row; `pre` is x·W_enc without bias, shape `[d_sae]`.
    pub(super) fn activate(&self, pre: &[f32]) -> Vec<Feature> {
        let paths = pre.iter().zip(&self.b_gate).zip(self.b_mag.iter().zip(&self.mag_scale));
        paths
            .map(|((p, gate), (mag, scale))| if p + gate > 0.0 { p * scale + mag } else { 0.0 })
            .enumerate()
            .filter_map(Feature::positive)
            .collect()
    }
}
