//! Properties of the cloud, and clouds at the edges.

use proptest::prelude::*;

use super::*;

/// Masses in (0, 5], rows \[n, d\].
fn clouds() -> impl Strategy<Value = (usize, Vec<f32>, Vec<f32>)> {
    (1_usize..9, 1_usize..14).prop_flat_map(|(d, n)| {
        (Just(d), prop::collection::vec(0.01_f32..5.0, n), prop::collection::vec(-2.0_f32..2.0, n * d))
    })
}

/// Spectrum of the d×d covariance, formed literally; largest first, zeros included.
fn covariance_spectrum(rows: &[f32], masses: &[f32], d: usize) -> Vec<f64> {
    let total: f64 = masses.iter().map(|&m| f64::from(m)).sum();
    let centroid: Vec<f64> = (0..d)
        .map(|k| masses.iter().enumerate().map(|(i, &m)| f64::from(m) / total * f64::from(rows[i * d + k])).sum())
        .collect();
    let mut covariance = vec![0.0; d * d];
    for (x, entry) in covariance.iter_mut().enumerate() {
        for (i, &m) in masses.iter().enumerate() {
            let at = |k: usize| f64::from(rows[i * d + k]) - centroid[k];
            *entry += f64::from(m) / total * at(x / d) * at(x % d);
        }
    }
    jacobi(covariance, d)
}

/// Eigenvalues of a symmetric matrix by Jacobi's rotations (Golub & Van Loan §8.5), the slow and plain way.
fn jacobi(mut a: Vec<f64>, d: usize) -> Vec<f64> {
    for _ in 0..60 {
        for p in 0..d {
            for q in p + 1..d {
                let off = a[p * d + q];
                if off == 0.0 {
                    continue;
                }
                let tau = (a[q * d + q] - a[p * d + p]) / (2.0 * off);
                let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let rotated = |x: f64, y: f64| (c * (x - t * y), c * (t * x + y));
                for k in 0..d {
                    (a[k * d + p], a[k * d + q]) = rotated(a[k * d + p], a[k * d + q]);
                }
                for k in 0..d {
                    (a[p * d + k], a[q * d + k]) = rotated(a[p * d + k], a[q * d + k]);
                }
            }
        }
    }
    let mut values: Vec<f64> = (0..d).map(|k| a[k * d + k]).collect();
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    values
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-10 * scale.max(1e-300)
}

fn same_spectrum(a: &[f64], b: &[f64]) -> bool {
    let scale = a.iter().chain(b).fold(0.0, |m: f64, v| m.max(*v));
    (0..a.len().max(b.len())).all(|k| close(a.get(k).copied().unwrap_or(0.0), b.get(k).copied().unwrap_or(0.0), scale))
}

