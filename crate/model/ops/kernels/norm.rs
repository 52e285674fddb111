//! RMS norm in one pass over each row, perhaps with the sum that follows it, and layer norm: a workgroup a row.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{F4, dims, empty, grid, linear, total};

/// Threads of a workgroup; a power of two.
const THREADS: usize = 64;

/// The norm of `x`, or `residual` and the norm of `x`.
pub(super) fn launch(x: CubeTensor, weight: CubeTensor, residual: Option<CubeTensor>, eps: f32) -> CubeTensor {
    let [rows, width] = dims(&x);
    let out = empty(&x, [rows, width]);
    if rows == 0 {
        return out;
    }
    let client = x.client.clone();
    let added = residual.is_some();
    // not read where there is none: the kernel wants something in its place
    let residual = residual.unwrap_or_else(|| weight.clone());
    // SAFETY: rows past the last are left out in the kernel, and the caller checked the width
    unsafe {
        kernel::launch_unchecked(
            &client,
            grid(rows),
            CubeDim::new_1d(THREADS as u32),
            x.into_buffer_arg(),
            weight.into_buffer_arg(),
            residual.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows as u32,
            eps,
            width / 4,
            added,
        );
    }
    out
}

#[cube(launch_unchecked)]
fn kernel(
    x: &[F4],
    weight: &[F4],
    residual: &[F4],
    out: &mut [F4],
    rows: u32,
    eps: f32,
    #[comptime] width: usize,
    #[comptime] added: bool,
) {
    let row = linear();
    if row >= rows as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let start = row * width;
    let mut squares = F4::new(0.0f32);
    let mut i = unit;
    while i < width {
        let value = x[start + i];
        squares = fma(value, value, squares);
        i += THREADS;
    }
    let mut sums = Shared::<[f32]>::new_slice(THREADS);
    let scale = (sum(&mut sums, total(squares)) / comptime!(4.0 * width as f32) + eps).sqrt();
    let mut i = unit;
    while i < width {
        let mut value = x[start + i] / F4::new(scale) * weight[i];
        if comptime!(added) {
            value += residual[start + i];
        }
        out[start + i] = value;
        i += THREADS;
    }
}

/// The layer norm of `x`.
pub(super) fn launch_centred(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, eps: f32) -> CubeTensor {
    let [rows, width] = dims(&x);
    let out = empty(&x, [rows, width]);
    if rows == 0 {
        return out;
    }
    let client = x.client.clone();
    // SAFETY: rows past the last are left out in the kernel, and the caller checked the widths
    unsafe {
        centred_kernel::launch_unchecked(
            &client,
            grid(rows),
            CubeDim::new_1d(THREADS as u32),
            x.into_buffer_arg(),
            weight.into_buffer_arg(),
            bias.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows as u32,
            eps,
            width / 4,
        );
    }
    out
}

/// The variance is of the centred values, as in the other forms: of E(x²) − E(x)² little is left where the mean is
/// large.
#[cube(launch_unchecked)]
fn centred_kernel(x: &[F4], weight: &[F4], bias: &[F4], out: &mut [F4], rows: u32, eps: f32, #[comptime] width: usize) {
    let row = linear();
    if row >= rows as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let start = row * width;
    let mut sums = Shared::<[f32]>::new_slice(THREADS);
    let mut values = F4::new(0.0f32);
    let mut i = unit;
    while i < width {
        values += x[start + i];
        i += THREADS;
    }
    let mean = F4::new(sum(&mut sums, total(values)) / comptime!(4.0 * width as f32));
    let mut squares = F4::new(0.0f32);
    let mut i = unit;
    while i < width {
        let centred = x[start + i] - mean;
        squares = fma(centred, centred, squares);
        i += THREADS;
    }
    let scale = F4::new((sum(&mut sums, total(squares)) / comptime!(4.0 * width as f32) + eps).sqrt());
    let mut i = unit;
    while i < width {
        out[start + i] = (x[start + i] - mean) / scale * weight[i] + bias[i];
        i += THREADS;
    }
}

/// The sum of the threads' values, in every thread.
#[cube]
fn sum(sums: &mut Shared<[f32]>, mine: f32) -> f32 {
    let unit = UNIT_POS as usize;
    sums[unit] = mine;
    sync_cube();
    let halvings = comptime!(THREADS.ilog2() as usize);
    #[unroll]
    for step in 0..halvings {
        let half = comptime!(THREADS >> (step + 1));
        if unit < half {
            sums[unit] += sums[unit + half];
        }
        sync_cube();
    }
    let all = sums[0];
    // before they are written again
    sync_cube();
    all
}
