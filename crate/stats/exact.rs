//! Exact tests of pairs that need no draws: with thousands of features a p-value of 1 / 10,000, the least that
//! draws can give, survives no correction for so many tests.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// Differences up to which the null distribution is computed; of more, its normal limit is used.
pub const EXACT_DIFFERENCES: usize = 256;

/// Steps that the sum of all magnitudes is divided into: so many for each difference, and no fewer than the least.
const STEPS: usize = 64;
const LEAST_STEPS: usize = 2048;

/// P(S ≥ x) ≤ so many times the normal tail, for every sum S of magnitudes with random signs and variance 1: 1 / (4 P(Z ≥
/// √2)) (V. K. Bentkus and D. Dzindzalieta, "A tight Gaussian bound for weighted sums of Rademacher random
/// variables", 2015).
const RADEMACHER: f64 = 3.178;

/// As even as so many equal magnitudes, and the normal limit is near.
const EVEN: f64 = 64.0;

/// Two-sided exact sign test: the chance that fair coins fall at least as unevenly. Of pairs in which a feature
/// is active on one side only this is McNemar's exact test. 1 without any.
///
/// Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.
pub fn sign_test(positive: usize, negative: usize) -> f64 {
    let n = (positive + negative) as u64;
    let Ok(coins) = Binomial::new(0.5, n) else { return 1.0 };
    (2.0 * coins.cdf(positive.min(negative) as u64)).min(1.0)
}

