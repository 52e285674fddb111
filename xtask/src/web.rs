//! `cargo xtask web`: the page as a static folder, with a model and a finished run in it.

mod demo_run;
mod engine;
pub mod package;
mod page;
pub mod report;
mod size;
mod stamp;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::run::{must, native, program};

/// The model that the page brings, and the run's.
const MODEL: &str = "smollm2-135m-instruct";

/// How much care the page gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Packed copies for hosts, sizes held to their limits: a minute more.
    Full,
    /// For working on it.
    Fast,
}

/// The folder that the page is made in.
pub fn dist(paths: &Paths) -> PathBuf {
    paths.root.join("dist")
}

/// Whether the tools that only the page needs are here.
///
/// # Errors
/// What is missing, and what to type.
pub fn ready(paths: &Paths) -> Result<()> {
    page::Npm::find(paths).map(drop)
}

/// The command that checks the types of the page's code.
pub fn check(paths: &Paths) -> Result<Command> {
    let npm = page::Npm::find(paths)?;
    npm.install()?;
    Ok(npm.check())
}

/// Makes the page in `dist/`.
pub fn run(paths: &Paths, care: Care) -> Result<()> {
    let start = Instant::now();
    let npm = page::Npm::find(paths)?;
    npm.install()?;
    let engine = engine::make(paths)?;
    let dist = dist(paths);
    npm.build(&engine, &dist)?;

    native(paths)?;
    let run = demo_run::make(paths)?;
    let mut pack = program(paths, "pack");
    must(pack.arg(&dist).args(["--model", MODEL, "--run"]).arg(&run))?;
    if care == Care::Full {
        size::pack(paths, &dist)?;
        let sizes = size::measure(&dist)?;
        println!("\n{sizes}");
        sizes.gate()?;
    }
    println!("{}: {:.1} MB in all, {} s", dist.display(), folder_size(&dist)? as f64 / 1e6, start.elapsed().as_secs());
    println!("to look at it: {} serve --open", paths.native_program().display());
    Ok(())
}

fn folder_size(folder: &Path) -> Result<u64> {
    Ok(files(folder)?.iter().map(|file| file.metadata().map_or(0, |meta| meta.len())).sum())
}

/// Every file below a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
