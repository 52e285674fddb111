//! The finished run that the page opens with, and its calibration: what the program measures on the CPU.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::MODEL;
use super::stamp::Stamp;
use crate::paths::Paths;
use crate::run::{must, program};

/// Gives the run's folder; made again when the program has changed.
pub fn make(paths: &Paths) -> Result<PathBuf> {
    let parent = paths.cache.join("page");
    let folder = parent.join("demo");
    let stamp = Stamp::new(parent.join("demo.stamp"), &[&paths.native_program()], &[])?;
    if stamp.fits() && folder.join("calibration.json").is_file() {
        return Ok(folder);
    }
    fs::create_dir_all(&parent).with_context(|| parent.display().to_string())?;
    must(program(paths, "analyze").args(["--model", MODEL, "--device", "cpu", "--force", "--out"]).arg(&folder))?;
    must(program(paths, "calibrate").arg(&folder))?;
    stamp.set()?;
    Ok(folder)
}
