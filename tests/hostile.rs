//! Files that are made to do harm: sizes that are not there, tokenizers that blow up, data without an end,
//! texts that steer a terminal. Each ends in an error that names the file, in little memory.

use std::path::Path;
use std::process::Output;

use futures::executor::block_on;
use saescope::cli::inputs;
use saescope::model::Model;
use serde_json::{Value, json};

use crate::cli::{Run, TRIPLES, golden, model_args, with};
use crate::data::{copied_args, copy_model};
use crate::golden_models::folder;

/// Changes a JSON file.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

/// The error of opening a golden model whose config has these fields too; a null removes one.
fn opened_with(case: &str, fields: &Value) -> String {
    let run = Run::new();
    let model = copy_model(&run, case);
    edit(&model.join("config.json"), |config| {
        for (name, value) in fields.as_object().unwrap() {
            config[name] = value.clone();
        }
    });
    let files = block_on(inputs::model_files(&model, None)).unwrap();
    let text = block_on(Model::open(files)).unwrap_err().to_string();
    assert!(text.contains("config.json") && text.contains("hint:"), "{case} {fields}: {text}");
    text
}

/// What comes of the program with so many kilobytes to itself.
#[cfg(unix)]
fn within(kilobytes: u64, run: &Run, args: &[&str]) -> Output {
    let command = run.command(args);
    let mut shell = std::process::Command::new("sh");
    // arenas and stacks of threads are counted by what they might become
    shell.arg("-c").arg(format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\"")).arg(command.get_program());
    shell.args(command.get_args()).env("MALLOC_ARENA_MAX", "1").env("RAYON_NUM_THREADS", "2");
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.current_dir(run.path("")).output().unwrap()
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn a_configs_sizes_are_those_of_the_weights_or_refused() {
    let wraps = (1u64 << 61) + 6;
    let cases: [(&str, Value, &[&str]); 17] = [
        ("llama", json!({"num_hidden_layers": 1_000_000_000}), &["number of blocks: expected 5", "1000000000"]),
        ("llama", json!({"num_hidden_layers": 6}), &["number of blocks: expected 5", "found 6"]),
        ("llama", json!({"num_hidden_layers": 4}), &["more than 4", "model.layers.4.", "found 4", "other numbers"]),
        ("llama", json!({"num_hidden_layers": 0}), &["model.layers.0.", "found 0"]),
        ("llama", json!({"head_dim": 1_000_000_000_000u64}), &["self_attn.q_proj.weight", "6000000000000"]),
        (
            "llama",
            json!({"num_attention_heads": wraps, "head_dim": 8}),
            &["num_attention_heads times head_dim", "2305843009213693958 times 8"],
        ),
        ("llama", json!({"intermediate_size": u64::MAX}), &["mlp.gate_proj.weight", "18446744073709551615"]),
        (
            "llama",
            json!({"hidden_size": 1u64 << 62, "num_attention_heads": 1 << 20, "num_key_value_heads": 1}),
            &["embed_tokens.weight"],
        ),
        ("llama", json!({"max_position_embeddings": 0}), &["context", "found 0"]),
        ("llama", json!({"vocab_size": 1u64 << 60}), &["embed_tokens.weight"]),
        ("gemma2", json!({"num_hidden_layers": 1_000_000_000_000u64}), &["number of blocks: expected 5"]),
        ("gemma2", json!({"sliding_window": 0, "sliding_window_size": 0}), &["sliding_window", "found 0"]),
        ("gemma3", json!({"num_hidden_layers": 1_000_000_000_000u64, "layer_types": null}), &["expected 7"]),
        ("gemma3", json!({"head_dim": 1u64 << 40}), &["self_attn.q_proj.weight"]),
        ("gpt2", json!({"n_layer": 1_000_000_000_000u64}), &["number of blocks: expected 4"]),
        ("gpt2", json!({"n_embd": 5u64 << 60}), &["wte.weight"]),
        ("gpt2", json!({"n_positions": 1_000_000_000_000u64}), &["wpe.weight", "[1000000000000, 40]"]),
    ];
    for (case, fields, words) in cases {
        let text = opened_with(case, &fields);
        for word in words {
            assert!(text.contains(word), "{case} {fields}: no {word:?} in {text}");
        }
    }
}

