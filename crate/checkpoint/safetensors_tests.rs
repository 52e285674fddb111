use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::{Watched, f32_bytes, safetensors, source, wait, with_header};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

fn open(bytes: impl Into<Vec<u8>>) -> Result<Checkpoint> {
    wait(Checkpoint::open_safetensors(vec![source(bytes)]))
}

fn message(bytes: impl Into<Vec<u8>>) -> String {
    open(bytes).unwrap_err().to_string()
}

#[test]
fn values_of_every_type() {
    let halves: Vec<u8> = [1.5f32, -0.25].iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    let brains: Vec<u8> = [1.5f32, -3e38].iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
    let doubles: Vec<u8> = [0.1f64, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let file = safetensors(&[
        ("a", "F32", &[2, 1], &f32_bytes(&[1.0, f32::MIN_POSITIVE])),
        ("b", "F16", &[2], &halves),
        ("c", "BF16", &[1, 2], &brains),
        ("d", "F64", &[2], &doubles),
        ("e", "F32", &[0, 4], &[]),
        ("f", "F32", &[], &f32_bytes(&[7.0])),
    ]);
    let ck = open(file).unwrap();
    assert_eq!(ck.names(), ["a", "b", "c", "d", "e", "f"]);
    let read = |name| wait(ck.read(name)).unwrap();
    assert_eq!(read("a").data, [1.0, f32::MIN_POSITIVE]);
    assert_eq!(read("a").shape, [2, 1]);
    assert_eq!(read("b").data, [1.5, -0.25]);
    assert_eq!(read("c").data, [1.5, half::bf16::from_f32(-3e38).to_f32()]);
    assert_eq!(read("d").data, [0.1f64 as f32, 2.0]);
    assert_eq!((read("e").shape, read("e").numel()), (vec![0, 4], 0));
    assert_eq!((read("f").shape, read("f").data), (vec![], vec![7.0]));
    assert_eq!(ck.info("c").unwrap().dtype, "BF16");
    assert_eq!(ck.info("c").unwrap().nbytes, 4);
}

#[test]
fn shards_metadata_and_doubled_names() {
    let first = with_header(
        r#"{"__metadata__":{"format":"pt","k":"1"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        &f32_bytes(&[1.0]),
    );
    let second = safetensors(&[("b", "F32", &[1], &f32_bytes(&[2.0]))]);
    let ck = wait(Checkpoint::open_safetensors(vec![source(first.clone()), source(second)])).unwrap();
    assert_eq!(ck.names(), ["a", "b"]);
    assert_eq!(wait(ck.read("b")).unwrap().data, [2.0]);
    assert_eq!(ck.metadata()["format"], "pt");
    let error = wait(Checkpoint::open_safetensors(vec![source(first.clone()), source(first)])).unwrap_err().to_string();
    assert!(error.contains("tensor a") && error.contains("one shard only"), "{error}");
}

#[test]
fn large_tensor_in_pieces_and_parallel() {
    // more than one piece, no whole number of tasks
    let n = 5_000_003;
    let values: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
    let file = Watched::new(safetensors(&[("w", "F32", &[n], &f32_bytes(&values))]));
    let ck = wait(Checkpoint::open_safetensors(vec![file.clone()])).unwrap();
    assert_eq!(wait(ck.read("w")).unwrap().data, values);
    let largest = file.asked.lock().unwrap().iter().map(|r| r.end - r.start).max().unwrap();
    assert!(largest <= 16 << 20, "one read of {largest} bytes");
}

#[test]
fn spent_memory_is_used_again() {
    let file =
        safetensors(&[("a", "F32", &[3], &f32_bytes(&[1.0, 2.0, 3.0])), ("b", "F32", &[2], &f32_bytes(&[4.0, 5.0]))]);
    let ck = open(file).unwrap();
    let first = wait(ck.read("a")).unwrap().data;
    let place = first.as_ptr();
    let second = wait(ck.read_into("b", first)).unwrap().data;
    assert_eq!(second, [4.0, 5.0]);
    assert_eq!(second.as_ptr(), place);
    assert_eq!(wait(ck.read_into("a", vec![7.0])).unwrap().data, [1.0, 2.0, 3.0]);
}

#[test]
fn rows_are_coalesced_ordered_and_repeated() {
    let (height, columns) = (70_000, 3);
    let values: Vec<f32> = (0..height * columns).map(|i| i as f32).collect();
    let file = Watched::new(safetensors(&[("w", "F32", &[height, columns], &f32_bytes(&values))]));
    let ck = wait(Checkpoint::open_safetensors(vec![file.clone()])).unwrap();
    file.asked.lock().unwrap().clear();
    let rows = [69_999, 5, 4, 5, 6, 0];
    let got = wait(ck.read_rows("w", &rows)).unwrap();
    assert_eq!(got.shape, [6, 3]);
    for (got, row) in got.data.chunks(3).zip(rows) {
        assert_eq!(got, &values[row * 3..][..3]);
    }
    let asked = file.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().map(|r| r.end - r.start).collect::<Vec<_>>(), [7 * 12, 12]);
    let every: Vec<usize> = (1000..61_000).collect();
    assert_eq!(wait(ck.read_rows("w", &every)).unwrap().data, values[3000..183_000]);
    assert_eq!(wait(ck.read_rows("w", &[])).unwrap().shape, [0, 3]);
}