proptest! {
    #[test]
    fn the_gram_spectrum_is_the_covariance_spectrum((d, masses, rows) in clouds()) {
        let cloud = Cloud::new(&rows, &masses, d).unwrap();
        prop_assert!(same_spectrum(&cloud.eigenvalues, &covariance_spectrum(&rows, &masses, d)));
        prop_assert!(cloud.eigenvalues.len() <= d.min(masses.len() - 1));
        prop_assert!(cloud.eigenvalues.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn a_projection_has_the_clouds_variances((d, masses, rows) in clouds()) {
        let k = 3;
        let seen = Projection::new(&rows, &masses, d, k).unwrap();
        let cloud = Cloud::new(&rows, &masses, d).unwrap();
        prop_assert_eq!(&seen.eigenvalues, &cloud.eigenvalues);
        prop_assert_eq!(seen.points.len(), masses.len() * k);
        let total: f64 = masses.iter().map(|&m| f64::from(m)).sum();
        let scale = cloud.eigenvalues.first().copied().unwrap_or(1.0);
        for a in 0..k {
            for b in 0..k {
                // weighted second moments: λ on the diagonal, nothing beside it
                let moment: f64 = masses.iter().zip(seen.points.chunks(k))
                    .map(|(&m, p)| f64::from(m) / total * p[a] * p[b]).sum();
                let expected = if a == b { cloud.eigenvalues.get(a).copied().unwrap_or(0.0) } else { 0.0 };
                prop_assert!((moment - expected).abs() <= 1e-7 * scale, "axes {a}, {b}: {moment} against {expected}");
            }
        }
    }

    #[test]
    fn the_axis_is_an_eigenvector((d, masses, rows) in clouds()) {
        let cloud = Cloud::new(&rows, &masses, d).unwrap();
        let Some(&first) = cloud.eigenvalues.first() else {
            prop_assert!(cloud.axis.iter().all(|v| *v == 0.0));
            return Ok(());
        };
        // C v = λ v
        let total: f64 = masses.iter().map(|&m| f64::from(m)).sum();
        let mut image = vec![0.0; d];
        for (row, &m) in rows.chunks(d).zip(&masses) {
            let away: Vec<f64> = row.iter().zip(&cloud.centroid).map(|(&r, c)| f64::from(r) - c).collect();
            let along: f64 = away.iter().zip(&cloud.axis).map(|(a, v)| a * v).sum();
            image.iter_mut().zip(&away).for_each(|(i, a)| *i += f64::from(m) / total * along * a);
        }
        prop_assert!(image.iter().zip(&cloud.axis).all(|(i, v)| close(*i, first * v, first)));
        prop_assert!(close(cloud.axis.iter().map(|v| v * v).sum(), 1.0, 1.0));
    }

    #[test]
    fn order_does_not_matter((d, masses, rows) in clouds(), shift in 0_usize..14) {
        let n = masses.len();
        let (mut turned_masses, mut turned_rows) = (masses.clone(), rows.clone());
        turned_masses.rotate_left(shift % n);
        turned_rows.rotate_left(shift % n * d);
        let (a, b) = (Cloud::new(&rows, &masses, d).unwrap(), Cloud::new(&turned_rows, &turned_masses, d).unwrap());
        prop_assert!(same_spectrum(&a.eigenvalues, &b.eigenvalues));
        prop_assert!(a.centroid.iter().zip(&b.centroid).all(|(a, b)| close(*a, *b, 2.0)));
    }

    #[test]
    fn the_scale_of_the_masses_does_not_matter((d, masses, rows) in clouds(), scale in 1e-6_f32..1e6) {
        // a power of two, so that f32 masses scale exactly
        let scale = scale.log2().round().exp2();
        let scaled: Vec<f32> = masses.iter().map(|m| m * scale).collect();
        let (a, b) = (Cloud::new(&rows, &masses, d).unwrap(), Cloud::new(&rows, &scaled, d).unwrap());
        prop_assert!(same_spectrum(&a.eigenvalues, &b.eigenvalues));
    }

    #[test]
    fn a_rotation_leaves_the_spectrum((d, masses, rows) in clouds(), direction in prop::collection::vec(-1.0_f64..1.0, 8)) {
        // a reflection at the plane orthogonal to `direction`, applied in f64 and rounded to f32
        let direction = &direction[..d];
        let square: f64 = direction.iter().map(|v| v * v).sum();
        prop_assume!(square > 1e-3);
        let turned: Vec<f32> = rows
            .chunks(d)
            .flat_map(|row| {
                let along: f64 = row.iter().zip(direction).map(|(&r, v)| f64::from(r) * v).sum();
                row.iter().zip(direction).map(move |(&r, v)| (f64::from(r) - 2.0 * along / square * v) as f32)
            })
            .collect();
        let (a, b) = (Cloud::new(&rows, &masses, d).unwrap(), Cloud::new(&turned, &masses, d).unwrap());
        let scale = a.eigenvalues.first().copied().unwrap_or(0.0).max(1e-3);
        for k in 0..d {
            let value = |c: &Cloud| c.eigenvalues.get(k).copied().unwrap_or(0.0);
            prop_assert!((value(&a) - value(&b)).abs() <= 1e-5 * scale);
        }
    }

    #[test]
    fn nothing_is_ever_nan((d, masses, rows) in clouds(), tiny in prop::bool::ANY, exponent in -35_i32..36) {
        let factor = 10_f32.powi(exponent);
        let rows: Vec<f32> = rows.iter().map(|r| r * factor).collect();
        let masses: Vec<f32> = masses.iter().map(|m| if tiny { m * factor } else { *m }).collect();
        let cloud = Cloud::new(&rows, &masses, d).unwrap();
        let spectrum = &cloud.eigenvalues;
        prop_assert!(spectrum.iter().all(|l| l.is_finite() && *l > 0.0));
        prop_assert!(cloud.axis.iter().chain(&cloud.centroid).all(|v| v.is_finite()));
        for value in [
            participation_ratio(spectrum),
            sphericity(spectrum),
            elongation(spectrum),
            eigenvalue_entropy(spectrum),
            line_angle_degrees(&cloud.centroid, &cloud.axis),
        ] {
            prop_assert!(value.is_finite() && value >= 0.0);
        }
    }
}

#[test]
fn no_features_and_no_mass() {
    for (rows, masses) in [(&[][..], &[][..]), (&[1.0, 2.0][..], &[0.0][..])] {
        let cloud = Cloud::new(rows, masses, 2).unwrap();
        assert_eq!((cloud.centroid, cloud.eigenvalues, cloud.axis), (vec![0.0; 2], vec![], vec![0.0; 2]));
    }
    assert!(Cloud::new(&[], &[1.0], 0).unwrap().eigenvalues.is_empty());
}

#[test]
fn equal_positions_have_no_spectrum_however_far_out() {
    for at in [0.1_f32, 1e6, 1e-6] {
        let row: Vec<f32> = (0..50).map(|k| at * (1.0 + k as f32 * 0.3)).collect();
        let cloud = Cloud::new(&row.repeat(7), &[0.3, 1.7, 2.9, 0.1, 5.5, 1e-4, 1e4], 50).unwrap();
        assert!(cloud.eigenvalues.is_empty() && cloud.axis.iter().all(|v| *v == 0.0));
        assert!(cloud.centroid.iter().zip(&row).all(|(c, r)| *c == f64::from(*r)));
    }
}

#[test]
fn points_on_a_line_have_one_eigenvalue() {
    // f32 rounding of the thirds leaves the line by 1e-8
    let rows: Vec<f32> = (1..=6).flat_map(|k| (0..40).map(move |j| k as f32 / 3.0 * (j as f32 * 0.7).sin())).collect();
    let cloud = Cloud::new(&rows, &[1.0, 2.0, 0.5, 3.0, 0.1, 4.0], 40).unwrap();
    assert_eq!(cloud.eigenvalues.len(), 1);
}

#[test]
fn one_giant_mass_keeps_the_small_ones_shape() {
    // around a point of nearly all the mass, the others' shape is what is left
    let rows: Vec<f32> = vec![0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.5];
    let cloud = Cloud::new(&rows, &[1e12, 1.0, 1.0, 1.0], 3).unwrap();
    assert_eq!(cloud.eigenvalues.len(), 3);
    assert!((elongation(&cloud.eigenvalues) - 0.5).abs() < 1e-9);
    assert!((sphericity(&cloud.eigenvalues) - 0.25).abs() < 1e-9);
}

#[test]
fn more_features_than_dimensions() {
    let n = 500;
    let rows: Vec<f32> = (0..n * 3).map(|i| ((i * 2654435761_usize) % 1000) as f32 / 500.0 - 1.0).collect();
    let masses: Vec<f32> = (0..n).map(|i| 1.0 + (i % 5) as f32).collect();
    let cloud = Cloud::new(&rows, &masses, 3).unwrap();
    assert!(same_spectrum(&cloud.eigenvalues, &covariance_spectrum(&rows, &masses, 3)));
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    assert!(Cloud::new(&[1.0, 2.0, 3.0], &[1.0, 2.0], 2).is_err());
    assert!(Cloud::new(&[], &[1.0, 2.0], usize::MAX).is_err());
    assert!(Cloud::new(&[1.0, 2.0], &[-1.0], 2).is_err());
    assert!(Cloud::new(&[1.0, f32::INFINITY], &[1.0], 2).is_err());
}

#[test]
fn where_the_data_lies_in_memory_does_not_matter() {
    let (n, d) = (33, 65);
    let rows: Vec<f32> = (0..n * d + 16).map(|i| ((i * 2654435761_usize) % 997) as f32 / 500.0 - 1.0).collect();
    let masses: Vec<f32> = (1..=n).map(|i| 1.0 / i as f32).collect();
    let first = Cloud::new(&rows[..n * d], &masses, d).unwrap();
    for shift in 1..16 {
        let mut moved = vec![0.0; shift];
        moved.extend_from_slice(&rows[..n * d]);
        assert_eq!(Cloud::new(&moved[shift..], &masses, d).unwrap(), first);
    }
}
