//! `saescope merge`: the parts of a run, joined.

use std::process::ExitCode;

use super::args::Merge;
use super::closing::{closing, quoted};
use super::folder::{RunFolder, remove};
use super::progress::screen;
use super::{catalog, print, say, siblings};
use crate::error::{Error, Result};
use crate::platform::{FileJournal, allow_open};
use crate::run::{self, Comparisons, PART_FILE, SPOOL_FILE, Spool};

/// Runs the command.
///
/// # Errors
/// Parts that are missing, unfinished, doubled or not of one run; writing errors.
pub fn run(args: &Merge) -> Result<ExitCode> {
    RunFolder::check(Some(&args.out), args.force)?;
    // they stay open, and locked, until the run is written
    allow_open(args.parts.len())?;
    let mut seen = Vec::new();
    let mut spools = Vec::with_capacity(args.parts.len());
    for folder in &args.parts {
        let path = folder.join(PART_FILE);
        if !path.exists() {
            let shown = folder.display();
            let hint = match folder.join(SPOOL_FILE).exists() {
                true => format!("that part is not finished: saescope analyze --resume {}", quoted(folder)),
                false => "`merge` takes the folders of `analyze --shard I/N`".to_owned(),
            };
            return Err(Error::missing(format!("{shown}: a part of a run ({PART_FILE})"), hint));
        }
        let place = std::fs::canonicalize(&path).unwrap_or(path.clone());
        if seen.contains(&place) {
            return Err(Error::usage(
                format!("{}: part {} twice", path.display(), folder.display()),
                "give each part once",
            ));
        }
        seen.push(place);
        // the spool has checksums of its own; what lies beside it takes no part in the merge
        for line in catalog::manifest(folder).iter().flat_map(|m| siblings::unlike(folder, m, u64::MAX)) {
            say(&format!("warning: {}: {line}", folder.display()));
        }
        spools.push((folder.display().to_string(), Spool::open(Box::new(FileJournal::open(&path)?))?));
    }
    let parts: Vec<(String, &Spool)> = spools.iter().map(|(name, spool)| (name.clone(), spool)).collect();
    let base = run::merged(&parts, args.run_id.clone())?;
    let spools: Vec<&Spool> = spools.iter().map(|(_, spool)| spool).collect();
    let mut files = RunFolder::files(&args.out)?;
    let finished = match run::finish(base, &spools, Comparisons::Made, None, &mut files) {
        Ok(finished) => finished,
        Err(error) => {
            files.abandon();
            return Err(error);
        }
    };
    files.commit()?;
    // of an unfinished run that was replaced
    remove(&args.out.join(SPOOL_FILE))?;
    say(&closing(&args.out, &finished, &[], screen()));
    print(&format!("{}\n", args.out.display()))?;
    Ok(if finished.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
