//! `saescope bench` as a user meets it: tables on stdout and as Parquet, and options that a mode has no use for refused.

use crate::cli::{Run, golden, model_args, with};
use crate::data::{number, rows, stderr, stdout, text};

/// A tiny model's bench, its tables in the run's folder: what it printed.
fn bench(run: &Run, more: &[&str]) -> String {
    let (args, texts) = (model_args("llama"), golden("llama", "texts.json"));
    let tail = [&["--dataset", &texts, "--out", "."], more].concat();
    let out = run.saescope(&with(&["bench"], &args, &tail));
    assert!(out.status.success(), "{}", stderr(&out));
    stdout(&out)
}

#[test]
fn bench_repeats_and_shows_the_spread() {
    let run = Run::new();
    let said = bench(&run, &["--device", "cpu", "--batch-sizes", "1,4", "--repeat", "2"]);
    assert!(said.contains("fastest-slowest"), "{said}");
    let rows = rows(&run.path("bench.parquet"));
    assert_eq!(rows.len(), 2);
    for row in rows {
        let [runs, low, median, high] =
            ["runs", "seconds_fastest", "seconds", "seconds_slowest"].map(|name| number(&row[name]));
        assert_eq!(runs, 2.0);
        assert!(low > 0.0 && low <= median && median <= high, "{row:?}");
    }
}

#[test]
fn bench_times_each_size_more_than_once_by_itself() {
    let run = Run::new();
    bench(&run, &["--device", "cpu", "--limit", "2", "--batch-sizes", "2"]);
    let rows = rows(&run.path("bench.parquet"));
    assert_eq!(rows.iter().map(|row| number(&row["runs"])).collect::<Vec<_>>(), [3.0]);
}

#[test]
fn bench_tells_what_each_part_is_worth() {
    let run = Run::new();
    let said = bench(&run, &["--device", "cpu", "--ablation", "--repeat", "1", "--limit", "4"]);
    let rows = rows(&run.path("ablation.parquet"));
    let of = |what: &str| rows.iter().find(|row| text(&row["run"]) == what).unwrap_or_else(|| panic!("{what}: {said}"));
    assert_eq!(number(&of("as it is")["times_as_it_is"]), 1.0);
    let tokens = |what: &str| number(&of(what)["tokens_computed"]);
    for same in ["nothing read ahead", "without nulls", "bf16", "norms in steps"] {
        assert_eq!(tokens(same), tokens("as it is"), "{same}");
    }
    // three SAEs are three runs; what texts share is computed for each of them alone
    assert_eq!(tokens("a run for each SAE"), 3.0 * tokens("as it is"));
    assert!(tokens("one text at a time") > tokens("one triple at a time"), "{said}");
    assert!(tokens("one triple at a time") >= tokens("as it is"), "{said}");
    if cfg!(target_os = "linux") {
        assert!(rows.iter().all(|row| number(&row["peak_memory_bytes"]) > 1e6), "{said}");
    }
    assert!(rows.iter().all(|row| said.contains(text(&row["run"]))), "{said}");
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_bench_tells_products_uploads_and_kernels() {
    let run = Run::new();
    let said = bench(&run, &["--device", "gpu:0", "--gemm", "--repeat", "1"]);
    let products = rows(&run.path("gemm.parquet"));
    for form in ["kernel, f32", "kernel, f16 stored", "8 x 8, f32", "burn, f32"] {
        assert!(products.iter().any(|row| text(&row["form"]) == form), "{form}: {said}");
    }
    assert!(products.iter().all(|row| number(&row["gflops"]) > 0.0));
    let uploads: Vec<&str> = said.lines().filter(|line| line.contains(" MiB ")).collect();
    let pace = |line: &&str| line.split_whitespace().nth(3).unwrap().parse::<f64>().unwrap();
    assert!(uploads.len() == 3 && uploads.iter().all(|line| pace(line) > 0.0), "{said}");
    let said = bench(&run, &["--device", "gpu:0", "--ablation", "--repeat", "1", "--limit", "2", "--nulls", "off"]);
    let rows = rows(&run.path("ablation.parquet"));
    for what in ["f16", "no kernel of its own", "matmul of burn, weights widened", "features chosen on the host"] {
        assert!(rows.iter().any(|row| text(&row["run"]) == what), "{what}: {said}");
    }
}

#[test]
fn bench_shows_how_a_run_grows() {
    let run = Run::new();
    let growth = ["--device", "cpu", "--growth", "--repeat", "1"];
    let said = bench(&run, &[&growth[..], &["--sae-widths", "64,256", "--samples", "2,4,12"]].concat());
    assert!(said.matches("seconds grow as size to the power of").count() >= 3, "{said}");
    let rows = rows(&run.path("growth.parquet"));
    let sizes = |what: &str| -> Vec<f64> {
        rows.iter().filter(|row| text(&row["grows"]) == what).map(|row| number(&row["size"])).collect()
    };
    assert_eq!(sizes("samples"), [2.0, 4.0, 12.0]);
    assert_eq!(sizes("SAE features"), [64.0, 256.0]);
    let blocks = sizes("blocks");
    assert!(blocks.len() > 1 && blocks.is_sorted_by(|a, b| a < b), "{blocks:?}");
    for what in ["tokens run", "SAE layers"] {
        assert!(!sizes(what).is_empty(), "{what}");
    }
    assert!(rows.iter().all(|row| number(&row["seconds"]) > 0.0));
    let chart = std::fs::read_to_string(run.path("growth.svg")).unwrap();
    assert!(chart.starts_with("<svg") && chart.matches("<polyline").count() >= 3, "{chart}");
}

#[test]
fn bench_refuses_what_a_mode_has_no_use_for() {
    let run = Run::new();
    let args = model_args("llama");
    for words in [
        &["--gemm", "--batch-sizes", "4"][..],
        &["--ablation", "--batch-sizes", "4"],
        &["--gemm", "--nulls", "off"],
        &["--samples", "2,4"],
        &["--ablation", "--sae-widths", "64"],
        &["--ablation", "--device", "cpu", "--precision", "bf16"],
    ] {
        let out = run.saescope(&with(&["bench"], &args, words));
        assert_eq!(out.status.code(), Some(2), "{words:?}: {}", stderr(&out));
    }
}
