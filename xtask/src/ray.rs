//! The Ray job, tested with a real Ray on this machine.

use std::process::Command;
use std::thread;

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::python::{self, Built, discover, fresh, pip, ready, wheel};
use crate::report::{Outcome, Report};
use crate::run::{in_ci, must, own_environment, succeeds};

const NAME: &str = "tests of the Ray job";
/// Whether they can be run on this system, and why not.
const OS: bool = cfg!(target_os = "linux");
const ELSEWHERE: &str = "the job's tests look into /proc";

/// Tests the wheel, and beside it the Ray job: while one installs or starts its processes, the other computes.
pub fn beside_the_wheels(paths: &Paths, built: Option<&Built>, report: &mut Report) {
    let Some(built) = built else { return report.ignored(NAME.to_owned(), "there is no wheel".to_owned()) };
    thread::scope(|scope| {
        let job = OS.then(|| scope.spawn(|| run(paths, built)));
        python::tested(paths, built, report);
        match job {
            Some(job) => report.step(NAME, || job.join().unwrap_or_else(|_| bail!("the step panicked"))),
            None => report.ignored(NAME.to_owned(), ELSEWHERE.to_owned()),
        }
    });
}

/// `cargo xtask wheel --test`: builds the wheel, and tests it and the Ray job as `test` does.
///
/// # Errors
/// None: what fails is in the report.
pub fn with_the_wheel(paths: &Paths) -> Result<bool> {
    let mut report = Report::default();
    let built = python::built(paths, &mut report);
    beside_the_wheels(paths, built.as_ref(), &mut report);
    Ok(report.close())
}

/// `cargo xtask ray`: builds the wheel and runs these tests alone.
///
/// # Errors
/// What is missing, and what to type.
pub fn alone(paths: &Paths) -> Result<bool> {
    let built = Built { python: ready()?, wheel: wheel(paths)? };
    let mut report = Report::default();
    match OS {
        true => report.step(NAME, || run(paths, &built)),
        false => report.ignored(NAME.to_owned(), ELSEWHERE.to_owned()),
    }
    Ok(report.close())
}

/// `cluster/tests` in an environment of the wheel and what `cluster/tests/requirements.txt` locks. Where Ray has no
/// wheel for this machine's Python, that is reported as ignored; CI's has one.
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
