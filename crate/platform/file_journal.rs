//! A journal in a file, locked while it is open: two processes must not append to one run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use super::super::journal::Journal;
use crate::error::{Error, Result};

/// See [`Journal`].
#[derive(Debug)]
pub struct FileJournal {
    name: String,
    file: File,
}

impl FileJournal {
    /// Makes a new file; its folder is made where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`], also where there is such a file.
    pub fn create(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let failed = |e| Error::io(&name, "write", e, "choose a folder that can be written to with `--out`");
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(path).map_err(failed)?;
        Self { name: name.clone(), file }.locked()
    }

    /// Opens one that is there.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] where another process has it.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let opened = OpenOptions::new().read(true).append(true).open(path);
        let file = opened.map_err(|e| Error::io(&name, "open", e, "check that the file is there and writable"))?;
        Self { name, file }.locked()
    }

    fn locked(self) -> Result<Self> {
        match self.file.try_lock() {
            Ok(()) => Ok(self),
            Err(TryLockError::WouldBlock) => Err(Error::usage(
                format!("{} is being written by another process", self.name),
                "wait until that run has ended, or end it",
            )),
            // not every file system has locks, and without one a run is what it was before there were any
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(self),
            Err(TryLockError::Error(e)) => Err(Error::io(&self.name, "lock", e, "choose another folder")),
        }
    }

    fn failed(&self, what: &'static str, e: io::Error) -> Error {
        let hint = match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, then go on with `--resume`",
            _ => "check the disk, then go on with `--resume`",
        };
        Error::io(&self.name, what, e, hint)
    }
}

impl Journal for FileJournal {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| self.failed("read", e))?.len())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, at, into).map_err(|e| self.failed("read", e))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        (&self.file).write_all(bytes).map_err(|e| self.failed("write", e))
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_all().map_err(|e| self.failed("write", e))
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(|e| self.failed("write", e))
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < into.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut into[done..], at + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => done += n,
        }
    }
    Ok(())
}
