//! Attention sinks: positions whose residual is many times as long as the others'.
//!
//! Models park attention on a few positions that mean nothing, as a rule the first of a text, and
//! give them residuals of another size (G. Xiao et al., "Efficient streaming language models with
//! attention sinks", 2023; M. Sun et al., "Massive activations in large language models", 2024).
//! SAEs are trained without them: there, thousands of features are active and stand for the
//! position, not for the text.
//!
//! The rule, here and in `saescope health`: a residual norm above [`SINK_MEDIANS`] times the median
//! norm of ordinary text at that layer.

/// A residual norm above this many times the layer's median is an attention sink's.
pub const SINK_MEDIANS: f64 = 2.0;

/// ‖x‖₂ of a residual, shape \[d\].
pub fn residual_norm(x: &[f32]) -> f64 {
    x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
}

/// Median of residual norms, the upper of the two middle ones; what is not finite does not count.
pub fn median_norm(norms: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = norms.into_iter().filter(|n| n.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Whether a norm is above `medians` times the `median`; never where there is no median.
pub fn is_sink(norm: f64, median: Option<f64>, medians: f64) -> bool {
    median.is_some_and(|median| norm > medians * median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_upper_one_of_finite_norms() {
        assert_eq!(median_norm([3.0, f64::NAN, 1.0, f64::INFINITY, 2.0, 9.0]), Some(3.0));
        assert_eq!(median_norm([f64::NAN]), None);
        assert_eq!(residual_norm(&[3.0, -4.0]), 5.0);
    }

    #[test]
    fn a_sink_is_above_twice_the_median() {
        // SmolLM2-135M-Instruct at layer 6: the first position, and an ordinary one
        assert!(is_sink(23_850.0, Some(157.0), SINK_MEDIANS));
        assert!(!is_sink(314.0, Some(157.0), SINK_MEDIANS));
        assert!(!is_sink(23_850.0, None, SINK_MEDIANS));
        assert!(!is_sink(0.0, Some(0.0), SINK_MEDIANS));
    }
}
