//! Means, standard deviations, effect sizes of paired differences, correlation.

use statrs::function::gamma::ln_gamma;

/// A spread below this share of the values' own size is rounding, not variation.
pub(super) const ROUNDING: f64 = 1e-12;

/// Arithmetic mean; none for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation (n − 1); none for fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// Whether differences vary by more than the rounding of the values they were taken from, whose
/// largest magnitude is `scale`.
pub(super) fn varies(differences: &[f64], scale: f64) -> bool {
    standard_deviation(differences).is_some_and(|sd| sd > ROUNDING * scale)
}

/// Cohen's d for paired samples, d_z = mean / standard deviation of the differences.
///
/// Source: J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed., 1988, §2.3.5.
/// None for fewer than two values or without variation.
pub fn cohens_dz(differences: &[f64]) -> Option<f64> {
    let d = mean(differences)? / standard_deviation(differences)?;
    d.is_finite().then_some(d)
}

/// Hedges' correction J(df) = Γ(df/2) / (√(df/2) Γ((df−1)/2)), exact; g = J(n−1)·d_z is nearly
/// unbiased in small samples.
///
/// Source: L. V. Hedges, "Distribution theory for Glass's estimator of effect size and related
/// estimators", 1981. None for fewer than two degrees of freedom.
pub fn hedges_correction(df: usize) -> Option<f64> {
    let half = df as f64 / 2.0;
    (df > 1).then(|| (ln_gamma(half) - half.ln() / 2.0 - ln_gamma(half - 0.5)).exp())
}

/// Pearson's correlation of paired values; none for fewer than three pairs or where either side
/// does not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < 3 {
        return None;
    }
    let largest = |v: &[f64]| v.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    if !varies(x, largest(x)) || !varies(y, largest(y)) {
        return None;
    }
    let (mx, my) = (mean(x)?, mean(y)?);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xy += (x - mx) * (y - my);
        xx += (x - mx) * (x - mx);
        yy += (y - my) * (y - my);
    }
    let r = xy / (xx.sqrt() * yy.sqrt());
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_data_gives_none() {
        assert_eq!(mean(&[]), None);
        assert_eq!(standard_deviation(&[1.0]), None);
        assert_eq!(cohens_dz(&[2.0, 2.0]), None);
        assert_eq!(cohens_dz(&[0.0, 0.0]), None);
        assert_eq!(hedges_correction(1), None);
        assert_eq!(pearson(&[1.0, 2.0], &[1.0, 2.0]), None);
        assert_eq!(pearson(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(pearson(&[0.1 + 0.2, 0.3, 0.3], &[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn correlation_of_a_line_is_one() {
        assert_eq!(pearson(&[1.0, 2.0, 4.0], &[3.0, 5.0, 9.0]), Some(1.0));
        assert_eq!(pearson(&[1.0, 2.0, 4.0], &[-3.0, -5.0, -9.0]), Some(-1.0));
    }
}
