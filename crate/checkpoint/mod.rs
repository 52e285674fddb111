//! Checkpoints as an index of named tensors over byte sources: safetensors, GGUF, npz.
//!
//! Opening reads headers only; a tensor's bytes are read when it is asked for, and only the rows
//! that are asked for. Values come out as f32 ([`HostTensor`]): half formats are widened exactly, ggml's
//! quantised blocks are dequantised exactly as ggml's reference does, f64 is rounded. A whole tensor can
//! also be had as it is stored ([`Weights`]), to be unpacked by who computes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::platform::Source;

mod decode;
mod dtype;
mod entry;
mod float;
pub mod gguf;
mod layout;
mod nearest;
mod npy;
mod npz;
mod pieces;
mod quant;
mod quantize;
mod rows;
mod safetensors;
#[cfg(test)]
mod testing;
mod weights;
#[cfg(test)]
mod weights_tests;
mod zip;

pub use quantize::Quantization;
pub use rows::Rows;
pub use weights::{BlockType, Blocks, Halves, HostTensor, Narrow, Packed, Weights};

use entry::Entry;
use nearest::nearest;
use quantize::Recode;

/// What a checkpoint's header says of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Name as stored (for GGUF: the Hugging Face name that it is presented under).
    pub name: String,
    /// Sizes, outermost first (GGUF's reversed order is turned around).
    pub shape: Vec<usize>,
    /// Bytes as stored (compressed length for a deflated npz member).
    pub nbytes: u64,
    /// Storage type as the format calls it: `BF16`, `Q4_K`, `<f4`; that which the tensor is put into where it is
    /// quantised as it is read.
    pub dtype: String,
}

