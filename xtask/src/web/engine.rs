//! The library as WASM with its glue for the page.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::stamp::Stamp;
use crate::paths::Paths;
use crate::run::{cargo, locked, must};
use crate::wasm::{TARGET, Toolchain};

/// Builds and writes the glue. Gives the folder with `saescope.js` and `saescope_bg.wasm`.
///
/// No optimiser runs after the compiler: measured on this library, `wasm-opt -Oz` takes the WASM from
/// 23.3 to 19.0 MB, but what is sent grows (gzip 5.30 to 5.35 MB, brotli too), after 12 minutes.
pub fn make(paths: &Paths) -> Result<PathBuf> {
    // a dynamic library only here: a native build would link one for nothing
    let mut command = Toolchain::find(paths)?.cargo(paths, "rustc");
    let library = ["--profile", "web", "--lib", "--package", "saescope", "--crate-type", "cdylib"];
    must(command.args(library).args(locked()))?;
    let built = paths.wasm_target.join(TARGET).join("web/saescope.wasm");

    let pkg = paths.wasm_target.join("pkg");
    let stamp = Stamp::new(paths.wasm_target.join("pkg.stamp"), &[&built], &[])?;
    if !stamp.fits() {
        println!("writing the glue for {}", built.display());
        bind(paths, &built, &pkg).context("wasm-bindgen failed")?;
        stamp.set()?;
    }
    Ok(pkg)
}

/// JavaScript glue, by the generator: a package of its own, built only when it is needed.
fn bind(paths: &Paths, wasm: &Path, out: &Path) -> Result<()> {
    fresh(out)?;
    let mut command = cargo(paths, &paths.target);
    command.args(["run", "--release", "--package", "xtask-glue"]).args(locked()).arg("--").arg(wasm).arg(out);
    must(&mut command)
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}