#[cfg(unix)]
#[test]
fn absurd_sizes_take_no_memory() {
    let run = Run::new();
    let model = copy_model(&run, "gemma3");
    edit(&model.join("config.json"), |config| {
        config["num_hidden_layers"] = json!(1_000_000_000_000u64);
        config["layer_types"] = Value::Null;
    });
    let (data, args) = (run.write("t.json", TRIPLES), copied_args("gemma3"));
    let args = with(&["analyze"], &args, &["--dataset", &data, "--device", "cpu", "--out", "out", "--logprob"]);
    let out = within(4 << 20, &run, &args);
    let text = stderr(&out);
    assert!(out.status.code() == Some(1) && text.contains("number of blocks: expected 7"), "{text}");
}

/// A GGUF file of one block, with a key's value in place of the true one.
fn gguf(key: &str, value: u32) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let int = |key: &str, value: u32| [text(key), 4u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat();
    let sizes = [
        ("gemma2.block_count", 1),
        ("gemma2.context_length", 16),
        ("gemma2.embedding_length", 8),
        ("gemma2.feed_forward_length", 12),
        ("gemma2.attention.head_count", 2),
        ("gemma2.attention.head_count_kv", 1),
        ("gemma2.attention.key_length", 4),
    ];
    let mut keys = [text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("gemma2")].concat();
    for (name, true_value) in sizes {
        keys.extend(int(name, if name == key { value } else { true_value }));
    }
    for (name, number) in [("gemma2.attention.layer_norm_rms_epsilon", 1e-6f32), ("gemma2.rope.freq_base", 1e4)] {
        keys.extend([text(name), 6u32.to_le_bytes().to_vec(), number.to_le_bytes().to_vec()].concat());
    }
    let tensors: &[(&str, &[u64])] = &[
        ("token_embd.weight", &[8, 481]),
        ("output_norm.weight", &[8]),
        ("blk.0.attn_norm.weight", &[8]),
        ("blk.0.post_attention_norm.weight", &[8]),
        ("blk.0.ffn_norm.weight", &[8]),
        ("blk.0.post_ffw_norm.weight", &[8]),
        ("blk.0.attn_q.weight", &[8, 8]),
        ("blk.0.attn_k.weight", &[8, 4]),
        ("blk.0.attn_v.weight", &[8, 4]),
        ("blk.0.attn_output.weight", &[8, 8]),
        ("blk.0.ffn_gate.weight", &[8, 12]),
        ("blk.0.ffn_up.weight", &[8, 12]),
        ("blk.0.ffn_down.weight", &[12, 8]),
    ];
    let mut file = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((1 + sizes.len() as u64 + 2).to_le_bytes());
    file.extend(keys);
    let mut data = 0u64;
    for (name, dims) in tensors {
        file.extend(text(name));
        file.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|d| file.extend(d.to_le_bytes()));
        file.extend(0u32.to_le_bytes());
        file.extend(data.to_le_bytes());
        data = (data + dims.iter().product::<u64>() * 4).next_multiple_of(32);
    }
    file.resize(file.len().next_multiple_of(32) + data as usize, 0);
    file
}

#[test]
fn a_ggufs_sizes_are_those_of_its_tensors_or_refused() {
    let run = Run::new();
    let tokenizer = std::path::PathBuf::from(golden("gemma2", "model/tokenizer.json"));
    let open = |key: &str, value: u32| {
        let file = run.write("model.gguf", gguf(key, value));
        block_on(Model::open(block_on(inputs::model_files(Path::new(&file), Some(&tokenizer))).unwrap()))
    };
    open("", 0).unwrap();
    for (key, value, words) in [
        ("gemma2.block_count", 0x7fff_ffff, "number of blocks: expected 1"),
        ("gemma2.block_count", 2, "number of blocks: expected 1"),
        ("gemma2.attention.key_length", 0x7fff_fffe, "self_attn.q_proj.weight"),
        ("gemma2.attention.head_count", 0x7fff_ffff, "self_attn.q_proj.weight"),
        ("gemma2.feed_forward_length", 0x7fff_ffff, "mlp.gate_proj.weight"),
        ("gemma2.embedding_length", 0x7fff_ffff, "embed_tokens.weight"),
    ] {
        let text = open(key, value).unwrap_err().to_string();
        assert!(text.contains("model.gguf") && text.contains(words), "{key}: {text}");
    }
}

