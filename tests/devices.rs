//! Several devices of one kind, devices without memory left, and budgets: the numbers are one device's.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use futures::executor::block_on;
use saescope::dataset::{self, Dataset, Format};
use saescope::engine::{Observer, Progress, Silent};
use saescope::error::Error;
use saescope::model::ops::{Compute, Precision, read_back};
use saescope::platform::{self, Adapter, MemoryFiles};
use saescope::run::{self, Comparisons, Loaded, Reopen, Spool};

use crate::cli::{Run, golden, model_args, with};
use crate::durable::{TABLES, done, manifest, tables, triples};
use crate::golden_models::{Golden, folder, load};
use crate::trust::{loaded, measured, measured_by};

fn model() -> Loaded {
    loaded(&folder("llama").join("model"), BTreeMap::new())
}

fn data(n: usize) -> Dataset {
    dataset::parse("t.jsonl", Format::Jsonl, triples(n).as_bytes(), None).unwrap()
}

/// The tables of a run that is measured, and its manifest.
fn files(spool: &Spool) -> (Vec<Vec<u8>>, serde_json::Value) {
    let mut files = MemoryFiles::default();
    run::finish(spool.base().unwrap().clone(), &[spool], Comparisons::Made, None, &mut files).unwrap();
    let manifest = serde_json::from_slice(files.bytes("manifest.json")).unwrap();
    (TABLES.iter().map(|name| files.bytes(name).to_vec()).collect(), manifest)
}

/// Writes down what it is told, and ends the run after so many blocks.
struct Listener {
    told: Mutex<Vec<Progress>>,
    notes: Mutex<Vec<String>>,
    most: usize,
}

impl Listener {
    fn until(most: usize) -> Self {
        Self { told: Mutex::default(), notes: Mutex::default(), most }
    }
}

