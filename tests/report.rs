//! `report`: a run as one document, from the command line.

use std::path::Path;

use crate::cli::{Run, golden, model_args, with};
use crate::durable::manifest;
use crate::statistics::{WORDS, distinct, finished};

/// A finished run of a tiny model in `name`.
fn analyze(run: &Run, name: &str) {
    let texts = golden("llama", "texts.json");
    let tail = ["--dataset", &texts, "--device", "cpu", "--out", name];
    let done = run.saescope(&with(&["analyze"], &model_args("llama"), &tail));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The command must fail with this status and these words, and leave `file` as it was.
#[track_caller]
fn refused(run: &Run, args: &[&str], status: i32, words: &[&str], file: &str) {
    let before = std::fs::read(run.path(file)).ok();
    let done = run.saescope(args);
    let text = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(status), "{args:?}\n{text}");
    for word in words.iter().chain(&["hint:"]) {
        assert!(text.contains(word), "{args:?}: no {word:?} in\n{text}");
    }
    assert!(done.stdout.is_empty() && !text.contains("panicked"), "{text}");
    assert_eq!(std::fs::read(run.path(file)).ok(), before, "{args:?} changed {file}");
}

/// Nothing aside was left in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_report_is_one_file_beside_the_run_or_where_it_is_wanted() {
    let run = Run::new();
    analyze(&run, "a");
    let done = run.saescope(&["report", "a"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("one file with the run in it"), "{said}");
    let path = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    assert_eq!(Path::new(&path), Path::new("a").join("report.html"));
    let document = std::fs::read_to_string(run.path(&path)).unwrap();
    assert!(document.starts_with("<!doctype html>") && document.trim_end().ends_with("</html>"));
    for (file, times) in [
        ("metrics.parquet", 1),
        // its comparisons are there
        ("features.parquet", 0),
        ("stats.parquet", 1),
        ("stats_features.parquet", 1),
        ("manifest.json", 1),
    ] {
        assert_eq!(document.matches(&format!("data-file=\"{file}\"")).count(), times, "{file}");
    }
    assert!(document.contains(concat!("data-writer=\"saescope ", env!("CARGO_PKG_VERSION"))));
    assert_eq!(
        names(&run.path("a")),
        [
            "features.parquet",
            "manifest.json",
            "metrics.parquet",
            "report.html",
            "stats.parquet",
            "stats_features.parquet"
        ]
    );

    // the same run gives the same bytes, wherever it is written, in a folder that is made for it
    let done = run.saescope(&["report", "a", "--out", "paper/supplement.html"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(std::fs::read_to_string(run.path("paper/supplement.html")).unwrap(), document);
    assert_eq!(names(&run.path("paper")), ["supplement.html"]);
}

/// Labels of every feature of a run's SAEs, as an export has them.
fn labels(run: &Run, out: &str) -> String {
    let manifest = manifest(&run.path(out));
    let layers = manifest["layers"].as_array().unwrap().iter();
    let line = |(layer, feature): (&serde_json::Value, usize)| {
        let label = format!("names of animals and of places in stories of the sea, number {feature}");
        let line = serde_json::json!({"modelId": "tiny", "layer": format!("{layer}-tiny-res"), "index": feature,
            "description": label});
        format!("{line}\n")
    };
    layers.flat_map(|layer| (0..128).map(move |feature| (layer, feature))).map(line).collect()
}

#[test]
fn a_report_of_200_samples_with_all_that_it_can_hold_is_below_three_megabytes() {
    let run = Run::new();
    finished(&run, distinct(200, [&WORDS; 2]), &["--out", "a", "--logprob"]);
    let done = run.saescope(&["calibrate", "a", "--seeds", "20", "--device", "cpu"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    run.write("labels.jsonl", labels(&run, "a"));
    let done = run.saescope(&["report", "a", "--labels", "labels.jsonl"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && !said.contains("left out") && !said.contains("no labels"), "{said}");
    let document = std::fs::read_to_string(run.path("a/report.html")).unwrap();
    for file in [
        "manifest.json",
        "metrics.parquet",
        "stats.parquet",
        "stats_features.parquet",
        "calibration.json",
        "labels.json",
    ] {
        assert!(document.contains(&format!("data-file=\"{file}\"")), "{file}");
    }
    let calibration = std::fs::read(run.path("a/calibration.json")).unwrap();
    let calibration: serde_json::Value = serde_json::from_slice(&calibration).unwrap();
    assert_eq!(calibration["left_out"], serde_json::json!([]));
    assert_eq!(manifest(&run.path("a"))["dataset"]["samples"], 200);
    assert!(document.len() < 3_000_000, "{} bytes", document.len());
}

#[test]
fn what_is_there_already_stays_unless_force_says_otherwise() {
    let run = Run::new();
    analyze(&run, "a");
    run.write("mine.html", "mine");
    refused(&run, &["report", "a", "--out", "mine.html"], 2, &["mine.html is there already", "--force"], "mine.html");
    assert!(run.saescope(&["report", "a", "--out", "mine.html", "--force"]).status.success());
    assert!(std::fs::metadata(run.path("mine.html")).unwrap().len() > 100_000);
    std::fs::create_dir(run.path("folder")).unwrap();
    for force in [&[][..], &["--force"]] {
        let args = [&["report", "a", "--out", "folder"], force].concat();
        refused(&run, &args, 2, &["folder is a folder", "--out FILE"], "folder/x");
        // the run's own files are no place for it
        let own = [&["report", "a", "--out", "a/manifest.json"], force].concat();
        refused(&run, &own, 2, &["a/manifest.json has the name"], "a/manifest.json");
    }
}

#[test]
fn what_is_no_whole_run_has_no_report() {
    let run = Run::new();
    analyze(&run, "a");
    refused(&run, &["report", "nothing"], 1, &["a finished run in nothing"], "nothing/report.html");
    assert!(!run.path("nothing").exists());
    for file in ["metrics.parquet", "features.parquet", "stats.parquet", "manifest.json"] {
        let path = run.path("a").join(file);
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        refused(&run, &["report", "a"], 1, &["a finished run in a", file], "a/report.html");
        if file != "manifest.json" {
            let mut tampered = whole.clone();
            let last = tampered.len() / 2;
            tampered[last] ^= 1;
            std::fs::write(&path, tampered).unwrap();
            refused(&run, &["report", "a"], 1, &["a: expected the files that manifest.json", file], "a/report.html");
        }
        std::fs::write(&path, whole).unwrap();
    }
    let manifest = run.path("a/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    for (damaged, words) in [
        (text[..text.len() / 2].to_owned(), "a finished run in a"),
        (text.replace("\"schema_version\": ", "\"schema_version\": 9"), "schema_version: expected 1 to "),
    ] {
        std::fs::write(&manifest, damaged).unwrap();
        refused(&run, &["report", "a"], 1, &[words], "a/report.html");
    }
}

#[test]
fn no_text_of_a_run_becomes_markup() {
    let hostile = r#"</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>"#;
    let run = Run::new();
    let row = |id: String| serde_json::json!({"id": id, "domain": hostile, "prompt": "A", "fact": "b c", "hallucination": "d e"});
    let rows: Vec<_> = (0..4).map(|n| row(format!("{hostile} {n}"))).collect();
    let data = run.write("t.json", serde_json::Value::from(rows).to_string());
    let tail = ["--dataset", &data, "--device", "cpu", "--out", "a", "--run-id", hostile];
    let done = run.saescope(&with(&["analyze"], &model_args("llama"), &tail));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = run.saescope(&["report", "a"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let document = std::fs::read_to_string(run.path("a/report.html")).unwrap();
    assert!(!document.contains("alert(") && !document.contains("onerror"), "a text of the run stands in the document");
    let (_, body) = document.rsplit_once("<body>").unwrap();
    assert_eq!((body.matches("<script").count(), body.matches("</script>").count()), (4, 4));
}
