//! `cargo xtask npm`: the engine as an npm package, for pages of others.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{engine, folder_size, page};
use crate::paths::Paths;

/// The package's folder.
pub fn folder(paths: &Paths) -> PathBuf {
    paths.target.join("npm/saescope")
}

/// Makes it, and the archive that `npm publish` would send, beside it.
pub fn make(paths: &Paths) -> Result<()> {
    let npm = page::Npm::find(paths)?;
    npm.install()?;
    let engine = engine::make(paths)?;
    let folder = folder(paths);
    // with the archives of other versions: the tests take the one that they find
    let all = paths.target.join("npm");
    if all.exists() {
        fs::remove_dir_all(&all).with_context(|| all.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    describe(paths, &folder)?;
    npm.package(&engine, &folder)?;
    println!("{}: {:.1} MB", folder.display(), folder_size(&folder)? as f64 / 1e6);
    Ok(())
}

/// What npm reads, with the version of everything else, and the licences.
fn describe(paths: &Paths, folder: &Path) -> Result<()> {
    let source = paths.root.join("www/package");
    let read = |path: PathBuf| fs::read_to_string(&path).with_context(|| path.display().to_string());
    let mut package: Value = serde_json::from_str(&read(source.join("package.json"))?)?;
    let manifest = read(paths.root.join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    package["version"] = version.context("Cargo.toml has no version")?.into();
    fs::write(folder.join("package.json"), serde_json::to_string_pretty(&package)? + "\n")?;
    fs::copy(source.join("README.md"), folder.join("README.md"))?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(paths.root.join(licence), folder.join(licence))?;
    }
    Ok(())
}
