//! Where a run's time went: in its manifest, and with `--profile` in words and as trace events.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::cli::{Run, TRIPLES, model_args, with};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// A run of a tiny model on two triples, one a pass.
fn analyze(run: &Run, case: &str, more: &[&str]) -> String {
    let data = run.write("t.json", TRIPLES);
    let args = model_args(case);
    let head = ["analyze", "--dataset", &data, "--pass", "1", "--run-id", "r"];
    said(&run.saescope(&with(&head, &args, more)))
}

/// The only part of a run's timeline, held against itself and against the run's seconds.
fn part(out: &Path, lanes: &[&str]) -> Value {
    let manifest = json(&out.join("manifest.json"));
    let parts = manifest["timeline"]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 1);
    let part = &parts[0];
    let seconds = part["seconds"].as_f64().unwrap();
    assert!((seconds - manifest["timings"]["total_seconds"].as_f64().unwrap()).abs() < 1e-5);
    assert_eq!(part["passes"], 2);
    let names: Vec<&str> = part["lanes"].as_array().unwrap().iter().map(|l| l["lane"].as_str().unwrap()).collect();
    assert_eq!(names, lanes);
    for lane in part["lanes"].as_array().unwrap() {
        let busy = lane["busy_seconds"].as_f64().unwrap();
        let idle = lane["idle_at_least"].as_f64().unwrap();
        assert!(busy > 0.0 && busy <= seconds + 1e-5, "{lane}");
        assert!((idle - (1.0 - busy / seconds)).abs() < 2e-4, "{lane}");
        // what a lane did does not overlap
        let mut spans: Vec<(f64, f64)> = part["spans"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|span| span[0] == lane["lane"])
            .map(|span| (span[4].as_f64().unwrap(), span[5].as_f64().unwrap()))
            .collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 2e-6), "{spans:?}");
    }
    part.clone()
}

fn tables(out: &Path) -> [Vec<u8>; 4] {
    ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet"]
        .map(|name| std::fs::read(out.join(name)).unwrap())
}

#[test]
fn a_profile_tells_operations_and_changes_no_bit() {
    let run = Run::new();
    let plain = analyze(&run, "gemma2", &["--device", "cpu", "--out", "plain"]);
    assert!(!plain.contains("operation"), "{plain}");
    assert!(!run.path("plain/timeline.json").exists());
    let text = analyze(&run, "gemma2", &["--device", "cpu", "--out", "out", "--profile"]);
    assert_eq!(tables(&run.path("out")), tables(&run.path("plain")));
    for row in ["linear ", "attention ", "activation ", "norm ", "rope ", "residual ", "active ", "compute ", "reader "]
    {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row}: {text}");
    }
    assert!(!text.contains("kernel"), "{text}");
    for out in ["plain", "out"] {
        let part = part(&run.path(out), &["reader", "compute"]);
        for stage in ["tokenize", "weights", "model", "sae", "geometry", "nulls"] {
            assert!(part["spans"].as_array().unwrap().iter().any(|span| span[1] == stage), "{stage}");
        }
    }
    // of both passes, where the manifest has the first
    let events = json(&run.path("out/timeline.json"));
    let spans = events["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").count();
    let manifest = part(&run.path("out"), &["reader", "compute"]);
    assert!(spans > manifest["spans"].as_array().unwrap().len());
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_profile_tells_kernels_and_when_the_device_had_nothing() {
    for case in ["gemma2", "gpt2"] {
        let run = Run::new();
        analyze(&run, case, &["--device", "gpu:0", "--out", "plain", "--logprob"]);
        let text = analyze(&run, case, &["--device", "gpu:0", "--out", "out", "--logprob", "--profile"]);
        assert_eq!(tables(&run.path("out")), tables(&run.path("plain")));
        let row =
            |start: &str| text.lines().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
        assert!(!text.contains("operation "), "{text}");
        for start in ["kernel ", "device ", "matmul ", "attention "] {
            row(start);
        }
        assert!(text.contains(" launches"), "{text}");
        assert!(text.contains(" given to devices, ") && text.contains(" read back, waiting "), "{text}");
        println!("{text}");
        for out in ["plain", "out"] {
            let part = part(&run.path(out), &["reader", "compute", "device"]);
            let spans = part["spans"].as_array().unwrap();
            // geometry is the host's alone: whatever a device's span says, none covers one of those
            let of = |lane: &'static str, stage: &'static str| {
                spans.iter().filter(move |s| s[0] == lane && s[1] == stage).map(|s| (s[4].as_f64(), s[5].as_f64()))
            };
            assert!(of("device", "model").count() > 0 && of("device", "sae").count() > 0);
            let geometry: Vec<_> = of("compute", "geometry").chain(of("compute", "nulls")).collect();
            assert!(of("compute", "geometry").count() > 0 && of("compute", "nulls").count() > 0);
            for (start, end) in geometry {
                let busy =
                    spans.iter().filter(|s| s[0] == "device").any(|s| s[4].as_f64() < end && s[5].as_f64() > start);
                assert!(!busy, "the device is called busy beside the geometry at {start:?}");
            }
        }
    }
}
