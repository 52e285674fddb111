//! A file that grows at its end and is read back: what a run's finished samples are kept in.

use std::fmt::Debug;

use super::MaybeSend;
use crate::error::{Error, Result};

/// Bytes that are appended to, kept through a crash once synced, and read by position.
///
/// All of it waits for the disk: it is meant for a command line or a worker.
pub trait Journal: Debug + MaybeSend {
    /// Path, for messages.
    fn name(&self) -> &str;

    /// Length in bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn length(&self) -> Result<u64>;

    /// Fills `into` from the bytes at `at`.
    ///
    /// # Errors
    /// [`Error::Io`], also where there are fewer bytes.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<()>;

    /// Adds bytes at the end; they may be lost in a crash until [`Self::sync`].
    ///
    /// # Errors
    /// [`Error::Io`]; then the end is undefined, and [`Self::truncate`] mends it.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn sync(&mut self) -> Result<()>;

    /// Cuts off what comes after `len` bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn truncate(&mut self, len: u64) -> Result<()>;
}

/// A journal in memory: where there is no disk to keep one on, and for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    /// What has been written.
    pub bytes: Vec<u8>,
}

impl Journal for MemoryJournal {
    fn name(&self) -> &str {
        "memory"
    }

    fn length(&self) -> Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let found = usize::try_from(at).ok().and_then(|at| self.bytes.get(at..at.checked_add(into.len())?));
        let found = found.ok_or_else(|| {
            let end = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            Error::io(self.name(), "read", end, "please report this")
        })?;
        into.copy_from_slice(found);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }
}
