//! `compare`, and the precisions that it is there to judge.

use crate::cli::{Run, golden, model_args, with};
use crate::statistics::{WORDS, distinct, finished, texts};

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
fn features_that_are_less_alike_than_asked_fail() {
    let run = Run::new();
    analyze(&run, "gemma3", "f32", &[]);
    analyze(&run, "gemma3", "q4", &["--quantize", "q4"]);
    let (status, text) = compare(&run, &["f32", "q4"]);
    let found = jaccards(&text);
    let lowest = found.iter().copied().fold(1.0, f64::min);
    assert!(status == Some(0) && found.len() == 3 && lowest < 0.999, "{text}");
    for (asked, status) in [(lowest - 0.001, 0), (lowest + 0.001, 1), (1.0, 1)] {
        let (found, text) = compare(&run, &["f32", "q4", "--jaccard", &asked.to_string()]);
        assert_eq!(found, Some(status), "{asked}: {text}");
    }
}

/// A copy of a run whose comparisons are made anew with these arguments; what `compare` says of the two.
fn compared_anew(run: &Run, from: &str, to: &str, args: &[&str]) -> String {
    std::fs::create_dir(run.path(to)).unwrap();
    for entry in std::fs::read_dir(run.path(from)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), run.path(to).join(entry.file_name())).unwrap();
    }
    let again = run.saescope(&[&["stats", to], args].concat());
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let (status, text) = compare(run, &[from, to]);
    assert!(status == Some(0) && text.contains("metrics: 0 of "), "{text}");
    text
}

/// Lines that say in what two runs differ.
fn settings(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| !line.starts_with("layer ")).collect()
}

#[test]
fn other_statistics_and_the_verdicts_that_they_change_are_listed() {
    let run = Run::new();
    // as many of the same words on both sides: most rows show no difference
    finished(&run, distinct(120, [&WORDS; 2]), &["--out", "a", "--nulls", "off"]);
    let text = compared_anew(&run, "a", "b", &["--bound", "0.01"]);
    assert_eq!(settings(&text), ["bound of equivalence: 0.3 -> 0.01"]);
    let verdicts = texts(&run.path("a/stats.parquet"), "verdict");
    let without = verdicts.iter().filter(|verdict| *verdict == "no_difference").count();
    assert!(without > 0, "{verdicts:?}");
    let (_, said) = text.split_once("verdicts: ").unwrap();
    let (head, changed) = said.split_once('\n').unwrap();
    assert_eq!(head, format!("{without} of {} changed", verdicts.len()));
    assert_eq!(changed.lines().count(), without, "{text}");
    assert!(changed.lines().all(|line| line.ends_with(": no_difference -> undecided")), "{text}");

    let text = compared_anew(&run, "a", "c", &["--independent", "--resamples", "500", "--seed", "9"]);
    let wanted = ["resamples: 10000 -> 500", "clusters kept together: true -> false", "seed of the statistics: 0 -> 9"];
    assert_eq!(settings(&text), wanted);
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
