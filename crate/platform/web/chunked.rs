//! A [`ByteSource`] over a picked file or a URL: in chunks, the last few of them in memory, all of
//! them in the browser's storage where they are to be kept.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::lock::Mutex;
use web_sys::File;

use super::remote::{Http, Remote, checked};
use super::session::{Download, tell};
use super::store::{CHUNK, Store};
use super::{BoxFuture, sleep};
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::platform::{ByteSource, Retry, Source};

/// Chunks held in memory.
const HELD: usize = 8;
/// For a transfer that breaks off.
const RETRY: Retry = Retry { attempts: 3, backoff: Duration::from_millis(1200) };

/// See the module.
#[derive(Debug)]
pub struct ChunkedSource {
    name: String,
    /// What tells its contents from others.
    identity: String,
    len: u64,
    remote: Remote,
    store: Option<Store>,
    held: RefCell<VecDeque<(usize, Rc<Vec<u8>>)>>,
    /// one fetch at a time, so that no chunk is fetched twice
    fetching: Mutex<()>,
}

/// A file that the user picked.
pub fn picked(file: &File) -> Source {
    // folders give paths, which say more than names
    let path = js_sys::Reflect::get(file, &"webkitRelativePath".into()).ok().and_then(|v| v.as_string());
    let name = path.filter(|p| !p.is_empty()).unwrap_or_else(|| file.name());
    Arc::new(ChunkedSource {
        identity: format!("{name}\n{}\n{}", file.size(), file.last_modified()),
        name,
        len: file.size() as u64,
        remote: Remote::Blob(file.clone().into()),
        store: None,
        held: RefCell::default(),
        fetching: Mutex::new(()),
    })
}

/// A file on the web.
#[derive(Debug, Clone, Default)]
pub struct WebFile {
    /// Absolute address.
    pub url: String,
    /// Name for people and the manifest.
    pub name: String,
    /// Token for its host.
    pub token: Option<String>,
    /// Length, where known: with the hash, the server need not be asked, and a stored file can be
    /// read without a network.
    pub size: Option<u64>,
    /// Hash, where known: a stored file is checked against it once it is whole.
    pub sha256: Option<String>,
    /// Whether to keep it in the browser's storage.
    pub keep: bool,
}

impl ChunkedSource {
    /// Asks the server for the file's length and looks up what is stored of it.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Missing`] of the server, or of the storage.
    pub async fn open(file: WebFile) -> Result<Arc<Self>> {
        let WebFile { url, name, token, size, sha256, keep } = file;
        let http = Http::new(url.clone(), token);
        let (len, identity) = match (size, sha256) {
            (Some(size), Some(sha256)) => (size, sha256),
            (_, sha256) => {
                let head = http.head().await?;
                (head.len, sha256.unwrap_or_else(|| format!("{url}\n{}\n{}", head.len, head.version)))
            }
        };
        let store = if keep { Some(Store::open(&identity, &name, len).await?) } else { None };
        Ok(Arc::new(Self {
            name,
            identity,
            len,
            remote: Remote::Http(http),
            store,
            held: RefCell::default(),
            fetching: Mutex::new(()),
        }))
    }

    /// What tells its contents from others, as far as that is known without reading them.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Bytes that need no network any more.
    pub fn here(&self) -> u64 {
        match (&self.remote, &self.store) {
            (Remote::Blob(_), _) => self.len,
            (_, Some(store)) => store.bytes(),
            _ => 0,
        }
    }

