//! `cargo xtask test`: all that CI runs.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::browser;
use crate::check;
use crate::fuzz;
use crate::paths::Paths;
use crate::precisions;
use crate::python;
use crate::ray;
use crate::report::{Outcome, Report};
use crate::run::{cargo, in_ci, locked, output, shown};

/// What an ignored test's reason holds when it needs a graphics adapter.
const NEEDS_ADAPTER: &str = "graphics adapter";
/// What such a test says where there is none; see tests/gpu.rs.
const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 adapter";
/// What an ignored test's reason holds when it needs a second adapter beside the first.
const NEEDS_TWO: &str = "two adapters of different kinds";
/// Tests on an adapter that a second one, of another kind, has to pass as well.
const ON_BOTH: [&str; 3] = ["gpu_kernels::", "gpu::gpu_metrics", "precisions::gpu_goldens_in_f16"];
/// What an ignored test's reason holds when it needs system calls that fail.
const NEEDS_STRACE: &str = "strace";
/// What an ignored test's reason holds when it counts instructions.
const NEEDS_VALGRIND: &str = "valgrind";
/// Seconds of fuzzing, over all targets.
const FUZZING: u64 = 60;
/// The variable that an ignored test's reason names when it needs real models.
const MODELS: &str = "SAESCOPE_TEST_MODELS";

pub fn run(paths: &Paths) -> Result<bool> {
    let mut report = Report::default();
    let cloned = browser::fresh(paths, &mut report);
    check::steps(paths, &mut report);

    let mut ignored = BTreeMap::new();
    // one package at a time: together they would be built with the sum of their features, and burn twice
    for (name, package) in [("tests", "saescope"), ("tests of xtask", "xtask")] {
        report.step(name, || {
            let mut command = cargo(paths, &paths.target);
            // all of them, also when some fail
            command.args(["test", "--release", "--package", package, "--no-fail-fast"]);
            let run = tests(command.args(locked()))?;
            ignored.extend(run.ignored);
            Ok(Outcome::Tests { passed: run.passed, failed: run.failed, whole: run.whole })
        });
    }

    let names = take(&mut ignored, |reason| reason.contains(NEEDS_ADAPTER));
    if !names.is_empty() {
        report.step("tests on a graphics adapter", || {
            let run = tests(&mut chosen(paths, &names))?;
            // CI installs a software adapter: there its absence is a failure
            if run.no_adapter && !in_ci() {
                let hint = "on Debian: apt-get install libvulkan1 mesa-vulkan-drivers";
                return Ok(Outcome::Ignored(format!("{}: {NO_ADAPTER}; {hint}", names.join(", "))));
            }
            Ok(Outcome::Tests { passed: run.passed, failed: run.failed, whole: run.whole })
        });
    }
    let on_both: Vec<String> = names.into_iter().filter(|name| ON_BOTH.iter().any(|of| name.starts_with(of))).collect();
    let beside = take(&mut ignored, |reason| reason.contains(NEEDS_TWO));
    match browser::swiftshader() {
        // CI has both
        None if !in_ci() => {
            let hint = "no SwiftShader; on Debian: apt-get install chromium";
            report.ignored("kernels on a second adapter".to_owned(), format!("{}: {hint}", beside.join(", ")));
        }
        driver => {
            let driver = driver.unwrap_or_default();
            let mut step = |name: &str, names: &[String], variable: &str| {
                report.step(name, || {
                    let run = tests(chosen(paths, names).env(variable, &driver))?;
                    if run.no_adapter && !in_ci() {
                        let hint = "on Debian: apt-get install libvulkan1 mesa-vulkan-drivers";
                        return Ok(Outcome::Ignored(format!("{}: {NO_ADAPTER}; {hint}", names.join(", "))));
                    }
                    Ok(Outcome::Tests { passed: run.passed, failed: run.failed, whole: run.whole })
                });
            };
            step("kernels on Chromium's adapter", &on_both, "VK_DRIVER_FILES");
            step("adapters of two kinds", &beside, "VK_ADD_DRIVER_FILES");
        }
    }
    let names = take(&mut ignored, |reason| reason.contains(NEEDS_STRACE));
    if output("strace", &["--version"]).is_none() && !in_ci() {
        let hint = "no strace; on Debian: apt-get install strace";
        report.ignored("tests with failing system calls".to_owned(), format!("{}: {hint}", names.join(", ")));
    } else if !names.is_empty() {
        report.step("tests with failing system calls", || {
            let run = tests(&mut chosen(paths, &names))?;
            Ok(Outcome::Tests { passed: run.passed, failed: run.failed, whole: run.whole })
        });
    }
    let names = take(&mut ignored, |reason| reason.contains(NEEDS_VALGRIND));
    if output("valgrind", &["--version"]).is_none() && !in_ci() {
        let hint = "no valgrind; on Debian: apt-get install valgrind";
        report.ignored("counts of instructions".to_owned(), format!("{}: {hint}", names.join(", ")));
    } else if !names.is_empty() {
        report.step("counts of instructions", || {
            let run = tests(&mut chosen(paths, &names))?;
            Ok(Outcome::Tests { passed: run.passed, failed: run.failed, whole: run.whole })
        });
    }
    match fuzz::missing() {
        Some(reason) if !in_ci() => report.ignored("fuzzing".to_owned(), reason),
        _ => report.step("fuzzing", || fuzz::step(paths, &fuzz::Options { seconds: FUZZING, targets: Vec::new() })),
    }
    if env::var_os(MODELS).is_some() {
        let names = take(&mut ignored, |reason| reason.contains(MODELS));
        if !names.is_empty() {
            report.step("tests on real models", || {
                let run = tests(&mut chosen(paths, &names))?;
                Ok(Outcome::Tests { passed: run.passed, failed: run.failed, whole: run.whole })
            });
        }
    }
    for (name, reason) in ignored {
        report.ignored(name, reason);
    }
    let built = python::built(paths, &mut report);
    ray::beside_the_wheels(paths, built.as_ref(), &mut report);
    browser::steps(paths, &mut report, cloned);
    report.step("the default model in other precisions", || precisions::step(paths));
    Ok(report.close())
}

