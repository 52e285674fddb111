use super::super::layout::Layout;
use super::*;
use crate::checkpoint::Weights;
use crate::checkpoint::weights::Packed;
use crate::hash::unhex;

const BLOCKS: [DType; 3] = [DType::Q8_0, DType::Q5_0, DType::Q4K];

fn golden() -> (Vec<f32>, serde_json::Value) {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/golden/quantize.json")).unwrap();
    let values = unhex(golden["values"].as_str().unwrap()).unwrap();
    (values.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(), golden)
}

#[test]
fn the_same_bytes_as_ggml() {
    let (values, golden) = golden();
    for dtype in BLOCKS {
        let mut bytes = vec![0; dtype.bytes_of(values.len()).unwrap() as usize];
        dtype.encode(&values, &mut bytes);
        let expected = unhex(golden[dtype.name()].as_str().unwrap()).unwrap();
        for (i, (got, expected)) in
            bytes.chunks(dtype.block_bytes()).zip(expected.chunks(dtype.block_bytes())).enumerate()
        {
            assert_eq!(
                got,
                expected,
                "{} block {i}: {:?}",
                dtype.name(),
                &values[dtype.block_len() * i..][..dtype.block_len()]
            );
        }
    }
}

/// Q4_0 is read and never written: ggml's own blocks decode to the values that they were made of. A step is an eighth
/// of the largest magnitude; what lies as far on the other side of zero has no code, and is off by a whole one.
#[test]
fn blocks_of_ggml_decode_to_the_values_that_they_were_made_of() {
    let (values, golden) = golden();
    let blocks = unhex(golden["Q4_0"].as_str().unwrap()).unwrap();
    let mut decoded = vec![0.0; values.len()];
    DType::Q4_0.decode(&blocks, &mut decoded);
    let mut seen = 0;
    for (i, (values, decoded)) in values.chunks(32).zip(decoded.chunks(32)).enumerate() {
        let most = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        // a scale that f16 holds with all its digits
        if most < 0.05 {
            continue;
        }
        seen += 1;
        // the largest has the code whose magnitude is eight; what f16 takes of the scale counts as often
        let rounding = most / 2048.0;
        for (value, decoded) in values.iter().zip(decoded) {
            let bound = if value.abs() > most * 7.5 / 8.0 { most / 8.0 } else { most / 16.0 };
            assert!((value - decoded).abs() <= bound + rounding, "block {i}: {value} {decoded} {most}");
        }
    }
    assert!(seen > 30, "{seen} blocks");
}

#[test]
fn halves_go_away_from_zero_and_nothing_else_does() {
    let below = |v: f32| f32::from_bits(v.to_bits() - 1);
    for k in 0..127 {
        let half = k as f32 + 0.5;
        for v in [half, below(half), half + 0.01, k as f32] {
            assert_eq!((rounded(v), rounded(-v)), (v.round() as i32, (-v).round() as i32), "{v}");
        }
    }
}

/// A value is off by half a step at most: of the largest magnitude, a 254th part with 8 bits (and what f16 takes
/// of the scale, times 127), and with 5 a sixteenth, where it is of the other sign than the largest.
#[test]
fn the_error_is_bounded_by_the_step() {
    let (values, _) = golden();
    for (dtype, half_step) in [(DType::Q8_0, 1.0 / 254.0 + 1.0 / 2048.0), (DType::Q5_0, 1.0 / 16.0 + 1.0 / 2048.0)] {
        let decoded = round_trip(dtype, &values);
        for (values, decoded) in values.chunks(32).zip(decoded.chunks(32)) {
            let most = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            // a scale that f16 holds with all its digits
            if most < 0.05 {
                continue;
            }
            for (value, decoded) in values.iter().zip(decoded) {
                assert!((value - decoded).abs() <= half_step * most, "{}: {value} {decoded} {most}", dtype.name());
            }
        }
    }
}

#[test]
fn more_bits_lose_less() {
    let (values, _) = golden();
    // normal values, eight parts of like size
    let values = &values[768..1024];
    let loss = |dtype: DType| {
        let decoded = round_trip(dtype, values);
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        norm(&mut decoded.iter().zip(values).map(|(a, b)| a - b)) / norm(&mut values.iter().copied())
    };
    let [eight, five, four] = BLOCKS.map(loss);
    assert!(eight < 0.007 && five < 0.05 && four < 0.09 && eight < five && five < four, "{eight} {five} {four}");
}

fn round_trip(dtype: DType, values: &[f32]) -> Vec<f32> {
    let mut bytes = vec![0; dtype.bytes_of(values.len()).unwrap() as usize];
    dtype.encode(values, &mut bytes);
    let mut decoded = vec![0.0; values.len()];
    dtype.decode(&bytes, &mut decoded);
    decoded
}

#[test]
fn what_is_stored_in_another_order_comes_back_in_its_own() {
    for dtype in BLOCKS.into_iter().chain([DType::F32]) {
        let n = dtype.block_len();
        for (transform, shape) in [
            (Transform::None, vec![6, 2 * n]),
            (Transform::HeadRows { head: 6 }, vec![12, n]),
            (Transform::Transpose, vec![2 * n, 5]),
            (Transform::None, vec![0, n]),
            (Transform::None, vec![64]),
            (Transform::HeadRows { head: 4 }, vec![8]),
        ] {
            if shape.len() == 1 && dtype != DType::F32 {
                continue;
            }
            // every row of its own size
            let columns: usize = shape.iter().skip(1).product();
            let value = |i: usize| (i / columns * 100) as f32 + (i * 7 % 16) as f32 - 8.0;
            let data: Vec<f32> = (0..shape.iter().product()).map(value).collect();
            let tensor = HostTensor { shape: shape.clone(), data };
            let bytes = Recode { dtype, transform }.encode(&tensor, "file", "w").unwrap();
            assert_eq!(Some(bytes.len() as u64), dtype.bytes_of(tensor.data.len()));
            let layout = Layout { file: "file".into(), name: "w".into(), shape, dtype, transform };
            let back = Weights::Packed(Packed::new(layout, bytes)).dense().unwrap();
            // a stored row is a presented one, or has one value of each
            let most = if transform == Transform::Transpose { n as f32 * 200.0 } else { 8.0 };
            for (i, (back, there)) in back.data.iter().zip(&tensor.data).enumerate() {
                let most = match dtype {
                    DType::F32 => 0.0,
                    _ if transform == Transform::Transpose => most / 16.0,
                    _ => there.abs().max(8.0) / 12.0,
                };
                assert!((back - there).abs() <= most, "{} {transform:?} value {i}: {back} {there}", dtype.name());
            }
        }
    }
    let tensor = HostTensor { shape: vec![3], data: vec![0.5, -1.0, 2.0] };
    let bytes = Recode { dtype: DType::F32, transform: Transform::Add(-1.0) }.encode(&tensor, "file", "w").unwrap();
    assert_eq!(bytes, [1.5f32, 0.0, 3.0].map(f32::to_le_bytes).concat());
}

#[test]
fn values_past_every_scale_are_refused() {
    let tensor = HostTensor { shape: vec![1, 256], data: (0..256).map(|i| 1e30 * (i % 7) as f32).collect() };
    for dtype in BLOCKS {
        let text = Recode { dtype, transform: Transform::None }.encode(&tensor, "f.gguf", "w").unwrap_err().to_string();
        assert!(text.contains("f.gguf") && text.contains("too large") && text.contains(dtype.name()), "{text}");
    }
}
