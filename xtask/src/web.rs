//! `cargo xtask web`: the library for the browser.

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::run::{locked, must};
use crate::wasm::{TARGET, Toolchain};

pub fn run(paths: &Paths) -> Result<()> {
    println!("builds the library only: the page is not there yet");
    let mut command = Toolchain::find(paths)?.cargo(paths, "build");
    must(command.args(["--release", "--lib", "--package", "saescope"]).args(locked()))?;
    let file = paths.wasm_target.join(TARGET).join("release/saescope.wasm");
    let bytes = std::fs::metadata(&file).with_context(|| file.display().to_string())?.len();
    println!("{} ({:.1} MB, neither stripped nor optimised)", file.display(), bytes as f64 / 1e6);
    Ok(())
}
