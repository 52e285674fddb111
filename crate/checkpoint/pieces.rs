//! Stored bytes in order, piece by piece: as they lie, or inflated on the way.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::text::shown;
use crate::error::{Error, Result};
use crate::platform::Source;

/// Compressed bytes read at a time.
const INPUT_BYTES: u64 = 1 << 20;

/// How a tensor's bytes lie in the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Compression {
    /// As they are.
    Stored,
    /// Deflated (RFC 1951) into `compressed` bytes, of which the first `skip` inflated ones are a
    /// header.
    Deflated { compressed: u64, skip: usize },
}

/// Hands out a tensor's bytes from the first to the last.
pub(super) enum Pieces<'a> {
    Stored { source: &'a Source, at: u64 },
    Deflated(Box<Inflater<'a>>),
}

impl<'a> Pieces<'a> {
    /// The bytes of the tensor `name` from `offset` on.
    pub(super) async fn new(source: &'a Source, name: &'a str, offset: u64, compression: Compression) -> Result<Self> {
        match compression {
            Compression::Stored => Ok(Self::Stored { source, at: offset }),
            Compression::Deflated { compressed, skip } => {
                let mut inflater = Inflater::new(source, name, offset, compressed);
                inflater.take(skip).await?;
                Ok(Self::Deflated(Box::new(inflater)))
            }
        }
    }

    /// The next `len` bytes.
    pub(super) async fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        match self {
            Self::Stored { source, at } => {
                let bytes = fetch(source, *at, len).await?;
                *at += len as u64;
                Ok(bytes)
            }
            Self::Deflated(inflater) => inflater.take(len).await,
        }
    }

    /// There must be nothing more (known beforehand for bytes that lie as they are).
    pub(super) async fn finish(self) -> Result<()> {
        match self {
            Self::Stored { .. } => Ok(()),
            Self::Deflated(inflater) => inflater.finish().await,
        }
    }
}

/// Inflates a range of a source as it is asked to.
pub(super) struct Inflater<'a> {
    source: &'a Source,
    name: &'a str,
    at: u64,
    end: u64,
    input: Vec<u8>,
    used: usize,
    state: Box<InflateState>,
    ended: bool,
}

impl<'a> Inflater<'a> {
    pub(super) fn new(source: &'a Source, name: &'a str, offset: u64, compressed: u64) -> Self {
        Self {
            source,
            name,
            at: offset,
            end: offset.saturating_add(compressed),
            input: Vec::new(),
            used: 0,
            state: InflateState::new_boxed(DataFormat::Raw),
            ended: false,
        }
    }

    /// The next `len` inflated bytes.
    pub(super) async fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; len];
        match self.fill(&mut out).await? {
            filled if filled == len => Ok(out),
            filled => Err(self.broken(format!("{} more bytes", len - filled), "the end of the compressed data")),
        }
    }

    async fn finish(mut self) -> Result<()> {
        match self.fill(&mut [0]).await? {
            0 => Ok(()),
            _ => Err(self.broken("as many bytes as the archive says".into(), "more")),
        }
    }

    /// Fills `out` as far as the data goes.
    async fn fill(&mut self, out: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < out.len() && !self.ended {
            if self.used == self.input.len() && self.at < self.end {
                let len = INPUT_BYTES.min(self.end - self.at);
                self.input = fetch(self.source, self.at, len as usize).await?;
                self.used = 0;
                self.at += len;
            }
            let step = inflate(&mut self.state, &self.input[self.used..], &mut out[filled..], MZFlush::None);
            self.used += step.bytes_consumed;
            filled += step.bytes_written;
            match step.status {
                Ok(MZStatus::StreamEnd) => self.ended = true,
                // no progress: out of input
                Err(MZError::Buf) if self.at == self.end => return Ok(filled),
                Ok(_) | Err(MZError::Buf) => {}
                Err(_) => return Err(self.broken("deflated data".into(), "bytes that do not inflate")),
            }
            if step.bytes_consumed == 0 && step.bytes_written == 0 && self.at == self.end {
                return Ok(filled);
            }
        }
        Ok(filled)
    }

    fn broken(&self, expected: String, found: &str) -> Error {
        Error::malformed(
            self.source.name(),
            format!("member {}", shown(self.name)),
            expected,
            found,
            "the archive is damaged; fetch it again",
        )
    }
}

/// `len` bytes from `at` on.
pub(super) async fn fetch(source: &Source, at: u64, len: usize) -> Result<Vec<u8>> {
    let end = at.checked_add(len as u64).filter(|&end| end <= source.len()).ok_or_else(|| {
        Error::malformed(
            source.name(),
            format!("{len} bytes at {at}"),
            "bytes inside the file",
            format!("a file of {} bytes", source.len()),
            "the file is truncated; fetch or copy it again",
        )
    })?;
    let bytes = source.read(at..end).await?;
    if bytes.len() != len {
        return Err(Error::malformed(
            source.name(),
            format!("bytes {at}..{end}"),
            format!("{len} bytes"),
            format!("{} bytes", bytes.len()),
            "the source gave less or more than was asked for; try again",
        ));
    }
    Ok(bytes)
}
