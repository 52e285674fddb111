//! Where things are.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The folders that the commands work in.
#[derive(Debug)]
pub struct Paths {
    /// The checkout.
    pub root: PathBuf,
    /// Folder for what is made once and kept.
    pub cache: PathBuf,
    /// Build folder of the native target.
    pub target: PathBuf,
    /// Build folder of the web target: it may have another compiler, and two of them in one
    /// folder get in each other's way.
    pub wasm_target: PathBuf,
}

impl Paths {
    /// From the environment.
    pub fn find() -> Result<Self> {
        // the variable at run time first: checkouts that share a build folder share this program
        let own = set("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = own.parent().context("xtask lies in no folder")?.to_owned();
        let cache = cache()?;
        let target = match set("CARGO_TARGET_DIR") {
            Some(target) => std::path::absolute(&target).with_context(|| target.display().to_string())?,
            None => cache.join("target"),
        };
        let mut name = target.file_name().context("CARGO_TARGET_DIR names no folder")?.to_owned();
        name.push("-wasm");
        Ok(Self { root, cache, wasm_target: target.with_file_name(name), target })
    }

    /// The program, once it is built.
    pub fn native_program(&self) -> PathBuf {
        self.target.join("release").join(format!("saescope{}", env::consts::EXE_SUFFIX))
    }
}

/// saescope's own folder in the user's cache.
fn cache() -> Result<PathBuf> {
    let hint = "set XDG_CACHE_HOME to a folder";
    if let Some(folder) = set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()) {
        return Ok(folder.join("saescope"));
    }
    if cfg!(windows) {
        return Ok(set("LOCALAPPDATA").context(hint)?.join("saescope"));
    }
    let home = set("HOME").context(hint)?;
    Ok(home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }).join("saescope"))
}

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
