//! `cargo xtask check`: formatting, lints, documentation, types of the page, dependencies.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use crate::browser;
use crate::dependencies;
use crate::lints;
use crate::paths::Paths;
use crate::report::{Outcome, Report};
use crate::run::{cargo, locked, shown, succeeds};
use crate::ship;
use crate::wasm::Toolchain;

pub fn run(paths: &Paths) -> Result<bool> {
    let mut report = Report::default();
    steps(paths, &mut report);
    Ok(report.close())
}

/// The checks; `test` runs them too.
pub fn steps(paths: &Paths, report: &mut Report) {
    report.step("formatting", || {
        Ok(Outcome::Check(succeeds(cargo(paths, &paths.target).args(["fmt", "--all", "--", "--check"]))?))
    });
    report.step("one set of features", || one_set_of_features(paths));
    lint(paths, report);
    // this is also the test that it builds there
    report.step("lints and build, web", || {
        // what is shared between threads on native holds JavaScript values on the web, and stays an Arc
        let mut command = Toolchain::find(paths)?.lints(paths, &["clippy::arc_with_non_send_sync"]);
        // its clippy.toml bans what a browser does not have
        command.env("CLIPPY_CONF_DIR", paths.root.join("scripts/clippy_wasm"));
        Ok(Outcome::Check(succeeds(&mut command)?))
    });
    browser::types(paths, report);
    browser::template(paths, report);
    ship::steps(paths, report);
    dependencies::steps(paths, report);
}

/// Lints of the packages, and the library's documentation, native alone.
pub fn lints(paths: &Paths) -> Result<bool> {
    let mut report = Report::default();
    lint(paths, &mut report);
    Ok(report.close())
}

fn lint(paths: &Paths, report: &mut Report) {
    // one package at a time: together they would be built with the sum of their features
    for (name, package) in [
        ("lints and documentation", "saescope"),
        ("lints, wheel", "saescope-python"),
        ("lints, xtask", "xtask"),
        ("lints, glue", "xtask-glue"),
    ] {
        report.step(name, || Ok(Outcome::Check(lints::clean(paths, package)?)));
    }
}

/// Whether the program is built with the same features of every dependency as the tests are. If a
/// dev-dependency asks for one more feature of something deep down, everything above it is built
/// twice, and again at each change between building and testing.
fn one_set_of_features(paths: &Paths) -> Result<Outcome> {
    let tree = |package: &str, edges: &str| -> Result<BTreeSet<String>> {
        let mut command = cargo(paths, &paths.target);
        command.args(["tree", "--package", package, "--edges", edges, "--prefix", "none", "--format", "{p} {f}"]);
        println!("$ {}", shown(&command));
        let out = command.args(locked()).output().context("cannot run cargo")?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr).trim());
        let text = String::from_utf8_lossy(&out.stdout);
        Ok(text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
    };
    let tests = tree("saescope", "normal,dev")?;
    let odd: Vec<String> = tree("saescope", "normal")?.into_iter().filter(|line| !tests.contains(line)).collect();
    odd.iter().for_each(|line| println!("not built alike for the tests: {line}"));
    // the wheel has more packages; those that both have are one build
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let all = tree("saescope", "normal,build,dev")?;
    let names: BTreeSet<String> = all.iter().map(|line| name(line)).collect();
    let wheel = tree("saescope-python", "normal,build")?.into_iter();
    let other: Vec<String> = wheel.filter(|line| names.contains(&name(line)) && !all.contains(line)).collect();
    other.iter().for_each(|line| println!("not built alike for the wheel: {line}"));
    Ok(Outcome::Check(odd.is_empty() && other.is_empty()))
}
