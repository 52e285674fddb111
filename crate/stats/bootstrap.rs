//! The bootstrap of a mean: whole clusters drawn with replacement, each domain as often as it is there.

use rand_chacha::rand_core::RngCore;

use super::clusters::Clusters;
use super::length::mean_over;
use super::resample::bca;

/// Clusters drawn that are kept for all metrics; more are drawn again for each.
const KEPT: usize = 1 << 23;

/// What is drawn, the same for every metric that has the same clusters.
#[derive(Debug)]
pub(super) struct Draws<R> {
    random: R,
    resamples: usize,
    /// Clusters of all resamples, one after the other; none where they are too many to keep.
    kept: Option<Vec<u32>>,
}

impl<R: RngCore + Clone> Draws<R> {
    /// So many resamples of these clusters.
    pub fn new(clusters: &Clusters, resamples: usize, random: R) -> Self {
        let mut draws = Self { random, resamples, kept: None };
        if resamples.checked_mul(clusters.len()).is_some_and(|n| n <= KEPT) {
            let mut kept = Vec::with_capacity(resamples * clusters.len());
            draws.each(clusters, |drawn| kept.extend_from_slice(drawn));
            draws.kept = Some(kept);
        }
        draws
    }

    /// Gives every resample to `take`.
    fn each(&self, clusters: &Clusters, mut take: impl FnMut(&[u32])) {
        if let Some(kept) = &self.kept {
            kept.chunks_exact(clusters.len().max(1)).for_each(take);
            return;
        }
        let mut random = self.random.clone();
        let mut drawn = Vec::with_capacity(clusters.len());
        for _ in 0..self.resamples {
            drawn.clear();
            for stratum in clusters.strata() {
                let n = stratum.len() as u64;
                // multiply and shift: the bias of n / 2^32 is far below the resampling error
                drawn.extend(
                    stratum.iter().map(|_| stratum[((u64::from(random.next_u32()) * n) >> 32) as usize] as u32),
                );
            }
            take(&drawn);
        }
    }

    /// 95 % interval of the mean over the rows of clusters with these sums, bias-corrected and accelerated
    /// ([`bca`]). None for fewer than three clusters or no resamples.
    ///
    /// Within strata an observation's influence is its distance from its stratum's mean (A. C. Davison and D. V.
    /// Hinkley, "Bootstrap Methods and their Application", 1997, §5.3).
    pub fn interval(&self, clusters: &Clusters, sums: &[f64]) -> Option<(f64, f64)> {
        if clusters.len() < 3 || self.resamples == 0 {
            return None;
        }
        let sizes = clusters.sizes();
        let mut means = Vec::with_capacity(self.resamples);
        if clusters.are_rows() {
            let n = clusters.len() as f64;
            self.each(clusters, |drawn| means.push(sum_of(drawn, sums) / n));
        } else {
            self.each(clusters, |drawn| means.push(sum_of(drawn, sums) / sum_of(drawn, &sizes)));
        }
        let (mean, mut influence) = mean_over(sums, &sizes);
        for stratum in clusters.strata() {
            let centre = stratum.iter().map(|&c| influence[c]).sum::<f64>() / stratum.len() as f64;
            stratum.iter().for_each(|&c| influence[c] -= centre);
        }
        bca(mean.estimate, &influence, means)
    }
}

