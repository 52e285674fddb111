//! The page's tests in a real browser: node's own test runner over `tests/browser/*.test.mjs`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::paths::Paths;
use crate::report::{Outcome, Report, Results};
use crate::run::{in_ci, must, native, output, own_environment, shown, succeeds};
use crate::web::{self, Care};

const NAME: &str = "tests in a browser";
/// The test that types what the README says: a step with a time of its own.
const README: &str = "readme.test.mjs";
const CLONE: &str = "the README's commands in a fresh clone";
/// The tests that measure time: nothing runs beside them.
const ALONE: &str = "speed.test.mjs";
/// Files that run at a time otherwise: a page waits for its own clocks and pictures a third of the time.
const BESIDE: usize = 2;
/// Names the fresh clone to [`README`]; without it the test makes one.
const FRESH: &str = "SAESCOPE_FRESH_CLONE";
/// Seconds of damaged files.
const FUZZING: &str = "30";

/// The README's commands where this checkout is a fresh clone, in which nothing was done yet: a clone of it would
/// only build everything twice. Tells whether they were tried; before anything else is done here.
pub fn fresh(paths: &Paths, report: &mut Report) -> bool {
    let here = untouched(paths) && ready(paths).is_ok();
    if here {
        readme(paths, report, Some(&paths.root));
    }
    here
}

/// Whether git knows of every file here.
fn untouched(paths: &Paths) -> bool {
    let root = paths.root.display().to_string();
    output("git", &["-C", &root, "status", "--porcelain", "--ignored"]).is_some_and(|status| status.is_empty())
}

/// Tests the README's commands in this clone, or in one that the test makes.
fn readme(paths: &Paths, report: &mut Report, fresh: Option<&Path>) {
    report.step(&format!("{CLONE}, {}", version()), || {
        let results = run(paths, vec![paths.root.join("tests/browser").join(README)], 1, fresh)?;
        Ok(Outcome::Tests { passed: results.passed, failed: results.failed, whole: results.whole })
    });
}

/// What the browser calls itself.
fn version() -> String {
    chromium().and_then(|program| output(program, &["--version"])).unwrap_or_else(|| "Chromium".to_owned())
}

/// Builds the page and tests it. Without a browser or node that is reported as ignored, and in CI,
/// which installs them, as a failure. `cloned`: whether the README's commands were tried already.
pub fn steps(paths: &Paths, report: &mut Report, cloned: bool) {
    if let Err(reason) = ready(paths) {
        if in_ci() {
            report.step(NAME, || Err(reason));
        } else {
            report.ignored(NAME.to_owned(), format!("{reason:#}"));
        }
        return;
    }
    let mut built = false;
    report.step("the page, and its sizes", || {
        web::run(paths, Care::Full)?;
        web::package::make(paths)?;
        built = true;
        Ok(Outcome::Check(true))
    });
    if !built {
        report.ignored(NAME.to_owned(), "the page was not built".to_owned());
        return;
    }
    report.step("fuzzing the page's readers", || Ok(Outcome::Check(succeeds(&mut fuzzer(paths)?)?)));
    let mut skipped = Vec::new();
    report.step(&format!("{NAME}, {}", version()), || {
        let (alone, others): (Vec<PathBuf>, Vec<PathBuf>) = files(paths)?.into_iter().partition(|f| f.ends_with(ALONE));
        let (first, rest) = (run(paths, alone, 1, None)?, run(paths, others, BESIDE, None)?);
        skipped.extend(first.skipped.into_iter().chain(rest.skipped));
        let whole = first.whole && rest.whole;
        Ok(Outcome::Tests { passed: first.passed + rest.passed, failed: first.failed + rest.failed, whole })
    });
    for (name, reason) in skipped {
        report.ignored(name, reason);
    }
    if !cloned {
        readme(paths, report, None);
    }
}

/// Damaged files through the page's reading code, in node.
fn fuzzer(paths: &Paths) -> Result<Command> {
    native(paths)?;
    let mut node = Command::new("node");
    node.current_dir(&paths.root).args(["tests/fuzz/parquet.mjs", "--seconds", FUZZING]);
    node.env("SAESCOPE_PROGRAM", paths.native_program())
        .env("SAESCOPE_ARTIFACTS", paths.target.join("browser-artifacts"));
    own_environment(&mut node);
    Ok(node)
}

/// Whether node and a browser are here.
fn ready(paths: &Paths) -> Result<()> {
    web::ready(paths)?;
    ensure!(
        chromium().is_some(),
        "no Chromium found; on Debian: apt-get install chromium, elsewhere name it in CHROMIUM"
    );
    Ok(())
}

/// The driver's description.
const SWIFTSHADER: &str = "vk_swiftshader_icd.json";

