//! What the kernels become on a device, read from the log of cubecl: the WGSL that is compiled and every launch.
//! What a browser lacks, what is slow on every card, and work that came back, are found here without a card.
//!
//! `tests/golden/kernels.json` holds what was last accepted of every kernel, and how many launches a run has. After a
//! change that is meant to change them:
//!
//! ```text
//! SAESCOPE_GENERATE=1 cargo test --release --test tests -- --ignored gpu_source_is_as_it_was_accepted
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::process::Command;

use crate::cli::{Run, golden, model_args, with};

/// Where the accepted figures are.
const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kernels.json");

/// WebGPU's own limit.
const SHARED_BYTES: usize = 16 << 10;

/// A kernel of this program's own as a device gets it.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

/// Analyses a tiny checkpoint, and gives cubecl's log of it.
fn log(case: &str) -> String {
    let run = Run::new();
    let file = run.path("cubecl.log");
    let data = golden(case, "texts.json");
    let tail = ["--dataset", &data, "--limit", "2"];
    let out = run
        .command(&with(&["analyze", "--device", "gpu:0", "--out", "out"], &model_args(case), &tail))
        .env("CUBECL_DEBUG_LOG", &file)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::read_to_string(file).unwrap()
}

/// The log of a test beside this one, which takes weights in every type that they are stored in.
fn log_of_stored_weights() -> String {
    let run = Run::new();
    let file = run.path("cubecl.log");
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "gpu_kernels::gpu_kernel_takes_weights_as_they_are_stored", "--ignored"])
        .env("CUBECL_DEBUG_LOG", &file)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    std::fs::read_to_string(file).unwrap()
}

fn sources(log: &str) -> Vec<Source<'_>> {
    log.split("[START_KERNEL_COMPILATION]")
        .filter_map(|part| {
            let name = part.trim_start().strip_prefix("name: ")?.lines().next()?;
            let text = part.split("```wgsl").nth(1)?.split("```").next()?;
            name.strip_prefix("saescope::model::ops::kernels::").map(|name| Source { name, text })
        })
        .collect()
}

