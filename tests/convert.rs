//! Quantised models: on reading and through a file the numbers are the same, near those of the model as it is, and
//! what cannot be quantised or described is refused before anything is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use saescope::checkpoint::gguf::{self, HUGGING_FACE_TOKENIZER, MetaValue};
use saescope::model::TextTokenizer;
use saescope::platform::MemorySource;

use crate::cli::{Run, TRIPLES, golden, model_args, with};

/// A copy of a golden model in `run`, with fields of its config replaced, and the arguments that name it and its SAEs.
fn copied(run: &Run, case: &str, fields: serde_json::Value) -> Vec<String> {
    let (from, to) = (PathBuf::from(golden(case, "model")), run.path(case));
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let config = to.join("config.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    for (name, field) in fields.as_object().unwrap() {
        value[name] = field.clone();
    }
    std::fs::write(&config, value.to_string()).unwrap();
    // cases without SAEs take those of another of their width
    let saes = match case {
        "gemma2_bf16" => "gemma2",
        "llama3_sharded_bf16" => "llama",
        other => other,
    };
    let mut args = model_args(saes);
    args[1] = to.display().to_string();
    args
}

/// A golden model that a GGUF file can describe. llama.cpp knows Gemma's scale of attention scores by the head's
/// size; the golden ones have another.
fn describable(run: &Run, case: &str) -> Vec<String> {
    let fields = if case.starts_with("gemma") {
        serde_json::json!({"query_pre_attn_scalar": 16})
    } else {
        serde_json::json!({})
    };
    copied(run, case, fields)
}