/// Analyses with a changed tokenizer; the tokenizer's own words of complaint, if it is refused.
fn with_tokenizer(case: &str, change: &dyn Fn(&mut Value)) -> (Option<i32>, String) {
    let run = Run::new();
    let model = copy_model(&run, case);
    edit(&model.join("tokenizer.json"), change);
    let (data, args) = (run.write("t.json", TRIPLES), copied_args(case));
    let out = run.saescope(&with(&["analyze"], &args, &["--dataset", &data, "--device", "cpu", "--out", "out"]));
    let text = stderr(&out);
    assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
    (out.status.code(), text)
}

/// A change to a tokenizer, and words of what is said of it.
type Sabotage<'a> = (&'a dyn Fn(&mut Value), &'a [&'a str]);

#[test]
fn a_tokenizer_that_breaks_its_library_is_named() {
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let cases: [Sabotage; 8] = [
        (&|t| t["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0}), &["tokens of \"The white whale"]),
        (&|t| t["model"]["continuing_subword_prefix"] = json!("#".repeat(100)), &["found"]),
        (&|t| t["model"]["continuing_subword_prefix"] = json!("#".repeat(5000)), &["may become 20004 bytes"]),
        (&|t| t["normalizer"] = replace(json!({"String": ""}), "x"), &["empty text"]),
        (
            // a trie of one unit that leads nowhere
            &|t| t["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAP////9hAA=="}),
            &["tokens of \"The white whale"],
        ),
        (
            &|t| t["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}),
            &["within its trie"],
        ),
        (&|t| t["model"]["dropout"] = json!(0.1), &["model.dropout = 0.1", "is not supported"]),
        (
            &|t| {
                let chain = vec![replace(json!({"String": "a"}), &"a".repeat(20)); 6];
                t["normalizer"] = json!({"type": "Sequence", "normalizers": chain});
            },
            &["may become", "at most 512 are accepted"],
        ),
    ];
    for (i, (change, words)) in cases.iter().enumerate() {
        let (code, text) = with_tokenizer("llama", change);
        assert!(code == Some(1) && text.contains("tokenizer.json") && text.contains("hint:"), "{i}: {text}");
        for word in *words {
            assert!(text.contains(word), "{i}: no {word:?} in {text}");
        }
    }
    // 0 leaves nothing out
    assert_eq!(with_tokenizer("llama", &|t| t["model"]["dropout"] = json!(0.0)).0, Some(0));
}

#[test]
fn a_decoder_that_breaks_leaves_the_vocabularys_words() {
    let run = Run::new();
    let model = copy_model(&run, "gemma2");
    edit(&model.join("tokenizer.json"), |t| {
        // looks for a character before the first
        t["decoder"] = json!({"type": "Strip", "content": "▁", "start": 0, "stop": 5});
    });
    let args = copied_args("gemma2");
    let out = run.saescope(&with(&["inspect", "T T"], &args, &["--device", "cpu", "--top", "2"]));
    let text = stderr(&out);
    assert!(out.status.success() && !text.contains("panicked"), "{text}");
    assert!(String::from_utf8_lossy(&out.stdout).contains("\"▁\""), "{out:?}");
}

#[cfg(unix)]
#[test]
fn files_that_are_far_too_large_are_not_read() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    for (file, most) in [("tokenizer.json", "at most 134217728 bytes"), ("config.json", "at most 16777216 bytes")] {
        let model = copy_model(&run, "llama");
        let sparse = std::fs::File::create(model.join(file)).unwrap();
        // 8 TB where the file system can, a good deal otherwise
        sparse.set_len(8 << 40).or_else(|_| sparse.set_len(8 << 30)).unwrap();
        let args = copied_args("llama");
        let args = with(&["analyze"], &args, &["--dataset", &data, "--device", "cpu", "--out", "out"]);
        let text = stderr(&within(4 << 20, &run, &args));
        assert!(text.contains(file) && text.contains(most), "{text}");
        std::fs::remove_dir_all(model).unwrap();
    }
}

