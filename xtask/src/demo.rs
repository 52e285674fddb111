//! `cargo xtask demo`: from a fresh clone to a finished run.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::run::{cargo, locked, must, own_environment, succeeds};

/// Builds the program and runs `saescope analyze` with `args` where the user stands. The default
/// model is fetched on the first run and found in the cache ever after.
pub fn run(paths: &Paths, args: &[&str]) -> Result<bool> {
    let mut build = cargo(paths, &paths.target);
    must(build.args(["build", "--release", "--bin", "saescope"]).args(locked()))?;
    let program = paths.target.join("release").join(format!("saescope{}", env::consts::EXE_SUFFIX));
    let mut analyze = Command::new(&program);
    own_environment(&mut analyze);
    let done = succeeds(analyze.arg("analyze").args(args))?;
    let here = env::current_dir().context("the current folder is gone")?;
    if done {
        println!("\nthe program: {}", program.display());
        println!("ran in:      {}", here.display());
    }
    Ok(done)
}
