//! `cargo xtask demo`: from a fresh clone to a page with the results in it.

use std::env;
use std::io::{self, IsTerminal};
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::run::{native, program, shown, succeeds};
use crate::wait::{Long, announce};
use crate::web::{self, Care};

/// Builds the program and runs `saescope analyze` with `args` where the user stands; calibrates the instrument on
/// it and writes the report beside the run; then builds the page and opens it on that run. The default model is fetched on the first run and found in the
/// cache ever after.
pub fn run(paths: &Paths, args: &[&str]) -> Result<bool> {
    // better known now than after the run
    let node = web::ready(paths);
    if let Err(reason) = &node {
        println!("{reason:#}\nwithout it, the demo ends with the run's files");
    }
    announce(paths, Long::Program);
    native(paths)?;
    let mut analyze = program(paths, "analyze");
    println!("\n$ {}", shown(analyze.args(args)));
    // the command's one line on stdout is the run's folder
    let out = analyze.stderr(Stdio::inherit()).output().with_context(|| shown(&analyze))?;
    let text = String::from_utf8_lossy(&out.stdout);
    print!("{text}");
    if !out.status.success() {
        return Ok(false);
    }
    let folder = text.lines().last().context("analyze named no folder")?;
    println!(
        "\ncalibrating: what the statistics and the model say where the truth is known, about as long as the analysis"
    );
    // the run is there without it, and the report says that it is missing
    let calibrated = succeeds(program(paths, "calibrate").arg(folder))?;
    // of this run, whatever lay there
    let reported = succeeds(program(paths, "report").arg(folder).arg("--force"))?;
    let here = env::current_dir().context("the current folder is gone")?;
    println!("\nthe program: {}", paths.native_program().display());
    println!("ran in:      {}", here.display());
    println!("results in:  {}", here.join(folder).display());
    if reported {
        println!("the report:  {}", here.join(folder).join("report.html").display());
    }
    if node.is_err() {
        return Ok(reported && calibrated);
    }
    announce(paths, Long::Page);
    // copies packed for hosts are of no use on this machine
    web::run(paths, Care::Fast).context("the run is finished, the page is not")?;
    let mut serve = program(paths, "serve");
    serve.arg("--page").arg(web::dist(paths)).arg("--open").arg(folder);
    if io::stdout().is_terminal() {
        return Ok(succeeds(&mut serve)? && reported && calibrated);
    }
    println!("to see them: {} serve --open {folder}", paths.native_program().display());
    Ok(reported && calibrated)
}