#[test]
fn a_damaged_archive_is_found_by_its_checksum() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let npz = std::fs::read(golden("gemma2", "saes/layer_1/width_96/average_l0_9/params.npz")).unwrap();
    let place = run.path("layer_1/width_96/average_l0_9");
    std::fs::create_dir_all(&place).unwrap();
    let model = golden("gemma2", "model");
    let sae = format!("1={}", place.join("params.npz").display());
    let analyze = |bytes: &[u8]| {
        std::fs::write(place.join("params.npz"), bytes).unwrap();
        let args = ["analyze", "--model", &model, "--sae", &sae, "--dataset", &data, "--device", "cpu", "--out", "out"];
        let out = run.saescope(&args);
        let _ = std::fs::remove_dir_all(run.path("out"));
        (out.status.code(), stderr(&out))
    };
    assert_eq!(analyze(&npz).0, Some(0));
    for member in ["w_enc", "w_dec", "threshold"] {
        // the lowest bit of a value: still a number like any other
        let name = format!("{member}.npy");
        let at = npz.windows(name.len()).position(|w| w == name.as_bytes()).unwrap() + name.len() + 128 + 40;
        let mut damaged = npz.clone();
        damaged[at] ^= 1;
        let (code, text) = analyze(&damaged);
        assert!(
            code == Some(1) && text.contains(&format!("member {member}: expected bytes of the checksum")),
            "{text}"
        );
    }
}

#[cfg(unix)]
#[test]
fn data_without_an_end_or_without_a_beginning_is_refused() {
    let run = Run::new();
    let args = model_args("llama");
    let folder = run.path("folder.json");
    std::fs::create_dir(&folder).unwrap();
    for (path, kind) in [("/dev/zero", "a device"), (folder.to_str().unwrap(), "a folder")] {
        let words = [path, "expected a file or a pipe", kind, "hint:"];
        run.fails(&with(&["analyze"], &args, &["--dataset", path, "--device", "cpu", "--out", "out"]), 1, &words);
    }
    let pipe = run.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let data = run.write("t.json", TRIPLES);
    for (path, kind) in [("/dev/zero", "a device"), (pipe, "a pipe")] {
        let words = [path, "expected a file", kind, "hint:"];
        let tail = ["--dataset", &data, "--device", "cpu", "--out", "out", "--tokenizer", path];
        run.fails(&with(&["analyze"], &args, &tail), 1, &words);
        let sae = format!("1={path}");
        run.fails(&["analyze", "--model", &args[1], "--sae", &sae, "--dataset", &data, "--out", "out"], 1, &words);
        run.fails(&["analyze", "--model", path, "--sae", &args[3], "--dataset", &data, "--out", "out"], 1, &words);
    }
}

#[cfg(unix)]
#[test]
fn data_may_come_through_a_pipe_and_are_hashed_as_they_came() {
    let run = Run::new();
    run.write("t.json", TRIPLES);
    let args = model_args("llama");
    let args = with(&["analyze"], &args, &["--dataset", "/dev/stdin", "--device", "cpu", "--out", "out"]);
    let command = run.command(&args);
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg("cat t.json | \"$0\" \"$@\"").arg(command.get_program()).args(command.get_args());
    let out = shell.current_dir(run.path("")).env("SAESCOPE_CACHE", run.path("cache")).output().unwrap();
    assert!(out.status.success(), "{}", stderr(&out));
    let manifest: Value = serde_json::from_slice(&std::fs::read(run.path("out/manifest.json")).unwrap()).unwrap();
    let text = manifest.to_string();
    let hash = saescope::hash::sha256(TRIPLES.as_bytes());
    assert!(text.contains(&hash) && text.contains(&format!("\"bytes\":{}", TRIPLES.len())), "{text}");
}

