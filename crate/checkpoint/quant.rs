//! ggml's quantised blocks, dequantised operation for operation as `ggml-quants.c` does, so that
//! every bit agrees with it (Rust never fuses a multiplication and an addition by itself).

use super::float::f16_to_f32;

#[inline(always)]
fn half(lo: u8, hi: u8) -> f32 {
    f16_to_f32(u16::from_le_bytes([lo, hi]))
}

/// `d`, then 16 bytes of nibbles: the low ones are values 0..16, the high ones 16..32; `d (q − 8)`.
#[inline(always)]
pub(super) fn q4_0(b: &[u8; 18], out: &mut [f32; 32]) {
    let d = half(b[0], b[1]);
    for j in 0..16 {
        let q = b[2 + j];
        out[j] = d * f32::from((q & 15) as i8 - 8);
        out[16 + j] = d * f32::from((q >> 4) as i8 - 8);
    }
}

/// `d`, `m`, nibbles as [`q4_0`]; `d q + m`.
#[inline(always)]
pub(super) fn q4_1(b: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half(b[0], b[1]), half(b[2], b[3]));
    for j in 0..16 {
        let q = b[4 + j];
        out[j] = d * f32::from(q & 15) + m;
        out[16 + j] = d * f32::from(q >> 4) + m;
    }
}

/// `d`, 32 high bits, nibbles; `d (q − 16)`.
#[inline(always)]
pub(super) fn q5_0(b: &[u8; 22], out: &mut [f32; 32]) {
    let d = half(b[0], b[1]);
    let high = u32::from_le_bytes([b[2], b[3], b[4], b[5]]);
    for j in 0..16 {
        let q = b[6 + j];
        let lo = (q & 15) | ((high >> j) as u8 & 1) << 4;
        let hi = (q >> 4) | ((high >> (16 + j)) as u8 & 1) << 4;
        out[j] = d * f32::from(lo as i8 - 16);
        out[16 + j] = d * f32::from(hi as i8 - 16);
    }
}

/// `d`, `m`, 32 high bits, nibbles; `d q + m`.
#[inline(always)]
pub(super) fn q5_1(b: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half(b[0], b[1]), half(b[2], b[3]));
    let high = u32::from_le_bytes([b[4], b[5], b[6], b[7]]);
    for j in 0..16 {
        let q = b[8 + j];
        let lo = (q & 15) | ((high >> j) as u8 & 1) << 4;
        let hi = (q >> 4) | ((high >> (16 + j)) as u8 & 1) << 4;
        out[j] = d * f32::from(lo) + m;
        out[16 + j] = d * f32::from(hi) + m;
    }
}

/// `d`, 32 signed bytes; `d q`.
#[inline(always)]
pub(super) fn q8_0(b: &[u8; 34], out: &mut [f32; 32]) {
    let d = half(b[0], b[1]);
    for j in 0..32 {
        out[j] = d * f32::from(b[2 + j] as i8);
    }
}

/// Six-bit scale and minimum of sub-block `j` out of the 12 packed bytes.
#[inline(always)]
fn scale_min(packed: &[u8; 12], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        ((packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4), (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4))
    };
    (f32::from(scale), f32::from(min))
}

#[inline(always)]
fn packed_scales(b: &[u8]) -> [u8; 12] {
    std::array::from_fn(|i| b[4 + i])
}

/// `d`, `d_min`, 8 six-bit scales and minima, 256 nibbles; `d s q − d_min m`.
#[inline(always)]
pub(super) fn q4_k(b: &[u8; 144], out: &mut [f32; 256]) {
    let (d, d_min) = (half(b[0], b[1]), half(b[2], b[3]));
    let packed = packed_scales(b);
    for pair in 0..4 {
        let (s1, m1) = scale_min(&packed, 2 * pair);
        let (s2, m2) = scale_min(&packed, 2 * pair + 1);
        let (d1, m1, d2, m2) = (d * s1, d_min * m1, d * s2, d_min * m2);
        for l in 0..32 {
            let q = b[16 + 32 * pair + l];
            out[64 * pair + l] = d1 * f32::from(q & 15) - m1;
            out[64 * pair + 32 + l] = d2 * f32::from(q >> 4) - m2;
        }
    }
}

/// [`q4_k`] with a fifth bit for each value: 32 bytes, one bit a sub-block.
#[inline(always)]
pub(super) fn q5_k(b: &[u8; 176], out: &mut [f32; 256]) {
    let (d, d_min) = (half(b[0], b[1]), half(b[2], b[3]));
    let packed = packed_scales(b);
    for pair in 0..4 {
        let (s1, m1) = scale_min(&packed, 2 * pair);
        let (s2, m2) = scale_min(&packed, 2 * pair + 1);
        let (d1, m1, d2, m2) = (d * s1, d_min * m1, d * s2, d_min * m2);
        for l in 0..32 {
            let q = b[48 + 32 * pair + l];
            let high = b[16 + l] >> (2 * pair);
            out[64 * pair + l] = d1 * f32::from((q & 15) | (high & 1) << 4) - m1;
            out[64 * pair + 32 + l] = d2 * f32::from((q >> 4) | (high >> 1 & 1) << 4) - m2;
        }
    }
}

/// 128 bytes of low nibbles, 64 bytes of high pairs, 16 signed scales, `d`; `d s (q − 32)`.
#[inline(always)]
pub(super) fn q6_k(b: &[u8; 210], out: &mut [f32; 256]) {
    let d = half(b[208], b[209]);
    for side in 0..2 {
        for group in 0..2 {
            // sixteen values at a time share a scale
            let scale = |k: usize| d * f32::from(b[192 + 8 * side + group + 2 * k] as i8);
            let (s0, s1, s2, s3) = (scale(0), scale(1), scale(2), scale(3));
            for i in 0..16 {
                let l = 16 * group + i;
                let (lo, hi) = (b[64 * side + l], b[64 * side + 32 + l]);
                let high = b[128 + 32 * side + l];
                let at = 128 * side + l;
                out[at] = s0 * f32::from(((lo & 15) | (high & 3) << 4) as i8 - 32);
                out[at + 32] = s1 * f32::from(((hi & 15) | (high >> 2 & 3) << 4) as i8 - 32);
                out[at + 64] = s2 * f32::from(((lo >> 4) | (high >> 4 & 3) << 4) as i8 - 32);
                out[at + 96] = s3 * f32::from(((hi >> 4) | (high >> 6) << 4) as i8 - 32);
            }
        }
    }
}
