//! The host matmul: `Y = X · W` with W in panels, split over threads by rows or by columns.
//!
//! The blocking is that of Goto and van de Geijn ("Anatomy of high-performance matrix multiplication", 2008):
//! a piece of X stays in the second cache while the panels of W pass by. W is put into panels once, when a
//! linear map is made: all micro-batches of a run go through it.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::platform::gemm::{Kernel, Pair, bf16_kernels, f32_kernels};
use crate::platform::{par_chunks_mut, par_map, threads};

/// Bytes of a row of X that are taken at once.
const DEPTH_BYTES: usize = 2048;
/// Rows of X at once: with `DEPTH_BYTES`, a MiB.
const ROWS: usize = 480;
/// Columns of Y at once: with `ROWS`, a MiB.
const COLS: usize = 512;
/// Fewer rows than this a thread are not split further: the columns are.
const FEW_ROWS: usize = 24;

/// The right side of a product, as it is multiplied with.
#[derive(Debug, Clone)]
pub enum Panels {
    /// f32.
    F32(Packed<f32>),
    /// bf16 operands, f32 sums.
    Bf16(Packed<Pair>),
}

/// Where the elements of W \[d_in, d_out\] are: (i, j) is `values[i · by_in + j · by_out]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    /// The values.
    pub values: &'a [T],
    /// Rows.
    pub d_in: usize,
    /// Columns.
    pub d_out: usize,
    /// From row to row.
    pub by_in: usize,
    /// From column to column.
    pub by_out: usize,
}

impl<T: Copy> Matrix<'_, T> {
    fn at(&self, i: usize, j: usize) -> T {
        self.values[i * self.by_in + j * self.by_out]
    }
}

impl Panels {
    /// For f32 products.
    pub fn f32(w: Matrix<'_, f32>) -> Self {
        // no list of kernels is empty
        Self::F32(Packed::f32(f32_kernels()[0], w))
    }

    /// For products of values rounded to bf16, to the nearest, ties to even.
    pub fn bf16(w: Matrix<'_, f32>) -> Self {
        Self::Bf16(Packed::bf16(bf16_kernels()[0], w))
    }

    /// For f32 products, from bf16 values: no pass over them as f32.
    pub fn f32_of_bf16(w: Matrix<'_, u16>) -> Self {
        let at = |i: usize, j: usize| f32::from_bits(u32::from(w.at(i, j)) << 16);
        Self::F32(Packed::new(f32_kernels()[0], [w.d_in; 2], w.d_out, at))
    }

    /// For products of bf16 values.
    pub fn bf16_of_bf16(w: Matrix<'_, u16>) -> Self {
        let second = |i: usize, j: usize| if 2 * i + 1 < w.d_in { Pair::from(w.at(2 * i + 1, j)) << 16 } else { 0 };
        let at = |i: usize, j: usize| Pair::from(w.at(2 * i, j)) | second(i, j);
        Self::Bf16(Packed::new(bf16_kernels()[0], [w.d_in, w.d_in.div_ceil(2)], w.d_out, at))
    }

    /// For every form of product that this processor can run, by its name: f32 first, each kind from the
    /// fastest to plain loops.
    pub fn every(w: Matrix<'_, f32>) -> Vec<(&'static str, Self)> {
        let f32s = f32_kernels().into_iter().map(|kernel| (kernel.name, Self::F32(Packed::f32(kernel, w))));
        let bf16s = bf16_kernels().into_iter().map(|kernel| (kernel.name, Self::Bf16(Packed::bf16(kernel, w))));
        f32s.chain(bf16s).collect()
    }

