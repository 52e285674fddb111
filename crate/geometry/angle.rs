//! Angles between vectors and between lines, accurate near 0° and 180°.

/// Angle between two vectors, in degrees, 0 to 180; 0 where either is the zero vector.
///
/// Computed as 2·atan2(‖â − b̂‖, ‖â + b̂‖) of the unit vectors (W. Kahan, "How futile are mindless
/// assessments of roundoff in floating-point computation?", 2006, §12), which keeps full accuracy
/// where the arc cosine of the dot product loses half the digits.
///
/// # Shapes
/// `a`, `b`: \[d\].
pub fn angle_degrees(a: &[f64], b: &[f64]) -> f64 {
    unit_distances(a, b).map_or(0.0, |(minus, plus)| (2.0 * minus.atan2(plus)).to_degrees())
}

/// Angle between the two lines through the origin along `a` and `b`, in degrees, 0 to 90; 0 where
/// either is the zero vector.
///
/// # Shapes
/// `a`, `b`: \[d\].
pub fn line_angle_degrees(a: &[f64], b: &[f64]) -> f64 {
    unit_distances(a, b).map_or(0.0, |(minus, plus)| (2.0 * minus.min(plus).atan2(minus.max(plus))).to_degrees())
}

/// ‖â − b̂‖ and ‖â + b̂‖ of the unit vectors; none where either is zero.
fn unit_distances(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    let (na, nb) = (norm(a), norm(b));
    if na == 0.0 || nb == 0.0 {
        return None;
    }
    let (mut minus, mut plus) = (0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x / na, y / nb);
        minus += (x - y) * (x - y);
        plus += (x + y) * (x + y);
    }
    Some((f64::sqrt(minus), f64::sqrt(plus)))
}

/// Euclidean norm, scaled so that it neither overflows nor vanishes before the vector does.
fn norm(a: &[f64]) -> f64 {
    let largest = a.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return 0.0;
    }
    largest * a.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_angles() {
        assert!((angle_degrees(&[1.0, 0.0], &[0.0, 3.0]) - 90.0).abs() < 1e-12);
        assert!((angle_degrees(&[1.0, 0.0], &[-2.0, 0.0]) - 180.0).abs() < 1e-12);
        assert!((angle_degrees(&[1.0, 0.0], &[1.0, 1.0]) - 45.0).abs() < 1e-12);
        assert!((line_angle_degrees(&[1.0, 0.0], &[-2.0, 0.0])).abs() < 1e-12);
        assert!((line_angle_degrees(&[1.0, 0.0], &[-1.0, 1.0]) - 45.0).abs() < 1e-12);
        assert!((line_angle_degrees(&[1.0, 0.0], &[0.0, -1.0]) - 90.0).abs() < 1e-12);
    }

    #[test]
    fn tiny_angles_keep_their_digits() {
        let tiny = 1e-9_f64;
        let found = angle_degrees(&[1.0, 0.0], &[tiny.cos(), tiny.sin()]);
        assert!((found / tiny.to_degrees() - 1.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn zero_vectors_give_zero() {
        for (a, b) in [([0.0, 0.0], [1.0, 0.0]), ([1.0, 0.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])] {
            assert_eq!(angle_degrees(&a, &b), 0.0);
            assert_eq!(line_angle_degrees(&a, &b), 0.0);
        }
        assert_eq!(angle_degrees(&[], &[]), 0.0);
    }

    #[test]
    fn extreme_lengths_do_not_matter() {
        let a = [1e-170, 1e-170];
        let b = [1e170, 0.0];
        assert!((angle_degrees(&a, &b) - 45.0).abs() < 1e-12);
    }
}
