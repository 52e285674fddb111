//! M Mᵀ: the Gram matrix of a few rows, f64, sequential and deterministic.

use std::borrow::Cow;

use super::points::Points;
use crate::platform::lanes::{Block, Form, Task, Vector, total};

/// Y Yᵀ, its lower triangle: `out[i * n + j]` for j ≤ i; the rest is 0.
///
/// Y: \[n, d\]. Costs n²·d/2 multiply-adds. An element is the sum, over pieces of [`DEPTH`] columns at most, of a
/// dot product in eight lanes.
pub(super) fn gram(y: &Points) -> Vec<f64> {
    let stride = y.width();
    gram_in(Form::best(), y.n(), y.d(), |first, _| (Cow::Borrowed(y.blocks().get(first..).unwrap_or_default()), stride))
}

/// Yᵀ Y, its lower triangle, as [`gram`] of the transpose gives it to the bit; a copy of [`DEPTH`] rows at a time.
pub(super) fn gram_transposed(y: &Points) -> Vec<f64> {
    gram_in(Form::best(), y.d(), y.n(), |first, width| (Cow::Owned(turned(y, 8 * first, width)), width))
}

/// M Mᵀ of an M of `s` rows and `l` columns.
///
/// `piece`: of these blocks of columns, given the first and how many, the rows in blocks, and from one to the next.
fn gram_in<'a>(form: Form, s: usize, l: usize, piece: impl Fn(usize, usize) -> (Cow<'a, [Block]>, usize)) -> Vec<f64> {
    form.run(Product { s, l, piece })
}

/// Columns of M in one piece: eight rows of it lie in the first cache.
const DEPTH: usize = 768;
/// Rows of a piece that pass under all others while they lie in the second cache.
const PANEL: usize = 48;

struct Product<F> {
    s: usize,
    l: usize,
    piece: F,
}

impl<'a, F: Fn(usize, usize) -> (Cow<'a, [Block]>, usize)> Task for Product<F> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<f64> {
        let Self { s, l, piece } = self;
        let mut out = vec![0.0; s * s];
        if s == 0 || l == 0 {
            return out;
        }
        // pieces of equal width
        let blocks = l.div_ceil(8);
        let depth = l.div_ceil(l.div_ceil(DEPTH)).div_ceil(8);
        for first in (0..blocks).step_by(depth) {
            let width = depth.min(blocks - first);
            let (rows, stride) = piece(first, width);
            // a tile at the end takes the last row several times
            let row = |i: usize| &rows[i.min(s - 1) * stride..][..width];
            for panel in (0..s).step_by(PANEL) {
                for i in (panel - panel % R..s).step_by(R) {
                    for j in (panel..(i + R).min(panel + PANEL).min(s)).step_by(C) {
                        let (a, b) = (std::array::from_fn(|r| row(i + r)), std::array::from_fn(|c| row(j + c)));
                        let sums = tile::<V, R, C>(a, b);
                        for (i, sums) in (i..s).zip(&sums) {
                            for (j, sum) in (j..(panel + PANEL).min(i + 1)).zip(sums) {
                                out[i * s + j] += sum;
                            }
                        }
                    }
                }
            }
        }
        out
    }
}

/// Rows `first..first + 8 * width` of Y as columns: \[d, width\] in blocks, zeros after the last row.
fn turned(y: &Points, first: usize, width: usize) -> Vec<Block> {
    let mut columns = vec![Block::default(); y.d() * width];
    for lines in 0..width {
        let from = first + 8 * lines;
        // squares of eight
        for (square, columns) in columns.chunks_mut(8 * width).enumerate() {
            for (lane, row) in (from..(from + 8).min(y.n())).enumerate() {
                let Block(values) = &y.row(row)[square];
                for (column, value) in columns.chunks_exact_mut(width).zip(values) {
                    column[lines].0[lane] = *value;
                }
            }
        }
    }
    columns
}

/// The dot products of `R` rows with `C` rows, all of one length.
#[inline(always)]
fn tile<V: Vector, const R: usize, const C: usize>(a: [&[Block]; R], b: [&[Block]; C]) -> [[f64; C]; R] {
    let mut lanes = [[Block::default(); C]; R];
    for part in 0..V::PARTS {
        let sums = products::<V, R, C>(a, b, part);
        for r in 0..R {
            for c in 0..C {
                sums[r][c].store(&mut lanes[r][c].0, part);
            }
        }
    }
    let mut out = [[0.0; C]; R];
    for r in 0..R {
        for c in 0..C {
            out[r][c] = total(&lanes[r][c].0);
        }
    }
    out
}

/// Some lanes of the dot products in [`tile`].
#[inline(always)]
fn products<V: Vector, const R: usize, const C: usize>(a: [&[Block]; R], b: [&[Block]; C], part: usize) -> [[V; C]; R] {
    let width = a[0].len();
    let (a, b) = (a.map(|row| &row[..width]), b.map(|row| &row[..width]));
    let mut sums = [[V::splat(0.0); C]; R];
    for k in 0..width {
        let mut left = [V::splat(0.0); R];
        for r in 0..R {
            left[r] = V::load(&a[r][k].0, part);
        }
        for c in 0..C {
            let right = V::load(&b[c][k].0, part);
            for r in 0..R {
                sums[r][c] = left[r].mul_add(right, sums[r][c]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::symmetric_tests::Random;
    use crate::platform::lanes::forms;

    /// The dot product as the head of the file has it.
    fn reference(a: &[f64], b: &[f64], fused: bool) -> f64 {
        let l = a.len().max(1);
        let depth = l.div_ceil(l.div_ceil(DEPTH)).next_multiple_of(8);
        let mut sum = 0.0;
        for (a, b) in a.chunks(depth).zip(b.chunks(depth)) {
            let mut lanes = [0.0_f64; 8];
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                lanes[i % 8] = if fused { a.mul_add(*b, lanes[i % 8]) } else { a * b + lanes[i % 8] };
            }
            sum += total(&lanes);
        }
        sum
    }

    #[test]
    fn gram_matrices_are_the_definition_to_the_bit_in_every_form() {
        let mut random = Random(6);
        for (s, l) in [(1, 1), (3, 7), (4, 8), (5, 9), (13, 40), (50, 17), (101, 33), (6, 1600), (3, 0), (0, 3)] {
            let values = random.values(s * l);
            let m = Points::from_values(&values, s, l);
            let row = |i: usize| &values[i * l..][..l];
            let columns: Vec<f64> = (0..l * s).map(|x| values[x % s.max(1) * l + x / s.max(1)]).collect();
            let columns = Points::from_values(&columns, l, s);
            for (form, fused) in forms() {
                let product = gram_in(form, s, l, |first, _| (Cow::Borrowed(&m.blocks()[first..]), m.width()));
                for i in 0..s {
                    for j in 0..s {
                        let expected = if j <= i { reference(row(i), row(j), fused) } else { 0.0 };
                        assert_eq!(product[i * s + j].to_bits(), expected.to_bits(), "{form:?} {s}×{l} at {i}, {j}");
                    }
                }
                let turned =
                    gram_in(form, s, l, |first, width| (Cow::Owned(turned(&columns, 8 * first, width)), width));
                assert_eq!(product, turned);
            }
            assert_eq!(gram(&m), gram_transposed(&columns));
        }
    }
}
