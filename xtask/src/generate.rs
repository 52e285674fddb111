//! `cargo xtask generate`: files that are made from the library and committed.

use anyhow::Result;

use crate::paths::Paths;
use crate::run::{cargo, locked, succeeds};

/// Runs the tests that compare these files, with the variable that has them written instead.
pub fn run(paths: &Paths) -> Result<bool> {
    let mut command = cargo(paths, &paths.target);
    command.args(["test", "--release", "--package", "saescope", "--lib", "--test", "tests"]).args(locked());
    succeeds(command.args(["--", "generated"]).env("SAESCOPE_GENERATE", "1"))
}
