//! The report's template: the page's parts as one file, committed, so that the program is built without node.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::page::Npm;
use crate::paths::Paths;

/// Where it lies in the checkout.
pub const TEMPLATE: &str = "crate/cli/report/template.html";

/// Writes it anew.
pub fn write(paths: &Paths) -> Result<()> {
    let path = paths.root.join(TEMPLATE);
    let made = make(paths)?;
    // the program is built again where it changes
    if fs::read(&path).is_ok_and(|found| found == made) {
        return Ok(());
    }
    fs::write(&path, made).with_context(|| path.display().to_string())
}

/// Fails where the committed one is not what the sources give.
pub fn check(paths: &Paths) -> Result<()> {
    let path = paths.root.join(TEMPLATE);
    let found = fs::read(&path).with_context(|| path.display().to_string())?;
    ensure!(found == make(paths)?, "{TEMPLATE} is not what the sources give: run `cargo xtask generate`");
    Ok(())
}

fn make(paths: &Paths) -> Result<Vec<u8>> {
    let npm = Npm::find(paths)?;
    npm.install()?;
    let folder = paths.target.join("report-template");
    npm.report(&folder)?;
    let made = folder.join("template.html");
    fs::read(&made).with_context(|| made.display().to_string())
}