    /// `X · W`, row-major.
    ///
    /// A row's result does not depend on which other rows are there, to the last bit, nor on the number of
    /// threads: each element is one chain over `d_in` (see `platform/gemm/`).
    ///
    /// # Shapes
    /// `x` \[rows, d_in\] → \[rows, d_out\].
    ///
    /// # Panics
    /// Where `x` has rows of another width: a fault of the caller.
    pub fn multiply(&self, x: &mut Rows) -> Vec<f32> {
        match self {
            Self::F32(packed) => {
                assert_eq!(x.values.len(), x.rows * packed.d_in, "width of the rows");
                packed.multiply(&x.values, x.rows)
            }
            Self::Bf16(packed) => {
                let rows = x.rows;
                assert_eq!(x.values.len(), rows * packed.d_in, "width of the rows");
                packed.multiply(x.pairs(packed.depth), rows)
            }
        }
    }
}

/// The left side of products: rows of f32, and of bf16 once that is asked for.
#[derive(Debug)]
pub struct Rows {
    values: Vec<f32>,
    rows: usize,
    pairs: Vec<Pair>,
}

impl Rows {
    /// From row-major values.
    pub fn new(values: Vec<f32>, rows: usize) -> Self {
        Self { values, rows, pairs: Vec::new() }
    }

    /// As a tensor again.
    pub(super) fn tensor(&self, device: &Device) -> Tensor<2> {
        let width = self.values.len() / self.rows.max(1);
        Tensor::from_data(TensorData::new(self.values.clone(), [self.rows, width]), device)
    }

    /// Each row rounded to bf16 and filled up with zeros to `depth` pairs.
    fn pairs(&mut self, depth: usize) -> &[Pair] {
        if self.pairs.len() != self.rows * depth {
            self.pairs = pairs(&self.values, self.rows, depth);
        }
        &self.pairs
    }
}

/// Rows of pairs, each filled up with zeros to `depth` pairs.
fn pairs(x: &[f32], rows: usize, depth: usize) -> Vec<Pair> {
    let mut out = vec![0; rows * depth];
    let width = x.len() / rows.max(1);
    par_chunks_mut(&mut out, depth, |row, out| {
        let x = &x[row * width..][..width];
        let (whole, last) = x.as_chunks::<2>();
        for (out, &[first, second]) in out.iter_mut().zip(whole) {
            *out = pair(first, second);
        }
        if let &[only] = last {
            out[whole.len()] = pair(only, 0.0);
        }
    });
    out
}

/// Two values as bf16.
fn pair(first: f32, second: f32) -> Pair {
    Pair::from(bf16(first)) | Pair::from(bf16(second)) << 16
}

/// To the nearest, ties to even; a NaN stays one.
fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    if value.is_nan() { (bits >> 16 | 0x40) as u16 } else { (rounded >> 16) as u16 }
}

/// Panels of one kernel's width.
#[derive(Debug, Clone)]
pub struct Packed<E: 'static> {
    kernel: Kernel<E>,
    /// panels of `kernel.cols` columns, each `[depth, kernel.cols]`, the last one padded with zeros
    values: Vec<E>,
    /// elements of a column: of the sum, padded as the kernel wants it
    depth: usize,
    d_in: usize,
    d_out: usize,
}

impl Packed<f32> {
    fn f32(kernel: Kernel<f32>, w: Matrix<'_, f32>) -> Self {
        Self::new(kernel, [w.d_in; 2], w.d_out, |i, j| w.at(i, j))
    }
}

impl Packed<Pair> {
    fn bf16(kernel: Kernel<Pair>, w: Matrix<'_, f32>) -> Self {
        let second = |i: usize, j: usize| if 2 * i + 1 < w.d_in { w.at(2 * i + 1, j) } else { 0.0 };
        Self::new(kernel, [w.d_in, w.d_in.div_ceil(2)], w.d_out, |i, j| pair(w.at(2 * i, j), second(i, j)))
    }
}

