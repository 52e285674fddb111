//! Numbers that a spectrum alone decides. All take eigenvalues λ1 ≥ λ2 ≥ … > 0, zeros left out.

use serde::{Deserialize, Serialize};

/// Participation ratio (Σλ)² / Σλ²: the effective number of dimensions; 0 for an empty spectrum.
///
/// Source: P. Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement",
/// 2017.
pub fn participation_ratio(eigenvalues: &[f64]) -> f64 {
    let Some(&first) = eigenvalues.first() else { return 0.0 };
    let sum: f64 = eigenvalues.iter().map(|l| l / first).sum();
    let squares: f64 = eigenvalues.iter().map(|l| (l / first) * (l / first)).sum();
    sum * sum / squares
}

/// Sphericity c/a = √(λ3/λ1); 0 where fewer than three eigenvalues are non-zero.
pub fn sphericity(eigenvalues: &[f64]) -> f64 {
    ratio(eigenvalues, 2)
}

/// Elongation b/a = √(λ2/λ1); 0 where fewer than two eigenvalues are non-zero.
pub fn elongation(eigenvalues: &[f64]) -> f64 {
    ratio(eigenvalues, 1)
}

/// √(λ_k/λ_0), 0 where there is no λ_k.
fn ratio(eigenvalues: &[f64], k: usize) -> f64 {
    match (eigenvalues.first(), eigenvalues.get(k)) {
        (Some(first), Some(other)) => (other / first).sqrt(),
        _ => 0.0,
    }
}

/// Shannon entropy −Σ q ln q in nats of the normalised spectrum q = λ/Σλ; 0 for an empty one.
pub fn eigenvalue_entropy(eigenvalues: &[f64]) -> f64 {
    let Some(&first) = eigenvalues.first() else { return 0.0 };
    let sum: f64 = eigenvalues.iter().map(|l| l / first).sum();
    let entropy: f64 = eigenvalues.iter().map(|l| l / first / sum).map(|q| -q * q.ln()).sum();
    // a single eigenvalue gives −1·ln 1 = −0
    entropy.max(0.0)
}

/// The form of a cloud of features, from the axis ratios b/a = √(λ2/λ1) and c/a = √(λ3/λ1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShapeClass {
    /// b/a > 0.9 and c/a > 0.9.
    Spherical,
    /// b/a > 0.8 and c/a < 0.6: a disc.
    Oblate,
    /// b/a < 0.6 and c/a < 0.6: a rod. One or two features have no second axis and are rods too.
    Prolate,
    /// Anything else.
    Triaxial,
    /// No active feature.
    None,
}

impl ShapeClass {
    /// The class of `n` features with this spectrum.
    pub fn of(n: usize, eigenvalues: &[f64]) -> Self {
        let (b, c) = (elongation(eigenvalues), sphericity(eigenvalues));
        if n == 0 {
            Self::None
        } else if b > 0.9 && c > 0.9 {
            Self::Spherical
        } else if b > 0.8 && c < 0.6 {
            Self::Oblate
        } else if b < 0.6 && c < 0.6 {
            Self::Prolate
        } else {
            Self::Triaxial
        }
    }

    /// Name as it stands in `metrics.parquet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spherical => "Spherical",
            Self::Oblate => "Oblate",
            Self::Prolate => "Prolate",
            Self::Triaxial => "Triaxial",
            Self::None => "None",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participation_counts_equal_dimensions() {
        assert_eq!(participation_ratio(&[]), 0.0);
        assert_eq!(participation_ratio(&[5.0]), 1.0);
        assert!((participation_ratio(&[2.0; 7]) - 7.0).abs() < 1e-12);
        assert!((participation_ratio(&[1e-180, 1e-180]) - 2.0).abs() < 1e-12);
        assert!((participation_ratio(&[1e180, 1e180]) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn entropy_of_equal_dimensions_is_the_log_of_their_number() {
        assert_eq!(eigenvalue_entropy(&[]), 0.0);
        assert_eq!(eigenvalue_entropy(&[3.0]), 0.0);
        assert!(eigenvalue_entropy(&[3.0]).is_sign_positive());
        assert!((eigenvalue_entropy(&[4.0; 8]) - 8.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn classes_at_their_borders() {
        // λ such that b/a and c/a are as given
        let class = |b: f64, c: f64| ShapeClass::of(5, &[1.0, b * b, c * c]);
        assert_eq!(class(0.95, 0.92), ShapeClass::Spherical);
        assert_eq!(class(0.85, 0.5), ShapeClass::Oblate);
        assert_eq!(class(0.5, 0.4), ShapeClass::Prolate);
        assert_eq!(class(0.7, 0.5), ShapeClass::Triaxial);
        assert_eq!(class(0.85, 0.7), ShapeClass::Triaxial);
        assert_eq!(class(0.95, 0.85), ShapeClass::Triaxial);
        assert_eq!(ShapeClass::of(0, &[]), ShapeClass::None);
        assert_eq!(ShapeClass::of(1, &[]), ShapeClass::Prolate);
        assert_eq!(ShapeClass::of(2, &[1.0]), ShapeClass::Prolate);
        assert_eq!(ShapeClass::of(3, &[1.0, 0.9]), ShapeClass::Oblate);
    }

    #[test]
    fn fewer_than_three_axes_are_not_spherical() {
        assert_eq!(sphericity(&[1.0, 0.5]), 0.0);
        assert_eq!(elongation(&[1.0]), 0.0);
        assert!((sphericity(&[4.0, 2.0, 1.0]) - 0.5).abs() < 1e-15);
    }
}
