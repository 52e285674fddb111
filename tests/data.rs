//! What users' texts, configs and columns do to a run, and what the program says of it: through the
//! program itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

use crate::cli::{Run, golden, model_args, with};
use crate::golden_models::folder;

pub(crate) fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

pub(crate) fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Rows of a Parquet file by column name.
pub(crate) fn rows(path: &Path) -> Vec<BTreeMap<String, Field>> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().get_column_iter().map(|(n, f)| (n.clone(), f.clone())).collect()).collect()
}

pub(crate) fn number(field: &Field) -> f64 {
    match field {
        Field::Double(v) => *v,
        Field::Long(v) => *v as f64,
        other => panic!("{other} is no number"),
    }
}

pub(crate) fn text(field: &Field) -> &str {
    match field {
        Field::Str(v) => v,
        other => panic!("{other} is no text"),
    }
}

fn manifest(run: &Run, out: &str) -> Value {
    serde_json::from_slice(&std::fs::read(run.path(out).join("manifest.json")).unwrap()).unwrap()
}

fn warnings(manifest: &Value) -> Vec<&str> {
    manifest["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect()
}

/// Runs `analyze` on the CPU with a golden model.
fn analyze(run: &Run, case: &str, data: &str, out: &str, more: &[&str]) -> Output {
    let args = model_args(case);
    let tail = with(&["--dataset", data, "--out", out, "--device", "cpu"], &[], more);
    let out = run.saescope(&with(&["analyze"], &args, &tail));
    assert!(out.status.success(), "{}", stderr(&out));
    out
}

/// A copy of a golden model in the run's folder.
pub(crate) fn copy_model(run: &Run, case: &str) -> std::path::PathBuf {
    let model = run.path("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(folder(case).join("model")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    model
}

/// `--model … --sae …` with the copy in place of the golden model.
pub(crate) fn copied_args(case: &str) -> Vec<String> {
    let mut args = model_args(case);
    args[1] = "./model".to_owned();
    args
}

/// A model that makes a sink of every Z: its embedding is some hundred times as long as others.
fn model_with_a_sink(run: &Run) -> Vec<String> {
    let model = copy_model(run, "llama");
    let path = model.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
    let tokenizer: Value = serde_json::from_slice(&std::fs::read(model.join("tokenizer.json")).unwrap()).unwrap();
    let id = tokenizer["model"]["vocab"]["Z"].as_u64().unwrap() as usize;
    let entry = &header["model.embed_tokens.weight"];
    let width = entry["shape"][1].as_u64().unwrap() as usize * 4;
    let at = 8 + header_len + entry["data_offsets"][0].as_u64().unwrap() as usize + id * width;
    for value in bytes[at..at + width].chunks_mut(4) {
        value.copy_from_slice(&500f32.to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    copied_args("llama")
}

#[test]
fn attention_sinks_are_told_flagged_and_kept_from_condemning_the_sae() {
    let run = Run::new();
    let args = model_with_a_sink(&run);
    let triples = json!([
        {"id": "a", "prompt": "Z", "fact": "called", "hallucination": "peeped"},
        {"id": "b", "prompt": "Alice peeped", "fact": "into the book", "hallucination": "into the hole"},
        {"id": "c", "prompt": "The white whale", "fact": "was called", "hallucination": "was Z"},
    ]);
    let data = run.write("t.json", triples.to_string());
    let mut first = None;
    for size in ["1", "100"] {
        let tail = ["--dataset", &data, "--out", size, "--device", "cpu", "--batch-size", size, "--run-id", "same"];
        let out = run.saescope(&with(&["analyze"], &args, &tail));
        let said = stderr(&out);
        assert!(out.status.success(), "{said}");
        let prompts = "WARNING: 1 of 3 prompts end at an attention sink of layer";
        assert!(said.contains(prompts) && said.contains("centroid_drift and axis_twist"), "{said}");
        assert!(said.contains("of 6 fact and hallucination texts 1 at layer"), "{said}");
        assert!(!said.contains("does not fit"), "{said}");
        let bytes = std::fs::read(run.path(size).join("metrics.parquet")).unwrap();
        assert!(*first.get_or_insert(bytes.clone()) == bytes, "batch size {size} gives other bytes");
    }
    let written = manifest(&run, "1");
    assert!(warnings(&written).iter().any(|w| w.contains("prompts end at an attention sink")), "{written}");
    let health = &written["sae_health"][0];
    assert_eq!((health["texts"].as_u64(), health["sinks"].as_u64()), (Some(5), Some(1)));
    let median = health["median_norm"].as_f64().unwrap();

    let rows = rows(&run.path("1").join("metrics.parquet"));
    let sink = |i: usize| rows[i]["prompt_is_sink"] == Field::Bool(true);
    assert_eq!((sink(0), sink(1), sink(2)), (true, false, false));
    let layer = written["layers"][0].as_u64().unwrap();
    let norm = |i: usize, text: &str| number(&rows[i][&format!("l{layer}_{text}_residual_norm")]);
    assert!(norm(0, "prompt") > 2.0 * median && norm(2, "hall") > 2.0 * median);
    assert!(norm(1, "prompt") <= 2.0 * median && norm(2, "fact") <= 2.0 * median);

    let out = run.saescope(&with(&["inspect", "calledZ"], &args, &["--device", "cpu"]));
    let said = stdout(&out);
    assert!(out.status.success(), "{}", stderr(&out));
    assert!(said.contains("\"Z\"*") && said.contains("tokens at an attention sink (*): residual norm up to"), "{said}");
    assert!(said.contains("the last token is an attention sink here"), "{said}");
    let said = stdout(&run.saescope(&with(&["inspect", "Alice peeped"], &args, &["--device", "cpu"])));
    assert!(said.contains("active features of") && !said.contains("attention sink"), "{said}");
}

#[test]
fn white_space_at_the_join_is_told_and_another_join_is_recorded() {
    let run = Run::new();
    let triples = |space: &str, before: &str| {
        json!([
            {"id": "a", "prompt": format!("The white whale{space}"), "fact": "was called", "hallucination": "was it"},
            {"id": "b", "prompt": format!("Alice peeped{space}"), "fact": "into", "hallucination": format!("{before}out")},
        ])
        .to_string()
    };
    let (plain, spaced, uneven) = (
        run.write("plain.json", triples("", "")),
        run.write("spaced.json", triples(" ", "")),
        run.write("uneven.json", triples("", " ")),
    );
    let out = analyze(&run, "llama", &plain, "plain", &[]);
    assert!(!stderr(&out).contains("white space"), "{}", stderr(&out));
    assert_eq!(manifest(&run, "plain")["dataset"]["join"], " ");

    let out = analyze(&run, "llama", &spaced, "doubled", &[]);
    let said = stderr(&out);
    assert_eq!(said.matches("WARNING: white space meets white space").count(), 1, "{said}");
    assert!(said.contains("2 of 2 prompts end with it") && said.contains("--join \"\""), "{said}");
    let written = manifest(&run, "doubled");
    assert!(warnings(&written).iter().any(|w| w.contains("2 of 2 prompts end with it")), "{written}");

    let said = stderr(&analyze(&run, "llama", &uneven, "uneven", &[]));
    assert!(said.contains("1 hallucinations begin with it; in 1 samples on one side only"), "{said}");

    // joined as they are, the texts of fact and hallucination are those of the plain file
    let out = analyze(&run, "llama", &spaced, "joined", &["--join", ""]);
    assert!(!stderr(&out).contains("white space"), "{}", stderr(&out));
    assert_eq!(manifest(&run, "joined")["dataset"]["join"], "");
    let (plain, joined, doubled) = (
        rows(&run.path("plain/metrics.parquet")),
        rows(&run.path("joined/metrics.parquet")),
        rows(&run.path("doubled/metrics.parquet")),
    );
    for (plain, joined) in plain.iter().zip(&joined) {
        for (name, value) in plain.iter().filter(|(n, _)| n.contains("_fact_") && n.starts_with('l')) {
            assert!(value == &joined[name] || name.contains("explained_variance"), "{name}");
        }
    }
    assert!(number(&doubled[0]["n_tokens_fact"]) > number(&plain[0]["n_tokens_fact"]));
}

#[test]
fn a_fact_that_is_its_hallucination_is_told() {
    let run = Run::new();
    let triples = json!([
        {"id": "a", "prompt": "The white whale", "fact": "was called", "hallucination": "was called"},
        {"id": "b", "prompt": "Alice peeped", "fact": "into", "hallucination": "out"},
    ]);
    let data = run.write("t.json", triples.to_string());
    let said = stderr(&analyze(&run, "llama", &data, "out", &[]));
    assert!(said.contains("WARNING: 1 of 2 samples have the same text as fact and as hallucination"), "{said}");
    assert!(warnings(&manifest(&run, "out")).iter().any(|w| w.contains("1 of 2 samples have the same text")));
}

#[test]
fn folders_that_transformers_saves_today_run_with_the_same_numbers() {
    for case in ["gemma2", "gemma3", "llama", "gpt2"] {
        let run = Run::new();
        let texts = golden(case, "texts.json");
        analyze(&run, case, &texts, "before", &["--limit", "3", "--run-id", "same"]);
        let model = copy_model(&run, case);
        let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/configs/{case}.json"));
        let mut config: Value = serde_json::from_slice(&std::fs::read(saved).unwrap()).unwrap();
        config["_name_or_path"] = json!("org/name");
        config["_model_name_or_path"] = json!("org/name");
        config["_experts_implementation"] = Value::Null;
        std::fs::write(model.join("config.json"), config.to_string()).unwrap();
        let tail = ["--dataset", &texts, "--limit", "3", "--out", "after", "--device", "cpu", "--run-id", "same"];
        let out = run.saescope(&with(&["analyze"], &copied_args(case), &tail));
        let said = stderr(&out);
        assert!(out.status.success(), "{case}: {said}");
        assert!(said.contains("note: config field _model_name_or_path = \"org/name\": private"), "{said}");
        assert!(!said.contains("_experts_implementation") && !said.contains(" _name_or_path"), "{said}");
        let ignored = &manifest(&run, "after")["model"]["ignored_config_fields"];
        assert_eq!(ignored[0]["name"], "_model_name_or_path");
        assert_eq!((ignored[0]["asked"].as_bool(), ignored.as_array().unwrap().len()), (Some(false), 1));
        let bytes = |out: &str| std::fs::read(run.path(out).join("metrics.parquet")).unwrap();
        assert!(bytes("before") == bytes("after"), "{case}: other numbers");
    }
}

#[test]
fn an_unknown_config_field_passes_on_the_users_word_alone() {
    let run = Run::new();
    let model = copy_model(&run, "llama");
    let path = model.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap().replacen('{', "{\"logit_scale\": 0.5,", 1);
    std::fs::write(&path, text).unwrap();
    let args = copied_args("llama");
    let texts = golden("llama", "texts.json");
    let tail = ["--dataset", texts.as_str(), "--limit", "2", "--out", "out", "--device", "cpu"];
    let said =
        run.fails(&with(&["analyze"], &args, &tail), 1, &["logit_scale = 0.5", "--ignore-config-field logit_scale"]);
    assert!(!said.contains("remove it"), "{said}");
    // a field that is read cannot be ignored, nor one that is not there
    for name in ["rope_theta", "logit_scal"] {
        let ignore = with(&tail, &[], &["--ignore-config-field", "logit_scale", "--ignore-config-field", name]);
        run.fails(&with(&["analyze"], &args, &ignore), 2, &[name, "no unread field", "hint:"]);
    }
    let ignore = with(&tail, &[], &["--ignore-config-field", "logit_scale"]);
    let out = run.saescope(&with(&["analyze"], &args, &ignore));
    assert!(out.status.success(), "{}", stderr(&out));
    let written = manifest(&run, "out");
    assert_eq!(
        written["model"]["ignored_config_fields"][0],
        json!({"name": "logit_scale", "value": "0.5", "asked": true})
    );
    assert!(warnings(&written).iter().any(|w| w.contains("logit_scale = 0.5 was ignored on request")), "{written}");
}

/// The same two rows with other names and without ids, in every format.
fn halu_eval(run: &Run) -> Vec<String> {
    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use std::sync::Arc;
    let questions = ["The white whale", "Alice peeped"];
    let (right, wrong) = (["was called", "into"], ["was it", "out"]);
    let objects: Vec<Value> = (0..2)
        .map(|i| json!({"question": questions[i], "right_answer": right[i], "hallucinated_answer": wrong[i], "n": i}))
        .collect();
    let lines: String = objects.iter().map(|o| format!("{o}\n")).collect();
    let csv: String = (0..2).map(|i| format!("{},{},{},{i}\n", questions[i], right[i], wrong[i])).collect();
    let column = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("question", column(questions)),
        ("right_answer", column(right)),
        ("hallucinated_answer", column(wrong)),
    ])
    .unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    vec![
        run.write("h.json", Value::from(objects).to_string()),
        run.write("h.jsonl", lines),
        run.write("h.csv", format!("question,right_answer,hallucinated_answer,n\n{csv}")),
        run.write("h.parquet", writer.into_inner().unwrap()),
    ]
}

#[test]
fn columns_under_other_names_are_listed_and_can_be_mapped() {
    const MAPPING: &str = "prompt=question,fact=right_answer,hallucination=hallucinated_answer";
    let run = Run::new();
    let args = model_args("llama");
    let mut first = None;
    for path in halu_eval(&run) {
        let said = run.fails(
            &with(&["analyze"], &args, &["--dataset", &path, "--out", "out"]),
            1,
            &["found \"question\", \"right_answer\", \"hallucinated_answer\"", &format!("--columns {MAPPING}")],
        );
        assert!(said.lines().count() < 5, "{said}");
        let name = Path::new(&path).extension().unwrap().to_str().unwrap();
        let out = analyze(&run, "llama", &path, name, &["--columns", MAPPING, "--run-id", "same"]);
        assert!(stderr(&out).contains("has no ids"), "{}", stderr(&out));
        let written = manifest(&run, name);
        assert_eq!((&written["dataset"]["columns"], &written["dataset"]["made_ids"]), (&json!(MAPPING), &json!(true)));
        let metrics = std::fs::read(run.path(name).join("metrics.parquet")).unwrap();
        assert!(*first.get_or_insert(metrics.clone()) == metrics, "{path}: other numbers");
        let ids: Vec<String> =
            rows(&run.path(name).join("metrics.parquet")).iter().map(|r| text(&r["sample_id"]).to_owned()).collect();
        assert_eq!(ids, ["row-000001", "row-000002"]);
    }
    // two files without ids stay apart
    let merged = ["--dataset", "h.json", "--dataset", "h.csv", "--columns", MAPPING, "--out", "two", "--device", "cpu"];
    let out = run.saescope(&with(&["analyze"], &args, &merged));
    assert!(out.status.success(), "{}", stderr(&out));
    let ids: Vec<String> =
        rows(&run.path("two/metrics.parquet")).iter().map(|r| text(&r["sample_id"]).to_owned()).collect();
    assert_eq!(ids, ["file1-row-000001", "file1-row-000002", "file2-row-000001", "file2-row-000002"]);
    let out = run.saescope(&["analyze", "--columns", "question=prompt"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("is prompt=question meant?"), "{}", stderr(&out));
}

#[test]
fn one_fault_of_many_rows_is_one_line() {
    let run = Run::new();
    let good = json!({"id": "good", "prompt": "p", "fact": "f", "hallucination": "h"});
    let mut all: Vec<Value> = (0..748).map(|i| json!({"id": i, "prompt": "p", "fact": "f"})).collect();
    all.push(good);
    let data = run.write("t.json", Value::from(all).to_string());
    let args = model_args("llama");
    let said = run.fails(
        &with(&["analyze"], &args, &["--dataset", &data, "--out", "out"]),
        1,
        &["748 rows: hallucination is missing: line 1 (row 1), id \"0\"", "and 745 more", "--skip-invalid"],
    );
    assert_eq!(said.matches("is missing").count(), 1, "{said}");
    let said = stderr(&analyze(&run, "llama", &data, "skipped", &["--skip-invalid"]));
    assert!(said.contains("748 of 749 rows cannot be used") && said.matches("is missing").count() == 1, "{said}");
}

#[test]
fn a_limit_takes_from_every_domain_by_the_seed() {
    let run = Run::new();
    let words = ["whale", "Alice", "book", "hole"];
    let all: Vec<Value> = (0..12)
        .map(|i| {
            let (domain, word) = (["x", "y", "z"][i / 4], words[i % 4]);
            json!({"id": format!("{i:02}"), "domain": domain, "prompt": format!("The {word}"), "fact": "was", "hallucination": "is"})
        })
        .collect();
    let data = run.write("t.json", Value::from(all).to_string());
    let part = |out: &str, seed: &str| -> Vec<(String, String)> {
        analyze(&run, "llama", &data, out, &["--limit", "6", "--seed", seed]);
        rows(&run.path(out).join("metrics.parquet"))
            .iter()
            .map(|r| (text(&r["sample_id"]).to_owned(), text(&r["domain"]).to_owned()))
            .collect()
    };
    let (zero, again, other) = (part("a", "0"), part("b", "0"), part("c", "1"));
    let domains: Vec<&str> = zero.iter().map(|(_, domain)| domain.as_str()).collect();
    assert_eq!(domains, ["x", "x", "y", "y", "z", "z"]);
    assert!(zero.is_sorted());
    assert_eq!(zero, again);
    assert_ne!(zero, other);
}

#[test]
fn verify_says_what_matters_first() {
    let run = Run::new();
    let args = model_args("llama");
    let texts = golden("llama", "texts.json");
    let verify = |more: &[&str]| {
        let tail = with(&["--dataset", &texts, "--device", "cpu"], &[], more);
        let out = run.saescope(&with(&["verify"], &args, &tail));
        (out.status.code(), stdout(&out))
    };
    let (code, said) = verify(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("largest difference 0.00e0, tolerance 1e-6: ") && said.lines().count() == 1, "{said}");
    let (code, said) = verify(&["--all"]);
    assert_eq!(code, Some(0));
    assert!(said.lines().count() > 90 && said.contains("centroid_drift_fact "), "{said}");
}

#[test]
fn a_declared_l0_that_was_a_sum_in_f32_is_said_as_it_was_meant() {
    let run = Run::new();
    copy_model(&run, "llama");
    let folder = run.path("saes/layer_2");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["cfg.json", "sae_weights.safetensors"] {
        std::fs::copy(golden("llama", &format!("saes/layer_2/{name}")), folder.join(name)).unwrap();
    }
    let path = folder.join("cfg.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["metadata"]["l0"] = json!(90.00000762939453);
    std::fs::write(&path, config.to_string()).unwrap();
    let texts = golden("llama", "texts.json");
    let args = ["analyze", "--model", "model", "--sae", "2=saes/layer_2", "--dataset", &texts, "--device", "cpu"];
    let out = run.saescope(&[&args[..], &["--limit", "4", "--out", "out"]].concat());
    let said = stderr(&out);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("declares 90:"), "{said}");
    assert!(warnings(&manifest(&run, "out")).iter().any(|w| w.contains("declares 90:")));
}

#[test]
fn health_shows_progress_and_how_sure_it_is() {
    let run = Run::new();
    let args = model_args("llama");
    let triples: Vec<Value> = serde_json::from_slice(&std::fs::read(golden("llama", "texts.json")).unwrap()).unwrap();
    let lines: Vec<String> = triples
        .iter()
        .map(|t| format!("{} {}", t["prompt"].as_str().unwrap(), t["fact"].as_str().unwrap()).replace('\n', " "))
        .filter(|line| !line.trim().is_empty() && !line.starts_with('{'))
        .collect();
    let file = run.write("text.txt", lines.join("\n"));
    let health = |more: &[&str]| {
        let tail = with(&["--text", &file, "--device", "cpu"], &[], more);
        let out = run.saescope(&with(&["health"], &args, &tail));
        assert!(out.status.success(), "{}", stderr(&out));
        out
    };
    let out = health(&["--ce-texts", "4"]);
    let (said, told) = (stdout(&out), stderr(&out));
    assert!(told.contains(" passages | ") && told.contains("passages/s | ETA"), "{told}");
    assert!(said.contains(&format!("in 4 of {} passages, drawn at random (seed 0)", lines.len())), "{said}");
    assert!(said.contains("recovered from mean") && said.contains("recovered from zero"), "{said}");
    let last = said.lines().last().unwrap();
    assert_eq!(last.matches(" % [").count(), 2, "an interval for each floor: {said}");
    for interval in last.split(" % [").skip(1) {
        let (low, high) = interval.split_once(']').unwrap().0.split_once(", ").unwrap();
        assert!(low.parse::<f64>().unwrap() <= high.parse::<f64>().unwrap(), "{last}");
    }
    assert_eq!(said, stdout(&health(&["--ce-texts", "4"])));
    let other = stdout(&health(&["--ce-texts", "4", "--seed", "1"]));
    assert_ne!(said.replace("seed 0", ""), other.replace("seed 1", ""), "other passages");
    assert!(!stdout(&health(&["--ce-texts", "0"])).contains("recovered"));
}
