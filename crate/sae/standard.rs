//! Standard: a = ReLU(pre + b_enc).

use super::Feature;

/// Biases of a standard SAE.
#[derive(Debug, Clone)]
pub(super) struct Standard {
    /// Shape `[d_sae]`.
    pub(super) b_enc: Vec<f32>,
}

impl Standard {
    /// Active features of one row; `pre` is x·W_enc without bias, shape `[d_sae]`.
    pub(super) fn activate(&self, pre: &[f32]) -> Vec<Feature> {
        pre.iter().zip(&self.b_enc).map(|(p, b)| p + b).enumerate().filter_map(Feature::positive).collect()
    }
}
