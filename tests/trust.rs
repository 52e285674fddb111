//! A manifest tells what was used: files that change under a run, hashes that are remembered, data that come
//! through a pipe, and files that a run takes the place of.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use futures::executor::block_on;
use saescope::cli::inputs;
use saescope::dataset::{self, Dataset, Format};
use saescope::engine::{Batching, Observer, Options, Silent};
use saescope::hash;
use saescope::metrics::Noise;
use saescope::model::ops::Compute;
use saescope::output::{Backend, ComputeInfo, FileInfo, Precision, Weights};
use saescope::platform::{MemoryJournal, Source};
use saescope::run::{self, Header, Loaded, Parts, Reopen, Request, SaeFiles, Spool};

use crate::cli::{Run, TRIPLES, model_args, with};
use crate::golden_models::folder;

/// A copy of a golden model, to be spoiled; its folder.
fn copy(run: &Run) -> PathBuf {
    let to = run.path("model");
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(folder("llama").join("model")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

/// Changes one byte in place, with the time of change put back.
fn spoil(path: &Path) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::End(-1)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    file.set_modified(modified).unwrap();
}

fn manifest(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

fn sha256(path: &Path) -> String {
    hash::sha256(std::fs::read(path).unwrap())
}

#[track_caller]
fn succeeds(out: &Output) -> String {
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{text}");
    text
}

pub(crate) fn loaded(model: &Path, pinned: BTreeMap<String, String>) -> Loaded {
    let files = block_on(inputs::model_files(model, None)).unwrap();
    let saes = inputs::sae_files(&folder("llama").join("saes/layer_1")).unwrap();
    let origin = run::Origin { name: "m".into(), known: None, origin: "local".into(), revision: None, pinned };
    block_on(run::load(origin, files, vec![SaeFiles { layer: 1, files: saes, known: None }], true)).unwrap()
}

/// Runs two samples, one a pass; `after` is called after every pass that was kept. Gives how many were, and
/// what ended the run.
fn passes(loaded: &Loaded, after: &mut dyn FnMut()) -> (usize, saescope::Result<()>) {
    let data = dataset::parse("t.json", Format::Json, TRIPLES.as_bytes(), None).unwrap();
    let computes = [Compute::cpu()];
    let (spool, result) = measured(loaded, &data, &computes, None, &Silent, after);
    (spool.measured(), result)
}

/// Runs data on devices, one sample a pass.
pub(crate) fn measured(
    loaded: &Loaded,
    data: &Dataset,
    computes: &[Compute],
    reopen: Option<&Reopen>,
    observer: &dyn Observer,
    after: &mut dyn FnMut(),
) -> (Spool, saescope::Result<()>) {
    measured_by(Some(1), loaded, data, computes, reopen, observer, after)
}

/// The same with so many samples a pass, or as many as memory allows.
pub(crate) fn measured_by(
    pass: Option<usize>,
    loaded: &Loaded,
    data: &Dataset,
    computes: &[Compute],
    reopen: Option<&Reopen>,
    observer: &dyn Observer,
    after: &mut dyn FnMut(),
) -> (Spool, saescope::Result<()>) {
    let (noise, join) = (Noise::Relative(0.1), " ".to_owned());
    let options = Options {
        batching: Batching::Auto,
        noise,
        seed: 0,
        logprob: false,
        nulls: 0,
        pass,
        halvings: 0,
        read_ahead: true,
        join,
    };
    let request = Request { loaded, computes, data, options: &options, shard: None, any_device: false, reopen };
    let compute = ComputeInfo {
        precision: Precision::F32,
        device: "cpu".into(),
        adapter: None,
        backend: Backend::Flex,
        threads: 1,
        weights: Weights::Streamed,
    };
    let base = async {
        let info = |source: &Source| FileInfo {
            path: source.name().to_owned(),
            bytes: source.len(),
            sha256: Some(sha256(Path::new(source.name()))),
        };
        let saes = loaded.saes.iter().map(|at| at.sae.sources().iter().map(info).collect()).collect();
        let hashes = (loaded.model_files().iter().map(info).collect(), saes);
        let (run_id, started_at) = ("r".to_owned(), jiff::Timestamp::UNIX_EPOCH);
        let parts = Parts {
            run_id,
            started_at,
            loaded,
            compute,
            data,
            excerpt: None,
            limit: None,
            shard: None,
            options: &options,
            hashes,
        };
        Ok(parts.base())
    };
    let header = Header::new("r".into(), jiff::Timestamp::UNIX_EPOCH, data.samples.len(), String::new());
    let mut spool = Spool::create(Box::new(MemoryJournal::default()), header).unwrap();
    let result = block_on(run::execute(request, &mut spool, base, observer, &mut |_, _| after()));
    (spool, result)
}

#[test]
fn weights_that_change_under_a_run_end_it() {
    let run = Run::new();
    let model = copy(&run);
    let weights = model.join("model.safetensors");
    let (kept, result) = passes(&loaded(&model, BTreeMap::new()), &mut || spoil(&weights));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("model.safetensors: contents") && error.contains("hint:"), "{error}");
    assert_eq!(kept, 1, "what was measured on changed weights is not kept");
}

#[test]
fn weights_that_are_only_touched_are_read_again() {
    let run = Run::new();
    let model = copy(&run);
    let weights = model.join("model.safetensors");
    let mut touch = || File::options().write(true).open(&weights).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let (kept, result) = passes(&loaded(&model, BTreeMap::new()), &mut touch);
    result.unwrap();
    assert_eq!(kept, 2);
}

#[test]
fn a_known_models_files_are_held_against_the_registry() {
    let model = folder("llama").join("model");
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        let path = model.join(file);
        let pin = |sha: String| BTreeMap::from([(path.display().to_string(), sha)]);
        passes(&loaded(&model, pin(sha256(&path))), &mut || {}).1.unwrap();
        let (kept, result) = passes(&loaded(&model, pin("0".repeat(64))), &mut || {});
        let error = result.unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("saescope fetch m"), "{error}");
        assert_eq!(kept, 0);
    }
}

