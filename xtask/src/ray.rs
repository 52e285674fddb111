//! The Ray job, tested with a real Ray on this machine.

use std::process::Command;

use anyhow::Result;

use crate::paths::Paths;
use crate::python::{Built, discover, fresh, pip, ready, wheel};
use crate::report::{Outcome, Report};
use crate::run::{in_ci, must, own_environment, succeeds};

const NAME: &str = "tests of the Ray job";

/// `cluster/tests` in an environment of the wheel and what `cluster/tests/requirements.txt` locks. Where Ray has no
/// wheel for this machine's Python, that is reported as ignored; CI's has one.
pub fn step(paths: &Paths, built: Option<&Built>, report: &mut Report) {
    let Some(built) = built else { return report.ignored(NAME.to_owned(), "there is no wheel".to_owned()) };
    if !cfg!(target_os = "linux") {
        return report.ignored(NAME.to_owned(), "the job's tests look into /proc".to_owned());
    }
    report.step(NAME, || run(paths, built));
}

/// `cargo xtask ray`: builds the wheel and runs these tests alone.
///
/// # Errors
/// What is missing, and what to type.
pub fn alone(paths: &Paths) -> Result<bool> {
    let built = Built { python: ready()?, wheel: wheel(paths)? };
    let mut report = Report::default();
    step(paths, Some(&built), &mut report);
    Ok(report.close())
}

fn run(paths: &Paths, built: &Built) -> Result<Outcome> {
    let python = fresh(&built.python, &paths.target.join("python-ray-env"))?;
    let tests = paths.root.join("cluster/tests");
    let locked = tests.join("requirements.txt").display().to_string();
    let mut install = pip(&python, &["--only-binary", ":all:", "--require-hashes", "--requirement", &locked]);
    if !succeeds(&mut install)? {
        let reason = "what cluster/tests/requirements.txt locks cannot be installed for this machine's Python";
        anyhow::ensure!(!in_ci(), "{reason}");
        return Ok(Outcome::Ignored(reason.to_owned()));
    }
    must(&mut pip(&python, &["--no-index", &built.wheel.display().to_string()]))?;
    let mut command = Command::new(&python);
    own_environment(&mut command);
    command.current_dir(&paths.target);
    let results = discover(command, &tests)?;
    Ok(Outcome::Tests { passed: results.passed, failed: results.failed, whole: results.whole })
}
