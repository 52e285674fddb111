use super::testing::{Gguf, Stored, Zipped, f32_bytes, npy, safetensors, source, stored_types, wait, zip};
use super::{Checkpoint, Narrow, Packed, Weights, gguf};
use crate::error::Result;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn packed(checkpoint: &Checkpoint, name: &str) -> Packed {
    let shape = checkpoint.info(name).unwrap().shape.clone();
    match wait(checkpoint.read_packed(name, &shape)).unwrap() {
        Weights::Packed(packed) => packed,
        Weights::Dense(_) => panic!("{name} came out dense"),
    }
}

#[test]
fn what_is_stored_in_few_bytes_stays_so() {
    for Stored { dtype, kind, bytes, values } in stored_types() {
        let width = values.len();
        let open = |bytes: &[u8]| {
            let file = llama(2, 1, width as i64).tensor("blk.0.attn_v.weight", &[width as u64, 1], kind, bytes);
            Weights::Packed(packed(&opened(&file), "model.layers.0.self_attn.v_proj.weight"))
        };
        match open(&bytes).narrow().unwrap() {
            Narrow::Blocks(blocks) => {
                assert_eq!(blocks.bytes, bytes, "{}", dtype.name());
                for &scale in blocks.kind.scales() {
                    // infinity, in the last block
                    let mut bad = bytes.clone();
                    let at = bad.len() - dtype.block_bytes() + scale;
                    bad[at..at + 2].copy_from_slice(&[0x00, 0x7c]);
                    let error = open(&bad).narrow().map(drop).unwrap_err().to_string();
                    assert!(error.contains("a finite value"), "{}: {error}", dtype.name());
                }
            }
            Narrow::Bf16(halves) | Narrow::F16(halves) => assert_eq!(halves.bytes, bytes, "{}", dtype.name()),
            Narrow::Dense(_) => panic!("{} came out dense", dtype.name()),
        }
    }
}

/// Unpacked values are those of a dense read, to the last bit.
#[track_caller]
fn same_as_dense(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let weights = Weights::Packed(packed(checkpoint, name));
    let dense = wait(checkpoint.read(name)).unwrap();
    assert_eq!(weights.shape(), dense.shape);
    assert_eq!(bits(&weights.clone().narrow().unwrap().dense().data), bits(&dense.data), "{name} in few bytes");
    let unpacked = weights.dense().unwrap();
    assert_eq!(unpacked.shape, dense.shape);
    assert_eq!(bits(&unpacked.data), bits(&dense.data));
    unpacked.data
}

fn llama(heads: i64, key_heads: i64, width: i64) -> Gguf {
    Gguf::default()
        .text("general.architecture", "llama")
        .int("llama.block_count", 1)
        .int("llama.context_length", 16)
        .int("llama.embedding_length", width)
        .int("llama.feed_forward_length", 1)
        .int("llama.attention.head_count", heads)
        .int("llama.attention.head_count_kv", key_heads)
        .float("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .f32("token_embd.weight", &[width as u64, 1], &vec![0.0; width as usize])
}

fn opened(file: &Gguf) -> Checkpoint {
    wait(gguf::open(source(file.build()))).unwrap().checkpoint
}

#[test]
fn every_type_unpacks_to_what_its_decoder_gives() {
    for Stored { dtype, kind, bytes, values } in stored_types() {
        let width = values.len();
        let file = llama(2, 1, width as i64).tensor("blk.0.attn_v.weight", &[width as u64, 1], kind, &bytes);
        let checkpoint = opened(&file);
        let name = "model.layers.0.self_attn.v_proj.weight";
        let held = packed(&checkpoint, name);
        assert!(format!("{held:?}").ends_with(&format!("{}, {} bytes)", dtype.name(), bytes.len())), "{held:?}");
        assert_eq!(bits(&same_as_dense(&checkpoint, name)), bits(&values), "{}", dtype.name());
    }
}

#[test]
fn rotary_rows_in_blocks_are_put_in_order_on_unpacking() {
    for Stored { kind, dtype, bytes, values } in stored_types() {
        // rows of one block, eight of them: two heads of four
        let width = dtype.block_len().max(32);
        let row = dtype.bytes_of(width).unwrap() as usize;
        let rows: Vec<u8> = bytes.iter().copied().cycle().take(8 * row).collect();
        let stored: Vec<f32> = values.iter().copied().cycle().take(8 * width).collect();
        let file = llama(2, 2, width as i64).tensor("blk.0.attn_q.weight", &[width as u64, 8], kind, &rows);
        let got = same_as_dense(&opened(&file), "model.layers.0.self_attn.q_proj.weight");
        for (row, from) in [0, 2, 1, 3, 4, 6, 5, 7].into_iter().enumerate() {
            let expected = &stored[from * width..][..width];
            assert_eq!(bits(&got[row * width..][..width]), bits(expected), "{} row {row}", dtype.name());
        }
    }
}

fn half_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect()
}