/// Two-sided sign-flip test of a sum of differences ([`super::sign_flip_p`]), from its whole null distribution
/// instead of draws from it. Zeros take no part. None where all are zero.
///
/// Magnitudes are rounded to 1/64 of their mean, or finer: a test of the rounded differences, exact for those. Their
/// sum over random signs is twice a sum over a random half of them, whose distribution is built up difference by
/// difference. For more than [`EXACT_DIFFERENCES`] the normal limit is taken. Where a few of them are far larger than
/// the others, its tails are too light, and p is 3.178 times as large, which bounds it from above.
pub fn sign_flip_exact(differences: &[f64]) -> Option<f64> {
    let there = || differences.iter().copied().filter(|d| *d != 0.0);
    let (n, size) = (there().count(), there().map(f64::abs).sum::<f64>());
    if n == 0 || !size.is_finite() {
        return None;
    }
    if n > EXACT_DIFFERENCES {
        let (squares, fourths) =
            there().map(|d| d * d).fold((0.0, 0.0), |(squares, fourths), s| (squares + s, fourths + s * s));
        let bound = if squares * squares < EVEN * fourths { RADEMACHER } else { 1.0 };
        let z = there().sum::<f64>().abs() / squares.sqrt();
        return Some((bound * 2.0 * Normal::standard().sf(z)).min(1.0));
    }
    let fine = (STEPS * n).max(LEAST_STEPS) as f64;
    let steps: Vec<usize> = there().map(|d| (d.abs() / size * fine).round() as usize).collect();
    let total: usize = steps.iter().sum();
    let positive: usize = there().zip(&steps).filter(|(d, _)| *d > 0.0).map(|(_, step)| step).sum();
    let mut chance = vec![0.0; total + 1];
    chance[0] = 1.0;
    let mut up_to = 0;
    let mut next = chance.clone();
    for &step in &steps {
        up_to += step;
        next[..=up_to].copy_from_slice(&chance[..=up_to]);
        next[step..=up_to].iter_mut().zip(&chance[..=up_to - step]).for_each(|(to, from)| *to += from);
        next[..=up_to].iter_mut().for_each(|p| *p *= 0.5);
        std::mem::swap(&mut chance, &mut next);
    }
    let least = positive.min(total - positive);
    let tail: f64 = chance[..=least].iter().sum();
    Some((2.0 * tail).min(1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::resample::{sign_flip_p, stream};
    use super::*;

    #[test]
    fn sign_test_by_hand() {
        assert_eq!(sign_test(0, 0), 1.0);
        assert!((sign_test(0, 6) - 2.0 / 64.0).abs() < 1e-14);
        // 2 (1 + 5 + 10) / 32
        assert_eq!(sign_test(3, 2), 1.0);
        assert!((sign_test(1, 4) - 12.0 / 32.0).abs() < 1e-14);
        assert_eq!(sign_test(4, 1), sign_test(1, 4));
    }

    #[test]
    fn equal_magnitudes_are_the_sign_test() {
        for (positive, negative) in [(9, 1), (30, 12), (40, 40), (0, 17)] {
            let d: Vec<f64> = std::iter::repeat_n(0.3, positive).chain(std::iter::repeat_n(-0.3, negative)).collect();
            let (found, wanted) = (sign_flip_exact(&d).unwrap(), sign_test(positive, negative));
            assert!((found - wanted).abs() < 1e-12 * wanted.max(1e-3), "{positive} {negative}: {found} {wanted}");
        }
    }

    #[test]
    fn zeros_take_no_part() {
        assert_eq!(sign_flip_exact(&[]), None);
        assert_eq!(sign_flip_exact(&[0.0; 5]), None);
        assert_eq!(sign_flip_exact(&[0.0, 1.0, 0.0, 2.0, -0.5]), sign_flip_exact(&[1.0, 2.0, -0.5]));
    }

    #[test]
    fn far_below_what_draws_can_give() {
        let p = sign_flip_exact(&[1.0; 40]).unwrap();
        assert!((p / (2.0f64).powi(-39) - 1.0).abs() < 1e-9, "{p}");
    }

    #[test]
    fn the_limit_is_near_where_the_distribution_ends() {
        for shift in [50.5, 48.5, 46.5, 43.5] {
            let d: Vec<f64> = (0..EXACT_DIFFERENCES).map(|i| ((i * 7919) % 101) as f64 - shift).collect();
            let z = d.iter().sum::<f64>().abs() / d.iter().map(|d| d * d).sum::<f64>().sqrt();
            let (exact, limit) = (sign_flip_exact(&d).unwrap(), 2.0 * Normal::standard().sf(z));
            assert!((exact / limit - 1.0).abs() < 0.1, "{shift}: {exact} {limit}");
            // one more, and the limit is what is given
            let more: Vec<f64> = d.iter().copied().chain([1e-9]).collect();
            assert!((sign_flip_exact(&more).unwrap() / limit - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_few_that_dominate_are_no_normal_sum() {
        for large in [4, 6, 8] {
            let d: Vec<f64> =
                std::iter::repeat_n(1.0, large).chain((0..300).map(|i| 1e-6 * f64::from(i % 2 * 2 - 1))).collect();
            let (found, exact) = (sign_flip_exact(&d).unwrap(), 2.0f64.powi(1 - large as i32));
            assert!(found >= exact && found < 4.0 * exact, "{large}: {found} {exact}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_all_sign_patterns(differences in prop::collection::vec(-40..=40_i32, 3..12)) {
            let d: Vec<f64> = differences.iter().map(|&d| f64::from(d)).collect();
            prop_assume!(d.iter().any(|d| *d != 0.0));
            let found = sign_flip_exact(&d).unwrap();
            let all = sign_flip_p(&d, &mut stream("test", 0, "all")).unwrap();
            // rounding may part patterns that tie, or join such that nearly do
            prop_assert!((found - all).abs() < 0.15, "{found} {all}");
            prop_assert!(found >= 2.0f64.powi(1 - d.len() as i32) * 0.999 && found <= 1.0);
        }

        #[test]
        fn order_and_direction_do_not_matter(mut d in prop::collection::vec(-3.0..3.0_f64, 1..60), seed in 0..1000_usize) {
            let before = sign_flip_exact(&d);
            let n = d.len();
            d.rotate_left(seed % n);
            d.iter_mut().for_each(|d| *d = -*d);
            match (before, sign_flip_exact(&d)) {
                (Some(a), Some(b)) => prop_assert!((a - b).abs() <= 1e-9 * a, "{a} {b}"),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }
}
