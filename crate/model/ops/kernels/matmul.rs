//! `Y = X · W` in f32, W as it is stored: f32, bf16 or f16, widened where it is loaded.
//!
//! A workgroup computes 64 × 64 outputs, a thread 8 × 4 of them or 8 × 8 ([`Tile`]), sixteen terms of the sums at a
//! time from shared memory. An output is one chain of fused multiply-adds over d_in in ascending order, whatever else
//! is computed beside it: a row's result depends on that row and W alone, and on no tile. Where the device has no fused
//! multiply-add it rounds the product too; WGSL allows both.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::Order;
use super::{F4, dims, empty};

/// Rows and columns of Y that a workgroup computes.
const EDGE: usize = 64;
/// Terms of the sums in shared memory at once: what d_in must be a multiple of.
pub(super) const DEPTH: usize = 16;
/// Fours of a tile's edge, and one more, so that rows of a tile begin in different banks.
const STRIDE: usize = EDGE / 4 + 1;

/// How the outputs of a workgroup are shared out among its threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 128 threads, each with 8 rows of 4 columns. Half of them fetch X, half W.
    #[default]
    Tall,
    /// 64 threads, each with 8 rows of 8 columns: a value of X from shared memory is used twice as often, in twice the
    /// registers.
    Square,
}

impl Tile {
    /// Threads of a workgroup.
    fn threads(self) -> u32 {
        match self {
            Self::Tall => 128,
            Self::Square => 64,
        }
    }

    /// Fours of columns that a thread computes.
    fn fours(self) -> usize {
        match self {
            Self::Tall => 1,
            Self::Square => 2,
        }
    }
}

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
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }
}

