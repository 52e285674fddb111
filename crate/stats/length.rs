//! The length control: the paired difference over triples among which token counts cancel.

use rand_chacha::rand_core::RngCore;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::effect::{ROUNDING, varies};
use super::resample::sign_flip_p;

/// Closed chains below which there is no length control: a sign-flip test of fewer cannot reach
/// [`super::ALPHA`].
pub const MIN_CHAINS: usize = 6;

/// The difference between texts of equal length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    /// Mean difference over the triples of all closed chains.
    pub difference: f64,
    /// Its 95 % interval; none where chains do not vary.
    pub interval: Option<(f64, f64)>,
    /// Sign-flip p of the chains' sums.
    pub p: f64,
}

impl Adjusted {
    /// Whether this value lies in the interval.
    pub fn may_be(&self, value: f64) -> bool {
        let (low, high) = self.interval.unwrap_or((self.difference, self.difference));
        (low..=high).contains(&value)
    }
}

/// The difference at equal length, by chains of [`super::closed_chains`] (positions in
/// `differences`). `scale` is the largest magnitude of the values behind the differences. None for
/// fewer than [`MIN_CHAINS`] chains.
///
/// With s_j the sum of the k_j differences of chain j, the estimate is δ = Σ s_j / Σ k_j. A function
/// of completion length cancels from every s_j, whatever its shape. If a metric's distribution is a
/// matter of that length alone (shifted by its prompt), swapping fact and hallucination in all of a
/// chain leaves the chain's distribution as it is and turns the sign of s_j; so the sign-flip test of
/// the s_j is exact, skewed noise and noise that grows with length included. Where total length
/// matters, both hold for chains of equal prompt lengths, and nearly so for those of nearly equal ones.
///
/// The interval is δ ± t times the error of `mean_over` the chains, with Student's t on c − 1 degrees of
/// freedom.
pub fn adjust_for_length(
    differences: &[f64],
    chains: &[Vec<usize>],
    scale: f64,
    random: &mut impl RngCore,
) -> Option<Adjusted> {
    adjust_by(differences, chains, scale, |sums| sign_flip_p(sums, random))
}

/// [`adjust_for_length`] with another test of the chains' sums; none where that says nothing.
pub(super) fn adjust_by(
    differences: &[f64],
    chains: &[Vec<usize>],
    scale: f64,
    test: impl FnOnce(&[f64]) -> Option<f64>,
) -> Option<Adjusted> {
    if chains.len() < MIN_CHAINS {
        return None;
    }
    let sums = chain_sums(differences, chains, scale);
    let sizes: Vec<f64> = chains.iter().map(|chain| chain.len() as f64).collect();
    let p = test(&sums)?;
    let (Mean { estimate, error, df }, residuals) = mean_over(&sums, &sizes);
    let t = StudentsT::new(0.0, 1.0, df).ok().filter(|_| varies(&residuals, scale));
    let interval = t.map(|t| {
        let half = t.inverse_cdf(0.975) * error;
        (estimate - half, estimate + half)
    });
    Some(Adjusted { difference: estimate, interval, p })
}

/// Sums of the differences of each chain.
pub(super) fn chain_sums(differences: &[f64], chains: &[Vec<usize>], scale: f64) -> Vec<f64> {
    let sum = |chain: &Vec<usize>| {
        let sum: f64 = chain.iter().map(|&i| differences[i]).sum();
        // rounding that is left of what cancels has no sign to test
        if sum.abs() > ROUNDING * scale * chain.len() as f64 { sum } else { 0.0 }
    };
    chains.iter().map(sum).collect()
}

/// A mean over clusters of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    /// The mean over rows.
    pub estimate: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom of that.
    pub df: f64,
}

/// The mean over the rows of clusters with these sums and sizes, δ = Σ s_j / Σ k_j with the error
/// √(c/(c−1) Σ (s_j − k_j δ)²) / Σ k_j, and those residuals. Where every row is a cluster that is the usual error
/// of a mean.
///
/// Source: W. G. Cochran, "Sampling Techniques", 3rd ed., 1977, §6.5.
pub(super) fn mean_over(sums: &[f64], sizes: &[f64]) -> (Mean, Vec<f64>) {
    let rows: f64 = sizes.iter().sum();
    let estimate = sums.iter().sum::<f64>() / rows;
    let residuals: Vec<f64> = sums.iter().zip(sizes).map(|(s, k)| s - k * estimate).collect();
    let c = sums.len() as f64;
    let error = (c / (c - 1.0) * residuals.iter().map(|r| r * r).sum::<f64>()).sqrt() / rows;
    (Mean { estimate, error, df: c - 1.0 }, residuals)
}

#[cfg(test)]
mod tests {
    use super::super::chains::{TokenCounts, closed_chains};
    use super::super::resample::stream;
    use super::*;

    /// Triples that go up and down between lengths, and what a metric of this shape makes of them.
    fn made(shape: impl Fn(f64) -> f64) -> (Vec<Vec<usize>>, Vec<f64>) {
        let counts: Vec<TokenCounts> =
            (0..60).map(|i| TokenCounts { domain: 0, prompt: 4, fact: 5 + i * 7 % 5, hall: 5 + i * i % 11 }).collect();
        let differences = counts.iter().map(|c| shape(c.hall as f64) - shape(c.fact as f64));
        (closed_chains(&counts), differences.collect())
    }

    #[test]
    fn any_function_of_length_vanishes() {
        let shapes: [fn(f64) -> f64; 4] = [|l| 3.0 * l, |l| l.ln(), |l| (l - 8.0).powi(2), |l| f64::from(l > 6.0)];
        for shape in shapes {
            let (chains, differences) = made(shape);
            assert!(chains.len() >= 12, "{}", chains.len());
            let found = adjust_for_length(&differences, &chains, 16.0, &mut stream("t", 0, "x")).unwrap();
            assert_eq!((found.difference, found.interval, found.p), (0.0, None, 1.0));
        }
    }

    #[test]
    fn what_is_there_at_equal_length_is_found() {
        let (chains, differences) = made(|l| l * l);
        let noise = |i: usize| ((i * 37) % 11) as f64 / 100.0 - 0.05;
        let differences: Vec<f64> = differences.iter().enumerate().map(|(i, d)| d + 0.5 + noise(i)).collect();
        let found = adjust_for_length(&differences, &chains, 225.0, &mut stream("t", 0, "x")).unwrap();
        let (low, high) = found.interval.unwrap();
        assert!(low < 0.5 && 0.5 < high && high - low < 0.1 && found.p < 0.01, "{found:?}");
    }

    #[test]
    fn too_few_chains_say_nothing() {
        let chains: Vec<Vec<usize>> = (0..MIN_CHAINS - 1).map(|i| vec![i]).collect();
        assert_eq!(adjust_for_length(&[1.0; 8], &chains, 1.0, &mut stream("t", 0, "x")), None);
        let chains: Vec<Vec<usize>> = (0..MIN_CHAINS).map(|i| vec![i]).collect();
        let found = adjust_for_length(&[1.0; 8], &chains, 1.0, &mut stream("t", 0, "x")).unwrap();
        assert_eq!((found.difference, found.interval, found.p), (1.0, None, 2.0 / 64.0));
    }
}