/// Removes the tests whose reason fits and gives their names.
fn take(ignored: &mut BTreeMap<String, String>, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let names: Vec<String> = ignored.iter().filter(|(_, reason)| fits(reason)).map(|(name, _)| name.clone()).collect();
    names.iter().for_each(|name| drop(ignored.remove(name)));
    names
}

/// Runs these ignored tests.
fn chosen(paths: &Paths, names: &[String]) -> Command {
    let mut command = cargo(paths, &paths.target);
    command.args(["test", "--release", "--package", "saescope", "--lib", "--test", "tests", "--no-fail-fast"]);
    command.args(locked()).args(["--", "--ignored", "--exact"]).args(names);
    command
}

/// What one call of `cargo test` did.
#[derive(Debug, Default, PartialEq)]
struct Run {
    passed: usize,
    failed: usize,
    /// Whether cargo was content.
    whole: bool,
    /// Test name → reason.
    ignored: BTreeMap<String, String>,
    /// Whether a test said that it found no adapter.
    no_adapter: bool,
}

/// Runs `cargo test`, passing its output on and reading along.
fn tests(command: &mut Command) -> Result<Run> {
    println!("\n$ {}", shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut run = Run::default();
    let stdout = child.stdout.take().context("no output of cargo")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read cargo's output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        run.read(&line);
    }
    run.whole = child.wait().context("cargo went away")?.success();
    Ok(run)
}

impl Run {
    /// Takes in one line of a test program's output.
    fn read(&mut self, line: &str) {
        self.no_adapter |= line.contains(NO_ADAPTER);
        if let Some(test) = line.strip_prefix("test ")
            && let Some((name, end)) = test.split_once(" ... ignored")
        {
            let reason = end.trim_start_matches(", ").trim();
            let reason = if reason.is_empty() { "no reason given" } else { reason };
            self.ignored.insert(name.to_owned(), reason.to_owned());
        }
        // test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in …
        if let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) {
            let count = |word: &str| {
                let part = counts.split("; ").find_map(|part| part.strip_suffix(word)?.strip_suffix(' '));
                part.and_then(|number| number.parse::<usize>().ok()).unwrap_or(0)
            };
            self.passed += count("passed");
            self.failed += count("failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tests_output_is_understood() {
        let mut run = Run::default();
        for line in [
            "running 4 tests",
            "test a::works ... ok",
            "test a::fails ... FAILED",
            "test gpu::gpu_metrics ... ignored, needs a graphics adapter; cargo xtask test runs it",
            "test b ... ignored",
            "thread 'x' panicked: no Vulkan, Metal or DX12 adapter; on Debian …",
            "test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.41s",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            run.read(line);
        }
        assert_eq!((run.passed, run.failed, run.no_adapter), (13, 1, true));
        let names = take(&mut run.ignored, |reason| reason.contains(NEEDS_ADAPTER));
        assert_eq!(names, ["gpu::gpu_metrics"]);
        assert_eq!(run.ignored.into_iter().collect::<Vec<_>>(), [("b".to_owned(), "no reason given".to_owned())]);
    }
}
