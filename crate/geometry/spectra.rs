//! Numbers of sixteen spectra at a time: [`super::shape`] for the draws of nulls.
//!
//! A sort and a logarithm in f64 for every value of a draw would take nearly as long as its reduction, and only the
//! three largest and sums are wanted.

use super::nulls::SHAPES;
use super::sixteens::Spectra;
use crate::platform::lanes::{Form, Task, Vector};

/// An eigenvalue of at most this share of the largest is rounding.
const RANK_TOLERANCE: f32 = 1e-6;

/// The shapes of each, as [`super::nulls::shapes`] has them; zeros where nothing was found.
pub(super) fn sixteen_shapes(spectra: &Spectra) -> [[f64; SHAPES]; 16] {
    let shapes = Form::best().run(Shapes(spectra));
    std::array::from_fn(
        |lane| if spectra.found[lane] { shapes.map(|shape| f64::from(shape[lane])) } else { [0.0; SHAPES] },
    )
}

struct Shapes<'a>(&'a Spectra);

impl Task for Shapes<'_> {
    type Output = [[f32; 16]; SHAPES];

    #[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Self::Output {
        let (mut first, mut second, mut third) = ([0.0_f32; 16], [0.0_f32; 16], [0.0_f32; 16]);
        for value in &self.0.values {
            for lane in 0..16 {
                let x = value.0[lane];
                let lower = if x < first[lane] { x } else { first[lane] };
                first[lane] = if x > first[lane] { x } else { first[lane] };
                let lowest = if lower < second[lane] { lower } else { second[lane] };
                second[lane] = if lower > second[lane] { lower } else { second[lane] };
                third[lane] = if lowest > third[lane] { lowest } else { third[lane] };
            }
        }
        let (mut sum, mut squares, mut logs) = ([0.0_f32; 16], [0.0_f32; 16], [0.0_f32; 16]);
        let unit: [f32; 16] = std::array::from_fn(|lane| if first[lane] > 0.0 { 1.0 / first[lane] } else { 0.0 });
        for value in &self.0.values {
            for lane in 0..16 {
                let x = value.0[lane] * unit[lane];
                let counts = x > RANK_TOLERANCE;
                let (x, log) = if counts { (x, ln(x)) } else { (0.0, 0.0) };
                sum[lane] += x;
                squares[lane] += x * x;
                logs[lane] += x * log;
            }
        }
        let mut shapes = [[0.0; 16]; SHAPES];
        for lane in 0..16 {
            let ratio = |x: f32| if x * unit[lane] > RANK_TOLERANCE { (x * unit[lane]).sqrt() } else { 0.0 };
            shapes[0][lane] = ratio(third[lane]);
            shapes[1][lane] = ratio(second[lane]);
            shapes[2][lane] = if sum[lane] > 0.0 { sum[lane] * sum[lane] / squares[lane] } else { 0.0 };
            let entropy = if sum[lane] > 0.0 { ln(sum[lane]) - logs[lane] / sum[lane] } else { 0.0 };
            shapes[3][lane] = if entropy > 0.0 { entropy } else { 0.0 };
        }
        shapes
    }
}

/// ln x of a positive normal number, to within two units of its last place; without a branch, so that sixteen are
/// computed at a time, and the same on every machine.
///
/// Source: S. L. Moshier, Cephes, `logf`.
#[inline(always)]
fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // x = m 2^e, √½ ≤ m < √2
    let half = 0x3f35_04f3_u32;
    let shifted = bits.wrapping_sub(half);
    let e = (shifted as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((e << 23) as u32));
    let (e, x) = (e as f32, m - 1.0);
    let z = x * x;
    let mut y = 7.037_683_6e-2;
    for c in [
        -1.151_461e-1,
        1.167_699_8e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        y = y * x + c;
    }
    let y = y * x * z + e * -2.121_944_4e-4 - 0.5 * z;
    x + y + e * 0.693_359_4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::nulls::shapes;
    use crate::geometry::symmetric_tests::Random;
    use crate::platform::lanes::Block16;

    #[test]
    fn sixteen_shapes_are_those_of_each_spectrum() {
        for n in [1, 2, 3, 4, 40, 256] {
            // of every spread: a lane's values fall off as its number says; some are rounding, some below zero
            let drawn = Random(3 + n as u64).values(16 * n);
            let value = |i: usize, lane: usize| match i % 7 {
                5 => -1e-7,
                6 => 3e-7,
                _ => (0.3 * drawn[16 * i + lane].abs() as f32 + 0.7) * (-(lane as f32) * i as f32 / n as f32).exp(),
            };
            let values: Vec<Block16> = (0..n).map(|i| Block16(std::array::from_fn(|lane| value(i, lane)))).collect();
            let found: [bool; 16] = std::array::from_fn(|lane| lane != 9);
            for (lane, found) in sixteen_shapes(&Spectra { values, found }).iter().enumerate() {
                let mut spectrum: Vec<f64> = (0..n).map(|i| f64::from(value(i, lane))).collect();
                spectrum.sort_by(|a, b| b.total_cmp(a));
                let largest = spectrum[0];
                spectrum.retain(|x| *x > 1e-6 * largest);
                let expected = if lane == 9 { [0.0; SHAPES] } else { shapes(&spectrum) };
                for (a, b) in found.iter().zip(expected) {
                    assert!((a - b).abs() < 5e-6 * b.max(1.0), "{n} {lane}: {found:?} {expected:?}");
                }
            }
        }
        let none = Spectra { values: vec![Block16::default(); 5], found: [true; 16] };
        assert_eq!(sixteen_shapes(&none), [[0.0; SHAPES]; 16]);
    }

    #[test]
    fn logarithms_are_to_within_two_units_of_the_last_place() {
        let mut x = 1e-7_f32;
        while x < 300.0 {
            let (found, expected) = (f64::from(ln(x)), f64::from(x).ln());
            let unit = f64::from(f32::EPSILON) * expected.abs().max(0.5);
            assert!((found - expected).abs() <= 2.0 * unit, "{x}: {found} {expected}");
            x *= 1.000_7;
        }
        assert_eq!(ln(1.0), 0.0);
    }
}
