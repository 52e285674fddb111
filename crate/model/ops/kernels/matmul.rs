//! `Y = X · W` in f32, W as it is stored: f32, bf16 or f16, widened where it is loaded.
//!
//! A workgroup computes 64 × 64 outputs, a thread 8 × 4 of them, sixteen terms of the sums at a time from
//! shared memory. An output is one chain of fused multiply-adds over d_in in ascending order, whatever else
//! is computed beside it: a row's result depends on that row and W alone. Where the device has no fused
//! multiply-add it rounds the product too; WGSL allows both.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::Order;
use super::{F4, dims, empty};

/// Rows and columns of Y that a workgroup computes.
const TILE: usize = 64;
/// Terms of the sums in shared memory at once: what d_in must be a multiple of.
pub(super) const DEPTH: usize = 16;
/// Threads of a workgroup.
const THREADS: usize = 128;
/// Fours of a tile's edge, and one more, so that rows of a tile begin in different banks.
const STRIDE: usize = TILE / 4 + 1;

/// How the elements of W are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// 32 bits each.
    F32,
    /// Two to a word, the first one in the lower half.
    Bf16,
    /// Two to a word, the first one in the lower half.
    F16,
}

impl Format {
    /// Bytes of an element: words of four of them.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }
}

pub(super) fn launch(x: CubeTensor, w: CubeTensor, d_out: usize, format: Format, order: Order) -> CubeTensor {
    let [rows, d_in] = dims(&x);
    let y = empty(&x, [rows, d_out]);
    if rows == 0 || d_out == 0 {
        return y;
    }
    // neighbours share columns of W, which the device's cache then holds
    let count = CubeCount::Static(rows.div_ceil(TILE) as u32, d_out.div_ceil(TILE) as u32, 1);
    let client = x.client.clone();
    // SAFETY: rows and columns past the last are not read nor written by the kernel, and the caller
    // checked the lengths, and that the widths are multiples of what it takes at once
    unsafe {
        kernel::launch_unchecked(
            &client,
            count,
            CubeDim::new_1d(THREADS as u32),
            format.bytes(),
            x.into_buffer_arg(),
            w.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows as u32,
            d_in as u32,
            d_out as u32,
            format,
            order,
        );
    }
    y
}

#[cube(launch_unchecked)]
fn kernel<N: Size>(
    x: &[F4],
    w: &[Vector<u32, N>],
    y: &mut [F4],
    rows: u32,
    d_in: u32,
    d_out: u32,
    #[comptime] format: Format,
    #[comptime] order: Order,
) {
    let unit = UNIT_POS as usize;
    let first_row = CUBE_POS_X as usize * TILE;
    let first_column = CUBE_POS_Y as usize * TILE;
    let (depth, width) = (d_in as usize / 4, d_out as usize / 4);

    // both transposed: fours along the rows of X, and along the columns of W
    let mut a = Shared::<[F4]>::new_slice(comptime!(DEPTH * STRIDE));
    let mut b = Shared::<[F4]>::new_slice(comptime!(DEPTH * STRIDE));
    let mut sums = Array::<F4>::new(8usize);
    #[unroll]
    for i in 0..8usize {
        sums[i] = F4::new(0.0f32);
    }
    // half of the threads fetch X, half W, a block of four by four each
    let block = unit % 64;
    let (across, along) = (block / 4, block % 4);
    let row = unit / 16 * 2;
    let column = unit % 16;
    for step in 0..depth / 4 {
        let at = step * 4 + along;
        if unit < 64 {
            let mut lines = Array::<F4>::new(4usize);
            #[unroll]
            for i in 0..4usize {
                let line = min(first_row + across * 4 + i, rows as usize - 1);
                lines[i] = x[line * depth + at];
            }
            #[unroll]
            for k in 0..4usize {
                a[(along * 4 + k) * STRIDE + across] =
                    four(lines[0].extract(k), lines[1].extract(k), lines[2].extract(k), lines[3].extract(k));
            }
        } else if comptime!(order == Order::OutIn) {
            let mut lines = Array::<F4>::new(4usize);
            #[unroll]
            for i in 0..4usize {
                let line = min(first_column + across * 4 + i, d_out as usize - 1);
                lines[i] = widened::<N>(w[line * depth + at], format);
            }
            #[unroll]
            for k in 0..4usize {
                b[(along * 4 + k) * STRIDE + across] =
                    four(lines[0].extract(k), lines[1].extract(k), lines[2].extract(k), lines[3].extract(k));
            }
        } else {
            #[unroll]
            for i in 0..4usize {
                let four = along * 4 + i;
                let from = min(first_column / 4 + four, width - 1);
                b[across * STRIDE + four] = widened::<N>(w[(step * DEPTH + across) * width + from], format);
            }
        }
        sync_cube();
        #[unroll]
        for k in 0..DEPTH {
            let right = b[k * STRIDE + column];
            let upper = a[k * STRIDE + row];
            let lower = a[k * STRIDE + row + 1];
            #[unroll]
            for i in 0..4usize {
                sums[i] = fma(F4::new(upper.extract(i)), right, sums[i]);
                sums[i + 4] = fma(F4::new(lower.extract(i)), right, sums[i + 4]);
            }
        }
        sync_cube();
    }
    let to = first_column / 4 + column;
    #[unroll]
    for i in 0..8usize {
        let line = first_row + row * 4 + i;
        if line < rows as usize && to < width {
            y[line * width + to] = sums[i];
        }
    }
}

#[cube]
fn four(v0: f32, v1: f32, v2: f32, v3: f32) -> F4 {
    let mut v = F4::new(v0);
    v.insert(1usize, v1);
    v.insert(2usize, v2);
    v.insert(3usize, v3);
    v
}

/// Four stored elements as f32, exactly.
#[cube]
fn widened<N: Size>(stored: Vector<u32, N>, #[comptime] format: Format) -> F4 {
    match comptime!(format) {
        Format::F32 => F4::reinterpret(stored),
        Format::Bf16 => {
            let (first, second) = (stored.extract(0usize), stored.extract(1usize));
            four(
                f32::reinterpret(first << 16u32),
                f32::reinterpret(first & 0xffff_0000u32),
                f32::reinterpret(second << 16u32),
                f32::reinterpret(second & 0xffff_0000u32),
            )
        }
        Format::F16 => {
            let (first, second) = (stored.extract(0usize), stored.extract(1usize));
            four(half(first & 0xffffu32), half(first >> 16u32), half(second & 0xffffu32), half(second >> 16u32))
        }
    }
}

/// An f16's bits as f32: its 10 bits of fraction and 5 of exponent, moved and rebiased. Small values without
/// the leading one are made of their integer: many devices take f32's own small values for zero.
#[cube]
pub(super) fn half(bits: u32) -> f32 {
    let sign = (bits & 0x8000u32) << 16u32;
    let magnitude = bits & 0x7fffu32;
    let normal = (magnitude << 13u32) + 0x3800_0000u32;
    let small = u32::reinterpret(f32::cast_from(magnitude) * f32::new(5.960_464_5e-8f32));
    // what was too large for f16 stays no number, and is found
    let finite = select(magnitude < 0x400u32, small, normal);
    f32::reinterpret(select(magnitude >= 0x7c00u32, 0x7f80_0000u32, finite) | sign)
}