#[test]
fn rows_past_the_end_and_of_vectors() {
    let file = safetensors(&[
        ("w", "F32", &[2, 1], &f32_bytes(&[1.0, 2.0])),
        ("v", "F32", &[2], &f32_bytes(&[1.0, 2.0])),
        ("none", "F32", &[2, 0], &[]),
    ]);
    let ck = open(file).unwrap();
    let error = wait(ck.read_rows("w", &[0, 2])).unwrap_err().to_string();
    assert!(error.contains("tensor w") && error.contains("2 rows") && error.contains("found 2"), "{error}");
    let error = wait(ck.read_rows("v", &[0])).unwrap_err().to_string();
    assert!(error.contains("two dimensions"), "{error}");
    assert_eq!(wait(ck.read_rows("none", &[1, 0, 1])).unwrap().shape, [3, 0]);
}

#[test]
fn missing_tensor_names_the_closest() {
    let one = f32_bytes(&[1.0]);
    let file = safetensors(&[
        ("model.layers.1.mlp.up_proj.weight", "F32", &[1], &one),
        ("model.layers.1.mlp.down_proj.weight", "F32", &[1], &one),
        ("zzz", "F32", &[1], &one),
        ("model.norm.weight", "F32", &[1], &one),
    ]);
    let error = open(file).unwrap().info("model.layers.7.mlp.up_proj.weight").unwrap_err();
    assert!(matches!(error, Error::Missing { .. }));
    let text = error.to_string();
    assert!(text.contains("test.bin"), "{text}");
    let up = text.find("layers.1.mlp.up_proj").unwrap();
    assert!(up < text.find("layers.1.mlp.down_proj").unwrap() && !text.contains("zzz"), "{text}");
}

#[test]
fn wrong_shape_is_refused_unread() {
    let ck = open(safetensors(&[("w", "F32", &[2, 1], &f32_bytes(&[1.0, f32::NAN]))])).unwrap();
    let error = wait(ck.read_shaped("w", &[1, 2])).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("expected [1, 2], found [2, 1]"), "{error}");
}