pub(super) fn launch(
    x: CubeTensor,
    w: CubeTensor,
    d_out: usize,
    format: Format,
    order: Order,
    tile: Tile,
) -> CubeTensor {
    let [rows, d_in] = dims(&x);
    let y = empty(&x, [rows, d_out]);
    if rows == 0 || d_out == 0 {
        return y;
    }
    // neighbours share columns of W, which the device's cache then holds
    let count = CubeCount::Static(rows.div_ceil(EDGE) as u32, d_out.div_ceil(EDGE) as u32, 1);
    let client = x.client.clone();
    // SAFETY: rows and columns past the last are not read nor written by the kernel, and the caller
    // checked the lengths, and that the widths are multiples of what it takes at once
    unsafe {
        kernel::launch_unchecked(
            &client,
            count,
            CubeDim::new_1d(tile.threads()),
            format.bytes(),
            x.into_buffer_arg(),
            w.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows as u32,
            d_in as u32,
            d_out as u32,
            format,
            order,
            tile,
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
    #[comptime] tile: Tile,
) {
    let unit = UNIT_POS as usize;
    let first_row = CUBE_POS_X as usize * EDGE;
    let first_column = CUBE_POS_Y as usize * EDGE;
    let (depth, width) = (d_in as usize / 4, d_out as usize / 4);
    let fours = comptime!(tile.fours());
    let across_tile = comptime!(EDGE / 4 / tile.fours());

    // both transposed: fours along the rows of X, and along the columns of W
    let mut a = Shared::<[F4]>::new_slice(comptime!(DEPTH * STRIDE));
    let mut b = Shared::<[F4]>::new_slice(comptime!(DEPTH * STRIDE));
    let mut sums = Array::<F4>::new(comptime!(8 * tile.fours()));
    #[unroll]
    for i in 0..8 * fours {
        sums[i] = F4::new(0.0f32);
    }
    // blocks of four by four are fetched, 64 of X and 64 of W
    let block = unit % 64;
    let (across, along) = (block / 4, block % 4);
    let row = unit / across_tile * 2;
    let column = unit % across_tile * fours;
    for step in 0..depth / 4 {
        if comptime!(tile == Tile::Square) {
            fetch_x(x, &mut a, first_row, rows as usize, depth, step, across, along);
            fetch_w::<N>(w, &mut b, first_column, d_out as usize, depth, step, across, along, format, order);
        } else if unit < 64 {
            fetch_x(x, &mut a, first_row, rows as usize, depth, step, across, along);
        } else {
            fetch_w::<N>(w, &mut b, first_column, d_out as usize, depth, step, across, along, format, order);
        }
        sync_cube();
        #[unroll]
        for k in 0..DEPTH {
            let upper = a[k * STRIDE + row];
            let lower = a[k * STRIDE + row + 1];
            #[unroll]
            for j in 0..fours {
                let right = b[k * STRIDE + column + j];
                #[unroll]
                for i in 0..4usize {
                    let (above, below) = (j * 8 + i, j * 8 + i + 4);
                    sums[above] = fma(F4::new(upper.extract(i)), right, sums[above]);
                    sums[below] = fma(F4::new(lower.extract(i)), right, sums[below]);
                }
            }
        }
        sync_cube();
    }
    #[unroll]
    for j in 0..fours {
        let to = first_column / 4 + column + j;
        #[unroll]
        for i in 0..8usize {
            let line = first_row + row * 4 + i;
            if line < rows as usize && to < width {
                y[line * width + to] = sums[j * 8 + i];
            }
        }
    }
}

/// Puts a block of X into shared memory, transposed; a row past the last is the last one again.
#[cube]
fn fetch_x(
    x: &[F4],
    a: &mut Shared<[F4]>,
    first_row: usize,
    rows: usize,
    depth: usize,
    step: usize,
    across: usize,
    along: usize,
) {
    let at = step * 4 + along;
    let mut lines = Array::<F4>::new(4usize);
    #[unroll]
    for i in 0..4usize {
        let line = min(first_row + across * 4 + i, rows - 1);
        lines[i] = x[line * depth + at];
    }
    #[unroll]
    for k in 0..4usize {
        a[(along * 4 + k) * STRIDE + across] =
            four(lines[0].extract(k), lines[1].extract(k), lines[2].extract(k), lines[3].extract(k));
    }
}

/// Puts a block of W into shared memory, transposed where it is stored by outputs.
#[cube]
fn fetch_w<N: Size>(
    w: &[Vector<u32, N>],
    b: &mut Shared<[F4]>,
    first_column: usize,
    d_out: usize,
    depth: usize,
    step: usize,
    across: usize,
    along: usize,
    #[comptime] format: Format,
    #[comptime] order: Order,
) {
    if comptime!(order == Order::OutIn) {
        let at = step * 4 + along;
        let mut lines = Array::<F4>::new(4usize);
        #[unroll]
        for i in 0..4usize {
            let line = min(first_column + across * 4 + i, d_out - 1);
            lines[i] = widened::<N>(w[line * depth + at], format);
        }
        #[unroll]
        for k in 0..4usize {
            b[(along * 4 + k) * STRIDE + across] =
                four(lines[0].extract(k), lines[1].extract(k), lines[2].extract(k), lines[3].extract(k));
        }
    } else {
        let width = d_out / 4;
        #[unroll]
        for i in 0..4usize {
            let four = along * 4 + i;
            let from = min(first_column / 4 + four, width - 1);
            b[across * STRIDE + four] = widened::<N>(w[(step * DEPTH + across) * width + from], format);
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

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    /// How often a device with 32 banks of four bytes has to look for what eight neighbouring threads want of fours in
    /// shared memory, at most: such a device serves a quarter of 32 threads at a time, and one four to many at once.
    fn looks(threads: usize, place: impl Fn(usize) -> usize) -> usize {
        let of = |first: usize| {
            let mut banks: HashMap<usize, HashSet<usize>> = HashMap::new();
            for four in (first..first + 8).map(&place) {
                banks.entry(four % 8).or_default().insert(four);
            }
            banks.values().map(HashSet::len).max().unwrap_or_default()
        };
        (0..threads).step_by(8).map(of).max().unwrap_or_default()
    }

    /// The places are those of the kernel.
    #[test]
    fn shared_memory_is_read_without_waiting_for_a_bank() {
        for (tile, most) in [(Tile::Tall, 1), (Tile::Square, 2)] {
            let (threads, fours) = (tile.threads() as usize, tile.fours());
            let across_tile = EDGE / 4 / fours;
            for k in 0..DEPTH {
                let a = looks(threads, |unit| k * STRIDE + unit / across_tile * 2);
                let b = looks(threads, |unit| k * STRIDE + unit % across_tile * fours);
                assert_eq!((a, b), (1, most), "{tile:?}, term {k}");
            }
        }
        // writing, a sixteenth as often: by fours of terms, and W that is stored by inputs
        for k in 0..4 {
            assert!(looks(64, |block| (block % 4 * 4 + k) * STRIDE + block / 4) <= 2);
            assert!(looks(64, |block| block / 4 * STRIDE + block % 4 * 4 + k) <= 2);
        }
        // without the four between them, rows of a tile would begin in one bank
        assert!(looks(64, |block| (block % 4 * 4) * (STRIDE - 1) + block / 4) > 2);
    }
}