/// `CHROMIUM`, or the usual names. tests/browser/harness/paths.mjs looks in the same way.
fn chromium() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM").filter(|value| !value.is_empty()) {
        return Some(named.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    let mut found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    found.find(|path| path.is_file()).or_else(|| mac.is_file().then_some(mac))
}

/// What tells Vulkan's loader of the software adapter that comes with Chromium on Linux; its host programs can use it, too.
pub fn swiftshader() -> Option<PathBuf> {
    let program = fs::canonicalize(chromium()?).ok()?;
    let beside = program.parent().map(|folder| folder.join(SWIFTSHADER));
    // Debian's /usr/bin/chromium is a script
    let usual = PathBuf::from("/usr/lib/chromium").join(SWIFTSHADER);
    beside.into_iter().chain([usual]).find(|path| path.is_file())
}

/// The test files but that of the README, sorted.
fn files(paths: &Paths) -> Result<Vec<PathBuf>> {
    let folder = paths.root.join("tests/browser");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs") && !path.ends_with(README))
        .collect();
    files.sort();
    Ok(files)
}

/// Runs these files, so many at a time.
fn run(paths: &Paths, files: Vec<PathBuf>, beside: usize, fresh: Option<&Path>) -> Result<Results> {
    // the tests compare with it; a fresh clone builds it by its own command
    if fresh.is_none() {
        native(paths)?;
    }
    let artifacts = paths.target.join("browser-artifacts");
    fs::create_dir_all(&artifacts).with_context(|| artifacts.display().to_string())?;
    let tap = artifacts.join("results.tap");
    let mut node = Command::new("node");
    node.current_dir(&paths.root);
    node.arg("--test").arg(format!("--test-concurrency={beside}"));
    node.args(["--test-reporter=spec", "--test-reporter-destination=stdout", "--test-reporter=tap"]);
    node.arg(format!("--test-reporter-destination={}", tap.display())).args(&files);
    node.env("SAESCOPE_DIST", web::dist(paths)).env("SAESCOPE_PROGRAM", paths.native_program());
    node.env("SAESCOPE_ARTIFACTS", &artifacts).env("SAESCOPE_KEPT", &paths.cache);
    node.env("SAESCOPE_NPM", web::package::folder(paths).with_file_name(""));
    // for cargo in the clone
    node.env("CARGO_TARGET_DIR", &paths.target).envs(fresh.map(|root| (FRESH, root)));
    own_environment(&mut node);
    println!("\n$ {}", shown(&node));
    let whole = node.status().context("cannot run node")?.success();
    println!("screenshots: {}", artifacts.display());
    let text = fs::read_to_string(&tap).with_context(|| tap.display().to_string())?;
    Ok(Results { whole, ..read(&text) })
}

/// Reads TAP as node writes it: results nested by indentation, counts at the end.
fn read(text: &str) -> Results {
    let mut results = Results::default();
    for line in text.lines() {
        let count = |word: &str| line.strip_prefix(word).and_then(|n| n.trim().parse::<usize>().ok());
        results.passed += count("# pass ").unwrap_or(0);
        results.failed += count("# fail ").unwrap_or(0) + count("# cancelled ").unwrap_or(0);
        if let Some((head, reason)) = line.split_once(" # SKIP").or_else(|| line.split_once(" # TODO"))
            && let Some((_, name)) = head.split_once(" - ")
        {
            let reason = if reason.trim().is_empty() { "no reason given" } else { reason.trim() };
            results.skipped.push((name.to_owned(), reason.to_owned()));
        }
    }
    results
}

/// Checks the types of the page's code, where node is.
pub fn types(paths: &Paths, report: &mut Report) {
    match web::ready(paths) {
        Err(reason) if !in_ci() => report.ignored("types of the page".to_owned(), format!("{reason:#}")),
        _ => report.step("types of the page", || {
            must(&mut web::check(paths)?)?;
            Ok(Outcome::Check(true))
        }),
    }
}

/// Whether the committed template of the report is what the sources give, where node is.
pub fn template(paths: &Paths, report: &mut Report) {
    match web::ready(paths) {
        Err(reason) if !in_ci() => report.ignored("the report's template".to_owned(), format!("{reason:#}")),
        _ => report.step("the report's template", || {
            web::report::check(paths)?;
            Ok(Outcome::Check(true))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_results_are_understood() {
        let text = "TAP version 13\n# Subtest: numbers\n    # Subtest: llama\n    ok 1 - llama\n      ---\n      \
                    duration_ms: 5\n      ...\n    ok 2 - pyarrow reads it # SKIP no pip\n    1..2\nok 1 - numbers\n\
                    1..1\n# tests 4\n# suites 1\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 0\n";
        let results = read(text);
        assert_eq!((results.passed, results.failed), (2, 2));
        assert_eq!(results.skipped, [("pyarrow reads it".to_owned(), "no pip".to_owned())]);
    }
}
