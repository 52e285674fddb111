//! A share of trials, and what it may be.

use statrs::distribution::{ContinuousCDF, Normal};

/// 95 % interval of the chance of which `share` of `n` trials is a draw; none without trials.
///
/// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927: it holds near
/// 0 and 1 too, where the usual one has no width. `share` need not be a whole number of trials: where trials come in
/// sets that are not independent within, n is the number of sets.
pub fn wilson(share: f64, n: usize) -> Option<(f64, f64)> {
    if n == 0 {
        return None;
    }
    let n = n as f64;
    let z = Normal::standard().inverse_cdf(0.975);
    let centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    Some(((centre - half).max(0.0), (centre + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_r() {
        // prop.test(x, n, correct = FALSE)$conf.int
        for (x, n, low, high) in [(0.0, 200, 0.0, 0.018_845_326), (10.0, 200, 0.027_382_646, 0.089_578_148)] {
            let (l, h) = wilson(x / f64::from(n), n as usize).unwrap();
            assert!((l - low).abs() < 1e-8 && (h - high).abs() < 1e-8, "{x} of {n}: {l} {h}");
        }
        let (low, high) = wilson(1.0, 10).unwrap();
        assert!(low > 0.7 && (high - 1.0).abs() < 1e-12);
        assert_eq!(wilson(0.5, 0), None);
    }
}
