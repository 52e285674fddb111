//! Stored bytes in order, piece by piece: as they lie, or inflated on the way, and held against the checksum
//! that an archive has of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crc32fast::Hasher;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use crate::error::{Error, Result, shown};
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

/// The checksum of an archive's member, of which a tensor is the end.
#[derive(Debug, Clone)]
pub(super) struct Sum {
    crc: u32,
    /// Bytes of the member before the tensor's.
    header: usize,
    /// Whether the bytes have been found to be those.
    held: Arc<AtomicBool>,
}

impl Sum {
    /// `header` bytes come before the tensor's.
    pub(super) fn new(crc: u32, header: usize) -> Self {
        Self { crc, header, held: Arc::default() }
    }

    /// Whether the bytes have been read as a whole, and were right.
    pub(super) fn held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}

/// Hands out a tensor's bytes from the first to the last.
pub(super) struct Pieces<'a> {
    source: &'a Source,
    name: &'a str,
    bytes: Bytes<'a>,
    /// What is left to be checked.
    sum: Option<(Hasher, &'a Sum)>,
}

enum Bytes<'a> {
    Stored { at: u64 },
    Deflated(Box<Inflater<'a>>),
}

impl<'a> Pieces<'a> {
    /// The bytes of the tensor `name` from `offset` on.
    pub(super) async fn new(
        source: &'a Source,
        name: &'a str,
        offset: u64,
        compression: Compression,
        sum: Option<&'a Sum>,
    ) -> Result<Self> {
        let mut sum = sum.filter(|sum| !sum.held()).map(|sum| (Hasher::new(), sum));
        let bytes = match compression {
            Compression::Stored => {
                if let Some((hasher, sum)) = &mut sum {
                    hasher.update(&fetch(source, offset.saturating_sub(sum.header as u64), sum.header).await?);
                }
                Bytes::Stored { at: offset }
            }
            Compression::Deflated { compressed, skip } => {
                let mut inflater = Inflater::new(source, name, offset, compressed);
                let header = inflater.take(skip).await?;
                if let Some((hasher, _)) = &mut sum {
                    hasher.update(&header);
                }
                Bytes::Deflated(Box::new(inflater))
            }
        };
        Ok(Self { source, name, bytes, sum })
    }

    /// The next `len` bytes.
    pub(super) async fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let bytes = match &mut self.bytes {
            Bytes::Stored { at } => {
                let bytes = fetch(self.source, *at, len).await?;
                *at += len as u64;
                bytes
            }
            Bytes::Deflated(inflater) => inflater.take(len).await?,
        };
        if let Some((hasher, _)) = &mut self.sum {
            hasher.update(&bytes);
        }
        Ok(bytes)
    }

    /// There must be nothing more (known beforehand for bytes that lie as they are), and it must have been
    /// what the archive says.
    pub(super) async fn finish(self) -> Result<()> {
        if let Bytes::Deflated(inflater) = self.bytes {
            inflater.finish().await?;
        }
        let Some((hasher, sum)) = self.sum else { return Ok(()) };
        let found = hasher.finalize();
        if found != sum.crc {
            return Err(Error::malformed(
                self.source.name(),
                format!("member {}", shown(self.name)),
                format!("bytes of the checksum {:08x}", sum.crc),
                format!("{found:08x}"),
                "the archive is damaged; fetch it again",
            ));
        }
        sum.held.store(true, Ordering::Relaxed);
        Ok(())
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
