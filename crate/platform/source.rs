//! Bytes by range: what a checkpoint is read from, wherever it lies.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use super::{BoxFuture, MaybeSend, MaybeSync};
use crate::error::{Error, Result};
use crate::hash::Hasher;

/// A source of bytes of known length that can be read by range: a file, memory, a URL, a blob.
///
/// Nothing in the program reads a whole checkpoint; everything asks for the ranges it needs.
pub trait ByteSource: Debug + MaybeSend + MaybeSync {
    /// Path or URL, for messages and the manifest.
    fn name(&self) -> &str;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether every byte can be had at a disk's pace: not where it would come over a network.
    fn at_hand(&self) -> bool {
        true
    }

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What tells this content from what was there before and what comes after, as the system keeps such:
    /// the place on the disk, the size and the times of change; none where there is nothing of the kind.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Whether something was done to the content since it was opened, as the system tells: not that it is
    /// another one, but that it may be.
    ///
    /// # Errors
    /// [`Error::Io`] when the system does not say.
    fn touched(&self) -> Result<bool> {
        Ok(false)
    }

    /// The bytes of `range`, exactly as many as asked for.
    ///
    /// # Errors
    /// [`Error::Io`] when reading fails; [`Error::Malformed`] when `range` reaches past the end.
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Vec<u8>>>;
}

/// A shared [`ByteSource`].
pub type Source = Arc<dyn ByteSource>;

/// Components of a path or URL, without a URL's query and fragment.
pub fn components(name: &str) -> impl DoubleEndedIterator<Item = &str> {
    let end = if name.contains("://") { name.find(['?', '#']) } else { None };
    name[..end.unwrap_or(name.len())].split(['/', '\\']).filter(|c| !c.is_empty())
}

/// Last component of a path or URL.
pub fn file_name(name: &str) -> &str {
    components(name).next_back().unwrap_or(name)
}

/// All bytes of a source that is read as a whole; `what` says what it should be, with an article.
///
/// # Errors
/// [`Error::Malformed`] for more than `most` bytes, before any is read; reading errors.
pub async fn whole(source: &Source, most: u64, what: &str) -> Result<Vec<u8>> {
    if source.len() > most {
        return Err(Error::malformed(
            source.name(),
            "size",
            format!("{what} of at most {most} bytes"),
            format!("{} bytes", source.len()),
            "check that this is the right file",
        ));
    }
    source.read(0..source.len()).await
}

/// Bytes hashed at once.
const CHUNK: u64 = 8 << 20;

/// sha256 of a whole source in lower-case hexadecimal.
///
/// # Errors
/// Reading errors.
pub async fn sha256(file: &Source) -> Result<String> {
    let mut hasher = Hasher::new();
    let mut at = 0;
    while at < file.len() {
        let end = (at + CHUNK).min(file.len());
        hasher.update(file.read(at..end).await?);
        at = end;
    }
    Ok(hasher.hex())
}

/// A range that reaches past the end of its source.
pub(super) fn past_end(name: &str, len: u64, range: &Range<u64>) -> Error {
    Error::malformed(
        name,
        format!("bytes {}..{}", range.start, range.end),
        format!("a file of at least {} bytes", range.end),
        format!("{len} bytes"),
        "the file is truncated; fetch or copy it again",
    )
}

/// Bytes already in memory.
#[derive(Debug)]
pub struct MemorySource {
    name: String,
    bytes: Vec<u8>,
}

impl MemorySource {
    /// Wraps `bytes`; `name` appears in messages.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

impl ByteSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
                .and_then(|(a, b)| self.bytes.get(a..b))
                .map(<[u8]>::to_vec)
                .ok_or_else(|| past_end(&self.name, self.len(), &range))
        })
    }
}
