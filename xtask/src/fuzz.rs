//! `cargo xtask fuzz`: libFuzzer over every reader of a foreign file.
//!
//! The library alone is built again, with coverage: a compiler wrapper that cargo calls for the workspace's own
//! packages only, so that burn and the rest are those of every other build. `cargo fuzz` (which needs a nightly
//! compiler) runs the same targets, everything instrumented, with the address sanitizer.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::lints;
use crate::paths::Paths;
use crate::report::Outcome;
use crate::run::{cargo, locked, must, native, output, program, shown};

/// Set where this program is cargo's compiler wrapper.
const WRAPPER: &str = "SAESCOPE_FUZZ_WRAPPER";
/// What `cargo fuzz` gives the compiler too. Not optimised, unlike the library that ships: most of the time
/// goes into compiling it.
const COVERAGE: [&str; 8] = [
    "-Copt-level=0",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=on",
    "-Cstrip=debuginfo",
];
/// Longest file that the fuzzer makes, longest time for one, most memory in all.
const LIMITS: [&str; 3] = ["-max_len=65536", "-timeout=20", "-rss_limit_mb=1024"];

/// The whole of `cargo xtask fuzz`'s arguments.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// For all targets together.
    pub seconds: u64,
    /// Those that are run; none: all.
    pub targets: Vec<String>,
}

impl Options {
    /// Reads `[--seconds N] [TARGET…]`.
    pub fn read(words: &[&str]) -> Result<Self> {
        let (mut seconds, mut targets) = (60, Vec::new());
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--seconds" => {
                    let value = words.next().context("--seconds wants a number")?;
                    seconds = value.parse().with_context(|| format!("--seconds {value}"))?;
                }
                _ if word.starts_with('-') => bail!("unknown option `{word}`"),
                _ => targets.push(word.to_owned()),
            }
        }
        Ok(Self { seconds, targets })
    }
}

/// Whether cargo calls this program as its compiler; then it is one, with coverage.
pub fn wrapped(args: &[String]) -> Option<ExitCode> {
    env::var_os(WRAPPER)?;
    let (compiler, args) = args.split_first()?;
    let name = args.iter().skip_while(|arg| *arg != "--crate-name").nth(1);
    // the files to begin with are written by a program without a fuzzer in it
    let own = |name: &String| name != "fuzz_seeds" && ["saescope", "fuzz_"].iter().any(|of| name.starts_with(of));
    let covered = name.is_some_and(own);
    let status = Command::new(compiler).args(args).args(covered.then_some(COVERAGE).into_iter().flatten()).status();
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Some(ExitCode::from(code.unwrap_or(1)))
}

/// Why it cannot be run here.
pub fn missing() -> Option<String> {
    if !cfg!(unix) {
        return Some("libFuzzer is built for Linux and macOS only".to_owned());
    }
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    output(compiler, &["--version"])
        .is_none()
        .then(|| "no C++ compiler for libFuzzer; on Debian: apt-get install g++".to_owned())
}

pub fn run(paths: &Paths, options: &Options) -> Result<bool> {
    if let Some(reason) = missing() {
        bail!(reason);
    }
    match step(paths, options)? {
        Outcome::Check(fine) => Ok(fine),
        _ => Ok(false),
    }
}