impl Observer for Listener {
    fn progress(&self, progress: &Progress) -> ControlFlow<()> {
        let mut told = self.told.lock().unwrap();
        told.push(*progress);
        if told.len() >= self.most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn several_devices_give_the_bytes_of_one() {
    let (model, data) = (model(), data(13));
    let (one, result) = measured(&model, &data, &[Compute::cpu()], None, &Silent, &mut || {});
    result.unwrap();
    let (expected, _) = files(&one);
    for n in [2, 3, 20] {
        let computes = vec![Compute::cpu(); n];
        let listener = Listener::until(usize::MAX);
        let mut kept = 0;
        let (spool, result) = measured(&model, &data, &computes, None, &listener, &mut || kept += 1);
        result.unwrap();
        let (found, manifest) = files(&spool);
        assert!(found == expected, "{n} devices");
        assert_eq!(manifest["batch"]["texts"], 12 * 3, "every sample was counted once");
        assert!(kept >= 12, "{kept} passes of one sample each");
        let told = listener.told.into_inner().unwrap();
        let last = told.iter().map(|p| p.samples_done).fold(0.0, f64::max);
        assert!((last - 12.0).abs() < 1e-9, "{last} of 12 samples that a pass takes were told of");
        assert!(told.windows(2).all(|pair| pair[0].samples_done <= pair[1].samples_done), "progress goes forwards");
    }
}

#[test]
fn several_devices_end_together() {
    let (model, data) = (model(), data(13));
    let listener = Listener::until(3);
    let (spool, result) = measured(&model, &data, &vec![Compute::cpu(); 3], None, &listener, &mut || {});
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert!(spool.measured() < 12);
}

#[test]
fn devices_of_unlike_kinds_are_refused_with_the_reason() {
    let run = Run::new();
    run.write("t.jsonl", triples(4));
    let args = model_args("llama");
    for wrong in ["gpu:0,cpu", "cpu,gpu:1"] {
        let tail = ["--dataset", "t.jsonl", "--out", "out", "--device", wrong];
        let out = run.saescope(&with(&["analyze"], &args, &tail));
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains("would depend on the time that each took"), "{text}");
        assert!(!run.path("out").exists());
    }
}

/// Texts that have nothing in common, longer than those of [`triples`].
fn long_triples(n: usize) -> String {
    let line = |i: usize| {
        let words =
            |from: usize, n: usize| (0..n).map(|k| format!("w{}", (from + k) * 31 % 97)).collect::<Vec<_>>().join(" ");
        let texts = (words(i * 7, 30), words(i, 2), words(i + 1, 2));
        let (prompt, fact, hallucination) = texts;
        serde_json::json!({"id": format!("s-{i:03}"), "domain": "x", "complexity": 1, "prompt": prompt, "fact": fact,
            "hallucination": hallucination})
        .to_string()
    };
    (0..n).map(line).collect::<Vec<_>>().join("\n")
}

/// A run whose budget is a little less than it would take has more micro-batches and the same files; one that nothing fits
/// is refused. `line` is what a dry run calls the memory that the budget is of.
fn keeps_to_a_budget(device: &str, line: &str, samples: usize) {
    let run = Run::new();
    run.write("t.jsonl", long_triples(samples));
    let args = model_args("llama");
    let analyze = |extra: &[&str]| {
        let tail = ["--dataset", "t.jsonl", "--device", device, "--run-id", "mine", "--nulls", "off"];
        let out = run.saescope(&with(&["analyze"], &args, &[&tail[..], extra].concat()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, text, said) = analyze(&["--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    let number = |text: &str, before: &str, after: &str| -> f64 {
        let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before} in {text}"));
        rest.split(after).next().unwrap().trim().parse().unwrap()
    };
    let most = |text: &str| number(text, line, " MB");
    let batches = |text: &str| number(text, "micro-batches: ", "\n");
    let (all, few) = (most(&text), batches(&text));
    let budget = format!("{:.1}MB", all - 0.2);
    let (code, text, said) = analyze(&["--dry-run", "--memory-budget", &budget]);
    assert_eq!(code, Some(0), "{said}");
    assert!(most(&text) < all && batches(&text) > few, "{text}");
    assert!(said.contains("of the usual size"), "{said}");
    let (code, _, said) = analyze(&["--out", "whole"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, _, said) = analyze(&["--out", "small", "--memory-budget", &budget]);
    assert_eq!(code, Some(0), "{said}");
    assert!(tables(&run.path("small")) == tables(&run.path("whole")));
    let batches = |out: &str| manifest(&run.path(out))["batch"]["batches"].as_u64().unwrap();
    assert!(batches("small") > batches("whole"));

    let (code, _, said) = analyze(&["--out", "none", "--memory-budget", "10 MB"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("out of memory: the run takes up to") && said.contains("hint:"), "{said}");
    assert!(!run.path("none").exists(), "nothing is begun that does not fit");
}

#[test]
fn a_budget_makes_batches_smaller_and_numbers_the_same() {
    keeps_to_a_budget("cpu", "\nmemory: at most ", 40);
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_budget_makes_batches_smaller_and_numbers_the_same() {
    keeps_to_a_budget("gpu:0", "memory of the device: at most ", 100);
}

#[test]
fn what_is_no_size_is_no_budget() {
    let run = Run::new();
    run.write("t.jsonl", long_triples(2));
    let args = model_args("llama");
    for wrong in ["10", "x", "1e99GB", "0MB", "GB"] {
        let tail = ["--dataset", "t.jsonl", "--device", "cpu", "--memory-budget", wrong];
        run.fails(&with(&["analyze"], &args, &tail), 2, &["a size such as 800MB"]);
    }
}

/// Takes memory of a device until there is none.
fn exhaust(device: &Device) {
    let mut held = Vec::new();
    for _ in 0..4096 {
        if platform::check_device(device).is_err() {
            return;
        }
        // 64 MB; what becomes of the work is told by the device
        held.push(Tensor::<1>::zeros([16 << 20], device));
        let _ = device.flush();
    }
    panic!("256 GB fit this device");
}

/// The variable that tells a test that its process has little memory.
#[cfg(unix)]
const LIMITED: &str = "SAESCOPE_TEST_LIMITED";

/// Runs a test of this file again, in a process with a limit: a software adapter's memory is the system's, which is given
/// out before there is any.
#[cfg(unix)]
fn limited(test: &str, itself: fn()) {
    if std::env::var_os(LIMITED).is_some() {
        return itself();
    }
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 6291456; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("devices::{test}"), "--nocapture"])
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success(), "{text}{}", String::from_utf8_lossy(&limited.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[cfg(unix)]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_without_memory_goes_on_with_smaller_batches() {
    limited("gpu_without_memory_goes_on_with_smaller_batches", without_memory);
}

#[test]
#[cfg(unix)]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_without_memory_does_half_as_much_at_once() {
    limited("gpu_without_memory_does_half_as_much_at_once", half_as_much_at_once);
}

/// Opens the same adapter again.
#[cfg(unix)]
fn reopen(adapter: &Adapter) -> Box<Reopen> {
    let again = adapter.clone();
    Box::new(move |old: Vec<Compute>| {
        let adapter = again.clone();
        Box::pin(async move {
            old.iter().for_each(|compute| platform::close_device(&compute.device));
            let device = platform::open_adapter(&adapter).await?;
            Ok(vec![Compute::gpu(device, Precision::F32, Some(adapter.max_binding))])
        })
    })
}

#[cfg(unix)]
fn without_memory() {
    let adapters = block_on(platform::adapters());
    let adapter = adapters.first().expect("no Vulkan, Metal or DX12 adapter");
    let on = |device| Compute::gpu(device, Precision::F32, Some(adapter.max_binding));
    let (model, data) = (model(), data(5));
    let fresh = block_on(platform::open_adapter(adapter)).unwrap();
    let (whole, result) = measured(&model, &data, &[on(fresh)], None, &Silent, &mut || {});
    result.unwrap();
    let (expected, before) = files(&whole);
    assert!(!before["warnings"].to_string().contains("out of memory"), "{before}");

    let full = block_on(platform::open_anew(adapter)).unwrap();
    exhaust(&full);
    let error = platform::check_device(&full).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    // without a way to open it again, the run ends in words
    let (spool, result) = measured(&model, &data, &[on(full.clone())], None, &Silent, &mut || {});
    let error = result.unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }) && error.hint().is_some(), "{error}");
    assert_eq!(spool.measured(), 0);

    let reopen = reopen(adapter);
    let listener = Listener::until(usize::MAX);
    let (spool, result) = measured(&model, &data, &[on(full)], Some(reopen.as_ref()), &listener, &mut || {});
    result.unwrap();
    let (found, manifest) = files(&spool);
    assert!(found == expected);
    assert!(manifest["warnings"].to_string().contains("ran out of memory once"), "{}", manifest["warnings"]);
    let notes = listener.notes.into_inner().unwrap();
    assert!(notes.len() == 1 && notes[0].contains("the device is opened anew"), "{notes:?}");
}

#[cfg(unix)]
fn half_as_much_at_once() {
    let adapters = block_on(platform::adapters());
    let (adapter, model) = (adapters.first().expect("no Vulkan, Metal or DX12 adapter"), model());
    let on = |device| Compute::gpu(device, Precision::F32, Some(adapter.max_binding));
    let data = dataset::parse("t.jsonl", Format::Jsonl, long_triples(100).as_bytes(), None).unwrap();
    let all = |devices: &[Compute], reopen| {
        let (spool, result) = measured_by(None, &model, &data, devices, reopen, &Silent, &mut || {});
        result.unwrap();
        files(&spool)
    };
    let (expected, before) = all(&[on(block_on(platform::open_adapter(adapter)).unwrap())], None);
    let full = block_on(platform::open_anew(adapter)).unwrap();
    exhaust(&full);
    let (found, after) = all(&[on(full)], Some(reopen(adapter).as_ref()));
    assert!(found == expected);
    let batches = |manifest: &serde_json::Value| manifest["batch"]["batches"].as_u64().unwrap();
    assert!(
        batches(&before) > 1 && batches(&after) >= 2 * batches(&before) - 1,
        "{} and {}",
        before["batch"],
        after["batch"]
    );
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_twice_gives_the_bytes_of_one() {
    let run = Run::new();
    run.write("t.jsonl", triples(12));
    let args = model_args("llama");
    let tail = ["--dataset", "t.jsonl", "--run-id", "mine"];
    for (device, out) in [("gpu:0", "one"), ("gpu:0,gpu:0", "two")] {
        let more = ["--device", device, "--out", out];
        done(&run.saescope(&with(&["analyze"], &args, &[&tail[..], &more].concat())));
    }
    assert!(tables(&run.path("one")) == tables(&run.path("two")));
    let manifest = manifest(&run.path("two"));
    assert_eq!(manifest["compute"]["device"], "gpu:0,gpu:0");
    assert!(manifest["timings"]["peak_gpu_buffer_bytes"].as_u64().unwrap() > 0, "{manifest}");
}

#[test]
#[ignore = "needs two adapters of different kinds; cargo xtask test runs it where Chromium's is there"]
fn gpu_of_another_kind_is_refused_and_gives_near_numbers() {
    let run = Run::new();
    run.write("t.jsonl", triples(12));
    let args = model_args("llama");
    let tail = ["--dataset", "t.jsonl", "--run-id", "mine"];
    let adapters = block_on(platform::adapters());
    let other = adapters
        .iter()
        .find(|adapter| !adapter.is_like(&adapters[0]))
        .expect("no Vulkan, Metal or DX12 adapter of a second kind");
    let list = format!("gpu:0,gpu:{}", other.index);
    let out = run.saescope(&with(&["analyze"], &args, &[&tail[..], &["--device", &list]].concat()));
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("are of different kinds"), "{text}");
    // each alone
    for (device, out) in [("gpu:0".to_owned(), "first"), (format!("gpu:{}", other.index), "second")] {
        done(&run.saescope(&with(&["analyze"], &args, &[&tail[..], &["--device", &device, "--out", out]].concat())));
    }
    let adapter = |out: &str| manifest(&run.path(out))["compute"]["adapter"].as_str().unwrap().to_owned();
    assert_ne!(adapter("first"), adapter("second"));
    let compared = run.saescope(&["compare", "first", "second", "--tolerance", "1e-3", "--jaccard", "0.99"]);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
    println!("{}", String::from_utf8_lossy(&compared.stdout));
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_opened_again_is_a_device_of_its_own() {
    let adapters = block_on(platform::adapters());
    let adapter = adapters.first().expect("no Vulkan, Metal or DX12 adapter");
    let (first, second) =
        (block_on(platform::open_adapter(adapter)).unwrap(), block_on(platform::open_anew(adapter)).unwrap());
    assert!(first != second);
    assert!(block_on(platform::open_adapter(adapter)).unwrap() == first, "asked for again, it is the same");
    let twice = |device: &Device| block_on(read_back(Tensor::<1>::from_floats([1.0, 2.0], device) * 2.0));
    assert_eq!(twice(&second).unwrap(), [2.0, 4.0]);
    platform::close_device(&second);
    let error = twice(&second).unwrap_err().to_string();
    assert!(error.contains("the device was closed"), "{error}");
    assert_eq!(twice(&first).unwrap(), [2.0, 4.0], "the other one goes on");
}

/// A run's counters: weights go to the device as they are stored, and the host seldom waits.
#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_is_given_the_stored_bytes_and_seldom_waited_for() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    let analyze = |model: &str, device: &str| {
        // a checkpoint in bf16 takes the SAEs of the same model in f32
        let mut args = model_args("gemma2");
        args[1] = golden(model, "model");
        let out = format!("{model}-{device}");
        let tail = ["--dataset", "t.jsonl", "--nulls", "off", "--device", device, "--out", &out];
        done(&run.saescope(&with(&["analyze"], &args, &tail)));
        manifest(&run.path(&out))["timings"]["moved"].clone()
    };
    assert!(analyze("gemma2", "cpu").is_null());
    let (wide, narrow) = (analyze("gemma2", "gpu:0"), analyze("gemma2_bf16", "gpu:0"));
    let of = |moved: &serde_json::Value, name: &str| moved[name].as_u64().unwrap_or_else(|| panic!("{name}: {moved}"));
    let Golden { model, saes, .. } = load("gemma2");
    let deepest = saes.iter().map(|at| at.layer).max().unwrap();
    let blocks = (0..=deepest).map(|layer| model.layer_bytes(layer)).sum::<u64>();
    // all but the norms are half as many bytes in bf16, and nothing else differs
    let saved = of(&wide, "uploaded_bytes") - of(&narrow, "uploaded_bytes");
    println!("{saved} bytes fewer of {blocks} in f32");
    assert!(saved as f64 > 0.47 * blocks as f64 && saved <= blocks / 2, "{saved} of {blocks}: {wide} and {narrow}");
    // the end of each block; at an SAE its rows and what is active, and at the first what is active with noise
    let waits = deepest as u64 + 1 + 2 * saes.len() as u64 + 1;
    assert!(of(&wide, "waits") <= waits + saes.len() as u64, "{wide}: {waits}");
    assert!(of(&wide, "read_back_bytes") > 0);
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_all_means_real_ones() {
    if block_on(platform::adapters()).iter().any(|adapter| !adapter.software) {
        println!("there is a real one here: `--device all` takes it");
        return;
    }
    let run = Run::new();
    run.write("t.jsonl", triples(2));
    let tail = ["--dataset", "t.jsonl", "--device", "all"];
    run.fails(&with(&["analyze"], &model_args("llama"), &tail), 1, &["no real GPU for `--device all`", "hint:"]);
}