#[test]
fn first_value_that_is_not_finite() {
    let mut values = vec![0.5f32; 300 * 1000];
    values[123_456] = f32::INFINITY;
    values[223_456] = f32::NAN;
    let ck = open(safetensors(&[("w", "F32", &[300, 1000], &f32_bytes(&values))])).unwrap();
    let error = wait(ck.read("w")).unwrap_err().to_string();
    assert!(error.contains("tensor w at [123, 456]") && error.contains("inf"), "{error}");
    assert!(wait(ck.read_rows("w", &[0, 122, 299])).is_ok());
    for rows in [&[5, 223][..], &[223, 5, 7]] {
        let error = wait(ck.read_rows("w", rows)).unwrap_err().to_string();
        assert!(error.contains("tensor w at [223, 456]") && error.contains("NaN"), "{error}");
    }
    // a double that single precision cannot hold
    let ck = open(safetensors(&[("d", "F64", &[1], &1e300f64.to_le_bytes())])).unwrap();
    assert!(wait(ck.read("d")).unwrap_err().to_string().contains("tensor d at [0]"));
}

#[test]
fn types_that_are_no_weights() {
    let ck = open(safetensors(&[("ids", "I64", &[1], &[0; 8]), ("f8", "F8_E4M3", &[4], &[0; 4])])).unwrap();
    assert_eq!(ck.info("ids").unwrap().dtype, "I64");
    for name in ["ids", "f8"] {
        let error = wait(ck.read(name)).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains(name), "{error}");
    }
}

#[test]
fn broken_headers() {
    assert!(message([]).contains("0 bytes"));
    assert!(message([1, 2, 3]).contains("3 bytes"));
    assert!(message((1u64 << 60).to_le_bytes()).contains(&(1u64 << 60).to_string()));
    assert!(message(u64::MAX.to_le_bytes()).contains("length of the header"));
    let good = safetensors(&[("a", "F32", &[2], &f32_bytes(&[1.0, 2.0]))]);
    assert!(message(&good[..good.len() / 2]).contains("length of the header"));
    assert!(message(&good[..good.len() - 1]).contains("length of the file"));
    let cases = [
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, "JSON"),
        (r#"{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#, "JSON"),
        (r#"[]"#, "JSON"),
        (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, "tensor a"),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, "offsets of tensor a"),
        (r#"{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}"#, "tensor a"),
        (r#"{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4611686018427387904]}}"#, "length"),
        (r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967297],"data_offsets":[0,4]}}"#, "tensor a"),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            "offsets of tensor b",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            "twice",
        ),
    ];
    for (header, expected) in cases {
        let text = message(with_header(header, &[0; 4]));
        assert!(text.contains(expected) && text.contains("hint:"), "{header}: {text}");
    }
}

#[test]
fn moves_into_a_background_task() {
    let ck = open(safetensors(&[("a", "F32", &[1], &f32_bytes(&[3.0]))])).unwrap();
    let clone = ck.clone();
    assert!(Arc::ptr_eq(&ck.inner, &clone.inner));
    let read = crate::platform::spawn(async move { clone.read("a").await });
    assert_eq!(wait(read).unwrap().unwrap().data, [3.0]);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = open(bytes);
    }

    #[test]
    fn random_json_never_panics(header in r#"\{("[a-c]":\{"dtype":"(F32|BF16|I8)","shape":\[[0-9]{0,20}\],"data_offsets":\[[0-9]{1,3},[0-9]{1,21}\]\},?){0,3}\}"#) {
        if let Ok(ck) = open(with_header(&header, &[0; 64])) {
            for name in ck.names() {
                let _ = wait(ck.read(name));
            }
        }
    }

    #[test]
    fn mutations_never_panic(at in 0usize..200, to in any::<u8>(), cut in 0usize..200) {
        let mut file = safetensors(&[
            ("a", "F32", &[2, 2], &f32_bytes(&[1.0, 2.0, 3.0, 4.0])),
            ("b", "BF16", &[4], &[0; 8]),
        ]);
        let len = file.len();
        file[at % len] = to;
        file.truncate(len - cut.saturating_sub(100) % len);
        if let Ok(ck) = open(file) {
            for name in ck.names() {
                let _ = wait(ck.read(name));
                let _ = wait(ck.read_rows(name, &[1, 0]));
            }
        }
    }
}
