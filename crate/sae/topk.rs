//! TopK: the k largest of h = pre + b_enc, then ReLU (arXiv:2406.04093).
//!
//! With `rescale_acts_by_decoder_norm`, h is first multiplied by the norm of its decoder row and
//! the decoder divides by it again.

use super::Feature;

/// Biases of a TopK SAE.
#[derive(Debug, Clone)]
pub(super) struct TopK {
    /// Shape `[d_sae]`.
    pub(super) b_enc: Vec<f32>,
    /// Features kept before ReLU, 1 ≤ k ≤ d_sae.
    pub(super) k: usize,
    /// Decoder norms that h is multiplied by, shape `[d_sae]`.
    pub(super) norms: Option<Vec<f32>>,
}

impl TopK {
    /// Active features of one row; `pre` is x·W_enc without bias, shape `[d_sae]`.
    ///
    /// Of equal values at the k-th place the lower index wins. `torch.topk` leaves that open; it
    /// matters only when a positive value occurs twice.
    pub(super) fn activate(&self, pre: &[f32]) -> Vec<Feature> {
        let mut h: Vec<(usize, f32)> = pre.iter().zip(&self.b_enc).map(|(p, b)| p + b).enumerate().collect();
        if let Some(norms) = &self.norms {
            h.iter_mut().zip(norms).for_each(|((_, h), norm)| *h *= norm);
        }
        if self.k < h.len() {
            h.select_nth_unstable_by(self.k, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            h.truncate(self.k);
            h.sort_unstable_by_key(|(index, _)| *index);
        }
        h.into_iter().filter_map(Feature::positive).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(k: usize, pre: &[f32]) -> Vec<u32> {
        TopK { b_enc: vec![0.0; pre.len()], k, norms: None }.activate(pre).iter().map(|f| f.index).collect()
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        assert_eq!(active(2, &[1.0, 3.0, 1.0, 1.0]), [0, 1]);
        assert_eq!(active(3, &[1.0, 3.0, 1.0, 1.0]), [0, 1, 2]);
    }

    #[test]
    fn relu_comes_after_the_choice() {
        assert_eq!(active(3, &[-1.0, 3.0, -2.0, 0.0]), [1]);
        assert_eq!(active(4, &[-1.0, -3.0, -2.0, -0.5]), [] as [u32; 0]);
        assert_eq!(active(4, &[0.5, 3.0, 2.0, -0.5]), [0, 1, 2]);
    }
}
