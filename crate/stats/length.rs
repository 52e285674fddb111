//! The length control: a paired difference with the difference in token counts regressed out.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::effect::{mean, varies};

/// The difference that would be left between texts of equal length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    /// Intercept of difference ~ token difference.
    pub difference: f64,
    /// Its 95 % interval; none where the line fits without error.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p-value of "the intercept is zero"; none where the line fits without error.
    pub p: Option<f64>,
}

/// Fits difference = intercept + slope · token difference by ordinary least squares and gives the
/// intercept: the difference at equal length, with Student's t on n − 2 degrees of freedom. `scale`
/// is the largest magnitude of the values behind the differences (what is below its rounding
/// counts as no error).
///
/// Source: the paired analysis of covariance, e.g. J. Neter et al., "Applied Linear Statistical
/// Models", 4th ed., 1996, §2.2. None for fewer than three pairs or where all token differences
/// are the same.
pub fn adjust_for_length(differences: &[f64], tokens: &[f64], scale: f64) -> Option<Adjusted> {
    let n = differences.len();
    if n < 3 || tokens.len() != n {
        return None;
    }
    let (mx, my) = (mean(tokens)?, mean(differences)?);
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in tokens.iter().zip(differences) {
        xx += (x - mx) * (x - mx);
        xy += (x - mx) * (y - my);
    }
    if xx == 0.0 {
        return None;
    }
    let slope = xy / xx;
    let difference = my - slope * mx;
    let residuals: Vec<f64> = tokens.iter().zip(differences).map(|(x, y)| (y - my) - slope * (x - mx)).collect();
    let df = (n - 2) as f64;
    let variance = residuals.iter().map(|r| r * r).sum::<f64>() / df;
    let error = (variance * (1.0 / n as f64 + mx * mx / xx)).sqrt();
    let inference = StudentsT::new(0.0, 1.0, df).ok().filter(|_| varies(&residuals, scale) && error > 0.0);
    Some(Adjusted {
        difference,
        interval: inference.map(|t| {
            let half = t.inverse_cdf(0.975) * error;
            (difference - half, difference + half)
        }),
        p: inference.map(|t| (2.0 * t.sf((difference / error).abs())).min(1.0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_made_by_length_vanishes() {
        let tokens: Vec<f64> = (0..30).map(|i| (i % 6) as f64).collect();
        let differences: Vec<f64> =
            tokens.iter().enumerate().map(|(i, t)| 3.0 * t + ((i * 37) % 11) as f64 / 100.0 - 0.05).collect();
        let found = adjust_for_length(&differences, &tokens, 15.0).unwrap();
        assert!(found.difference.abs() < 0.02 && found.p.unwrap() > 0.05, "{found:?}");
    }

    #[test]
    fn a_perfect_line_has_no_error_to_test_with() {
        let tokens = [0.0, 1.0, 2.0, 5.0];
        let found = adjust_for_length(&tokens.map(|t| 0.1 * t + 0.3), &tokens, 1.0).unwrap();
        assert!((found.difference - 0.3).abs() < 1e-12);
        assert_eq!((found.interval, found.p), (None, None));
    }

    #[test]
    fn equal_token_differences_cannot_be_regressed_out() {
        assert_eq!(adjust_for_length(&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0], 3.0), None);
        assert_eq!(adjust_for_length(&[1.0, 2.0], &[2.0, 3.0], 2.0), None);
    }
}
