//! A journal in the browser's private file system (OPFS). Its file is held open by a synchronous access
//! handle, which workers have and only one at a time: two tabs cannot append to one run.

use std::io;

use wasm_bindgen::JsCast;
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetFileOptions, FileSystemReadWriteOptions,
    FileSystemSyncAccessHandle,
};

use super::super::journal::Journal;
use super::js::{failed, wait};
use super::store::{folder_in, manager, names, quota_exceeded};
use crate::error::{Error, Result};

/// The folder of journals.
const FOLDER: &str = "runs";

/// See [`Journal`].
#[derive(Debug)]
pub struct WebJournal {
    name: String,
    handle: FileSystemSyncAccessHandle,
}

async fn folder() -> Result<FileSystemDirectoryHandle> {
    let root: FileSystemDirectoryHandle = wait("storage", "open", manager()?.get_directory()).await?.unchecked_into();
    folder_in(&root, FOLDER).await
}

impl WebJournal {
    /// Opens the journal of this name; makes an empty one where there is none.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the browser has no private file system; [`Error::Io`] where another
    /// tab has the journal, or the browser refuses.
    pub async fn open(name: &str) -> Result<Self> {
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        let promise = folder().await?.get_file_handle_with_options(name, &options);
        let file: FileSystemFileHandle = wait(name, "open", promise).await?.unchecked_into();
        let handle = wait(name, "open", file.create_sync_access_handle()).await?.unchecked_into();
        Ok(Self { name: name.to_owned(), handle })
    }

    /// Names of all journals.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn all() -> Result<Vec<String>> {
        names(&folder().await?).await
    }

    /// Deletes a journal.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn delete(name: &str) -> Result<()> {
        wait(name, "delete", folder().await?.remove_entry(name)).await.map(|_| ())
    }
}

impl Drop for WebJournal {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl Journal for WebJournal {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> Result<u64> {
        self.handle.get_size().map(|n| n as u64).map_err(|e| failed(&self.name, "read", &e))
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(at as f64);
        let read = self.handle.read_with_u8_array_and_options(into, &options);
        match read.map_err(|e| failed(&self.name, "read", &e))? {
            n if n as usize == into.len() => Ok(()),
            _ => Err(Error::io(&self.name, "read", io::ErrorKind::UnexpectedEof.into(), "begin the run anew")),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(self.length()? as f64);
        let written = self.handle.write_with_u8_array_and_options(bytes, &options);
        match written.map_err(|e| failed(&self.name, "store", &e))? {
            n if n as usize == bytes.len() => Ok(()),
            // Chrome writes less where the quota ends
            _ => Err(failed(&self.name, "store", &quota_exceeded())),
        }
    }

    fn sync(&mut self) -> Result<()> {
        self.handle.flush().map_err(|e| failed(&self.name, "store", &e))
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.handle.truncate_with_f64(len as f64).map_err(|e| failed(&self.name, "store", &e))
    }
}
