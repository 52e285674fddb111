//! `saescope pack`: models and finished runs beside a built page, so that any static host can share
//! them.

use std::path::Path;

use super::catalog::{self, Catalog};
use super::{args, fetch, print};
use crate::error::{Error, Result};
use crate::model::registry;

/// Copies what is asked for into the page's folder and writes its catalog.
///
/// # Errors
/// A folder without a page, runs that are not whole, files that cannot be written.
pub fn run(args: &args::Pack) -> Result<()> {
    if !args.page.join("index.html").is_file() {
        return Err(Error::missing(
            format!("index.html in {}", args.page.display()),
            "cargo xtask web builds the page",
        ));
    }
    let mut catalog = Catalog::empty();
    for name in &args.models {
        let known = registry::find(name)?;
        let (entry, files) = catalog::model(&known, &fetch::known(&known, true)?, true)?;
        for (url, from) in files {
            place(&from, &args.page.join(&url))?;
        }
        catalog.models.push(entry);
    }
    for folder in &args.runs {
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !catalog::plain_name(&name) {
            return Err(Error::usage(
                format!("{} cannot be part of an address", folder.display()),
                "a run's folder is named with letters, digits, `-`, `_` and `.`",
            ));
        }
        let run = catalog::run(&name, folder).ok_or_else(|| {
            let files = catalog::RUN_FILES.join(", ");
            Error::missing(format!("a finished run in {}", folder.display()), format!("it has {files}"))
        })?;
        for file in catalog::RUN_FILES {
            place(&folder.join(file), &args.page.join(&run.url).join(file))?;
        }
        catalog.runs.push(run);
    }
    catalog.default_run = catalog.runs.first().map(|run| run.name.clone());
    let path = args.page.join(catalog::FILE);
    crate::platform::write_atomic(&path, &catalog.json()?)?;
    print(&format!("{}\n", path.display()))
}

/// A copy of `from` at `to`, which shares its bytes where the file system can.
fn place(from: &Path, to: &Path) -> Result<()> {
    let failed = |e| Error::io(to.display().to_string(), "write", e, "check that the page's folder can be written");
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    if same(from, to) {
        return Ok(());
    }
    match std::fs::remove_file(to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    // a link is not a copy, but nobody writes into these files: they are replaced whole
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).map_err(failed)?;
    }
    Ok(())
}

/// Whether the file is there already, as old and as long as its original.
fn same(from: &Path, to: &Path) -> bool {
    let facts = |path: &Path| path.metadata().ok().and_then(|m| Some((m.len(), m.modified().ok()?)));
    facts(to).is_some_and(|there| facts(from) == Some(there))
}