impl<E: Copy + Default + Send + Sync> Packed<E> {
    /// From the elements of W by row and column: `terms` of them in a sum over `d_in`.
    fn new(
        kernel: Kernel<E>,
        [d_in, terms]: [usize; 2],
        d_out: usize,
        at: impl Fn(usize, usize) -> E + Send + Sync,
    ) -> Self {
        let cols = kernel.cols();
        let depth = terms.next_multiple_of(kernel.depth());
        let mut values = vec![E::default(); d_out.div_ceil(cols) * depth * cols];
        par_chunks_mut(&mut values, (depth * cols).max(1), |panel, out| {
            let start = panel * cols;
            let width = cols.min(d_out - start);
            // a few rows at a time, so that matrices of either order are read along their lines
            for rows in (0..terms).step_by(16) {
                for j in 0..width {
                    for i in rows..(rows + 16).min(terms) {
                        out[i * cols + j] = at(i, start + j);
                    }
                }
            }
        });
        Self { kernel, values, depth, d_in, d_out }
    }

    /// `x` \[rows, depth\] → \[rows, d_out\].
    fn multiply(&self, x: &[E], rows: usize) -> Vec<f32> {
        let mut y = vec![0.0; rows * self.d_out];
        if y.is_empty() || self.depth == 0 {
            return y;
        }
        let threads = threads();
        // as many pieces as keep all threads busy to the end
        let piece = rows.div_ceil(rows.div_ceil(ROWS).next_multiple_of(threads));
        if threads == 1 || piece >= FEW_ROWS {
            par_chunks_mut(&mut y, piece * self.d_out, |i, y| {
                let rows = y.len() / self.d_out;
                self.piece(&x[i * piece * self.depth..][..rows * self.depth], 0..self.d_out, y);
            });
        } else {
            let width = self.d_out.div_ceil(threads * 2).next_multiple_of(self.kernel.cols());
            let parts = par_map(self.d_out.div_ceil(width), |i| {
                let columns = i * width..((i + 1) * width).min(self.d_out);
                let mut part = vec![0.0; rows * columns.len()];
                self.piece(x, columns, &mut part);
                part
            });
            for (part, start) in parts.iter().zip((0..).step_by(width)) {
                let width = part.len() / rows;
                for (y, part) in y.chunks_exact_mut(self.d_out).zip(part.chunks_exact(width)) {
                    y[start..][..width].copy_from_slice(part);
                }
            }
        }
        y
    }