impl Source<'_> {
    /// Names that stand for constants.
    fn constants(&self) -> HashSet<&str> {
        let constant = |line: &'_ &str| line.starts_with("let ") && line.contains(" = u32(") && !line.contains("(v");
        self.text.lines().filter(constant).filter_map(|line| line.split([' ', ':']).nth(1)).collect()
    }

    /// Lists of a thread's own, and names of pointers to them: `var<function> v1_store: array<…>`.
    fn own_lists(&self) -> HashSet<&str> {
        let stores: HashSet<&str> = self
            .text
            .lines()
            .filter(|line| line.starts_with("var<function>") && line.contains(": array<"))
            .filter_map(|line| line.split([' ', ':']).nth(1))
            .collect();
        let pointer =
            |line: &'_ &str| line.split_once(" = &").is_some_and(|(_, to)| stores.contains(to.trim_end_matches(';')));
        self.text.lines().filter(pointer).filter_map(|line| line.split(' ').nth(1)).collect()
    }

    /// How often elements of lists that are declared so are read and written.
    fn traffic(&self, declared: &str) -> (usize, usize) {
        let name = |line: &'_ str| line.split_once(declared)?.1.trim_start().split(':').next().map(str::to_owned);
        let lists: HashSet<String> = self.text.lines().filter_map(name).collect();
        // `let v5 = &shared_v1;`, `let v9 = &(*v5)[v7];`, then `let v10 = *v9;` or `*v9 = v8;`
        let target = |line: &'_ str| -> Option<(String, String)> {
            let (of, to) = line.strip_prefix("let ")?.split_once(" = &")?;
            Some((of.to_owned(), to.trim_end_matches(';').to_owned()))
        };
        let targets: Vec<(String, String)> = self.text.lines().filter_map(target).collect();
        let named: HashSet<&str> =
            targets.iter().filter(|(_, to)| lists.contains(to)).map(|(of, _)| of.as_str()).collect();
        let of_list =
            |to: &str| to.strip_prefix("(*").and_then(|to| to.split(')').next()).is_some_and(|of| named.contains(of));
        let elements: HashSet<&str> = targets.iter().filter(|(_, to)| of_list(to)).map(|(of, _)| of.as_str()).collect();
        let reads = |line: &&str| {
            line.split_once(" = *").is_some_and(|(_, from)| elements.contains(from.trim_end_matches(';')))
        };
        let writes = |line: &&str| {
            line.strip_prefix('*').and_then(|line| line.split(' ').next()).is_some_and(|to| elements.contains(to))
        };
        (self.text.lines().filter(reads).count(), self.text.lines().filter(writes).count())
    }

    /// What can be read of it without running it.
    fn figures(&self) -> String {
        let size = self.text.split("@workgroup_size(").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
        let (reads, writes) = self.traffic("var<workgroup>");
        let (global_reads, global_writes) = self.traffic("var<storage, read_write>");
        format!(
            "workgroup {size}; {} fma, {} barriers, {} loops; shared memory {} bytes, read {reads}, written {writes}; \
             buffers read {global_reads}, written {global_writes}; {} own lists",
            self.count("fma("),
            self.count("workgroupBarrier()"),
            self.count("for(") + self.count("for (") + self.count("loop {"),
            self.shared_bytes(),
            self.own_lists().len(),
        )
    }

    /// Bytes of the workgroup's shared memory.
    fn shared_bytes(&self) -> usize {
        self.text
            .lines()
            .filter(|line| line.starts_with("var<workgroup>"))
            .map(|line| {
                let count: usize = line.rsplit(", ").next().unwrap().trim_end_matches(">;").parse().unwrap();
                count * if line.contains("vec4<") { 16 } else { 4 }
            })
            .sum()
    }

    /// Without the entry point's name, which ends with a hash: that may spell `f16`, and once did.
    fn nameless(&self) -> String {
        let unnamed = |line: &'_ str| match line.strip_prefix("fn kernel_").and_then(|rest| rest.split_once('(')) {
            Some((_, rest)) => rest.to_owned(),
            None => line.to_owned(),
        };
        self.text.lines().map(unnamed).collect::<Vec<_>>().join("\n")
    }

    fn count(&self, what: &str) -> usize {
        self.text.matches(what).count()
    }
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_source_is_what_every_device_takes() {
    let logs = [log("gemma2"), log("gpt2"), log_of_stored_weights()];
    let sources: Vec<Source> = logs.iter().flat_map(|log| sources(log)).collect();
    for wanted in ["active", "attention", "elementwise", "matmul", "norm", "unpack"] {
        assert!(sources.iter().any(|source| source.name.starts_with(wanted)), "no kernel {wanted}");
    }
    let count = |name: &str| sources.iter().filter(|source| source.name.starts_with(name)).count();
    // every type of block as f32 and as f16; f32 in either order, bf16, f16, and the other tile
    assert!(count("unpack") == 16 && count("matmul") >= 5, "{} and {}", count("unpack"), count("matmul"));
    let mut checked = 0;
    for source in &sources {
        for never in ["subgroup", "atomic", "enable ", "f16", "i64", "f64"] {
            let found = source.nameless().matches(never).count();
            assert_eq!(found, 0, "{}: {never} in\n{}", source.name, source.text);
        }
        let shared = source.shared_bytes();
        assert!(shared <= SHARED_BYTES, "{}: {shared} bytes of shared memory", source.name);
        // a list whose place is not known when it is compiled lies in memory, not in registers
        let (constants, lists) = (source.constants(), source.own_lists());
        for line in source.text.lines() {
            let Some((_, place)) = line.split_once("= &(*") else { continue };
            let Some((list, index)) = place.split_once(")[") else { continue };
            if lists.contains(list) {
                let index = index.trim_end_matches("];");
                assert!(constants.contains(index), "{}: {line}: not a constant", source.name);
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked} places: is the source as it was?");
    let mut squares = 0;
    for source in sources.iter().filter(|source| source.name.starts_with("matmul")) {
        assert!(source.shared_bytes() > 0 && !source.own_lists().is_empty(), "{}", source.text);
        // of sixteen terms: 8 x 4 sums in vectors of four, from three vectors of shared memory each; or 8 x 8 from four
        let square = source.text.contains("@workgroup_size(64,");
        squares += usize::from(square);
        assert_eq!(source.count("fma("), if square { 16 * 16 } else { 16 * 8 }, "{}", source.text);
        assert_eq!(source.count("workgroupBarrier()"), 2, "{}", source.text);
        let (reads, _) = source.traffic("var<workgroup>");
        let ratio = source.count("fma(") as f64 / reads as f64;
        assert!(reads >= 48 && ratio >= 2.6, "{reads} reads of shared memory, {ratio} sums each:\n{}", source.text);
    }
    assert!(squares > 0, "no matmul of the other tile");
}

/// The lines of a log that tell of launches.
fn launches(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.starts_with("| ")).collect()
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_source_is_as_it_was_accepted() {
    let logs = ["gemma2", "gemma3", "gpt2", "llama"].map(|case| (case, log(case)));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (case, log) in &logs {
        found.entry(format!("launches of {case}")).or_default().insert(launches(log).len().to_string());
    }
    let stored = log_of_stored_weights();
    for source in logs.iter().map(|(_, log)| log).chain([&stored]).flat_map(|log| sources(log)) {
        let kernel = source.name.trim_end_matches("::Kernel").to_owned();
        found.entry(kernel).or_default().insert(source.figures());
    }
    if std::env::var_os("SAESCOPE_GENERATE").is_some() {
        std::fs::write(ACCEPTED, format!("{}\n", serde_json::to_string_pretty(&found).unwrap())).unwrap();
    }
    let accepted: BTreeMap<String, BTreeSet<String>> =
        serde_json::from_slice(&std::fs::read(ACCEPTED).unwrap()).unwrap();
    assert_eq!(found, accepted, "kernels or launches are others than were accepted: see the head of this file");
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_launches_stay_few() {
    // Gemma 3 has two norms more, of queries and keys
    for (case, a_layer) in [("gemma2", 16), ("llama", 16), ("gpt2", 16), ("gemma3", 18)] {
        let log = log(case);
        let launches = launches(&log);
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for line in &launches {
            *counts.entry(line.rsplit("| ").next().unwrap()).or_default() += 1;
        }
        let expected: serde_json::Value =
            serde_json::from_slice(&std::fs::read(golden(case, "expected.json")).unwrap()).unwrap();
        let deepest = expected["saes"].as_object().unwrap().keys().map(|l| l.parse::<usize>().unwrap()).max().unwrap();
        let saes = expected["saes"].as_object().unwrap().len();
        // so many a layer of each micro-batch (the run's texts, and the ordinary ones), what is read at an SAE
        // besides, and what they begin with
        let bound = 2 * (deepest + 1) * a_layer + saes * 10 + 4;
        assert!(launches.len() >= 2 * deepest * 10, "{case}: {} launches: is the log as it was?", launches.len());
        assert!(launches.len() <= bound, "{case}: {} launches, at most {bound}: {counts:?}", launches.len());
    }
}
