//! From stored bytes to f32, in straight loops that the compiler turns into vector code.

use super::dtype::DType;
use super::float::f16_to_f32;
use super::quant;

impl DType {
    /// Decodes whole blocks: `bytes` holds exactly the blocks of `out`.
    ///
    /// Surplus bytes or values are left alone; callers slice both from one block count.
    pub(super) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F16 => each(bytes, out, |b| f16_to_f32(u16::from_le_bytes(b))),
            Self::BF16 => each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Self::Q4_0 => blocks(bytes, out, quant::q4_0),
            Self::Q4_1 => blocks(bytes, out, quant::q4_1),
            Self::Q5_0 => blocks(bytes, out, quant::q5_0),
            Self::Q5_1 => blocks(bytes, out, quant::q5_1),
            Self::Q8_0 => blocks(bytes, out, quant::q8_0),
            Self::Q4K => blocks(bytes, out, quant::q4_k),
            Self::Q5K => blocks(bytes, out, quant::q5_k),
            Self::Q6K => blocks(bytes, out, quant::q6_k),
        }
    }
}

#[inline(always)]
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], f: impl Fn([u8; N]) -> f32) {
    for (b, o) in bytes.as_chunks::<N>().0.iter().zip(out) {
        *o = f(*b);
    }
}

#[inline(always)]
fn blocks<const BYTES: usize, const LEN: usize>(
    bytes: &[u8],
    out: &mut [f32],
    f: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    for (b, o) in bytes.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<LEN>().0) {
        f(b, o);
    }
}

/// Index of the first value that is NaN or infinite.
pub(super) fn first_not_finite(values: &[f32]) -> Option<usize> {
    // the whole run first, without a branch a value: it is almost always clean
    let dirty = values.iter().fold(false, |dirty, v| dirty | (v.to_bits() & 0x7f80_0000 == 0x7f80_0000));
    if dirty { values.iter().position(|v| !v.is_finite()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stored, stored_types};
    use super::*;

    #[test]
    fn first_of_several() {
        let mut values = vec![1.0; 1000];
        assert_eq!(first_not_finite(&values), None);
        values[999] = f32::NEG_INFINITY;
        values[7] = f32::NAN;
        assert_eq!(first_not_finite(&values), Some(7));
        assert_eq!(first_not_finite(&[f32::MAX, f32::MIN, -0.0, f32::MIN_POSITIVE / 4.0]), None);
    }

    #[test]
    fn same_bits_as_ggml() {
        for Stored { dtype, bytes, values, .. } in stored_types() {
            let mut decoded = vec![0.0; values.len()];
            dtype.decode(&bytes, &mut decoded);
            for (i, (decoded, value)) in decoded.iter().zip(&values).enumerate() {
                assert_eq!(decoded.to_bits(), value.to_bits(), "{} value {i}: {decoded}", dtype.name());
            }
        }
    }
}
