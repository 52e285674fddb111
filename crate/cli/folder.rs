//! The folder of a run under way.

use std::path::{Path, PathBuf};

use super::catalog::RUN_FILES;
use super::closing::quoted;
use super::interrupt::{Beginning, Interrupts};
use super::megabytes;
use super::{profile, report};
use crate::error::{Error, Result};
use crate::output;
use crate::platform::{self, Claim, FileJournal, RunFiles, replaceable};
use crate::run::{Header, PART_FILE, SPOOL_FILE, Spool};

/// What is made of a finished run afterwards, beside its files: it goes with the run that it was made of.
const MADE_OF_RUN: [&str; 3] = [report::FILE, output::CALIBRATION_FILE, profile::FILE];

/// A run's folder with its spool.
pub struct RunFolder {
    /// Where it is.
    pub out: PathBuf,
    /// The same as it was named.
    pub shown: PathBuf,
    /// What is measured.
    pub spool: Spool,
    /// How to go on with it where it is broken, as one would type it.
    again: String,
}

impl RunFolder {
    /// An `--out` that holds a run is left alone unless `--force` says otherwise: it may have cost hours.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(out: Option<&Path>, force: bool) -> Result<()> {
        let Some(out) = out else { return Ok(()) };
        // better found now than when the files are to be put into place
        let files = RUN_FILES.into_iter().chain([SPOOL_FILE, PART_FILE]);
        if let Some(file) = files.map(|file| out.join(file)).find(|file| !replaceable(file)) {
            return Err(Error::usage(
                format!("{} is a folder, where a file of the run has to be", file.display()),
                "choose another folder with `--out`",
            ));
        }
        if force {
            return Ok(());
        }
        if out.join(SPOOL_FILE).exists() {
            return Err(Error::usage(
                format!("{} holds an unfinished run", out.display()),
                format!("go on with it: saescope analyze --resume {}; or begin anew with `--force`", quoted(out)),
            ));
        }
        let files = RUN_FILES.into_iter().chain(MADE_OF_RUN);
        let there: Vec<&str> = files.filter(|file| out.join(file).exists()).collect();
        if there.is_empty() {
            return Ok(());
        }
        Err(Error::usage(
            format!("{} holds a run already ({})", out.display(), there.join(", ")),
            "choose another folder, or replace that run with `--force`",
        ))
    }

    /// The run's files on their way into a folder. Those of a run that they replace go, and what was made of it, so
    /// that no report or calibration passes for the new run's.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn files(out: &Path) -> Result<RunFiles> {
        let mut files = RunFiles::begin(out)?;
        RUN_FILES.into_iter().chain(MADE_OF_RUN).for_each(|name| files.replaces(name));
        Ok(files)
    }

    /// There is room for a run of so many bytes, as far as the system tells.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn has_room(out: &Path, bytes: u64) -> Result<()> {
        match platform::free_space(out).filter(|free| *free < bytes) {
            None => Ok(()),
            Some(free) => {
                let found = format!("the run takes {} at least, {} are free", megabytes(bytes), megabytes(free));
                let full = std::io::Error::new(std::io::ErrorKind::StorageFull, found);
                let hint = "free some space, or choose another folder with `--out`";
                Err(Error::io(out.display().to_string(), "write", full, hint))
            }
        }
    }

    /// Begins a spool in a folder that was claimed since `beginning`; `force` replaces one that is there.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] where another process writes that one.
    pub fn begin(beginning: Beginning<'_>, claim: Claim, force: bool, header: Header, again: String) -> Result<Self> {
        let out = claim.path().to_owned();
        let path = out.join(SPOOL_FILE);
        // whoever is writing it keeps it
        let journal = if force { FileJournal::replace(&path) } else { FileJournal::create(&path) }?;
        // nobody else writes here now
        RunFiles::clear(&out);
        beginning.began(&out, path.clone(), header.samples, Some(claim));
        let spool = Spool::create(Box::new(journal), header)?;
        Ok(Self { shown: out.clone(), out, spool, again })
    }

    /// Goes on with a spool.
    pub fn resume(out: PathBuf, shown: PathBuf, spool: Spool, again: String, interrupts: &Interrupts) -> Self {
        RunFiles::clear(&out);
        interrupts.beginning().began(&shown, out.join(SPOOL_FILE), spool.header().samples, None);
        interrupts.kept(spool.measured());
        Self { out, shown, spool, again }
    }

    /// What ended the run, with the way to go on where something was kept.
    pub fn broken(&self, error: Error) -> Error {
        let done = self.spool.measured();
        if done > 0 {
            super::say(&format!(
                "{done} of {} samples are kept; go on with: {}",
                self.spool.header().samples,
                self.again
            ));
        }
        error
    }

    /// Puts the files into place; the spool goes, or stays as a part's. That of a part that the run replaces
    /// goes too: it belongs to other files.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finished(&self, files: RunFiles, part: bool) -> Result<()> {
        files.commit()?;
        if part {
            return self.kept_as_part();
        }
        remove(&self.out.join(SPOOL_FILE))?;
        remove(&self.out.join(PART_FILE))
    }

    /// The spool is a finished part's from now on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kept_as_part(&self) -> Result<()> {
        let path = self.out.join(SPOOL_FILE);
        let kept = std::fs::rename(&path, self.out.join(PART_FILE));
        kept.map_err(|e| Error::io(path.display().to_string(), "rename", e, "rename it by hand"))
    }
}

/// Removes a spool that has become useless, if it is there.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(spool: &Path) -> Result<()> {
    match std::fs::remove_file(spool) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(spool.display().to_string(), "remove", e, "the run is complete; remove it by hand"))
        }
        _ => Ok(()),
    }
}
