//! Where a run's files go.

use std::io::Write;

use super::MaybeSend;
use super::journal::{Journal, MemoryJournal};
use crate::error::Result;

/// Room for what is needed only until the run's files are there.
pub type Scratch = Box<dyn Journal + Send + Sync>;

/// Takes a run's files, one after the other.
pub trait FileSink: MaybeSend {
    /// Begins a file; it ends when the writer is dropped.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    fn create(&mut self, name: &str) -> Result<Box<dyn Write + Send + '_>>;

    /// An empty journal that goes when the files are done; in memory, where there is no better place.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    fn scratch(&mut self) -> Result<Scratch> {
        Ok(Box::new(MemoryJournal::default()))
    }
}

/// Files in memory, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryFiles {
    /// In the order in which they were begun.
    pub files: Vec<(String, Vec<u8>)>,
}

impl MemoryFiles {
    /// The bytes of a file; empty where there is none.
    pub fn bytes(&self, name: &str) -> &[u8] {
        self.files.iter().find(|(n, _)| n == name).map_or(&[], |(_, bytes)| bytes)
    }
}

impl FileSink for MemoryFiles {
    fn create(&mut self, name: &str) -> Result<Box<dyn Write + Send + '_>> {
        self.files.push((name.to_owned(), Vec::new()));
        let at = self.files.len() - 1;
        Ok(Box::new(&mut self.files[at].1))
    }
}