/// Lints, builds and runs the targets. Every one is run, also after another has found something.
pub fn step(paths: &Paths, options: &Options) -> Result<Outcome> {
    ensure!(lints::clean(paths, "saescope-fuzz")?, "the targets have lints");
    let mut build = cargo(paths, &paths.target);
    build.args(["build", "--release", "--package", "saescope-fuzz", "--bins"]).args(locked());
    must(build.env("RUSTC_WORKSPACE_WRAPPER", env::current_exe()?).env(WRAPPER, "1"))?;

    let all = targets(paths)?;
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        bail!("unknown target `{unknown}`; there are: {}", all.join(", "));
    }
    let chosen: Vec<&String> =
        all.iter().filter(|name| options.targets.is_empty() || options.targets.contains(name)).collect();
    let place = paths.target.join("fuzz");
    let seeds = place.join("seeds");
    write_seeds(paths, &place, &seeds)?;
    let each = (options.seconds / chosen.len().max(1) as u64).max(1);
    let (mut executions, mut findings) = (0, Vec::new());
    // a target is one thread
    for some in chosen.chunks(thread::available_parallelism().map_or(1, Into::into)) {
        let found: Vec<Result<Found>> = thread::scope(|scope| {
            let place = &place;
            let mut begun = Vec::new();
            for target in some.iter().map(|target| target.as_str()) {
                let seeds = seeds.join(target);
                begun.push(scope.spawn(move || fuzz(paths, target, place, &seeds, each)));
            }
            begun.into_iter().map(|of| of.join().unwrap_or_else(|_| bail!("the target's thread panicked"))).collect()
        });
        for (target, found) in some.iter().zip(found) {
            let found = found?;
            executions += found.executions;
            if !found.fine {
                findings.push(target.as_str());
            }
        }
    }
    println!("\n{executions} executions, findings in {} targets: {}", findings.len(), findings.join(", "));
    Ok(Outcome::Check(findings.is_empty()))
}

/// Names of the targets.
fn targets(paths: &Paths) -> Result<Vec<String>> {
    let folder = paths.root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut names: Vec<String> = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn built(paths: &Paths, name: &str) -> PathBuf {
    paths.target.join("release").join(format!("fuzz-{name}{}", env::consts::EXE_SUFFIX))
}

/// Files to begin with: reference data, and a small run's.
fn write_seeds(paths: &Paths, place: &Path, seeds: &Path) -> Result<()> {
    native(paths)?;
    let run = place.join("run");
    let golden = paths.root.join("tests/golden/models/llama");
    let mut analyze = program(paths, "analyze");
    analyze.arg("--model").arg(golden.join("model"));
    analyze.arg("--sae").arg(format!("1={}", golden.join("saes/layer_1").display()));
    analyze.arg("--dataset").arg(golden.join("texts.json"));
    analyze.args(["--device", "cpu", "--shard", "1/1", "--force", "--out"]).arg(&run);
    must(&mut analyze)?;
    must(Command::new(built(paths, "seeds")).arg(seeds).arg(&run))
}

/// What became of one target.
struct Found {
    executions: u64,
    fine: bool,
}

fn fuzz(paths: &Paths, target: &str, place: &Path, seeds: &Path, seconds: u64) -> Result<Found> {
    let (corpus, artifacts) = (place.join("corpus").join(target), place.join("artifacts"));
    let regressions = paths.root.join("fuzz/regressions").join(target);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut command = Command::new(built(paths, target));
    // in a folder of its own: files that it writes by itself are to lie there
    command.current_dir(place).args(LIMITS).arg(format!("-max_total_time={seconds}"));
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/{target}-", artifacts.display()));
    command.args([&corpus, &seeds.to_path_buf()]);
    if regressions.is_dir() {
        command.arg(&regressions);
    }
    println!("\n$ {}", shown(&command));
    let begun = Instant::now();
    let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| shown(&command))?;
    let mut executions = 0;
    let mut tail = Vec::new();
    for line in BufReader::new(child.stderr.take().context("no output of the fuzzer")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("cannot read the fuzzer's output")?).into_owned();
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            executions = count.trim().parse().context("the fuzzer's count")?;
        }
        tail.push(line);
        if tail.len() > 60 {
            tail.remove(0);
        }
    }
    let fine = child.wait().context("the fuzzer went away")?.success();
    if !fine {
        tail.iter().for_each(|line| println!("{line}"));
    }
    println!(
        "{target}: {executions} executions in {} s, {}",
        begun.elapsed().as_secs(),
        if fine { "no finding" } else { "a FINDING" }
    );
    ensure!(!fine || executions > 0 || begun.elapsed() < Duration::from_secs(1), "{target} ran nothing");
    Ok(Found { executions, fine })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = Options::read(&["npz", "--seconds", "7"]).expect("options");
        assert_eq!(read, Options { seconds: 7, targets: vec!["npz".to_owned()] });
        assert!(Options::read(&["--second", "7"]).is_err());
        assert!(Options::read(&["--seconds"]).is_err());
    }
}