    /// Some rows of X times some columns of W (from a panel's beginning), on this thread.
    fn piece(&self, x: &[E], columns: Range<usize>, y: &mut [f32]) {
        let (kernel, cols, stride) = (&self.kernel, self.kernel.cols(), columns.len());
        let rows = x.len() / self.depth;
        let most = (DEPTH_BYTES / size_of::<E>()).next_multiple_of(kernel.depth());
        let mut ragged = vec![0.0; if stride.is_multiple_of(cols) { 0 } else { rows * cols }];
        for start in columns.clone().step_by(COLS) {
            let end = (start + COLS).min(columns.end);
            for k in (0..self.depth).step_by(most) {
                let depth = most.min(self.depth - k);
                let a = (&x[k..], self.depth);
                for column in (start..end).step_by(cols) {
                    let b = &self.values[(column / cols * self.depth + k) * cols..][..depth * cols];
                    if column + cols <= end {
                        kernel.block([rows, depth], a, b, (&mut y[column - columns.start..], stride), k == 0);
                        continue;
                    }
                    kernel.block([rows, depth], a, b, (&mut ragged, cols), k == 0);
                    if k + depth == self.depth {
                        let width = end - column;
                        for (y, from) in y.chunks_exact_mut(stride).zip(ragged.chunks_exact(cols)) {
                            y[column - columns.start..][..width].copy_from_slice(&from[..width]);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::tests_support::{assert_close, random};
    use crate::platform::gemm::bf16_tiles;

    const SHAPES: [(usize, usize); 7] = [(1, 1), (16, 40), (33, 7), (64, 48), (576, 300), (2304, 257), (31, 1024)];

    fn both(values: &[f32], d_in: usize, d_out: usize) -> [Matrix<'_, f32>; 2] {
        [(1, d_in), (d_out, 1)].map(|(by_in, by_out)| Matrix { values, d_in, d_out, by_in, by_out })
    }

    fn f32_forms(w: Matrix<'_, f32>) -> Vec<Packed<f32>> {
        f32_kernels().into_iter().map(|kernel| Packed::f32(kernel, w)).collect()
    }

    /// The forms that must give the same bits: those of single sums, and those of tiles.
    fn bf16_forms(w: Matrix<'_, f32>) -> [Vec<Packed<Pair>>; 2] {
        let (tiles, mut sums): (Vec<_>, Vec<_>) = bf16_kernels().into_iter().partition(|kernel| kernel.depth() > 1);
        let tiles = tiles.into_iter().chain([bf16_tiles()]).collect();
        sums.retain(|kernel| kernel.depth() == 1);
        [sums, tiles]
            .map(|kernels: Vec<Kernel<Pair>>| kernels.into_iter().map(|kernel| Packed::bf16(kernel, w)).collect())
    }

    /// In f64.
    fn exact(x: &[f32], rows: usize, w: Matrix<'_, f32>) -> Vec<f32> {
        let term = |row: usize, i: usize, j: usize| f64::from(x[row * w.d_in + i]) * f64::from(w.at(i, j));
        let sum = |at: usize| (0..w.d_in).map(|i| term(at / w.d_out, i, at % w.d_out)).sum::<f64>() as f32;
        (0..rows * w.d_out).map(sum).collect()
    }

    /// All are the product, within `tolerance`, and the first one's bits.
    fn same(exact: &[f32], tolerance: f32, products: &[(&str, Vec<f32>)]) {
        for (name, product) in products {
            assert_close(name, product, exact, tolerance);
            assert!(*product == products[0].1, "{name} is not {}: {} values", products[0].0, exact.len());
        }
    }

    #[test]
    fn every_form_gives_the_same_bits_and_the_right_product() {
        for (d_in, d_out) in SHAPES {
            for rows in [1, 2, 13, 50] {
                let (x, values) = (random(rows * d_in, 4), random(d_in * d_out, 5));
                for w in both(&values, d_in, d_out) {
                    let exact = exact(&x, rows, w);
                    let products: Vec<_> = f32_forms(w).iter().map(|w| (w.kernel.name, w.multiply(&x, rows))).collect();
                    same(&exact, 1e-5, &products);
                    for forms in bf16_forms(w) {
                        let product = |w: &Packed<Pair>| (w.kernel.name, w.multiply(&pairs(&x, rows, w.depth), rows));
                        same(&exact, 0.02, &forms.iter().map(product).collect::<Vec<_>>());
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        for (d_in, d_out) in SHAPES {
            let rows = 131;
            let (x, values) = (random(rows * d_in, 4), random(d_in * d_out, 5));
            for w in both(&values, d_in, d_out) {
                for (name, w) in [("f32", Panels::f32(w)), ("bf16", Panels::bf16(w))] {
                    let all = w.multiply(&mut Rows::new(x.clone(), rows));
                    for (start, n) in
                        [(0, 1), (0, 2), (3, 1), (5, 7), (17, 16), (64, 33), (100, 31), (130, 1), (1, 130)]
                    {
                        let part = w.multiply(&mut Rows::new(x[start * d_in..(start + n) * d_in].to_vec(), n));
                        assert!(
                            part == all[start * d_out..(start + n) * d_out],
                            "{name}: rows {start}+{n} of {d_in}x{d_out} differ from the whole batch"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn bf16_rounds_as_half_does() {
        for value in random(10_000, 9).into_iter().chain([0.0, -0.0, f32::INFINITY, f32::MAX, 1e-40, 3.0e-39]) {
            assert_eq!(bf16(value), half::bf16::from_f32(value).to_bits(), "{value:e}");
        }
        assert!(half::bf16::from_bits(bf16(f32::NAN)).is_nan());
    }
}
