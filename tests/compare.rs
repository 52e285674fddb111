//! `compare`, and the precisions that it is there to judge.

use crate::cli::{Run, golden, model_args, with};

fn analyze(run: &Run, case: &str, out: &str, more: &[&str]) {
    let texts = golden(case, "texts.json");
    let tail = [&["--dataset", &texts, "--device", "cpu", "--run-id", "same", "--out", out], more].concat();
    let done = run.saescope(&with(&["analyze"], &model_args(case), &tail));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Exit status and stdout.
fn compare(run: &Run, args: &[&str]) -> (Option<i32>, String) {
    let done = run.saescope(&[&["compare"], args].concat());
    assert!(!String::from_utf8_lossy(&done.stderr).contains("error"), "{}", String::from_utf8_lossy(&done.stderr));
    (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The Jaccard indices of a comparison, a layer each.
fn jaccards(text: &str) -> Vec<f64> {
    let indices =
        text.lines().filter_map(|line| line.split_once("active features ")?.1.split(',').next()?.parse().ok());
    indices.collect()
}

#[test]
fn bf16_is_near_f32_and_the_same_at_every_batch_size() {
    for case in ["gemma2", "gemma3", "llama", "gpt2"] {
        let run = Run::new();
        analyze(&run, case, "f32", &[]);
        analyze(&run, case, "bf16", &["--precision", "bf16"]);
        analyze(&run, case, "single", &["--precision", "bf16", "--batch-size", "1"]);
        let (status, text) = compare(&run, &["f32", "bf16"]);
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains("precision: f32 -> bf16") && text.contains("verdicts: "), "{case}: {text}");
        assert!(!text.contains("metrics: 0 of "), "{case}: bf16 changed nothing: {text}");
        // random weights: a trained dictionary's features are further from their thresholds
        let jaccards = jaccards(&text);
        assert!(!jaccards.is_empty() && jaccards.iter().all(|&j| j > 0.9), "{case}: {text}");
        let (_, text) = compare(&run, &["bf16", "single", "--tolerance", "0", "--jaccard", "1"]);
        assert!(text.contains("the same\n") && text.contains("metrics: 0 of "), "{case}: {text}");
    }
}

#[test]
fn the_exit_status_is_what_was_asked() {
    let run = Run::new();
    analyze(&run, "llama", "a", &[]);
    analyze(&run, "llama", "b", &["--precision", "bf16"]);
    analyze(&run, "llama", "two", &["--limit", "2"]);
    assert_eq!(compare(&run, &["a", "a", "--tolerance", "0", "--jaccard", "1"]).0, Some(0));
    assert_eq!(compare(&run, &["a", "b", "--tolerance", "1e-9"]).0, Some(1));
    assert_eq!(compare(&run, &["a", "b", "--tolerance", "1e9"]).0, Some(0));
    let (status, text) = compare(&run, &["a", "two"]);
    assert!(status == Some(0) && text.contains("samples: 2 in both of "), "{text}");
    let all = compare(&run, &["a", "a", "--all"]).1;
    assert!(all.contains("_fact_gini "), "{all}");
}

#[test]
fn what_is_no_run_is_named() {
    let run = Run::new();
    analyze(&run, "llama", "a", &[]);
    std::fs::create_dir(run.path("empty")).unwrap();
    let done = run.saescope(&["compare", "a", "empty"]);
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.code() == Some(1) && text.contains("empty: a finished run") && text.contains("hint:"),
        "{text}"
    );
    for file in ["metrics.parquet", "features.parquet", "stats.parquet"] {
        let whole = std::fs::read(run.path("a").join(file)).unwrap();
        for damaged in [&whole[..whole.len() / 2], &b"PAR1"[..], &[][..]] {
            std::fs::write(run.path("a").join(file), damaged).unwrap();
            let done = run.saescope(&["compare", "a", "a"]);
            let text = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.code() == Some(1) && text.contains(file) && !text.contains("panicked"), "{text}");
        }
        std::fs::write(run.path("a").join(file), whole).unwrap();
    }
}

#[test]
fn a_run_of_a_newer_version_is_not_taken_for_one_of_this() {
    let run = Run::new();
    analyze(&run, "llama", "a", &[]);
    analyze(&run, "llama", "newer", &[]);
    let path = run.path("newer/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap().replacen("\"schema_version\": ", "\"schema_version\": 9", 1);
    std::fs::write(path, text).unwrap();
    for sides in [["a", "newer"], ["newer", "a"]] {
        let words = ["newer/manifest.json", "schema_version: expected 1 to ", "hint:"];
        run.fails(&[&["compare"], &sides[..]].concat(), 1, &words);
    }
}