fn succeeds(run: &Run, args: &[&str]) -> String {
    let out = run.saescope(args);
    assert!(out.status.success(), "{args:?}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn analyzed(run: &Run, model: &[String], data: &str, out: &str, more: &[&str]) {
    let args = with(&["analyze"], model, &["--dataset", data, "--device", "cpu", "--logprob", "--out", out]);
    succeeds(run, &[&args[..], more].concat());
}

fn manifest(run: &Run, out: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(run.path(out).join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_model_quantised_as_it_is_read_gives_the_numbers_of_its_converted_file() {
    // gemma2: all matrices; llama and gpt2: those whose rows are whole blocks, llama3's in shards of bf16
    for case in ["gemma2", "gemma2_bf16", "gemma3", "llama", "llama3_sharded_bf16", "gpt2"] {
        for quantize in ["q8", "q4"] {
            let run = Run::new();
            let data = run.write("t.json", TRIPLES);
            let model = describable(&run, case);
            let converted = succeeds(&run, &["convert", &model[1], "--quantize", quantize, "--out", "quantised"]);
            let converted = converted.trim();
            let kind = if quantize == "q8" { "Q8_0" } else { "Q4_K" };
            assert_eq!(converted, format!("quantised/{case}-{kind}.gguf"));
            let size = |path: &Path| std::fs::metadata(path).unwrap().len();
            assert!(size(&run.path(converted)) > 0);
            let file = [vec!["--model".to_owned(), converted.to_owned()], model[2..].to_vec()].concat();
            analyzed(&run, &file, &data, "file", &[]);
            analyzed(&run, &model, &data, "reading", &["--quantize", quantize]);
            let said = succeeds(&run, &["compare", "reading", "file", "--tolerance", "0", "--jaccard", "1", "--all"]);
            assert!(said.contains("metrics: 0 of"), "{case} {quantize}: {said}");
            assert!(said.contains(&format!("quantised on reading: {quantize} -> none")), "{said}");
            let [reading, file] = ["reading", "file"].map(|out| manifest(&run, out)["model"].clone());
            assert_eq!(reading["quantized"], quantize);
            assert_eq!(file["quantized"], serde_json::Value::Null);
            assert_eq!(reading["quantization"], file["quantization"], "{case}");
            // no row of the tiny models is of 256 values
            let stored = if quantize == "q8" { "Q8_0" } else { "Q5_0" };
            assert!(reading["quantization"].as_str().unwrap().contains(stored), "{reading}");
            // a folder with the file alone is a model too
            let folder = [vec!["--model".to_owned(), "quantised".to_owned()], model[2..].to_vec()].concat();
            analyzed(&run, &folder, &data, "folder", &[]);
            // quantising takes something
            analyzed(&run, &model, &data, "plain", &[]);
            let said = succeeds(&run, &["compare", "plain", "file"]);
            assert!(!said.contains("metrics: 0 of"), "{case} {quantize}: {said}");
        }
    }
}

/// Texts of every kind that a tokenizer may trip over.
const AWKWARD: [&str; 8] = [
    "",
    "  two  spaces, a\ttab\nand \r\n lines\n\n\n",
    "I'm sure they'LL've; 'quoted'",
    "1234567 3.14 ½ ４２",
    "naïve e\u{301} Ελλάδα 日本語 العربية हिन्दी",
    "👩‍👩‍👧‍👦🇫🇷 ∑∫ → \u{0}\u{7f}\u{feff}",
    "<bos><eos><|endoftext|> <unk> <0x0A> ▁ Ġ",
    "camelCase snake_case https://example.org/?a=b&c=%20",
];

#[test]
fn a_converted_file_has_the_vocabulary_that_llama_cpp_reads_texts_with() {
    for (case, model, pre) in [
        ("gemma2", "llama", "default"),
        ("gemma3", "llama", "default"),
        ("llama", "gpt2", "llama-bpe"),
        ("llama3_sharded_bf16", "gpt2", "smollm"),
        ("gpt2", "gpt2", "gpt-2"),
    ] {
        let run = Run::new();
        let args = describable(&run, case);
        let out = run.saescope(&["convert", &args[1], "--quantize", "q8", "--out", "out.gguf"]);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && !said.contains("WARNING"), "{case}: {said}");
        let bytes = std::fs::read(run.path("out.gguf")).unwrap();
        let file = block_on(gguf::open(Arc::new(MemorySource::new("out.gguf", bytes)))).unwrap();
        let mut metadata = file.metadata;
        // what llama.cpp does not read
        assert!(metadata.remove(HUGGING_FACE_TOKENIZER).is_some());
        let said = |key: &str| metadata.get(&format!("tokenizer.ggml.{key}"));
        let text = |text: &str| Some(MetaValue::Text(text.to_owned()));
        assert_eq!((said("model").cloned(), said("pre").cloned()), (text(model), text(pre)), "{case}");
        let config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(Path::new(&args[1]).join("config.json")).unwrap()).unwrap();
        for mark in ["bos_token_id", "eos_token_id"] {
            assert_eq!(said(mark), Some(&MetaValue::Int(config[mark].as_i64().unwrap())), "{case}: {mark}");
        }
        let Some(MetaValue::Texts(tokens)) = said("tokens") else { panic!("{case}: no tokens") };
        let Some(MetaValue::Ints(types)) = said("token_type") else { panic!("{case}: no types") };
        assert_eq!((tokens.len() as u64, types.len()), (config["vocab_size"].as_u64().unwrap(), tokens.len()));
        let list = if model == "llama" { "scores" } else { "merges" };
        assert!(matches!(said(list), Some(MetaValue::Floats(_) | MetaValue::Texts(_))), "{case}");

        // read back, it is the tokenizer of the folder
        let golden = crate::golden_models::load(case).model;
        let family = golden.architecture.family();
        let json = gguf::tokenizer_json(&metadata).unwrap();
        let read = TextTokenizer::new("out.gguf", &json, family, golden.tokenizer.bos_id()).unwrap();
        let mut tokens = 0;
        for text in AWKWARD {
            let ids = golden.tokenizer.encode(text).unwrap();
            assert_eq!(read.encode(text).unwrap(), ids, "{case}: {text:?}");
            tokens += ids.len();
        }
        assert!(tokens > 100, "{case}: {tokens}");
    }
}

#[test]
fn a_vocabulary_that_would_give_other_tokens_is_not_written_and_that_is_said() {
    let unlike = |what: fn(&mut serde_json::Value), words: &str| {
        let run = Run::new();
        let args = describable(&run, "gpt2");
        let path = Path::new(&args[1]).join("tokenizer.json");
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        what(&mut json);
        std::fs::write(&path, json.to_string()).unwrap();
        let out = run.saescope(&["convert", &args[1], "--quantize", "q8", "--out", "out.gguf"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && said.contains("WARNING") && said.contains(words), "{words}: {said}");
        let bytes = std::fs::read(run.path("out.gguf")).unwrap();
        let file = block_on(gguf::open(Arc::new(MemorySource::new("out.gguf", bytes)))).unwrap();
        assert!(!file.metadata.contains_key("tokenizer.ggml.tokens"));
        // this program reads it all the same
        assert_eq!(file.tokenizer_json.as_deref(), Some(json.to_string().as_bytes()));
    };
    unlike(|json| json["pre_tokenizer"]["use_regex"] = false.into(), "splits texts");
    unlike(|json| json["normalizer"] = serde_json::json!({"type": "Lowercase"}), "changes texts");
    unlike(|json| json["model"]["ignore_merges"] = true.into(), "whole words");
    unlike(|json| json["added_tokens"][0]["lstrip"] = true.into(), "takes the spaces");
}

/// The tiny models are random: their features lie nearer to their thresholds than a trained model's.
#[test]
fn eight_bits_keep_the_active_features_and_four_most_of_them() {
    for (case, q8, q4) in [("gemma2", "0.95", "0.6"), ("gemma3", "0.95", "0.6")] {
        let run = Run::new();
        let data = golden(case, "texts.json");
        let model = model_args(case);
        analyzed(&run, &model, &data, "plain", &[]);
        for (quantize, least) in [("q8", q8), ("q4", q4)] {
            analyzed(&run, &model, &data, quantize, &["--quantize", quantize]);
            let said = run.saescope(&["compare", "plain", quantize, "--jaccard", least]);
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.status.success(), "{case} {quantize} below {least}:\n{text}");
            assert!(text.contains(&format!("quantised on reading: none -> {quantize}")), "{text}");
        }
    }
}

#[test]
fn parts_of_a_run_are_quantised_alike() {
    let run = Run::new();
    let data = golden("gemma2", "texts.json");
    let model = model_args("gemma2");
    let part = |shard: &'static str, out: &'static str| ["--shard", shard, "--run-id", "mine", "--out", out];
    for (shard, out, more) in [("1/2", "one", &["--quantize", "q8"][..]), ("2/2", "two", &[][..])] {
        let args = with(&["analyze"], &model, &["--dataset", &data, "--device", "cpu"]);
        let out = run.saescope(&[&args[..], &part(shard, out)[..], more].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    run.fails(&["merge", "one", "two", "--out", "out"], 1, &["--quantize", "q8"]);
}

#[test]
fn what_cannot_be_converted_is_refused_and_nothing_is_left() {
    let run = Run::new();
    let golden_scale = golden("gemma2", "model");
    let q8 = ["--quantize", "q8", "--out", "out"];
    let convert = |model: &str, status: i32, words: &[&str]| {
        run.fails(&[&["convert", model][..], &q8].concat(), status, &[&["hint:"][..], words].concat());
    };
    convert(&golden_scale, 1, &["attention", "gemma2", "--quantize"]);
    convert("no-such-model", 1, &["no-such-model"]);
    let mamba = copied(&run, "llama", serde_json::json!({"model_type": "mamba"}));
    convert(&mamba[1], 1, &["mamba", "llama"]);
    // an activation that no GGUF file of the family says
    let gelu = copied(&run, "gpt2", serde_json::json!({"activation_function": "relu"}));
    convert(&gelu[1], 1, &["activation", "GGUF"]);
    // truncated weights
    let cut = copied(&run, "gemma3", serde_json::json!({"query_pre_attn_scalar": 16}));
    let weights = Path::new(&cut[1]).join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 100]).unwrap();
    convert(&cut[1], 1, &["model.safetensors"]);
}

#[test]
fn what_is_quantised_already_is_not_quantised_again_unasked() {
    let run = Run::new();
    let model = describable(&run, "gemma2");
    succeeds(&run, &["convert", &model[1], "--quantize", "q8", "--out", "q8.gguf"]);
    run.fails(&["convert", "q8.gguf", "--quantize", "q8", "--out", "out"], 1, &["already", "hint:"]);
    run.fails(&["convert", "q8.gguf", "--quantize", "q4", "--out", "out"], 1, &["Q8_0 already", "--allow-requantize"]);
    let again = ["convert", "q8.gguf", "--quantize", "q4", "--allow-requantize", "--out", "q4.gguf"];
    succeeds(&run, &again);
    let data = run.write("t.json", TRIPLES);
    let file = |name: &str| [vec!["--model".to_owned(), name.to_owned()], model[2..].to_vec()].concat();
    let unasked = with(&["analyze"], &model[2..], &["--model", "q8.gguf", "--dataset", &data, "--quantize", "q4"]);
    run.fails(&[&unasked[..], &["--device", "cpu", "--out", "out"]].concat(), 1, &["Q8_0 already"]);
    // embeddings, norms and vocabulary are those of the file, to the byte; so are the numbers of both ways
    analyzed(&run, &file("q4.gguf"), &data, "file", &[]);
    analyzed(&run, &file("q8.gguf"), &data, "reading", &["--quantize", "q4", "--allow-requantize"]);
    let said = succeeds(&run, &["compare", "reading", "file", "--tolerance", "0", "--jaccard", "1"]);
    assert!(said.contains("metrics: 0 of"), "{said}");
}

#[test]
fn a_file_that_is_there_is_kept_and_a_bad_place_is_named() {
    let run = Run::new();
    let model = describable(&run, "gemma2");
    let kept = run.write("kept.gguf", "old");
    run.fails(&["convert", &model[1], "--quantize", "q8", "--out", "kept.gguf"], 2, &["kept.gguf", "--force"]);
    // fails while it is written: a tensor with a value that is none
    let broken = copied(&run, "gemma3", serde_json::json!({"query_pre_attn_scalar": 16}));
    let weights = Path::new(&broken[1]).join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&weights, bytes).unwrap();
    let args = ["convert", &broken[1], "--quantize", "q8", "--out", "kept.gguf", "--force"];
    run.fails(&args, 1, &["finite", "model.safetensors"]);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "old");
    let left = |run: &Run| {
        let names = std::fs::read_dir(run.path("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".partial")).count()
    };
    assert_eq!(left(&run), 0);
    run.fails(
        &["convert", &model[1], "--quantize", "q8", "--out", "kept.gguf/below"],
        1,
        &["kept.gguf/below", "hint:"],
    );
    std::fs::create_dir_all(run.path("place/gemma2-Q8_0.gguf")).unwrap();
    run.fails(&["convert", &model[1], "--quantize", "q8", "--out", "place", "--force"], 2, &["is a folder"]);
    succeeds(&run, &["convert", &model[1], "--quantize", "q8", "--out", "kept.gguf", "--force"]);
    assert!(std::fs::read(&kept).unwrap().starts_with(b"GGUF"));
    assert_eq!(left(&run), 0);
}
