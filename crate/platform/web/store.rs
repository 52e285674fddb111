//! The browser's private file system (OPFS): a folder per file, its bytes in chunks, so that a
//! download that stopped goes on where it was, and what nobody asked for is never fetched.

use std::cell::RefCell;
use std::collections::HashMap;

use js_sys::{AsyncIterator, Reflect, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Blob, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemRemoveOptions, FileSystemSyncAccessHandle, StorageEstimate, StorageManager,
};

use super::js::{failed, wait, worker};
use crate::error::{Error, Result};
use crate::hash;

/// Bytes of one chunk.
pub(super) const CHUNK: u64 = 4 << 20;
const FOLDER: &str = "weights";
const ABOUT: &str = "about.json";
/// Written when the whole file was seen to have its sha256.
const VERIFIED: &str = "verified";

/// What is said of a stored file, in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    name: String,
    total: u64,
    chunk: u64,
}

/// A stored file, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredItem {
    /// What [`delete`] takes.
    pub key: String,
    /// Where it came from.
    pub name: String,
    /// Bytes here.
    pub bytes: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

/// The browser's figures for this site.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Bytes used.
    pub usage: Option<f64>,
    /// Bytes allowed.
    pub quota: Option<f64>,
}

/// One file's chunks.
#[derive(Debug)]
pub(super) struct Store {
    folder: FileSystemDirectoryHandle,
    name: String,
    total: u64,
    present: RefCell<Vec<bool>>,
    /// chunks that were read before: looking a file up costs more than reading it
    seen: RefCell<HashMap<usize, Blob>>,
}

pub(super) fn manager() -> Result<StorageManager> {
    let storage = worker()?.navigator().storage();
    // browsers without it, and pages without a secure origin, have no such object
    if storage.is_undefined() || !Reflect::has(&storage, &"getDirectory".into()).unwrap_or(false) {
        return Err(Error::unsupported(
            "storage of this page",
            "the browser has no private file system here: downloads are used, but not kept",
        ));
    }
    Ok(storage)
}

async fn weights() -> Result<FileSystemDirectoryHandle> {
    let root: FileSystemDirectoryHandle = wait("storage", "open", manager()?.get_directory()).await?.unchecked_into();
    folder_in(&root, FOLDER).await
}

pub(super) async fn folder_in(parent: &FileSystemDirectoryHandle, name: &str) -> Result<FileSystemDirectoryHandle> {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    let promise = parent.get_directory_handle_with_options(name, &options);
    Ok(wait("storage", "open", promise).await?.unchecked_into())
}

async fn write(folder: &FileSystemDirectoryHandle, name: &str, about: &str, bytes: &[u8]) -> Result<()> {
    let options = FileSystemGetFileOptions::new();
    options.set_create(true);
    let promise = folder.get_file_handle_with_options(name, &options);
    let file: FileSystemFileHandle = wait(about, "store", promise).await?.unchecked_into();
    let promise = file.create_sync_access_handle();
    let handle: FileSystemSyncAccessHandle = wait(about, "store", promise).await?.unchecked_into();
    let written = handle.truncate_with_f64(0.0).and_then(|()| handle.write_with_u8_array(bytes)).and_then(|n| {
        handle.flush()?;
        Ok(n)
    });
    handle.close();
    match written {
        Ok(n) if n as usize == bytes.len() => Ok(()),
        // Chrome writes less where the quota ends
        Ok(_) => Err(failed(about, "store", &quota_exceeded())),
        Err(e) => Err(failed(about, "store", &e)),
    }
}

pub(super) fn quota_exceeded() -> JsValue {
    web_sys::DomException::new_with_message_and_name("the storage is full", "QuotaExceededError")
        .map_or(JsValue::NULL, Into::into)
}

async fn look_up(folder: &FileSystemDirectoryHandle, name: &str) -> Result<Blob> {
    let handle: FileSystemFileHandle = wait(name, "read", folder.get_file_handle(name)).await?.unchecked_into();
    Ok(wait(name, "read", handle.get_file()).await?.unchecked_into())
}