#[test]
fn transposed_and_deflated_halves_unpack() {
    let (rows, columns) = (37, 23);
    let stored: Vec<f32> = (0..rows * columns).map(|i| i as f32 / 2.0).collect();
    let array = npy("<f2", true, "(37, 23)", &half_bytes(&stored));
    let members = [Zipped::stored("a.npy", &array), Zipped::deflated("b.npy", &array)];
    let checkpoint = wait(Checkpoint::open_npz(source(zip(&members, false, "")))).unwrap();
    for name in ["a", "b"] {
        let got = same_as_dense(&checkpoint, name);
        for (i, value) in got.iter().enumerate() {
            assert_eq!(*value, stored[i % columns * rows + i / columns], "{name} value {i}");
        }
    }
}

#[test]
fn what_is_added_on_reading_is_added_on_unpacking() {
    let file = llama(2, 1, 8);
    let gemma = Gguf::default()
        .text("general.architecture", "gemma2")
        .int("gemma2.block_count", 1)
        .int("gemma2.context_length", 16)
        .int("gemma2.embedding_length", 8)
        .int("gemma2.feed_forward_length", 12)
        .int("gemma2.attention.head_count", 2)
        .int("gemma2.attention.head_count_kv", 1)
        .float("gemma2.attention.layer_norm_rms_epsilon", 1e-5)
        .f32("token_embd.weight", &[8, 1], &[0.0; 8]);
    let norm = half_bytes(&[1.0, 1.5, 2.0, 0.5, 3.0, 1.0, 1.0, 1.0]);
    let got = |file: Gguf, part: &str, name: &str| same_as_dense(&opened(&file.tensor(part, &[8], 1, &norm)), name);
    let name = "model.layers.0.input_layernorm.weight";
    assert_eq!(got(gemma, "blk.0.attn_norm.weight", name), [0.0, 0.5, 1.0, -0.5, 2.0, 0.0, 0.0, 0.0]);
    assert_eq!(got(file, "blk.0.attn_norm.weight", name), [1.0, 1.5, 2.0, 0.5, 3.0, 1.0, 1.0, 1.0]);
}

#[test]
fn tensors_of_several_parts_and_of_none() {
    // more than one part of 8 MiB, and a last one that is not full
    let long: Vec<u8> = (0..9_000_001u32).flat_map(|i| ((i % 1000) as u16 | 0x3c00).to_le_bytes()).collect();
    let file = safetensors(&[("long", "BF16", &[9_000_001], &long), ("none", "F16", &[0, 4], &[])]);
    let checkpoint = wait(Checkpoint::open_safetensors(vec![source(file)])).unwrap();
    assert_eq!(same_as_dense(&checkpoint, "long").len(), 9_000_001);
    assert!(same_as_dense(&checkpoint, "none").is_empty());
}

#[test]
fn full_width_values_are_dense_at_once() {
    let doubles: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let file = safetensors(&[("a", "F32", &[2], &f32_bytes(&[1.0, 2.0])), ("b", "F64", &[2], &doubles)]);
    let checkpoint = wait(Checkpoint::open_safetensors(vec![source(file)])).unwrap();
    for (name, values) in [("a", [1.0, 2.0]), ("b", [1.5, -2.0])] {
        let Weights::Dense(tensor) = wait(checkpoint.read_packed(name, &[2])).unwrap() else { panic!("{name}") };
        assert_eq!(tensor.data, values);
    }
}

#[test]
fn errors_are_those_of_a_dense_read() {
    let message = |result: Result<()>| result.unwrap_err().to_string();
    let file = safetensors(&[
        ("nan", "F16", &[2, 3], &half_bytes(&[1.0, 2.0, 3.0, 4.0, f32::NAN, f32::INFINITY])),
        ("ids", "I32", &[1], &[0; 4]),
    ]);
    let checkpoint = wait(Checkpoint::open_safetensors(vec![source(file)])).unwrap();
    let unpacked = message(Weights::Packed(packed(&checkpoint, "nan")).dense().map(drop));
    assert!(unpacked.contains("tensor nan at [1, 1]"), "{unpacked}");
    assert_eq!(unpacked, message(wait(checkpoint.read("nan")).map(drop)));
    assert_eq!(unpacked, message(Weights::Packed(packed(&checkpoint, "nan")).narrow().map(drop)));
    for (name, shape) in [("ids", &[1][..]), ("nan", &[3, 2]), ("nowhere", &[1])] {
        let as_packed = message(wait(checkpoint.read_packed(name, shape)).map(drop));
        assert_eq!(as_packed, message(wait(checkpoint.read_shaped(name, shape)).map(drop)));
    }
}
