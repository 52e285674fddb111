//! `cargo xtask reliability`: the attacks of tests/reliability.rs, as a table.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::paths::Paths;
use crate::run::{cargo, locked, native, output, shown};

/// What begins a row in a test's output; see tests/reliability.rs.
const ROW: &str = "reliability: ";
/// Tests that print rows, by what their names hold.
const FILTERS: [&str; 3] = ["reliability::", "what_a_hub_may_answer", "a_sample_takes_a_few_kilobytes"];
const HEAD: &str = "| attack | tries | outcome |\n|---|---:|---|\n";
const TABLE: &str = "docs/RELIABILITY.md";

/// Runs them and prints the table. `full`: all of each, and the table is written to docs/RELIABILITY.md.
pub fn run(paths: &Paths, full: bool) -> Result<bool> {
    native(paths)?;
    let mut command = cargo(paths, &paths.target);
    command.args(["test", "--release", "--package", "saescope", "--lib", "--test", "tests", "--no-fail-fast"]);
    command.args(locked()).args(["--", "--include-ignored", "--nocapture", "--test-threads=1"]).args(FILTERS);
    command.env("SAESCOPE_RELIABILITY", if full { "full" } else { "quick" });
    println!("\n$ {}", shown(&command));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut rows = Vec::new();
    for line in BufReader::new(child.stdout.take().context("no output of cargo")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("cannot read cargo's output")?).into_owned();
        println!("{line}");
        // a test's first line follows its name
        if let Some((_, row)) = line.split_once(ROW) {
            rows.push(row.to_owned());
        }
    }
    let passed = child.wait().context("cargo went away")?.success();
    ensure!(!rows.is_empty(), "no test printed a row");
    let table = format!("{HEAD}{}\n", rows.join("\n"));
    println!("\n{table}");
    if full && passed {
        let path = paths.root.join(TABLE);
        fs::write(&path, page(paths, &table)).with_context(|| path.display().to_string())?;
        println!("written to {TABLE}");
    }
    Ok(passed)
}

/// The document around the table.
fn page(paths: &Paths, table: &str) -> String {
    let mut git = Command::new("git");
    git.current_dir(&paths.root).args(["describe", "--always", "--dirty"]);
    let version = git.output().ok().filter(|out| out.status.success());
    let version = version.map_or_else(String::new, |out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let day = output("date", &["+%Y-%m-%d"]).unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let system = env::consts::OS;
    format!(
        "# Reliability\n\n\
         What was done to the program, how often, and what came of it. A row is printed by a test that fails where\n\
         anything is lost: a finished run that is neither whole nor to be had back, a file under its name that is not\n\
         whole, numbers of a resumed run that are not those of an unbroken one.\n\n\
         `cargo xtask reliability --full` wrote this page ({day}, commit {version}, {system}, {cores} cores).\n\
         `cargo xtask test` tries a part of each; `cargo xtask fuzz` attacks the readers of files.\n\n{table}"
    )
}