/// An index of named tensors over one or more byte sources. Cloning shares the index.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sources: Vec<Source>,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens one or more safetensors files (the shards of one checkpoint).
    ///
    /// # Errors
    /// [`Error::Malformed`] when a header is truncated, over the format's limit, not JSON, or
    /// describes tensors that overlap, leave the file or do not have `shape × dtype` bytes, and
    /// when two shards hold the same name; what the sources return when reading fails.
    pub async fn open_safetensors(shards: Vec<Source>) -> Result<Self> {
        let (entries, metadata) = safetensors::index(&shards).await?;
        Ok(Self::new(shards, entries, metadata))
    }

    /// Opens a numpy archive (`np.savez`, `np.savez_compressed`); tensors go by their member's name
    /// without `.npy`.
    ///
    /// Members that are stored are read in place; deflated ones are inflated from their beginning
    /// whenever they are read. A member is held against its checksum when it is first read: as a whole, even
    /// where only rows are wanted, unless the rest would have to come over a network for that.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the file is not a zip archive, is truncated, or has a member whose
    /// size or header cannot be; [`Error::Unsupported`] for encryption, other compressions, and
    /// deflated members of more than 4 GiB.
    pub async fn open_npz(source: Source) -> Result<Self> {
        let entries = npz::index(&source).await?;
        Ok(Self::new(vec![source], entries, BTreeMap::new()))
    }

    fn new(sources: Vec<Source>, entries: BTreeMap<String, Entry>, metadata: BTreeMap<String, String>) -> Self {
        Self { inner: Arc::new(Inner { sources, entries, metadata }) }
    }

    /// The same tensors, some of which are put into another storage as they are read.
    fn recoded(&self, recode: impl IntoIterator<Item = (String, Recode)>) -> Self {
        let Inner { sources, entries, metadata } = &*self.inner;
        let mut entries = entries.clone();
        for (name, recode) in recode {
            if let Some(entry) = entries.get_mut(&name) {
                recode.dtype.name().clone_into(&mut entry.info.dtype);
                entry.recode = Some(recode);
            }
        }
        Self::new(sources.clone(), entries, metadata.clone())
    }

    /// Bytes that a tensor takes in memory as [`Checkpoint::read_packed`] hands it out, or fewer.
    ///
    /// # Errors
    /// Those of [`Checkpoint::info`].
    pub fn packed_bytes(&self, name: &str) -> Result<u64> {
        Ok(self.entry(name)?.packed_bytes())
    }

    /// Whether `name` exists.
    pub fn contains(&self, name: &str) -> bool {
        self.inner.entries.contains_key(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.inner.entries.keys().map(String::as_str).collect()
    }

    /// Free text that the file carries beside its tensors: safetensors' `__metadata__` (shards
    /// merged, the first one wins). Empty for formats without it.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.inner.metadata
    }

    /// What the header says of `name`.
    ///
    /// # Errors
    /// [`Error::Missing`] with the closest names in the hint.
    pub fn info(&self, name: &str) -> Result<&TensorInfo> {
        Ok(&self.entry(name)?.info)
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.inner.entries.get(name).ok_or_else(|| {
            let files = match self.inner.sources.as_slice() {
                [] => "an empty checkpoint".to_owned(),
                [one] => one.name().to_owned(),
                [first, rest @ ..] => format!("{} and {} more", first.name(), rest.len()),
            };
            let close = nearest(name, self.inner.entries.keys());
            let hint = if close.is_empty() {
                "the checkpoint holds no tensors at all".to_owned()
            } else {
                format!("the closest names are {}", close.join(", "))
            };
            Error::missing(format!("tensor {name} in {files}"), hint)
        })
    }

    /// Reads a whole tensor as f32 (dequantised, transformed), refusing NaN and infinities.
    ///
    /// Stored bytes are read and decoded in pieces, so that the peak is the result plus one piece.
    ///
    /// # Errors
    /// [`Error::Missing`] for an unknown name, [`Error::Unsupported`] for a storage type that is
    /// not computed with, [`Error::Malformed`] for a value that is not finite, naming its index.
    pub async fn read(&self, name: &str) -> Result<HostTensor> {
        self.read_into(name, Vec::new()).await
    }

    /// [`Checkpoint::read`] into the memory of `spent` where that is large enough.
    ///
    /// Decoding runs at many gigabytes a second, getting fresh memory from the system at about one:
    /// who reads layer after layer gains by handing the last one's memory back.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`].
    pub async fn read_into(&self, name: &str, spent: Vec<f32>) -> Result<HostTensor> {
        let entry = self.entry(name)?;
        let data = entry.read(&self.inner.sources[entry.source], spent).await?;
        Ok(HostTensor { shape: entry.info.shape.clone(), data })
    }

    /// [`Checkpoint::read`], and the shape must be this one.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the header says another shape (nothing is read then); else those
    /// of [`Checkpoint::read`].
    pub async fn read_shaped(&self, name: &str, shape: &[usize]) -> Result<HostTensor> {
        self.shaped(name, shape)?;
        self.read(name).await
    }

    /// [`Checkpoint::read_shaped`] without unpacking: what is narrower than f32 stays as it is stored, and
    /// its values are checked when they are unpacked ([`Weights::dense`]).
    ///
    /// # Errors
    /// Those of [`Checkpoint::read_shaped`].
    pub async fn read_packed(&self, name: &str, shape: &[usize]) -> Result<Weights> {
        let entry = self.shaped(name, shape)?;
        entry.read_packed(&self.inner.sources[entry.source]).await
    }

    /// The entry of a tensor that must have this shape.
    fn shaped(&self, name: &str, shape: &[usize]) -> Result<&Entry> {
        let entry = self.entry(name)?;
        if entry.info.shape != shape {
            return Err(Error::mismatch(
                format!("{}: shape of {name}", self.inner.sources[entry.source].name()),
                format!("{shape:?}"),
                format!("{:?}", entry.info.shape),
                "the configuration and the weights are of different models",
            ));
        }
        Ok(entry)
    }

    /// The bytes of a whole tensor, as they are stored or put into another storage.
    async fn read_bytes(&self, name: &str) -> Result<Vec<u8>> {
        let entry = self.entry(name)?;
        entry.read_bytes(&self.inner.sources[entry.source]).await
    }

    /// Reads only `rows` (in the order given, repeats allowed) of a 2-D tensor: `[rows, columns]`.
    ///
    /// Rows that lie close together are fetched by one range read.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`]; [`Error::Mismatch`] when the tensor is not 2-D or an index
    /// is past its last row.
    pub async fn read_rows(&self, name: &str, rows: &[usize]) -> Result<HostTensor> {
        let entry = self.entry(name)?;
        let data = entry.read_rows(&self.inner.sources[entry.source], rows).await?;
        // read_rows has refused anything but two dimensions
        let columns = entry.info.shape.get(1).copied().unwrap_or(0);
        Ok(HostTensor { shape: vec![rows.len(), columns], data })
    }

    /// Reads rows of a 2-D tensor, each distinct one once, in file order.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read_rows`].
    pub async fn distinct_rows(&self, name: &str, rows: impl IntoIterator<Item = usize>) -> Result<Rows> {
        let indices = Rows::distinct(rows);
        let tensor = self.read_rows(name, &indices).await?;
        Rows::new(indices, tensor)
    }
}