#[test]
fn a_remembered_hash_is_of_the_content_that_is_there() {
    let run = Run::new();
    let model = copy(&run);
    let data = run.write("t.json", TRIPLES);
    let mut args = model_args("llama");
    args[1] = "./model".to_owned();
    let mut seen = Vec::new();
    for out in ["one", "two", "three"] {
        succeeds(&run.saescope(&with(&["analyze"], &args, &["--dataset", &data, "--device", "cpu", "--out", out])));
        let said = manifest(&run.path(out))["model"]["files"][0]["sha256"].as_str().unwrap().to_owned();
        assert_eq!(said, sha256(&model.join("model.safetensors")), "{out}");
        seen.push(said);
        if out == "two" {
            spoil(&model.join("model.safetensors"));
        }
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2]);
}

#[test]
fn rehash_trusts_nothing_that_is_remembered() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let args = model_args("llama");
    let analyze = |out: &str, extra: &[&str]| {
        let tail = ["--dataset", &data, "--device", "cpu", "--out", out];
        succeeds(&run.saescope(&with(&["analyze"], &args, &[&tail[..], extra].concat())));
        manifest(&run.path(out))["model"]["files"][0]["sha256"].as_str().unwrap().to_owned()
    };
    let right = analyze("one", &[]);
    // a memory that lies
    let memory = run.path("cache/sha256.json");
    let known: BTreeMap<String, String> = serde_json::from_slice(&std::fs::read(&memory).unwrap()).unwrap();
    let lies: BTreeMap<String, String> = known.into_keys().map(|key| (key, "0".repeat(64))).collect();
    std::fs::write(&memory, serde_json::to_vec(&lies).unwrap()).unwrap();
    assert_eq!(analyze("two", &[]), "0".repeat(64));
    assert_eq!(analyze("three", &["--rehash"]), right);
    assert_eq!(analyze("four", &[]), right, "what was found is remembered");
}

