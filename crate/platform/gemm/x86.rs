//! AVX-512 and AVX2 with FMA: sums in registers, one row of B loaded for each k, elements of A spread.

use std::arch::x86_64::*;

use super::{Block, Kernel, Pair, amx, by_rows};

/// Whether the processor has AVX2 and FMA.
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// What this processor can run.
pub(super) fn f32_kernels() -> Vec<Kernel<f32>> {
    let avx512 = Kernel { name: "AVX-512", cols: 32, depth: 1, run: avx512 };
    let avx2 = Kernel { name: "AVX2", cols: 16, depth: 1, run: avx2 };
    let wide = has_avx2() && is_x86_feature_detected!("avx512f");
    [wide.then_some(avx512), has_avx2().then_some(avx2)].into_iter().flatten().collect()
}

/// What this processor can run.
pub(super) fn bf16_kernels() -> Vec<Kernel<Pair>> {
    let tiles = Kernel { name: "AMX-BF16", cols: amx::COLS, depth: amx::DEPTH, run: amx::blocks };
    let vectors = Kernel { name: "AVX512-BF16", cols: 32, depth: 1, run: avx512_bf16 };
    let has_vectors = has_avx2() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
    [amx::usable().then_some(tiles), has_vectors.then_some(vectors)].into_iter().flatten().collect()
}

/// A form: `$lanes` sums a register, two registers of columns, the rows that leave registers for B.
macro_rules! form {
    ($element:ty, $name:ident, $tile:ident, $features:literal, $lanes:literal, $rows:tt, $zero:ident,
     $load_sum:ident, $store:ident, $load:ident, $spread:ident, $fma:ident) => {
        /// # Safety
        /// The processor has the features; lengths as [`Kernel::block`] checks them.
        #[target_feature(enable = $features)]
        unsafe fn $name(block: Block<'_, $element>) {
            by_rows!(block, $tile, $rows);
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn $tile<const R: usize>(block: &mut Block<'_, $element>, row: usize) {
            const COLS: usize = 2 * $lanes;
            let c = &mut block.c[row * block.c_stride..];
            let a = &block.a[row * block.a_stride..];
            let (c_stride, a_stride) = (block.c_stride, block.a_stride);
            // SAFETY: rows `row` to `row + R` are within A and C, and B has `depth` rows, as `Kernel::block`
            // has checked; `by_rows` asks for no row past the last
            unsafe {
                let c = c.as_mut_ptr();
                let mut sums = [[$zero(); 2]; R];
                if !block.first {
                    for (r, sums) in sums.iter_mut().enumerate() {
                        *sums = [$load_sum(c.add(r * c_stride)), $load_sum(c.add(r * c_stride + $lanes))];
                    }
                }
                let (mut a, mut b) = (a.as_ptr(), block.b.as_ptr());
                for _ in 0..block.depth {
                    let (b0, b1) = ($load(b), $load(b.add($lanes)));
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let x = $spread(*a.add(r * a_stride));
                        *sums = [$fma(x, b0, sums[0]), $fma(x, b1, sums[1])];
                    }
                    (a, b) = (a.add(1), b.add(COLS));
                }
                for (r, sums) in sums.iter().enumerate() {
                    $store(c.add(r * c_stride), sums[0]);
                    $store(c.add(r * c_stride + $lanes), sums[1]);
                }
            }
        }
    };
}

form!(
    f32,
    avx512,
    avx512_tile,
    "avx512f",
    16,
    [12, 4, 1],
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_loadu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps
);
form!(
    f32,
    avx2,
    avx2_tile,
    "avx2,fma",
    8,
    [6, 2, 1],
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_loadu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps
);
form!(
    Pair,
    avx512_bf16,
    avx512_bf16_tile,
    "avx512f,avx512bf16",
    16,
    [12, 4, 1],
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    load_pairs,
    spread_pair,
    multiply_pairs
);

/// Sixteen pairs.
///
/// # Safety
/// `from` has sixteen.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load_pairs(from: *const Pair) -> __m512i {
    // SAFETY: the caller's word
    unsafe { _mm512_loadu_si512(from.cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn spread_pair(pair: Pair) -> __m512i {
    _mm512_set1_epi32(pair.cast_signed())
}

#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
fn multiply_pairs(x: __m512i, w: __m512i, sum: __m512) -> __m512 {
    // SAFETY: both are 512 bits of any value
    let (x, w) = unsafe { (std::mem::transmute::<__m512i, __m512bh>(x), std::mem::transmute::<__m512i, __m512bh>(w)) };
    _mm512_dpbf16_ps(sum, x, w)
}
