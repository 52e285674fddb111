//! BatchTopK in its inference form: h = pre + b_enc, times the decoder norm where the SAE was
//! trained so, above one learned threshold, strictly (arXiv:2412.06410).
//!
//! SAELens saves a finished BatchTopK SAE as JumpReLU; this is for its training checkpoints, which
//! keep the norms unfolded and the threshold a scalar. Matryoshka BatchTopK differs only in its
//! training loss.

use super::Feature;

/// Biases and threshold of a BatchTopK SAE.
#[derive(Debug, Clone)]
pub(super) struct BatchTopK {
    /// Shape `[d_sae]`.
    pub(super) b_enc: Vec<f32>,
    /// One threshold per feature (all equal when the file holds a scalar), in the units of the
    /// activations, shape `[d_sae]`.
    pub(super) threshold: Vec<f32>,
    /// Decoder norms that h is multiplied by, shape `[d_sae]`.
    pub(super) norms: Option<Vec<f32>>,
}

impl BatchTopK {
    /// Active features of one row; `pre` is x·W_enc without bias, shape `[d_sae]`.
    pub(super) fn activate(&self, pre: &[f32]) -> Vec<Feature> {
        let h = pre.iter().zip(&self.b_enc).map(|(p, b)| p + b).enumerate();
        h.zip(&self.threshold)
            .map(|((i, h), t)| {
                let h = self.norms.as_ref().map_or(h, |norms| h * norms[i]);
                (i, if h > *t { h } else { 0.0 })
            })
            .filter_map(Feature::positive)
            .collect()
    }
}