#[cfg(unix)]
#[test]
fn data_through_a_pipe_are_hashed_as_they_were_read() {
    let run = Run::new();
    let args = model_args("llama");
    let tail = ["--dataset", "x=/dev/stdin", "--device", "cpu", "--out", "out"];
    let mut child = run
        .command(&with(&["analyze"], &args, &tail))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(TRIPLES.as_bytes()).unwrap();
    succeeds(&child.wait_with_output().unwrap());
    let file = &manifest(&run.path("out"))["dataset"]["files"][0];
    assert_eq!(file["path"], "x=/dev/stdin");
    assert_eq!(file["bytes"], TRIPLES.len());
    assert_eq!(file["sha256"], hash::sha256(TRIPLES));
}

#[test]
fn the_manifest_names_its_files_as_they_are() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let args = model_args("llama");
    let tail = ["--dataset", &data, "--device", "cpu", "--out", "out"];
    succeeds(&run.saescope(&with(&["analyze"], &args, &tail)));
    let manifest = manifest(&run.path("out"));
    let files = manifest["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet"]);
    for (file, name) in files.iter().zip(names) {
        let path = run.path("out").join(name);
        assert_eq!(file["sha256"], sha256(&path), "{name}");
        assert_eq!(file["bytes"], path.metadata().unwrap().len(), "{name}");
    }
}

#[test]
fn files_that_are_not_the_runs_are_told() {
    let run = Run::new();
    let (data, args) = (run.write("t.json", TRIPLES), model_args("llama"));
    let tail = ["--dataset", &data, "--device", "cpu", "--shard", "1/1", "--out", "part"];
    succeeds(&run.saescope(&with(&["analyze"], &args, &tail)));
    std::fs::create_dir(run.path("dist")).unwrap();
    run.write("dist/index.html", "page");
    succeeds(&run.saescope(&["pack", "dist", "--run", "part"]));
    assert!(!succeeds(&run.saescope(&["merge", "part", "--out", "whole"])).contains("warning: part"));

    spoil(&run.path("part/metrics.parquet"));
    let said = succeeds(&run.saescope(&["merge", "part", "--out", "again"]));
    assert!(said.contains("warning: part: metrics.parquet: expected sha256 "), "{said}");
    let out = run.saescope(&["pack", "dist", "--run", "part"]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(2) && text.contains("metrics.parquet: expected sha256 "), "{text}");
}

#[test]
fn what_would_fail_at_the_end_is_found_before() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let args = model_args("llama");
    let analyze = |out: &str, extra: &[&str], status: i32| {
        let tail = ["--dataset", &data, "--device", "cpu", "--out", out];
        let out = run.saescope(&with(&["analyze"], &args, &[&tail[..], extra].concat()));
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(status), "{text}");
        assert!(!text.contains("samples/s"), "something was measured: {text}");
        text
    };
    for file in ["manifest.json", "metrics.parquet", "unfinished.spool"] {
        std::fs::create_dir_all(run.path("taken").join(file).join("mine")).unwrap();
        for extra in [&[][..], &["--force"]] {
            let text = analyze("taken", extra, 2);
            assert!(text.contains(file) && text.contains("is a folder"), "{text}");
        }
        assert!(run.path("taken").join(file).join("mine").exists());
        std::fs::remove_dir_all(run.path("taken")).unwrap();
    }
    let text = analyze(&"x".repeat(300), &[], 1);
    assert!(text.contains("hint:"), "{text}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(run.path("nowhere/at/all"), run.path("dangling")).unwrap();
        let text = analyze("dangling", &[], 1);
        assert!(text.contains("dangling"), "{text}");
    }
}

#[test]
fn a_run_clears_what_a_killed_one_left() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    std::fs::create_dir_all(run.path("out/.partial-x1y2z3")).unwrap();
    std::fs::write(run.path("out/.partial-x1y2z3/metrics.parquet"), "half").unwrap();
    let args = model_args("llama");
    let tail = ["--dataset", &data, "--device", "cpu", "--out", "out"];
    succeeds(&run.saescope(&with(&["analyze"], &args, &tail)));
    let left: Vec<_> = std::fs::read_dir(run.path("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "{left:?}");
}
