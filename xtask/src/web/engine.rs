//! The library as WASM with its glue for the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use super::Care;
use super::page::Npm;
use super::stamp::Stamp;
use crate::paths::Paths;
use crate::run::{locked, must};
use crate::wasm::{TARGET, Toolchain};

/// What the compiler was allowed to use; the optimiser has to be told.
const FEATURES: [&str; 6] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
];

/// Builds, writes the glue, optimises. Gives the folder with `saescope.js` and `saescope_bg.wasm`.
pub fn make(paths: &Paths, npm: &Npm, care: Care) -> Result<PathBuf> {
    let mut command = Toolchain::find(paths)?.cargo(paths, "build");
    must(command.args(["--profile", "web", "--lib", "--package", "saescope"]).args(locked()))?;
    let built = paths.wasm_target.join(TARGET).join("web/saescope.wasm");

    let glue = paths.wasm_target.join("glue");
    let stamp = Stamp::new(paths.wasm_target.join("glue.stamp"), &[&built], &[])?;
    if !stamp.fits() {
        println!("writing the glue for {}", built.display());
        bind(&built, &glue).context("wasm-bindgen failed")?;
        stamp.set()?;
    }

    let pkg = paths.wasm_target.join("pkg");
    let (from, to) = (glue.join("saescope_bg.wasm"), pkg.join("saescope_bg.wasm"));
    let level = match care {
        Care::Full => "-Oz",
        Care::Fast => "none",
    };
    let stamp = Stamp::new(paths.wasm_target.join("pkg.stamp"), &[&from, &glue.join("saescope.js")], &[level])?;
    if !stamp.fits() {
        fresh(&pkg)?;
        for name in ["saescope.js", "saescope.d.ts", "saescope_bg.wasm.d.ts"] {
            fs::copy(glue.join(name), pkg.join(name)).with_context(|| name.to_owned())?;
        }
        match care {
            Care::Full => optimise(npm, level, &from, &to)?,
            Care::Fast => drop(fs::copy(&from, &to).context("saescope_bg.wasm")?),
        }
        stamp.set()?;
    }
    Ok(pkg)
}

/// JavaScript glue of the `web` kind: the page says where the WASM is.
fn bind(wasm: &Path, out: &Path) -> Result<()> {
    fresh(out)?;
    Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .typescript(true)
        // the page names the WASM itself; two names would be two copies
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
}

fn optimise(npm: &Npm, level: &str, from: &Path, to: &Path) -> Result<()> {
    let mut command: Command = npm.tool("binaryen/bin/wasm-opt");
    let passes = [level, "--strip-debug", "--strip-producers", "--low-memory-unused"];
    // some hosts and tests kill a program that allocates past its share: it takes about 2 GB
    must(command.args(passes).args(FEATURES).arg(from).arg("-o").arg(to))
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}