async fn bytes_of(blob: &Blob, name: &str) -> Result<Vec<u8>> {
    let buffer = wait(name, "read", blob.array_buffer()).await?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

async fn read(folder: &FileSystemDirectoryHandle, name: &str) -> Result<Vec<u8>> {
    bytes_of(&look_up(folder, name).await?, name).await
}

pub(super) async fn names(folder: &FileSystemDirectoryHandle) -> Result<Vec<String>> {
    let keys: AsyncIterator = folder.keys();
    let mut out = Vec::new();
    loop {
        let promise = keys.next().map_err(|e| failed("storage", "list", &e))?;
        let step = wait("storage", "list", promise).await?;
        if Reflect::get(&step, &"done".into()).is_ok_and(|v| v.is_truthy()) {
            return Ok(out);
        }
        out.extend(Reflect::get(&step, &"value".into()).ok().and_then(|v| v.as_string()));
    }
}

fn chunk_name(index: usize) -> String {
    format!("{index:06}")
}

fn chunk_len(index: usize, total: u64) -> u64 {
    CHUNK.min(total - (index as u64 * CHUNK).min(total))
}

fn key_of(identity: &str) -> String {
    hash::hex(&hash::bytes(identity)[..16])
}

impl Store {
    /// The chunks of the file that `identity` names; `name` is for people.
    pub(super) async fn open(identity: &str, name: &str, total: u64) -> Result<Self> {
        let folder = folder_in(&weights().await?, &key_of(identity)).await?;
        let mut present = vec![false; usize::try_from(total.div_ceil(CHUNK)).unwrap_or(0)];
        let about = About { name: name.to_owned(), total, chunk: CHUNK };
        let found = names(&folder).await?;
        let same = match read(&folder, ABOUT).await {
            Ok(bytes) => serde_json::from_slice::<About>(&bytes).is_ok_and(|old| old == about),
            Err(_) => false,
        };
        if same {
            for index in found.iter().filter_map(|n| n.parse::<usize>().ok()) {
                if let Some(slot) = present.get_mut(index) {
                    *slot = true;
                }
            }
        } else {
            let bytes = serde_json::to_vec(&about).unwrap_or_default();
            write(&folder, ABOUT, name, &bytes).await?;
        }
        Ok(Self { folder, name: name.to_owned(), total, present: RefCell::new(present), seen: RefCell::default() })
    }

    /// Whether a chunk is thought to be here.
    pub(super) fn has(&self, index: usize) -> bool {
        self.present.borrow().get(index).copied().unwrap_or(false)
    }

    /// Bytes thought to be here.
    pub(super) fn bytes(&self) -> u64 {
        let present = self.present.borrow();
        present.iter().enumerate().filter(|(_, p)| **p).map(|(i, _)| chunk_len(i, self.total)).sum()
    }

    /// A chunk, if it is here whole: one that was being written when the page went away is not.
    pub(super) async fn get(&self, index: usize) -> Option<Vec<u8>> {
        if !self.has(index) {
            return None;
        }
        let whole = self.get_present(index).await.ok().filter(|b| b.len() as u64 == chunk_len(index, self.total));
        if whole.is_none() {
            self.present.borrow_mut()[index] = false;
            self.seen.borrow_mut().remove(&index);
        }
        whole
    }

    async fn get_present(&self, index: usize) -> Result<Vec<u8>> {
        let name = chunk_name(index);
        let seen = self.seen.borrow().get(&index).cloned();
        let blob = match seen {
            Some(blob) => blob,
            None => {
                let blob = look_up(&self.folder, &name).await?;
                self.seen.borrow_mut().insert(index, blob.clone());
                blob
            }
        };
        bytes_of(&blob, &name).await
    }

    /// Keeps a chunk, unless another worker is about to.
    pub(super) async fn put(&self, index: usize, bytes: &[u8]) -> Result<()> {
        let name = chunk_name(index);
        if let Err(e) = write(&self.folder, &name, &self.name, bytes).await {
            if matches!(&e, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::ResourceBusy) {
                return Ok(());
            }
            // a part of a chunk is of no use, and the room may be wanted
            let _ = wait("storage", "delete", self.folder.remove_entry(&name)).await;
            return Err(e);
        }
        if let Some(slot) = self.present.borrow_mut().get_mut(index) {
            *slot = true;
        }
        Ok(())
    }

    /// Forgets all chunks.
    pub(super) async fn clear(&self) -> Result<()> {
        let found: Vec<usize> = self.present.borrow().iter().enumerate().filter(|(_, p)| **p).map(|(i, _)| i).collect();
        self.seen.borrow_mut().clear();
        for index in found {
            self.present.borrow_mut()[index] = false;
            wait("storage", "delete", self.folder.remove_entry(&chunk_name(index))).await?;
        }
        Ok(())
    }

    /// The sha256 that the whole file was seen to have.
    pub(super) async fn verified(&self) -> Option<String> {
        read(&self.folder, VERIFIED).await.ok().and_then(|b| String::from_utf8(b).ok())
    }

    /// Notes the sha256 that the whole file has.
    pub(super) async fn set_verified(&self, sha256: &str) -> Result<()> {
        write(&self.folder, VERIFIED, &self.name, sha256.as_bytes()).await
    }
}

/// Everything that is stored, by name.
///
/// # Errors
/// [`Error::Unsupported`] where the browser has no private file system.
pub async fn stored() -> Result<Vec<StoredItem>> {
    let weights = weights().await?;
    let mut out = Vec::new();
    for key in names(&weights).await? {
        let folder = folder_in(&weights, &key).await?;
        let about = read(&folder, ABOUT).await.ok().and_then(|b| serde_json::from_slice::<About>(&b).ok());
        let chunks = names(&folder).await?.iter().filter_map(|n| n.parse::<usize>().ok()).collect::<Vec<_>>();
        let About { name, total, .. } =
            about.unwrap_or_else(|| About { name: "unfinished".to_owned(), total: 0, chunk: CHUNK });
        let bytes = chunks.iter().map(|&i| chunk_len(i, total)).sum();
        out.push(StoredItem { key, name, bytes, total });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

/// Deletes one stored file, or all.
///
/// # Errors
/// [`Error::Io`] when the browser refuses.
pub async fn delete(key: Option<&str>) -> Result<()> {
    let weights = weights().await?;
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    let keys = match key {
        Some(key) => vec![key.to_owned()],
        None => names(&weights).await?,
    };
    for key in keys {
        wait("storage", "delete", weights.remove_entry_with_options(&key, &options)).await?;
    }
    Ok(())
}

/// What the browser says of this site's storage.
pub async fn estimate() -> Estimate {
    let Ok(storage) = manager() else { return Estimate::default() };
    let Ok(promise) = storage.estimate() else { return Estimate::default() };
    match wait("storage", "measure", promise).await {
        Ok(value) => {
            let value: StorageEstimate = value.unchecked_into();
            Estimate { usage: value.get_usage(), quota: value.get_quota() }
        }
        Err(_) => Estimate::default(),
    }
}
