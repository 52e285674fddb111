//! Plain loops over small arrays: what every processor runs, and what the other forms are compared with.

use super::{Block, Kernel, Pair, by_rows};

/// Columns of a panel: two registers of four.
const COLS: usize = 8;

/// The plain form, fused where the processor has an instruction for it.
pub(super) fn f32_kernel() -> Kernel<f32> {
    if fused() {
        Kernel { name: "plain, fused", cols: COLS, depth: 1, run: blocks::<true> }
    } else {
        Kernel { name: "plain", cols: COLS, depth: 1, run: blocks::<false> }
    }
}

/// The plain form for bf16.
pub(super) fn bf16_kernel() -> Kernel<Pair> {
    if fused() {
        Kernel { name: "plain bf16, fused", cols: COLS, depth: 1, run: bf16_blocks::<true> }
    } else {
        Kernel { name: "plain bf16", cols: COLS, depth: 1, run: bf16_blocks::<false> }
    }
}

/// Whether the processor has fused multiply-add; x86 only together with AVX2, as the form for it needs.
fn fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    return super::x86::has_avx2();
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// # Safety
/// Needs nothing; the signature is that of the other forms.
unsafe fn blocks<const FUSED: bool>(block: Block<'_, f32>) {
    if FUSED {
        by_rows!(block, fused_tile, [8, 4, 1]);
    } else {
        by_rows!(block, rounded_tile, [4, 1]);
    }
}

fn fused_tile<const R: usize>(block: &mut Block<'_, f32>, row: usize) {
    tile::<R, f32>(block, row, |x, w, sum| x.mul_add(w, sum));
}

fn rounded_tile<const R: usize>(block: &mut Block<'_, f32>, row: usize) {
    tile::<R, f32>(block, row, |x, w, sum| x * w + sum);
}

/// # Safety
/// Needs nothing; the signature is that of the other forms.
unsafe fn bf16_blocks<const FUSED: bool>(block: Block<'_, Pair>) {
    if FUSED {
        by_rows!(block, fused_pairs, [8, 4, 1]);
    } else {
        by_rows!(block, rounded_pairs, [4, 1]);
    }
}

fn fused_pairs<const R: usize>(block: &mut Block<'_, Pair>, row: usize) {
    tile::<R, Pair>(block, row, |x, w, sum| {
        let sum = flushed(high(x).mul_add(high(w), sum));
        flushed(low(x).mul_add(low(w), sum))
    });
}

fn rounded_pairs<const R: usize>(block: &mut Block<'_, Pair>, row: usize) {
    tile::<R, Pair>(block, row, |x, w, sum| low(x) * low(w) + (high(x) * high(w) + sum));
}

/// See [`super::bf16_tiles`].
#[cfg(test)]
pub(super) fn bf16_tiles_kernel() -> Kernel<Pair> {
    Kernel { name: "plain tiles", cols: COLS, depth: 16, run: bf16_tiles }
}

/// # Safety
/// Needs nothing; the signature is that of the other forms.
#[cfg(test)]
unsafe fn bf16_tiles(block: Block<'_, Pair>) {
    let Block { rows, depth, a, a_stride, b, c, c_stride, first } = block;
    for row in 0..rows {
        for col in 0..COLS {
            let c = &mut c[row * c_stride + col];
            let mut sum = if first { 0.0 } else { *c };
            for k in (0..depth).step_by(16) {
                let pairs = (k..k + 16).map(|k| (a[row * a_stride + k], b[k * COLS + col]));
                let (mut firsts, mut seconds) = (0.0f32, 0.0f32);
                for (x, w) in pairs {
                    firsts = flushed(low(x).mul_add(low(w), firsts));
                    seconds = flushed(high(x).mul_add(high(w), seconds));
                }
                sum = flushed(sum + flushed(firsts + seconds));
            }
            *c = sum;
        }
    }
}

/// The second value of a pair.
fn high(pair: Pair) -> f32 {
    flushed(f32::from_bits(pair & 0xffff_0000))
}

/// The first value of a pair.
fn low(pair: Pair) -> f32 {
    flushed(f32::from_bits(pair << 16))
}

/// Zero for a denormal value.
fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0f32.copysign(value) } else { value }
}

#[inline(always)]
fn tile<const R: usize, E: Copy>(block: &mut Block<'_, E>, row: usize, step: impl Fn(E, E, f32) -> f32) {
    let mut sums = [[0.0f32; COLS]; R];
    if !block.first {
        for (r, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(&block.c[(row + r) * block.c_stride..][..COLS]);
        }
    }
    let a: [&[E]; R] = std::array::from_fn(|r| &block.a[(row + r) * block.a_stride..][..block.depth]);
    for (k, b) in block.b.as_chunks::<COLS>().0.iter().take(block.depth).enumerate() {
        for (sums, a) in sums.iter_mut().zip(&a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = step(a[k], *b, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        block.c[(row + r) * block.c_stride..][..COLS].copy_from_slice(sums);
    }
}
