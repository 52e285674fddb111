//! ggml's numbers for storage types.

use super::super::dtype::DType;

/// ggml's number of a type that is written.
pub(super) fn number(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 0,
        DType::F16 => 1,
        DType::Q4_0 => 2,
        DType::Q4_1 => 3,
        DType::Q5_0 => 6,
        DType::Q5_1 => 7,
        DType::Q8_0 => 8,
        DType::Q4K => 12,
        DType::Q5K => 13,
        DType::Q6K => 14,
        DType::F64 => 28,
        DType::BF16 => 30,
    }
}

/// The type with ggml's number `kind`, or the name of one that is not read.
pub(in crate::checkpoint) fn dtype(kind: u32) -> Result<DType, &'static str> {
    Ok(match kind {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::Q4_0,
        3 => DType::Q4_1,
        6 => DType::Q5_0,
        7 => DType::Q5_1,
        8 => DType::Q8_0,
        12 => DType::Q4K,
        13 => DType::Q5K,
        14 => DType::Q6K,
        28 => DType::F64,
        30 => DType::BF16,
        9 => return Err("Q8_1"),
        10 => return Err("Q2_K"),
        11 => return Err("Q3_K"),
        15 => return Err("Q8_K"),
        16 => return Err("IQ2_XXS"),
        17 => return Err("IQ2_XS"),
        18 => return Err("IQ3_XXS"),
        19 => return Err("IQ1_S"),
        20 => return Err("IQ4_NL"),
        21 => return Err("IQ3_S"),
        22 => return Err("IQ2_S"),
        23 => return Err("IQ4_XS"),
        24 => return Err("I8"),
        25 => return Err("I16"),
        26 => return Err("I32"),
        27 => return Err("I64"),
        29 => return Err("IQ1_M"),
        34 => return Err("TQ1_0"),
        35 => return Err("TQ2_0"),
        39 => return Err("MXFP4"),
        _ => return Err("of unknown number"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_each_other_s_inverse() {
        let known = (0..64).filter_map(|kind| Some((kind, dtype(kind).ok()?)));
        assert_eq!(known.inspect(|(kind, dtype)| assert_eq!(number(*dtype), *kind)).count(), 12);
    }
}
