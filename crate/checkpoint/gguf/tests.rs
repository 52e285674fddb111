use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use tokenizers::Tokenizer;

use super::super::testing::{Gguf, source, wait};
use super::*;
use crate::hash::Hasher;
use crate::platform::FileSource;

/// Metadata of a tiny model, without vocabulary.
fn tiny(arch: &str) -> Gguf {
    let key = |key: &str| format!("{arch}.{key}");
    let file = Gguf::default()
        .text("general.architecture", arch)
        .int(&key("block_count"), 2)
        .int(&key("context_length"), 16)
        .int(&key("embedding_length"), 8)
        .int(&key("feed_forward_length"), 12)
        .int(&key("attention.head_count"), 2);
    if arch == "gpt2" {
        file.float(&key("attention.layer_norm_epsilon"), 1e-5)
    } else {
        file.int(&key("attention.head_count_kv"), 1)
            .float(&key("attention.layer_norm_rms_epsilon"), 1e-5)
            .float(&key("rope.freq_base"), 1e4)
            .f32("token_embd.weight", &[8, 3], &count(24))
    }
}

fn count(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

fn opened(file: &Gguf) -> GgufModel {
    wait(open(source(file.build()))).unwrap()
}

fn refused(file: &Gguf) -> String {
    let text = wait(open(source(file.build()))).unwrap_err().to_string();
    assert!(text.contains("hint:"), "{text}");
    text
}

#[test]
fn llama_names_and_rows() {
    // a row's first value tells which stored row it is
    let query: Vec<f32> = (0..64).map(|i| (i / 8 * 10 + i % 8) as f32).collect();
    let model = opened(
        &tiny("llama")
            .f32("blk.1.attn_q.weight", &[8, 8], &query)
            .f32("blk.1.attn_k.weight", &[8, 4], &query[..32])
            .f32("blk.1.attn_q.bias", &[8], &count(8))
            .f32("blk.0.attn_v.weight", &[8, 4], &query[..32])
            .f32("blk.0.ffn_norm.weight", &[8], &count(8))
            .f32("blk.0.ffn_down.weight", &[12, 8], &count(96))
            .f32("output_norm.weight", &[8], &count(8))
            .f32("output.weight", &[8, 3], &count(24)),
    );
    let ck = &model.checkpoint;
    assert_eq!(
        ck.names(),
        [
            "lm_head.weight",
            "model.embed_tokens.weight",
            "model.layers.0.mlp.down_proj.weight",
            "model.layers.0.post_attention_layernorm.weight",
            "model.layers.0.self_attn.v_proj.weight",
            "model.layers.1.self_attn.k_proj.weight",
            "model.layers.1.self_attn.q_proj.bias",
            "model.layers.1.self_attn.q_proj.weight",
            "model.norm.weight",
        ]
    );
    assert_eq!(model.config["tie_word_embeddings"], false);
    assert_eq!(model.config["attention_bias"], true);
    assert_eq!(ck.info("model.layers.0.mlp.down_proj.weight").unwrap().shape, [8, 12]);
    let firsts = |name: &str| -> Vec<f32> { wait(ck.read(name)).unwrap().data.chunks(8).map(|row| row[0]).collect() };
    // heads of four rows: stored 0 1 2 3 are 0 2 1 3 of Hugging Face, so reading undoes 0 2 1 3
    assert_eq!(firsts("model.layers.1.self_attn.q_proj.weight"), [0.0, 20.0, 10.0, 30.0, 40.0, 60.0, 50.0, 70.0]);
    assert_eq!(firsts("model.layers.1.self_attn.k_proj.weight"), [0.0, 20.0, 10.0, 30.0]);
    assert_eq!(firsts("model.layers.0.self_attn.v_proj.weight"), [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(wait(ck.read("model.layers.1.self_attn.q_proj.bias")).unwrap().data, [0., 2., 1., 3., 4., 6., 5., 7.]);
    let all = wait(ck.read("model.layers.1.self_attn.q_proj.weight")).unwrap();
    let rows = [7, 1, 1, 2];
    let some = wait(ck.read_rows("model.layers.1.self_attn.q_proj.weight", &rows)).unwrap();
    for (got, row) in some.data.chunks(8).zip(rows) {
        assert_eq!(got, &all.data[row * 8..][..8]);
    }
}

/// llama.cpp's own formula, on a head of more rows than four and on more than one piece.
#[test]
fn permutation_is_the_inverse_of_the_converters() {
    let (heads, head, columns) = (3, 6, 700_000);
    let original = |row: usize| row as f32;
    // reshape(heads, 2, head / 2).swapaxes(1, 2)
    let mut stored = Vec::new();
    for h in 0..heads {
        for pair in 0..head / 2 {
            for side in 0..2 {
                stored.extend(vec![original(h * head + side * head / 2 + pair); columns]);
            }
        }
    }
    let file = Gguf::default()
        .text("general.architecture", "llama")
        .int("llama.block_count", 1)
        .int("llama.embedding_length", columns as i64)
        .int("llama.feed_forward_length", 1)
        .int("llama.attention.head_count", 3)
        .int("llama.attention.key_length", 6)
        .float("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .f32("token_embd.weight", &[columns as u64, 1], &vec![0.0; columns])
        .f32("blk.0.attn_q.weight", &[columns as u64, 18], &stored);
    let model = opened(&file);
    let got = wait(model.checkpoint.read("model.layers.0.self_attn.q_proj.weight")).unwrap();
    assert_eq!(got.shape, [18, columns]);
    for (row, values) in got.data.chunks(columns).enumerate() {
        assert!(values.iter().all(|v| *v == original(row)), "row {row} is {}", values[0]);
    }
}

#[test]
fn gemma_norms_lose_their_one() {
    for arch in ["gemma2", "gemma3"] {
        let mut file = tiny(arch)
            .f32("blk.0.attn_norm.weight", &[8], &count(8))
            .f32("blk.0.post_attention_norm.weight", &[8], &count(8))
            .f32("blk.0.ffn_norm.weight", &[8], &count(8))
            .f32("blk.0.post_ffw_norm.weight", &[8], &count(8))
            .f32("blk.0.attn_q.weight", &[8, 8], &count(64))
            .f32("output_norm.weight", &[8], &count(8));
        if arch == "gemma3" {
            file = file.f32("blk.0.attn_q_norm.weight", &[4], &count(4));
        }
        let model = opened(&file);
        let names: Vec<_> = model.checkpoint.names().into_iter().filter(|name| name.contains("norm")).collect();
        assert_eq!(names.len(), if arch == "gemma3" { 6 } else { 5 });
        for name in names {
            assert_eq!(wait(model.checkpoint.read(name)).unwrap().data[..4], [-1.0, 0.0, 1.0, 2.0], "{name}");
        }
        // no permutation here
        let query = wait(model.checkpoint.read("model.layers.0.self_attn.q_proj.weight")).unwrap();
        assert_eq!(query.data, count(64));
        assert_eq!(wait(model.checkpoint.read_rows("model.embed_tokens.weight", &[2])).unwrap().data, count(24)[16..]);
    }
}

#[test]
fn gpt2_is_transposed() {
    let wide: Vec<f32> = (0..8 * 24).map(|i| i as f32).collect();
    let model = opened(
        &tiny("gpt2")
            .f32("token_embd.weight", &[8, 3], &count(24))
            .f32("position_embd.weight", &[8, 16], &count(128))
            .f32("blk.0.attn_qkv.weight", &[8, 24], &wide)
            .f32("blk.0.attn_qkv.bias", &[24], &count(24))
            .f32("blk.0.attn_norm.bias", &[8], &count(8))
            .f32("output_norm.weight", &[8], &count(8)),
    );
    let ck = &model.checkpoint;
    assert_eq!(
        ck.names(),
        [
            "transformer.h.0.attn.c_attn.bias",
            "transformer.h.0.attn.c_attn.weight",
            "transformer.h.0.ln_1.bias",
            "transformer.ln_f.weight",
            "transformer.wpe.weight",
            "transformer.wte.weight",
        ]
    );
    let got = wait(ck.read_shaped("transformer.h.0.attn.c_attn.weight", &[8, 24])).unwrap();
    for row in 0..8 {
        for column in 0..24 {
            assert_eq!(got.data[row * 24 + column], wide[column * 8 + row]);
        }
    }
    let rows = wait(ck.read_rows("transformer.h.0.attn.c_attn.weight", &[5, 0, 5])).unwrap();
    assert_eq!(rows.data[..24], got.data[5 * 24..6 * 24]);
    assert_eq!(rows.data[24..48], got.data[..24]);
    assert_eq!(rows.data[48..], rows.data[..24]);
    assert_eq!(wait(ck.read("transformer.wte.weight")).unwrap().data, count(24));
}

#[test]
fn transposed_and_permuted_nan_is_found_where_it_is_presented() {
    let mut wide = vec![0.0; 8 * 24];
    wide[17 * 8 + 3] = f32::NAN;
    let gpt2 = tiny("gpt2").f32("token_embd.weight", &[8, 3], &count(24)).f32("blk.0.attn_qkv.weight", &[8, 24], &wide);
    let error = wait(opened(&gpt2).checkpoint.read("transformer.h.0.attn.c_attn.weight")).unwrap_err().to_string();
    assert!(error.contains("c_attn.weight at [3, 17]") && error.contains("NaN"), "{error}");
    let mut query = count(64);
    query[8 + 5] = f32::INFINITY;
    let llama = tiny("llama").f32("blk.0.attn_q.weight", &[8, 8], &query);
    let name = "model.layers.0.self_attn.q_proj.weight";
    let ck = opened(&llama).checkpoint;
    for error in [wait(ck.read(name)).unwrap_err(), wait(ck.read_rows(name, &[0, 2])).unwrap_err()] {
        assert!(error.to_string().contains("at [2, 5]"), "{error}");
    }
}

#[test]
fn quantised_rows() {
    // Q8_0, two blocks a row: scale 1 (half 0x3c00) and the row's number
    let block = |value: u8| [&[0x00, 0x3c][..], &[value; 32]].concat();
    let bytes: Vec<u8> = (0..5).flat_map(|row| [block(row), block(row + 100)].concat()).collect();
    let file = Gguf::default()
        .text("general.architecture", "llama")
        .int("llama.block_count", 0x10)
        .int("llama.embedding_length", 64)
        .int("llama.feed_forward_length", 64)
        .int("llama.attention.head_count", 1)
        .float("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .tensor("token_embd.weight", &[64, 5], 8, &bytes);
    let ck = opened(&file).checkpoint;
    assert_eq!(ck.info("model.embed_tokens.weight").unwrap().dtype, "Q8_0");
    let rows = wait(ck.read_rows("model.embed_tokens.weight", &[4, 0, 3])).unwrap();
    let firsts: Vec<_> = rows.data.chunks(32).map(|half| half[0]).collect();
    assert_eq!(firsts, [4.0, 104.0, 0.0, 100.0, 3.0, 103.0]);
}

#[test]
fn llama3_scaling_out_of_the_stored_divisors() {
    let file = tiny("llama").f32("rope_freqs.weight", &[2], &[1.0, 1.0]);
    let model = opened(&file);
    assert!(!model.checkpoint.contains("rope_freqs.weight"));
    assert_eq!(model.config["rope_scaling"]["rope_type"], "llama3");
    assert!(refused(&tiny("llama").f32("rope_freqs.weight", &[2], &[1.0, 9.0])).contains("rope_freqs.weight"));
    assert!(refused(&tiny("gemma2").f32("rope_freqs.weight", &[2], &[1.0, 1.0])).contains("rope_freqs.weight"));
}

#[test]
fn files_that_are_not_for_us() {
    let other = Gguf::default().text("general.architecture", "mamba");
    assert!(refused(&other).contains("architecture mamba"));
    assert!(refused(&Gguf::default().int("a", 1)).contains("general.architecture"));
    assert!(refused(&tiny("llama").int("split.count", 3)).contains("split into 3"));
    assert!(refused(&tiny("llama").f32("blk.0.ffn_gate_exps.weight", &[1], &[0.0])).contains("ffn_gate_exps"));
    assert!(refused(&tiny("llama").f32("blk.2.attn_norm.weight", &[1], &[0.0])).contains("blk.2.attn_norm"));
    assert!(refused(&tiny("gemma2").f32("blk.0.attn_q.bias", &[1], &[0.0])).contains("attn_q.bias"));
    assert!(refused(&tiny("gpt2")).contains("token_embd.weight"));
    assert!(refused(&tiny("llama").tensor("output.weight", &[256, 1], 23, &[0; 136])).contains("type IQ4_XS"));
    assert!(refused(&tiny("llama").tensor("output.weight", &[256, 1], 77, &[0; 136])).contains("(77)"));
}

#[test]
fn tensors_that_cannot_be() {
    let bad = |dims: &[u64], kind, bytes: &[u8]| refused(&tiny("llama").tensor("output.weight", dims, kind, bytes));
    assert!(bad(&[16, 2], 2, &[0; 18]).contains("whole blocks"));
    assert!(bad(&[16, 4], 2, &[0; 36]).contains("whole blocks"));
    assert!(bad(&[1 << 32, 1 << 32], 0, &[0; 4]).contains("addressed"));
    assert!(bad(&[1 << 60], 0, &[0; 4]).contains("inside the file"));
    assert!(bad(&[1000], 0, &[0; 4]).contains("inside the file"));
    assert!(refused(&tiny("llama").f32("blk.0.attn_q.weight", &[8, 6], &count(48))).contains("heads"));
    let twice = tiny("llama").f32("output.weight", &[1], &[0.0]).f32("output.weight", &[1], &[0.0]);
    assert!(refused(&twice).contains("each name once"));

    // offsets: the last eight bytes of a description
    let file = tiny("llama").f32("output_norm.weight", &[8], &count(8)).build();
    let at = file.windows(18).position(|w| w == b"output_norm.weight").unwrap() + 18 + 4 + 8 + 4;
    for (offset, word) in [
        (0u64, "where output_norm.weight ends"),
        (97, "multiple of 32"),
        (1 << 62, "inside the file"),
        (u64::MAX - 31, "inside the file"),
    ] {
        let mut file = file.clone();
        file[at..at + 8].copy_from_slice(&offset.to_le_bytes());
        let text = wait(open(source(file))).unwrap_err().to_string();
        assert!(text.contains(word), "{offset}: {text}");
    }
    let cut = file.len() - 20;
    assert!(wait(open(source(&file[..cut]))).unwrap_err().to_string().contains("output_norm.weight"));
    assert!(wait(open(source([]))).unwrap_err().to_string().contains("magic"));
}

proptest! {
    #[test]
    fn mutations_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut file = tiny("llama")
            .key("tokenizer.ggml.tokens", MetaValue::Texts(vec!["a".into(), "b".into(), "ab".into()]))
            .key("tokenizer.ggml.scores", MetaValue::Floats(vec![0.0, 0.0, 1.0]))
            .text("tokenizer.ggml.model", "llama")
            .int("tokenizer.ggml.bos_token_id", 0)
            .f32("blk.1.attn_q.weight", &[8, 8], &count(64))
            .build();
        for (at, to) in changes {
            let at = at.index(file.len());
            file[at] = to;
        }
        if let Ok(model) = wait(open(source(file))) {
            for name in model.checkpoint.names() {
                let _ = wait(model.checkpoint.read(name));
                let _ = wait(model.checkpoint.read_rows(name, &[1, 0]));
            }
        }
    }
}

fn real(file: &str) -> GgufModel {
    let folder = std::env::var("SAESCOPE_TEST_MODELS").expect("SAESCOPE_TEST_MODELS names a folder");
    let source = FileSource::open(PathBuf::from(folder).join(file)).unwrap();
    wait(open(Arc::new(source))).unwrap()
}

/// The texts and ids of `tests/golden/tokenizers`, against the tokenizer of the model.
fn compare_ids(model: &GgufModel, golden: &str) {
    let golden: Value = serde_json::from_str(golden).unwrap();
    let tokenizer = Tokenizer::from_bytes(model.tokenizer_json.as_ref().unwrap()).unwrap();
    let mut wrong = Vec::new();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let ids = tokenizer.encode(text, true).unwrap();
        if *ids.get_ids() != *serde_json::from_value::<Vec<u32>>(case["ids"].clone()).unwrap() {
            wrong.push(format!("{text:?}\n  expected {}\n  found    {:?}", case["ids"], ids.get_ids()));
        }
    }
    assert!(cases.len() > 30 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every weight, bit for bit, against the digest that `reference/gguf_golden.py` wrote.
fn compare_weights(model: &GgufModel, file: &str) {
    let golden: Value = serde_json::from_str(include_str!("../../../tests/golden/gguf.json")).unwrap();
    let mut sha = Hasher::new();
    for name in model.checkpoint.names() {
        sha.update(name);
        sha.update(bytemuck::cast_slice::<f32, u8>(&wait(model.checkpoint.read(name)).unwrap().data));
    }
    assert_eq!(golden[file], sha.hex());
}

/// The model with the vocabulary that is written of its tokenizer.json in place of its own.
fn written_again(model: &GgufModel) -> GgufModel {
    let Some(MetaValue::Texts(tokens)) = model.metadata.get("tokenizer.ggml.tokens") else { panic!("no tokens") };
    let mut metadata = vocabulary(model.tokenizer_json.as_ref().unwrap(), tokens.len()).unwrap();
    assert_eq!(metadata["tokenizer.ggml.tokens"], model.metadata["tokenizer.ggml.tokens"]);
    let marks = |key: &str| key.ends_with("_token_id") || key.ends_with("_bos_token") || key.ends_with("_eos_token");
    metadata.extend(model.metadata.iter().filter(|(k, _)| marks(k)).map(|(k, v)| (k.clone(), v.clone())));
    GgufModel { tokenizer_json: Some(tokenizer_json(&metadata).unwrap()), ..model.clone() }
}

#[test]
#[ignore = "needs the real GGUF: set SAESCOPE_TEST_MODELS to a folder"]
fn real_smollm2() {
    let file = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let model = real(file);
    compare_ids(&model, include_str!("../../../tests/golden/tokenizers/smollm2.json"));
    compare_ids(&written_again(&model), include_str!("../../../tests/golden/tokenizers/smollm2.json"));
    compare_weights(&model, file);
}

#[test]
#[ignore = "needs the real GGUF: set SAESCOPE_TEST_MODELS to a folder"]
fn real_gemma3() {
    let file = "gemma-3-270m-q4_k_m.gguf";
    let model = real(file);
    compare_ids(&model, include_str!("../../../tests/golden/tokenizers/gemma3.json"));
    compare_ids(&written_again(&model), include_str!("../../../tests/golden/tokenizers/gemma3.json"));
    compare_weights(&model, file);
}