/// Σ of these of the values, in four chains.
fn sum_of(drawn: &[u32], values: &[f64]) -> f64 {
    let (fours, rest) = drawn.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for four in fours {
        for (sum, &i) in sums.iter_mut().zip(four) {
            *sum += values[i as usize];
        }
    }
    let rest: f64 = rest.iter().map(|&i| values[i as usize]).sum();
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::super::resample::{RESAMPLES, stream};
    use super::*;

    fn interval(values: &[f64], labels: &[u32], domains: &[u32], seed: u64) -> Option<(f64, f64)> {
        let clusters = Clusters::new(labels, domains);
        let sums = clusters.sums(values.iter().copied());
        Draws::new(&clusters, RESAMPLES, stream("bootstrap", seed, "x")).interval(&clusters, &sums)
    }

    fn alone(n: usize) -> Vec<u32> {
        (0..n as u32).collect()
    }

    #[test]
    fn a_seed_gives_one_answer() {
        let values: Vec<f64> = (0..40).map(|i| f64::from((i * 31) % 17)).collect();
        let run = |seed| interval(&values, &alone(40), &[0; 40], seed).unwrap();
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let (low, high) = run(3);
        let centre = values.iter().sum::<f64>() / 40.0;
        assert!(low < centre && centre < high);
    }

    /// Interval ends are dabest's within the error of its 5,000 resamples (reference/golden_estimation.py).
    #[test]
    fn intervals_are_those_of_dabest() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/estimation.json")).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        for set in golden["sets"].as_array().unwrap() {
            let differences: Vec<f64> =
                numbers(&set["hall"]).iter().zip(numbers(&set["fact"])).map(|(hall, fact)| hall - fact).collect();
            let n = differences.len();
            let mean = differences.iter().sum::<f64>() / n as f64;
            assert!((mean - set["difference"].as_f64().unwrap()).abs() < 1e-9);
            let (low, high) = interval(&differences, &alone(n), &vec![0; n], 7).unwrap();
            // a 2.5 % quantile of 5,000 is uncertain by about 0.04 standard deviations, ours by less
            let error = 0.15 * set["spread"].as_f64().unwrap();
            let expected = numbers(&set["bca"]);
            let name = &set["name"];
            assert!((low - expected[0]).abs() < error, "{name}: {low} {expected:?}");
            assert!((high - expected[1]).abs() < error, "{name}: {high} {expected:?}");
        }
    }

    #[test]
    fn draws_that_are_not_kept_are_the_same() {
        let values: Vec<f64> = (0..40).map(|i| f64::from((i * 31) % 17)).collect();
        let clusters = Clusters::new(&alone(40), &[0; 40]);
        let mut draws = Draws::new(&clusters, 300, stream("bootstrap", 1, "x"));
        let kept = draws.interval(&clusters, &values);
        assert!(draws.kept.take().is_some() && kept.is_some());
        assert_eq!(draws.interval(&clusters, &values), kept);
    }

    #[test]
    fn constant_values_have_an_interval_of_no_width() {
        assert_eq!(interval(&[2.0; 5], &alone(5), &[0; 5], 0), Some((2.0, 2.0)));
        assert_eq!(interval(&[1.0, 2.0], &alone(2), &[0; 2], 0), None);
    }

    #[test]
    fn differences_between_domains_are_no_spread() {
        // two domains far apart, nothing within them
        let values: Vec<f64> = (0..40).map(|i| if i < 20 { 1.0 } else { 9.0 }).collect();
        let domains: Vec<u32> = (0..40).map(|i| i / 20).collect();
        assert_eq!(interval(&values, &alone(40), &domains, 0), Some((5.0, 5.0)));
        let (low, high) = interval(&values, &alone(40), &[0; 40], 0).unwrap();
        assert!(high - low > 1.0);
    }

    #[test]
    fn copies_do_not_narrow_the_interval() {
        let values: Vec<f64> = (0..50).map(|i| f64::from((i * 37) % 50)).collect();
        let labels: Vec<u32> = (0..500).map(|i| i % 50).collect();
        let once = interval(&values, &alone(50), &[0; 50], 5).unwrap();
        let ten = interval(&values.repeat(10), &labels, &[0; 500], 5).unwrap();
        assert!((once.0 - ten.0).abs() < 1e-9 && (once.1 - ten.1).abs() < 1e-9, "{once:?} {ten:?}");
        // as if they were 500 samples, it is about √10 times as narrow
        let (low, high) = interval(&values.repeat(10), &alone(500), &[0; 500], 5).unwrap();
        assert!(high - low < 0.4 * (once.1 - once.0));
    }
}
