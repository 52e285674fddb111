//! Wilcoxon's signed-rank test.

use statrs::distribution::{ContinuousCDF, Normal};

/// Up to this many differences without ties the null distribution is enumerated.
const EXACT: usize = 50;

/// Two-sided p-value of Wilcoxon's signed-rank test of paired differences.
///
/// Zero differences are left out. Without ties and with at most 50 differences the null
/// distribution is exact; otherwise it is the normal approximation with the variance corrected for
/// ties and without continuity correction.
///
/// Source: F. Wilcoxon, "Individual comparisons by ranking methods", 1945; M. Hollander and
/// D. A. Wolfe, "Nonparametric Statistical Methods", 1973, §3.1. None where fewer than three
/// differences are not zero.
pub fn wilcoxon_signed_rank(differences: &[f64]) -> Option<f64> {
    let mut ordered: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let n = ordered.len();
    if n < 3 {
        return None;
    }
    ordered.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (mut positive, mut ties) = (0.0, 0.0);
    let mut first = 0;
    for group in ordered.chunk_by(|a, b| a.abs() == b.abs()) {
        let t = group.len() as f64;
        let rank = first as f64 + (t + 1.0) / 2.0;
        positive += rank * group.iter().filter(|d| **d > 0.0).count() as f64;
        ties += t * t * t - t;
        first += group.len();
    }
    if ties == 0.0 && n <= EXACT {
        return Some(exact_p(n, positive as usize));
    }
    let n = n as f64;
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0;
    let z = (positive - n * (n + 1.0) / 4.0) / variance.sqrt();
    Some((2.0 * Normal::standard().sf(z.abs())).min(1.0))
}

/// Exact two-sided p-value for n untied ranks whose positive ones sum to `positive`.
fn exact_p(n: usize, positive: usize) -> f64 {
    let largest = n * (n + 1) / 2;
    // counts[s]: subsets of {1, …, n} with sum s; at most 2^50, so f64 holds them exactly
    let mut counts = vec![0.0; largest + 1];
    counts[0] = 1.0;
    for rank in 1..=n {
        for sum in (rank..=largest).rev() {
            counts[sum] += counts[sum - rank];
        }
    }
    let tail: f64 = counts[..=positive.min(largest - positive)].iter().sum();
    (2.0 * tail / (n as f64).exp2()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // all positive: p = 2 / 2^n
        assert_eq!(wilcoxon_signed_rank(&[1.0, 2.0, 3.0, 4.0, 5.0]), Some(2.0 / 32.0));
        // ranks 1 2 3, positive sum 3 of 6: subsets {}, {1}, {2}, {3}, {1,2} up to 3 → 2·5/8 > 1
        assert_eq!(wilcoxon_signed_rank(&[1.0, 2.0, -3.0]), Some(1.0));
    }

    #[test]
    fn zeros_do_not_count() {
        assert_eq!(wilcoxon_signed_rank(&[0.0; 9]), None);
        assert_eq!(wilcoxon_signed_rank(&[0.0, 1.0, 2.0, 0.0]), None);
        assert_eq!(wilcoxon_signed_rank(&[0.0, 1.0, 2.0, 3.0]), wilcoxon_signed_rank(&[1.0, 2.0, 3.0]));
    }
}