    /// Fetches all that is missing and checks the whole against `sha256`, once: a stored file that
    /// was found right stays so.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another hash, after forgetting the wrong bytes; fetching errors.
    pub async fn complete(&self, sha256: &str) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        if store.verified().await.as_deref() == Some(sha256) {
            return Ok(());
        }
        let mut hasher = Hasher::new();
        let mut at = 0;
        while at < self.len {
            let end = (at + CHUNK * 4).min(self.len);
            hasher.update(self.read(at..end).await?);
            at = end;
        }
        let found = hasher.hex();
        if found != sha256 {
            store.clear().await?;
            self.held.borrow_mut().clear();
            return Err(Error::mismatch(
                format!("{}: sha256", self.name),
                sha256,
                found,
                "the stored bytes were deleted; try again, and if it stays so, the file on the server has changed",
            ));
        }
        store.set_verified(sha256).await
    }

    /// Fetches all that is missing.
    ///
    /// # Errors
    /// Fetching errors.
    pub async fn fetch_all(&self) -> Result<()> {
        let mut at = 0;
        while at < self.len {
            let end = (at + CHUNK * 4).min(self.len);
            self.read(at..end).await?;
            at = end;
        }
        Ok(())
    }

    fn hold(&self, index: usize, bytes: Rc<Vec<u8>>) {
        let mut held = self.held.borrow_mut();
        held.push_back((index, bytes));
        if held.len() > HELD {
            held.pop_front();
        }
    }

    /// A chunk without asking the remote.
    async fn have(&self, index: usize) -> Option<Rc<Vec<u8>>> {
        let held = self.held.borrow().iter().find(|(i, _)| *i == index).map(|(_, bytes)| bytes.clone());
        if held.is_some() {
            return held;
        }
        let bytes = Rc::new(self.store.as_ref()?.get(index).await?);
        self.hold(index, bytes.clone());
        Some(bytes)
    }

    fn chunk_range(&self, index: usize) -> Range<u64> {
        let start = index as u64 * CHUNK;
        start..(start + CHUNK).min(self.len)
    }

    /// Fetches chunks in one request, handing each to `take`; goes on after a broken connection.
    async fn fetch(&self, chunks: Range<usize>, take: &mut dyn FnMut(usize, &[u8])) -> Result<()> {
        let mut next = chunks.start;
        let mut tries = RETRY.begin();
        while next < chunks.end {
            let before = next;
            match self.fetch_once(&mut next, chunks.end, take).await {
                Ok(()) => return Ok(()),
                Err(e) => {
                    let pause = tries.failed(next > before).filter(|_| worth_another_try(&e));
                    let Some(pause) = pause else { return Err(e) };
                    sleep(pause).await;
                }
            }
        }
        Ok(())
    }

    async fn fetch_once(&self, next: &mut usize, end: usize, take: &mut dyn FnMut(usize, &[u8])) -> Result<()> {
        let range = self.chunk_range(*next).start..self.chunk_range(end - 1).end;
        let mut body = self.remote.open(&self.name, range).await?;
        let mut chunk: Vec<u8> = Vec::with_capacity(CHUNK as usize);
        while let Some(piece) = body.next(&self.name).await? {
            let mut piece = piece.as_slice();
            while !piece.is_empty() && *next < end {
                let wanted = self.chunk_range(*next);
                let room = (wanted.end - wanted.start) as usize - chunk.len();
                let (now, later) = piece.split_at(room.min(piece.len()));
                chunk.extend_from_slice(now);
                piece = later;
                if chunk.len() as u64 == wanted.end - wanted.start {
                    if let Some(store) = &self.store {
                        store.put(*next, &chunk).await?;
                    }
                    take(*next, &chunk);
                    self.announce(*next, chunk.len() as u64);
                    self.hold(*next, Rc::new(std::mem::take(&mut chunk)));
                    *next += 1;
                }
            }
        }
        Ok(())
    }

    fn announce(&self, index: usize, received: u64) {
        if let Remote::Http(_) = self.remote {
            let done = self.store.as_ref().map_or_else(|| self.chunk_range(index).end, Store::bytes);
            tell(&Download { file: &self.name, done, total: self.len, received });
        }
    }

    async fn read_range(&self, range: Range<u64>) -> Result<Vec<u8>> {
        checked(&self.name, self.len, &range)?;
        let mut out = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        if out.is_empty() {
            return Ok(out);
        }
        // what is neither kept nor small goes straight to where it is wanted
        if self.store.is_none() && range.end - range.start >= CHUNK {
            self.read_straight(range, &mut out).await?;
            return Ok(out);
        }
        let (first, last) = ((range.start / CHUNK) as usize, ((range.end - 1) / CHUNK) as usize);
        let mut copy = |index: usize, bytes: &[u8]| {
            let start = index as u64 * CHUNK;
            let (from, to) = (range.start.max(start), range.end.min(start + bytes.len() as u64));
            out[(from - range.start) as usize..(to - range.start) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
        };
        let mut at = first;
        while at <= last {
            if let Some(bytes) = self.have(at).await {
                copy(at, &bytes);
                at += 1;
                continue;
            }
            let _one = self.fetching.lock().await;
            // another reader may have fetched it while this one waited
            if let Some(bytes) = self.have(at).await {
                copy(at, &bytes);
                at += 1;
                continue;
            }
            let mut end = at + 1;
            while end <= last && !self.store.as_ref().is_some_and(|s| s.has(end)) {
                end += 1;
            }
            self.fetch(at..end, &mut copy).await?;
            at = end;
        }
        Ok(out)
    }

    async fn read_straight(&self, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        let mut tries = RETRY.begin();
        loop {
            let before = filled;
            match self.fill(&range, out, &mut filled).await {
                Ok(()) => return Ok(()),
                Err(e) => {
                    let pause = tries.failed(filled > before).filter(|_| worth_another_try(&e));
                    let Some(pause) = pause else { return Err(e) };
                    sleep(pause).await;
                }
            }
        }
    }

    async fn fill(&self, range: &Range<u64>, out: &mut [u8], filled: &mut usize) -> Result<()> {
        let mut body = self.remote.open(&self.name, range.start + *filled as u64..range.end).await?;
        while let Some(piece) = body.next(&self.name).await? {
            let end = (*filled + piece.len()).min(out.len());
            let piece = &piece[..end - *filled];
            out[*filled..end].copy_from_slice(piece);
            *filled = end;
            if let Remote::Http(_) = self.remote {
                let done = range.start + *filled as u64;
                tell(&Download { file: &self.name, done, total: self.len, received: piece.len() as u64 });
            }
        }
        Ok(())
    }
}

/// Whether the fault may be the network's.
fn worth_another_try(error: &Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, NetworkDown, UnexpectedEof};
    matches!(error, Error::Io { source, .. } if matches!(source.kind(), ConnectionAborted | NetworkDown | UnexpectedEof))
}

impl ByteSource for ChunkedSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn at_hand(&self) -> bool {
        self.here() == self.len
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(self.read_range(range))
    }
}
