//! The wheel, built and tested from clean environments.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::paths::Paths;
use crate::report::{Outcome, Report, Results};
use crate::run::{in_ci, locked, must, native, output, own_environment, shown};

const NAME: &str = "tests of the wheel";
/// What builds the wheel.
const MATURIN: &str = "maturin==1.16.0";
/// The wheel alone, with nothing else installed: a run of a tiny model, and its rows through Arrow.
const ALONE: &str = "import importlib.metadata, json, os, sys
assert not importlib.metadata.requires('saescope'), 'the wheel depends on something'
import saescope
folder = sys.argv[1]
saes = json.load(open(os.path.join(folder, 'expected.json')))['saes']
saes = {int(layer): os.path.join(folder, path) for layer, path in saes.items()}
rows = json.load(open(os.path.join(folder, 'texts.json')))
run = saescope.analyze(rows, model=os.path.join(folder, 'model'), saes=saes, device='cpu', progress=False)
assert len(run.metrics) == len(rows), run
assert 'PyCapsule' in type(run.metrics.__arrow_c_stream__()).__name__
";

/// A wheel, and the Python that it was tested with.
#[derive(Debug)]
pub struct Built {
    /// Makes environments.
    pub python: PathBuf,
    /// The wheel.
    pub wheel: PathBuf,
}

/// Builds the wheel and gives it. Without Python's venv that is reported as ignored, and in CI, which installs it, as a
/// failure.
pub fn built(paths: &Paths, report: &mut Report) -> Option<Built> {
    let python = match ready() {
        Ok(python) => python,
        Err(reason) => {
            if in_ci() {
                report.step(NAME, || Err(reason));
            } else {
                report.ignored(NAME.to_owned(), format!("{reason:#}"));
            }
            return None;
        }
    };
    let mut built = None;
    report.step("the wheel", || {
        built = Some(wheel(paths)?);
        Ok(Outcome::Check(true))
    });
    let Some(wheel) = built else {
        report.ignored(NAME.to_owned(), "the wheel was not built".to_owned());
        return None;
    };
    Some(Built { python, wheel })
}

/// Tests a wheel.
pub fn tested(paths: &Paths, Built { python, wheel }: &Built, report: &mut Report) {
    let mut skipped = Vec::new();
    report.step(NAME, || {
        let results = tests(paths, python, wheel)?;
        skipped.extend(results.skipped);
        Ok(Outcome::Tests { passed: results.passed, failed: results.failed, whole: results.whole })
    });
    for (name, reason) in skipped {
        report.ignored(name, reason);
    }
}

/// `cargo xtask wheel`: builds it and says where it is.
pub fn build(paths: &Paths) -> Result<bool> {
    println!("{}", wheel(paths)?.display());
    Ok(true)
}

/// A Python that makes environments.
///
/// # Errors
/// What is missing, and what to type.
pub fn ready() -> Result<PathBuf> {
    let named = env::var_os("PYTHON").map(PathBuf::from);
    let found = named.into_iter().chain(["python3".into(), "python".into()]);
    let found = found.into_iter().find(|python: &PathBuf| output(python, &["--version"]).is_some());
    let python = found.context("no python3 found; install Python 3.10 or later")?;
    let modules = output(&python, &["-I", "-c", "import sys, venv, ensurepip; print(sys.version_info >= (3, 10))"]);
    match modules.as_deref() {
        Some("True") => Ok(python),
        Some(_) => bail!("{} is older than Python 3.10", python.display()),
        None => bail!("{} has no venv; on Debian: apt-get install python3-venv", python.display()),
    }
}

fn python_of(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// An environment, made anew.
pub fn fresh(python: &Path, environment: &Path) -> Result<PathBuf> {
    if environment.exists() {
        fs::remove_dir_all(environment).with_context(|| environment.display().to_string())?;
    }
    must(Command::new(python).args(["-m", "venv"]).arg(environment))?;
    Ok(python_of(environment))
}

/// pip, without what a user's environment says of where packages go.
pub fn pip(python: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.args(["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(args);
    command
}

/// The Python of an environment of this name with these packages; made where it is missing or has others.
pub fn environment(paths: &Paths, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let environment = paths.cache.join(name);
    let (stamp, wanted) = (environment.join("packages.txt"), packages.join("\n"));
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        must(&mut pip(&fresh(&ready()?, &environment)?, packages))?;
        fs::write(&stamp, &wanted).with_context(|| stamp.display().to_string())?;
    }
    Ok(python_of(&environment))
}

/// Builds the wheel in the folder of all other builds: what it depends on is compiled for the program already.
pub fn wheel(paths: &Paths) -> Result<PathBuf> {
    let python = environment(paths, "maturin-env", &[MATURIN])?;
    let out = paths.target.join("wheels");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| out.display().to_string())?;
    }
    let mut maturin = Command::new(python);
    own_environment(&mut maturin);
    maturin.current_dir(&paths.root).env("CARGO_TARGET_DIR", &paths.target);
    maturin.args(["-m", "maturin", "build", "--release", "--manifest-path", "python/Cargo.toml"]);
    // for this machine alone: that a wheel runs on others is the release's to see to
    maturin.args(["--compatibility", "linux", "--out"]).arg(&out).args(locked());
    must(&mut maturin)?;
    let mut wheels = fs::read_dir(&out)?.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = wheels.find(|path| path.extension().is_some_and(|e| e == "whl")).context("no wheel was built")?;
    println!("{}: {:.1} MB", wheel.display(), fs::metadata(&wheel)?.len() as f64 / 1e6);
    Ok(wheel)
}

