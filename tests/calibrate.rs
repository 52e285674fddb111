//! `calibrate`: what the instrument says where the truth is known, through the program.

use std::path::Path;

use serde_json::Value;

use crate::cli::{Run, model_args, with};
use crate::durable::{analyze, done, triples};

/// A finished run of a tiny model in `out`.
fn finished(run: &Run) {
    run.write("t.jsonl", triples(40));
    done(&analyze(run, &["--out", "out", "--nulls", "off"]).output().unwrap());
}

/// `calibrate`, which must do; what it wrote, and what it said.
fn calibrated(run: &Run, args: &[&str]) -> (Value, String) {
    let out = run.saescope(&[&["calibrate", "out", "--seeds", "40", "--device", "cpu"], args].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    let path = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    assert_eq!(Path::new(&path), Path::new("out").join("calibration.json"));
    (serde_json::from_slice(&std::fs::read(run.path(&path)).unwrap()).unwrap(), said)
}

/// The parts that were left out.
fn left_out(calibration: &Value) -> Vec<&str> {
    calibration["left_out"].as_array().unwrap().iter().map(|of| of["part"].as_str().unwrap()).collect()
}

#[test]
fn a_calibration_has_every_part_and_is_the_same_again() {
    let run = Run::new();
    finished(&run);
    let before: Vec<_> = ["metrics.parquet", "stats.parquet", "manifest.json"]
        .map(|f| std::fs::read(run.path("out").join(f)).unwrap())
        .into();
    let (calibration, said) = calibrated(&run, &[]);
    assert_eq!(left_out(&calibration), [""; 0], "{said}");
    let manifest: Value = serde_json::from_slice(&before[2]).unwrap();
    let known = manifest["files"].as_array().unwrap().iter().find(|file| file["path"] == "metrics.parquet").unwrap();
    assert_eq!(&calibration["metrics"], known);
    assert_eq!(calibration["run_id"], "mine");
    let alarms = &calibration["false_alarms"][0];
    assert!(
        alarms["metrics"].as_u64().unwrap() > 20 && alarms["runs_survive"]["high"].as_f64().unwrap() < 1.0,
        "{alarms}"
    );
    assert_eq!(calibration["planted"].as_array().unwrap().len(), 3);
    let trap = &calibration["length_trap"];
    assert!(trap["pairs"].as_u64().unwrap() == 39 && trap["matched"].as_u64().unwrap() > 0, "{trap}");
    let controls = calibration["positive_controls"].as_array().unwrap();
    let names: Vec<&str> = controls.iter().map(|of| of["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["truth", "language", "register"]);
    for of in controls.iter().chain([&calibration["ceiling"]]) {
        let layers = of["layers"].as_array().unwrap();
        assert_eq!(layers.len(), manifest["layers"].as_array().unwrap().len());
        let auroc = layers[0]["residual"]["auroc"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&auroc), "{of}");
    }
    for word in ["false alarms", "planted 0.8", "length trap", "truth", "language", "register", "ceiling"] {
        assert!(said.contains(word), "no {word:?} in\n{said}");
    }
    let lines = said.lines().filter(|line| !line.contains("pairs/s")).count();
    assert!(lines <= 40, "{lines} lines");
    let (again, _) = calibrated(&run, &[]);
    assert_eq!(again, calibration);
    // the run's own files are as they were
    for (file, before) in ["metrics.parquet", "stats.parquet", "manifest.json"].iter().zip(before) {
        assert_eq!(std::fs::read(run.path("out").join(file)).unwrap(), before, "{file}");
    }
}

#[test]
fn without_the_model_the_rest_is_there_and_the_reason_is_named() {
    let run = Run::new();
    finished(&run);
    let (calibration, said) = calibrated(&run, &["--no-model"]);
    assert_eq!(left_out(&calibration), ["length_trap", "positive_controls", "ceiling"]);
    assert!(said.contains("left out") && said.contains("--no-model"), "{said}");
    assert!(calibration.get("length_trap").unwrap().is_null() && calibration["ceiling"].is_null());
    assert!(calibration["false_alarms"][0]["rows_found"]["share"].is_number());

    // data that are gone: the controls need none
    std::fs::rename(run.path("t.jsonl"), run.path("moved.jsonl")).unwrap();
    let (calibration, said) = calibrated(&run, &[]);
    assert_eq!(left_out(&calibration), ["length_trap", "ceiling"], "{said}");
    assert!(said.contains("t.jsonl"), "{said}");
    assert_eq!(calibration["positive_controls"].as_array().unwrap().len(), 3);
    let (calibration, _) = calibrated(&run, &["--dataset", "moved.jsonl"]);
    assert_eq!(left_out(&calibration), [""; 0]);
    // others than the run's
    run.write("other.jsonl", triples(12));
    let other = run.saescope(&["calibrate", "out", "--device", "cpu", "--dataset", "other.jsonl"]);
    let text = String::from_utf8_lossy(&other.stderr);
    assert!(other.status.code() == Some(1) && text.contains("the data that the run was made with"), "{text}");
}

#[test]
fn a_model_that_is_not_found_is_named_and_another_is_refused() {
    let run = Run::new();
    finished(&run);
    let path = run.path("out/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    for file in manifest["model"]["files"].as_array_mut().unwrap() {
        file["path"] = format!("gone/{}", file["path"].as_str().unwrap().rsplit('/').next().unwrap()).into();
    }
    std::fs::write(&path, manifest.to_string()).unwrap();
    let (calibration, said) = calibrated(&run, &[]);
    assert_eq!(left_out(&calibration), ["length_trap", "positive_controls", "ceiling"]);
    let reason = calibration["left_out"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("gone/") && reason.contains("not found") && said.contains("gone/"), "{said}");
    // where it lies now
    let own = model_args("llama");
    let (calibration, _) = calibrated(&run, &own.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(left_out(&calibration), [""; 0]);
    // another family's
    let before = std::fs::read(run.path("out/calibration.json")).unwrap();
    let other = model_args("gemma2");
    let out = run.saescope(&with(&["calibrate", "out", "--device", "cpu"], &other, &[]));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && text.contains("hint:") && !text.contains("panicked"), "{text}");
    assert_eq!(std::fs::read(run.path("out/calibration.json")).unwrap(), before);
}

#[test]
fn a_damaged_run_has_no_calibration() {
    let run = Run::new();
    finished(&run);
    let metrics = run.path("out/metrics.parquet");
    let whole = std::fs::read(&metrics).unwrap();
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    let refused = |words: &[&str]| {
        let out = run.saescope(&["calibrate", "out", "--no-model"]);
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{text}");
        for word in words.iter().chain(&["hint:"]) {
            assert!(text.contains(word), "no {word:?} in\n{text}");
        }
        assert!(!text.contains("panicked") && !run.path("out/calibration.json").exists(), "{text}");
    };
    std::fs::write(&metrics, other).unwrap();
    refused(&["metrics.parquet", "that its manifest was written with"]);
    std::fs::remove_file(&metrics).unwrap();
    refused(&["metrics.parquet"]);
    std::fs::write(&metrics, whole).unwrap();
    std::fs::remove_file(run.path("out/manifest.json")).unwrap();
    refused(&["a finished run", "manifest.json"]);
    let bad = run.saescope(&["calibrate", "out", "--seeds", "3"]);
    assert!(bad.status.code() == Some(2), "{}", String::from_utf8_lossy(&bad.stderr));
}
