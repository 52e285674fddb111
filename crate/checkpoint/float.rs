//! The IEEE half format.

/// IEEE half to single, exactly, subnormals included, without a branch: both the normal and the
/// subnormal reading are computed and one is chosen, so that the loop around it vectorises.
#[inline(always)]
pub(super) fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let rest = u32::from(half & 0x7fff) << 13;
    // re-biased exponent: 127 − 15
    let normal = rest + (112 << 23);
    // 2⁻¹⁴ (1 + m/1024) − 2⁻¹⁴ = m 2⁻²⁴
    let subnormal = (f32::from_bits(rest + (113 << 23)) - f32::from_bits(113 << 23)).to_bits();
    let special = rest | 0x7f80_0000;
    let magnitude = if rest < (1 << 23) {
        subnormal
    } else if rest >= (31 << 23) {
        special
    } else {
        normal
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), half::f16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(),
                "{bits:#06x}: {ours} {theirs}"
            );
        }
    }
}
