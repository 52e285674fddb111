//! Cross-entropy recovered, with an interval over the passages that it was measured on.

use crate::random::{below, choose, seeded};

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2_000;
/// Share of resamples outside the interval, on either side.
const TAIL: f64 = 0.025;

/// One passage's predictions: sums of −ln p in nats.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PassageLoss {
    /// With the model left alone.
    pub clean: f64,
    /// With the SAE's reconstruction in place of the residual.
    pub spliced: f64,
    /// With what the reconstruction has to beat in its place: zero, or the mean residual.
    pub floor: f64,
}

/// A share of cross-entropy and its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovered {
    /// (floor − spliced) / (floor − clean): 1 is the model left alone, 0 no better than the floor. It
    /// passes 1 where the reconstruction predicts better than the model, by chance or by easy text.
    pub share: f64,
    /// 95 % interval: percentiles of 2,000 bootstrap resamples of passages (B. Efron, 1979); none for
    /// fewer than two passages.
    pub interval: Option<(f64, f64)>,
}

/// What is recovered over all passages; the same numbers for the same `seed`.
pub fn recovered(passages: &[PassageLoss], seed: u64) -> Recovered {
    let share = share(passages.iter());
    let n = passages.len();
    if n < 2 || !share.is_finite() {
        return Recovered { share, interval: None };
    }
    let mut stream = seeded(seed);
    let mut shares: Vec<f64> = (0..RESAMPLES)
        .map(|_| self::share((0..n).map(|_| &passages[below(&mut stream, n)])))
        .filter(|share| share.is_finite())
        .collect();
    shares.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| shares.get((q * (shares.len().saturating_sub(1)) as f64).round() as usize).copied();
    Recovered { share, interval: at(TAIL).zip(at(1.0 - TAIL)) }
}

fn share<'a>(passages: impl Iterator<Item = &'a PassageLoss>) -> f64 {
    let (clean, spliced, floor) =
        passages.fold((0.0, 0.0, 0.0), |(c, s, f), p| (c + p.clean, s + p.spliced, f + p.floor));
    (floor - spliced) / (floor - clean)
}

/// `n` of `from` indices at random, ascending; all where there are no more.
pub fn draw(from: usize, n: usize, seed: u64) -> Vec<usize> {
    choose(&mut seeded(seed), from, n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(clean: f64, spliced: f64, floor: f64) -> PassageLoss {
        PassageLoss { clean, spliced, floor }
    }

    #[test]
    fn shares_are_of_sums_and_intervals_hold_them() {
        let same = vec![loss(10.0, 11.0, 20.0); 5];
        let Recovered { share, interval } = recovered(&same, 0);
        assert!((share - 0.9).abs() < 1e-12);
        let (low, high) = interval.unwrap();
        assert!((low - 0.9).abs() < 1e-12 && (high - 0.9).abs() < 1e-12);

        let mixed: Vec<PassageLoss> = (0..40).map(|i| loss(10.0, 10.0 + f64::from(i % 5), 20.0)).collect();
        let found = recovered(&mixed, 7);
        assert!((found.share - 0.8).abs() < 1e-12);
        let (low, high) = found.interval.unwrap();
        // standard error of the mean of 0, 0.1, …, 0.4 over 40 passages: 0.1414 / √40 = 0.0224
        assert!((high - low - 2.0 * 1.96 * 0.0224).abs() < 0.015, "{low} {high}");
        assert!(low < 0.8 && 0.8 < high);
        assert_eq!(recovered(&mixed, 7), found);
        assert_ne!(recovered(&mixed, 8), found);
    }

    #[test]
    fn better_than_the_model_is_above_one_and_a_single_passage_has_no_interval() {
        let found = recovered(&[loss(10.0, 9.0, 20.0)], 0);
        assert!((found.share - 1.1).abs() < 1e-12 && found.interval.is_none());
        assert_eq!(recovered(&[], 0).interval, None);
    }

    #[test]
    fn draws_are_distinct_spread_and_seeded() {
        let drawn = draw(1000, 100, 3);
        assert_eq!(drawn.len(), 100);
        assert!(drawn.windows(2).all(|p| p[0] < p[1]) && drawn[99] < 1000);
        // the first hundred would have a mean of 49.5
        let mean = drawn.iter().sum::<usize>() as f64 / 100.0;
        assert!((mean - 499.5).abs() < 100.0, "{mean}");
        assert_eq!(draw(1000, 100, 3), drawn);
        assert_ne!(draw(1000, 100, 4), drawn);
        assert_eq!(draw(3, 10, 0), [0, 1, 2]);
    }
}