#[cfg(unix)]
#[test]
fn a_small_parquet_file_takes_little_memory_or_is_refused() {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    let run = Run::new();
    let mut sizes = Vec::new();
    for rows in [100, 1200] {
        let texts: Vec<String> = ["p", "f", "h"].map(|c| c.repeat(1 << 20)).to_vec();
        let same = |text: &str| {
            let keys = Int32Array::from(vec![0; rows]);
            Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text])))) as ArrayRef
        };
        let columns = ["prompt", "fact", "hallucination"].into_iter().zip(&texts).map(|(n, text)| (n, same(text)));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(Default::default()))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_dictionary_page_size_limit(1 << 30);
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        let file = writer.into_inner().unwrap();
        assert!(file.len() < 140_000, "{}", file.len());
        sizes.push(run.write(&format!("{rows}.parquet"), file));
    }
    let args = model_args("llama");
    // 300 MB of text are a data set, if a strange one: texts too long for the model
    for (path, words) in [(&sizes[0], "at most 256 tokens"), (&sizes[1], "more than 1073741824 bytes of text")] {
        let tail = ["--dataset", path, "--limit", "1", "--device", "cpu", "--out", "out"];
        let out = within(5 << 20, &run, &with(&["analyze"], &args, &tail));
        let text = stderr(&out);
        assert!(out.status.code() == Some(1) && text.contains(words), "{text}");
    }
}

#[test]
fn nothing_from_a_file_steers_the_terminal_or_fills_it() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}\r\n  hint: run this";
    let long = "x".repeat(3_000_000);
    let harmless = |text: &str| {
        let steers =
            |c: char| c != '\n' && c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!text.contains(steers), "{text:?}");
        assert!(text.len() < 20_000, "{} bytes", text.len());
        text.lines().filter(|line| line.trim_start().starts_with("hint:")).count()
    };
    let configs: [&dyn Fn(&mut Value); 6] = [
        &|c| c[evil] = json!(1),
        &|c| c["model_type"] = json!(evil),
        &|c| c["model_type"] = json!(&long),
        &|c| c[&long] = json!(&long),
        &|c| c["hidden_act"] = json!(format!("{evil}{long}")),
        &|c| c["rope_scaling"] = json!({"rope_type": evil, "factor": 2.0}),
    ];
    for change in configs {
        let run = Run::new();
        let model = copy_model(&run, "llama");
        edit(&model.join("config.json"), change);
        let (data, args) = (run.write("t.json", TRIPLES), copied_args("llama"));
        let args = with(&["analyze"], &args, &["--dataset", &data, "--device", "cpu", "--out", "out"]);
        assert_eq!(harmless(&run.fails(&args, 1, &[])), 1);
    }
    // fields that are passed over with a note
    let run = Run::new();
    let model = copy_model(&run, "llama");
    edit(&model.join("config.json"), |config| config["_note"] = json!(format!("{evil}{long}")));
    let ids = json!([
        {"id": evil, "domain": evil, "prompt": "The white whale", "fact": "was", "hallucination": "is"},
        {"id": &long, "prompt": "Alice", "fact": "very long ".repeat(300), "hallucination": "went"},
    ]);
    let (data, args) = (run.write("t.json", ids.to_string()), copied_args("llama"));
    let tail = ["--dataset", &data, "--device", "cpu", "--out", "done"];
    let out = run.saescope(&with(&["analyze"], &args, &tail));
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    harmless(&stderr(&out));
    // tokens and ids as data, on stdout
    let out = run.saescope(&with(&["inspect", &format!("whale {evil}")], &args, &["--device", "cpu", "--top", "1"]));
    harmless(&String::from_utf8_lossy(&out.stdout));
    let ids = json!([{"id": evil, "prompt": "a", "fact": "b"}, {"id": evil, "prompt": "a", "fact": "b"}]);
    let data = run.write("t.json", ids.to_string());
    assert_eq!(harmless(&run.fails(&with(&["analyze"], &args, &["--dataset", &data, "--out", "none"]), 1, &[])), 1);
    // names of tensors: the header of the weights is as long as before
    let path = folder("llama").join("model/model.safetensors");
    let mut bytes = std::fs::read(path).unwrap();
    let old = b"model.layers.0.mlp.gate_proj.weight";
    let new = br"model.layers.9.\u001b[2J.proj.weight";
    let at = bytes.windows(old.len()).position(|w| w == old).unwrap();
    bytes[at..at + old.len()].copy_from_slice(&new[..old.len()]);
    std::fs::write(model.join("model.safetensors"), bytes).unwrap();
    let args = with(&["analyze"], &args, &["--dataset", &golden("llama", "texts.json"), "--out", "none"]).join("\u{0}");
    let args: Vec<&str> = args.split('\u{0}').collect();
    let text = run.fails(&args, 1, &["model.layers.9.\\u{1b}[2J"]);
    assert_eq!(harmless(&text), 1);
}
