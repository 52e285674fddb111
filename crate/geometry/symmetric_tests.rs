//! Against the definition of an eigenvector, known spectra, and the forms against each other.

use super::gram::gram;
use super::points::Points;
use super::symmetric::{leading, leading_in};
use crate::platform::lanes::{Form, forms};

/// A fixed sequence in ±0.5.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    }

    pub(super) fn values(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.next()).collect()
    }
}

fn symmetric(s: usize, at: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    // NaN above the diagonal: nothing there is read
    (0..s * s).map(|x| if x % s <= x / s { at(x / s, x % s) } else { f64::NAN }).collect()
}

fn identity(s: usize) -> Vec<f64> {
    symmetric(s, |i, j| f64::from(i == j))
}

/// H A H for a random reflection H: the spectrum of A, in a dense matrix.
fn reflected(a: &[f64], s: usize, random: &mut Random) -> Vec<f64> {
    let u = random.values(s);
    let square: f64 = u.iter().map(|x| x * x).sum();
    let h = |i: usize, j: usize| f64::from(i == j) - 2.0 * u[i] * u[j] / square;
    let at = |i: usize, j: usize| a[i.max(j) * s + i.min(j)];
    let half: Vec<f64> = (0..s * s).map(|x| (0..s).map(|k| h(x / s, k) * at(k, x % s)).sum()).collect();
    symmetric(s, |i, j| (0..s).map(|k| half[i * s + k] * h(k, j)).sum())
}

fn diagonal(values: &[f64]) -> Vec<f64> {
    symmetric(values.len(), |i, j| if i == j { values[i] } else { 0.0 })
}

/// What must hold for every matrix; returns its eigenvalues.
fn check(a: &[f64], s: usize) -> Vec<f64> {
    let (values, vectors) = leading(a, s, 3).expect("convergence");
    let at = |i: usize, j: usize| a[i.max(j) * s + i.min(j)];
    assert_eq!((values.len(), vectors.len()), (s, s.min(3)));
    assert!(values.is_sorted_by(|a, b| a >= b));
    let norm = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let small = 2e-15 * (s as f64).sqrt().max(4.0);
    for (x, value) in vectors.iter().zip(&values) {
        for i in 0..s {
            let product: f64 = (0..s).map(|j| at(i, j) * x[j]).sum();
            let residual = product - value * x[i];
            assert!(residual.abs() <= small * norm, "residual {:e} of {s}", residual / norm);
        }
    }
    for (i, x) in vectors.iter().enumerate() {
        for (j, y) in vectors.iter().enumerate() {
            let product: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
            assert!((product - f64::from(i == j)).abs() <= small, "vectors {i}, {j}: {product:e}");
        }
    }
    if norm > 0.0 {
        let trace: f64 = (0..s).map(|i| at(i, i) / norm).sum();
        let found: f64 = values.iter().map(|v| v / norm).sum();
        assert!((trace - found).abs() <= 1e-15 * (s * s) as f64 + 1e-14, "trace {:e}", trace - found);
        let square: f64 = (0..s * s).map(|x| (at(x / s, x % s) / norm).powi(2)).sum();
        let found: f64 = values.iter().map(|v| (v / norm).powi(2)).sum();
        assert!((square - found).abs() <= 1e-15 * (s * s) as f64 + 1e-14, "squares {:e}", square - found);
    }
    values
}

fn assert_spectrum(a: &[f64], expected: &[f64]) {
    let values = check(a, expected.len());
    let mut expected = expected.to_vec();
    expected.sort_by(|a, b| b.total_cmp(a));
    let norm = expected.iter().fold(f64::MIN_POSITIVE, |m: f64, v| m.max(v.abs()));
    for (value, expected) in values.iter().zip(&expected) {
        assert!((value - expected).abs() <= 1e-14 * norm, "{value:e} for {expected:e}");
    }
}

#[test]
fn random_matrices_of_every_size() {
    let mut random = Random(1);
    for s in (1..70).chain([95, 96, 97, 130]) {
        for _ in 0..if s < 30 { 20 } else { 2 } {
            let values = random.values(s * s);
            check(&symmetric(s, |i, j| values[i * s + j]), s);
        }
    }
}

#[test]
fn random_tridiagonal_and_sparse_matrices() {
    let mut random = Random(2);
    for s in 1..60 {
        let values = random.values(s * s);
        check(&symmetric(s, |i, j| if i - j < 2 { values[i * s + j] } else { 0.0 }), s);
        // blocks that know nothing of each other, and values of very different size
        check(&symmetric(s, |i, j| if i / 5 == j / 5 { values[i * s + j] } else { 0.0 }), s);
        check(&symmetric(s, |i, j| values[i * s + j] * 10_f64.powi(-((i + j) as i32) / 2)), s);
        check(&symmetric(s, |i, j| values[i * s + j] * 10_f64.powi((i + j) as i32 / 2 - 60)), s);
        check(&symmetric(s, |i, j| if values[i * s + j] > 0.4 { 1.0 } else { 0.0 }), s);
        check(&symmetric(s, |i, j| (4.0 * values[i * s + j]).round()), s);
    }
}