/// Installs the wheel into a clean environment, alone and then beside what reads its tables, and runs `python/tests`.
fn tests(paths: &Paths, python: &Path, wheel: &Path) -> Result<Results> {
    // the tests compare with it
    native(paths)?;
    let python = fresh(python, &paths.target.join("python-env"))?;
    let text = |path: &Path| path.display().to_string();
    must(&mut pip(&python, &["--no-index", &text(wheel)]))?;
    let elsewhere = paths.target.join("python-alone");
    if elsewhere.exists() {
        fs::remove_dir_all(&elsewhere).with_context(|| text(&elsewhere))?;
    }
    fs::create_dir_all(&elsewhere).with_context(|| text(&elsewhere))?;
    let golden = paths.root.join("tests/golden/models/llama");
    must(Command::new(&python).current_dir(&elsewhere).args(["-I", "-c", ALONE]).arg(&golden))?;
    let folder = paths.root.join("python/tests");
    must(&mut pip(&python, &["--requirement", &text(&folder.join("requirements.txt"))]))?;
    let mut command = Command::new(&python);
    own_environment(&mut command);
    command.current_dir(&elsewhere).env("SAESCOPE_PROGRAM", paths.native_program());
    discover(command, &folder)
}

/// Runs the tests of a folder.
///
/// # Errors
/// A Python that cannot be run, a folder without tests.
pub fn discover(mut command: Command, folder: &Path) -> Result<Results> {
    command.args(["-I", "-m", "unittest", "discover", "--verbose", "--start-directory"]).arg(folder);
    println!("\n$ {}", shown(&command));
    let ran = command.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
    let ran = ran.context("cannot run python")?;
    let said = String::from_utf8_lossy(&ran.stderr);
    eprint!("{said}");
    let results = Results { whole: ran.status.success(), ..read(&said) };
    ensure!(results.passed + results.failed > 0, "no test of {} ran", folder.display());
    Ok(results)
}

/// Reads the verbose runner's words: a line per test, then counts.
fn read(text: &str) -> Results {
    let mut results = Results::default();
    let mut ran = 0;
    for line in text.lines() {
        if let Some((name, reason)) = line.split_once(" ... skipped ") {
            let name = name.split(' ').next().unwrap_or(name);
            results.skipped.push((name.to_owned(), reason.trim_matches(['\'', '"']).to_owned()));
        }
        if let Some((count, _)) = line.strip_prefix("Ran ").and_then(|rest| rest.split_once(" test")) {
            ran += count.parse::<usize>().unwrap_or(0);
        }
        // FAILED (failures=1, errors=2, skipped=1)
        if let Some(counts) = line.strip_prefix("FAILED (") {
            let count = |word: &str| {
                let part = counts.trim_end_matches(')').split(", ").find_map(|part| part.strip_prefix(word));
                part.and_then(|number| number.parse::<usize>().ok()).unwrap_or(0)
            };
            results.failed += count("failures=") + count("errors=");
        }
    }
    // a test with several failing parts counts once for each
    results.passed = ran.saturating_sub(results.failed + results.skipped.len());
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unittests_results_are_understood() {
        let fine = "test_a (test_x.X.test_a) ... ok\ntest_b (test_x.X.test_b)\nSays what. ... ok\n\n-----\n\
                    Ran 2 tests in 1.500s\n\nOK\n";
        assert_eq!(read(fine), Results { passed: 2, ..Results::default() });
        let mixed = "test_a (test_x.X.test_a) ... FAIL\ntest_b (test_x.X.test_b) ... skipped 'not on Windows'\n\
                     test_c (test_x.X.test_c) ... ok\n\nRan 3 tests in 0.1s\n\nFAILED (failures=1, skipped=1)\n";
        let skipped = vec![("test_b".to_owned(), "not on Windows".to_owned())];
        assert_eq!(read(mixed), Results { passed: 1, failed: 1, skipped, whole: false });
        let broken = "Ran 1 test in 0.000s\n\nFAILED (errors=1)\n";
        assert_eq!(read(broken), Results { failed: 1, ..Results::default() });
    }
}
