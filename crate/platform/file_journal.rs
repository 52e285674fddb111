//! A journal in a file, locked while it is open: two processes must not append to one run.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
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
    /// [`Error::Io`]; [`Error::Usage`] where there is such a file: another process made it.
    pub fn create(path: &Path) -> Result<Self> {
        Self::in_folder(path, |options| options.create_new(true))?.ok_or_else(|| taken(path))
    }

    /// Empties the file, or makes a new one; its folder is made where it is missing. The lock is held before
    /// anything is emptied, and the file is never removed: of two that replace it at once, one has it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] where another process has it.
    pub fn replace(path: &Path) -> Result<Self> {
        loop {
            if let Some(mut journal) = Self::in_folder(path, |options| options.create(true))? {
                journal.truncate(0)?;
                return Ok(journal);
            }
        }
    }

    /// Opens one that is there.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] where another process has it.
    pub fn open(path: &Path) -> Result<Self> {
        let hint = "check that the file is there and writable";
        loop {
            let opened = OpenOptions::new().read(true).append(true).open(path);
            let file = opened.map_err(|e| Error::io(path.display().to_string(), "open", e, hint))?;
            if let Some(journal) = Self::locked(file, path)? {
                return Ok(journal);
            }
        }
    }

    fn in_folder(path: &Path, how: impl Fn(&mut OpenOptions) -> &mut OpenOptions) -> Result<Option<Self>> {
        let hint = "choose a folder that can be written to with `--out`";
        let failed = |e| Error::io(path.display().to_string(), "write", e, hint);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        match how(options.read(true).append(true)).open(path) {
            Ok(file) => Self::locked(file, path),
            // whoever makes one has looked before; to try its lock would take it from whoever made this one
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(taken(path)),
            Err(e) => Err(failed(e)),
        }
    }

    /// `None` where the process that had the lock removed the file before it let go: the lock would be on a
    /// file that nobody finds.
    fn locked(file: File, path: &Path) -> Result<Option<Self>> {
        let name = path.display().to_string();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(path)),
            // not every file system has locks, and without one a run is what it was before there were any
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(Error::io(&name, "lock", e, "choose another folder")),
        }
        match is_at(&file, path) {
            Ok(there) => Ok(there.then_some(Self { name, file })),
            Err(e) => Err(Error::io(&name, "open", e, "check the disk")),
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

fn taken(path: &Path) -> Error {
    let what = format!("{} is being written by another process", path.display());
    Error::usage(what, "wait until that run has ended, or end it")
}

/// `path` still names the opened file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok(same(&opened, &named)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(unix)]
fn same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(windows)]
fn same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::windows::fs::MetadataExt;
    a.creation_time() == b.creation_time()
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Threads stand for processes: a lock belongs to what was opened.
    fn at_once(how: fn(&Path) -> Result<FileJournal>, path: &Path, leave: impl Fn(FileJournal) + Sync) -> Vec<String> {
        let together = Barrier::new(4);
        std::thread::scope(|scope| {
            let each = || {
                together.wait();
                how(path).map(&leave).err().map(|e| e.to_string())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(each)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn of_four_that_want_a_journal_one_has_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        for _ in 0..200 {
            let having = AtomicUsize::new(0);
            let refused = at_once(FileJournal::replace, &path, |mut journal| {
                assert_eq!(having.fetch_add(1, Ordering::SeqCst), 0);
                assert_eq!(journal.length().unwrap(), 0);
                journal.append(b"mine").unwrap();
                let mut read = [0; 4];
                journal.read(0, &mut read).unwrap();
                assert_eq!(&read, b"mine");
                having.fetch_sub(1, Ordering::SeqCst);
                // as a run that ends: the file goes before the lock does
                std::fs::remove_file(&path).unwrap();
            });
            assert!(refused.len() < 4);
            assert!(refused.iter().all(|text| text.contains("another process")), "{refused:?}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn of_four_that_make_a_journal_the_others_hear_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let kept = std::sync::Mutex::new(Vec::new());
        for k in 0..200 {
            let path = folder.path().join(k.to_string());
            let refused = at_once(FileJournal::create, &path, |journal| kept.lock().unwrap().push(journal));
            assert_eq!(refused.len(), 3, "{refused:?}");
            assert!(refused.iter().all(|text| text.contains("another process")), "{refused:?}");
            kept.lock().unwrap().clear();
        }
    }
}