#[test]
fn known_spectra() {
    let mut random = Random(3);
    for s in [1, 2, 3, 4, 7, 8, 9, 16, 40, 65] {
        for spectrum in [
            vec![1.0; s],
            vec![0.0; s],
            vec![-2.5; s],
            (0..s).map(|i| i as f64).collect(),
            (0..s).map(|i| 0.1_f64.powi(i as i32)).collect(),
            (0..s).map(|i| f64::from(i == s / 2)).collect(),
            (0..s).map(|i| f64::from(i < 2)).collect(),
            (0..s).map(|i| 1.0 - 1e-13 * i as f64).collect(),
            (0..s).map(|i| if i < 4 { 2.0 - 1e-15 * i as f64 } else { 1.0 }).collect(),
            (0..s).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect::<Vec<f64>>(),
        ] {
            let a = diagonal(&spectrum);
            assert_spectrum(&a, &spectrum);
            let dense = reflected(&a, s, &mut random);
            assert_spectrum(&dense, &spectrum);
            assert_spectrum(&reflected(&dense, s, &mut random), &spectrum);
        }
        // −1, 2, −1: 2 − 2 cos(kπ / (s + 1))
        let spectrum: Vec<f64> =
            (1..=s).map(|k| 2.0 - 2.0 * (k as f64 * std::f64::consts::PI / (s + 1) as f64).cos()).collect();
        assert_spectrum(&symmetric(s, |i, j| [2.0, -1.0, 0.0][(i - j).min(2)]), &spectrum);
    }
    assert_eq!(leading(&identity(5), 5, 1).unwrap().0, [1.0; 5]);
}

/// Pairs of eigenvalues that agree to all digits although nothing beside the diagonal is small.
#[test]
fn wilkinsons_matrix() {
    for s in [21, 41, 101] {
        let middle = (s / 2) as f64;
        let a = symmetric(s, |i, j| [(i as f64 - middle).abs(), 1.0, 0.0][(i - j).min(2)]);
        let values = check(&a, s);
        if s == 21 {
            assert!((values[0] - 10.746_194_182_903_39).abs() < 1e-13);
            assert!((values[0] - values[1]).abs() < 1e-13);
            assert!((values[20] - -1.125_441_522_119_985).abs() < 1e-13);
        }
        // and many copies of it, joined by next to nothing
        let glued = |i: usize, j: usize| {
            if i == j || i / s == j / s {
                a[(i % s) * s + j % s]
            } else if i - j == 1 {
                1e-9
            } else {
                0.0
            }
        };
        check(&symmetric(5 * s, glued), 5 * s);
    }
}

#[test]
fn gram_matrices_without_full_rank_have_zeros() {
    let mut random = Random(4);
    for (s, rank) in [(5, 1), (20, 3), (60, 59), (100, 40), (130, 2)] {
        for scale in [1.0, 1e-4] {
            let base = random.values(rank * 48);
            let mix: Vec<f64> =
                random.values(s * rank).iter().enumerate().map(|(i, v)| v * scale_of(i % rank, scale)).collect();
            let m: Vec<f64> =
                (0..s * 48).map(|x| (0..rank).map(|k| mix[x / 48 * rank + k] * base[k * 48 + x % 48]).sum()).collect();
            let values = check(&gram(&Points::from_values(&m, s, 48)), s);
            for value in &values[rank.min(48)..] {
                assert!(value.abs() <= 1e-14 * values[0], "{:e}", value / values[0]);
            }
            assert!(values[rank.min(4) - 1] > 1e-12 * values[0]);
        }
    }
}

fn scale_of(k: usize, scale: f64) -> f64 {
    if k < 2 { 1.0 } else { scale }
}

#[test]
fn any_scale() {
    let mut random = Random(5);
    for s in [1, 2, 3, 17, 33] {
        let base = random.values(s * s);
        for exponent in [-310, -300, -150, -10, 10, 150, 300] {
            let a =
                symmetric(s, |i, j| base[i * s + j] * 10_f64.powi(exponent / 2) * 10_f64.powi(exponent - exponent / 2));
            let (values, vectors) = leading(&a, s, 2).unwrap();
            assert!(values.iter().chain(vectors.iter().flatten()).all(|x| x.is_finite()));
            if exponent >= -300 {
                let at = |i: usize, j: usize| a[i.max(j) * s + i.min(j)];
                for i in 0..s {
                    let product: f64 = (0..s).map(|j| at(i, j) * vectors[0][j]).sum();
                    assert!(
                        (product - values[0] * vectors[0][i]).abs() <= 1e-13 * values[0].abs().max(values[s - 1].abs())
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_has_no_spectrum() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for s in [1, 2, 9] {
            let mut a = identity(s);
            a[s * (s - 1)] = bad;
            assert!(leading(&a, s, 1).is_none());
        }
    }
    assert_eq!(leading(&[], 0, 3), Some((vec![], vec![])));
    let (values, vectors) = leading(&[4.0], 1, 3).unwrap();
    assert_eq!((values, vectors[0][0].abs()), (vec![4.0], 1.0));
}

#[test]
fn forms_of_equal_rounding_find_the_same_bits() {
    let mut random = Random(7);
    for s in [1, 2, 3, 7, 8, 9, 20, 33, 64, 77] {
        let m = random.values(s * 50);
        let a = gram(&Points::from_values(&m, s, 50));
        let found = |form: Form| leading_in(form, &a, s, 3).unwrap();
        let bits = |(values, vectors): (Vec<f64>, Vec<Vec<f64>>)| {
            values.iter().chain(vectors.iter().flatten()).map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        for (form, fused) in forms() {
            assert_eq!(bits(found(form)), bits(found(Form::Plain { fused })), "{form:?}, {s}");
        }
        let (plain, fused) = (found(Form::Plain { fused: false }).0, found(Form::Plain { fused: true }).0);
        for (a, b) in plain.iter().zip(&fused) {
            assert!((a - b).abs() <= 1e-14 * fused[0], "{a} {b}");
        }
    }
}
