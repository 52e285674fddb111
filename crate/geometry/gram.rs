//! M Mᵀ: the Gram matrix of a few rows, f64, sequential and deterministic.

use std::ops::Range;

use crate::platform::lanes::{Block, Form, Task, Vector, total};

/// M Mᵀ, its lower triangle: `out[i * s + j]` for j ≤ i; the rest is 0.
///
/// M: \[s, l\] row-major. Costs s²·l/2 multiply-adds, and a copy of [`DEPTH`] columns at a time. An
/// element is the sum, over pieces of that many columns, of a dot product in eight lanes.
pub(super) fn gram(m: &[f64], s: usize, l: usize) -> Vec<f64> {
    assert_eq!(m.len(), s * l);
    Form::best().run(Product { s, l, piece: |rows: &mut _, columns| pack(m, l, rows, columns) })
}

/// Yᵀ Y, its lower triangle, as [`gram`] of Yᵀ gives it to the bit.
///
/// Y: \[n, d\] row-major; the result is d×d.
pub(super) fn gram_transposed(y: &[f64], n: usize, d: usize) -> Vec<f64> {
    assert_eq!(y.len(), n * d);
    Form::best().run(Product { s: d, l: n, piece: |rows: &mut _, columns| pack_transposed(y, d, rows, columns) })
}

/// Columns of M in one piece: eight rows of it lie in the first cache.
const DEPTH: usize = 768;
/// Rows of a piece that pass under all others while they lie in the second cache.
const PANEL: usize = 48;

struct Product<F> {
    s: usize,
    l: usize,
    /// Makes a piece: these columns of M, each row of them filled up with zeros to whole blocks.
    piece: F,
}

impl<F: Fn(&mut Vec<Block>, Range<usize>)> Task for Product<F> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<f64> {
        let Self { s, l, piece } = self;
        let mut out = vec![0.0; s * s];
        if s == 0 || l == 0 {
            return out;
        }
        // pieces of equal width
        let depth = l.div_ceil(l.div_ceil(DEPTH)).next_multiple_of(8);
        let mut rows = Vec::with_capacity(s * depth / 8);
        for first in (0..l).step_by(depth) {
            rows.clear();
            piece(&mut rows, first..(first + depth).min(l));
            let width = rows.len() / s;
            // a tile at the end takes the last row several times
            let row = |i: usize| &rows[i.min(s - 1) * width..][..width];
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

/// [`Product::piece`] of M, given by rows of `l`.
fn pack(m: &[f64], l: usize, rows: &mut Vec<Block>, columns: Range<usize>) {
    for row in m.chunks_exact(l) {
        let (whole, rest) = row[columns.clone()].as_chunks();
        rows.extend(whole.iter().map(|&x| Block(x)));
        if !rest.is_empty() {
            rows.push(Block(std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0.0))));
        }
    }
}

/// [`Product::piece`] of M, given by columns, which are rows of `s` in `y`.
fn pack_transposed(y: &[f64], s: usize, rows: &mut Vec<Block>, columns: Range<usize>) {
    let width = columns.len().div_ceil(8);
    rows.resize(s * width, Block::default());
    for (k, y) in y[columns.start * s..columns.end * s].chunks(8 * s).enumerate() {
        // squares of eight
        for (i, rows) in rows.chunks_mut(8 * width).enumerate() {
            for (lane, y) in y.chunks_exact(s).enumerate() {
                for (row, y) in rows.chunks_exact_mut(width).zip(&y[8 * i..]) {
                    row[k].0[lane] = *y;
                }
            }
        }
    }
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
            let m = random.values(s * l);
            let row = |i: usize| &m[i * l..][..l];
            for (form, fused) in forms() {
                let product = form.run(Product { s, l, piece: |rows: &mut _, columns| pack(&m, l, rows, columns) });
                for i in 0..s {
                    for j in 0..s {
                        let expected = if j <= i { reference(row(i), row(j), fused) } else { 0.0 };
                        assert_eq!(product[i * s + j].to_bits(), expected.to_bits(), "{form:?} {s}×{l} at {i}, {j}");
                    }
                }
            }
            let columns: Vec<f64> = (0..l * s).map(|x| m[x % s.max(1) * l + x / s.max(1)]).collect();
            assert_eq!(gram(&m, s, l), gram_transposed(&columns, l, s));
        }
    }
}
