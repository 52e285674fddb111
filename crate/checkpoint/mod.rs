//! Checkpoints as an index of named tensors over byte sources: safetensors, GGUF, npz.
//!
//! Opening reads headers only; a tensor's bytes are read when it is asked for, and only the rows
//! that are asked for.

use crate::error::Result;
use crate::platform::Source;

/// A tensor in host memory, row-major f32.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values, row-major.
    pub data: Vec<f32>,
}

/// What a checkpoint's header says of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Name as stored.
    pub name: String,
    /// Sizes, outermost first (GGUF's reversed order is turned around).
    pub shape: Vec<usize>,
    /// Bytes as stored (compressed length for a deflated npz member).
    pub nbytes: u64,
    /// Storage type as the format calls it: `BF16`, `Q4_K`, `<f4`.
    pub dtype: String,
}

/// An index of named tensors over one or more byte sources.
#[derive(Debug, Clone)]
pub struct Checkpoint {}

impl Checkpoint {
    /// Opens one or more safetensors files (the shards of one checkpoint).
    pub async fn open_safetensors(_shards: Vec<Source>) -> Result<Self> {
        todo!()
    }

    /// Opens a numpy archive.
    pub async fn open_npz(_source: Source) -> Result<Self> {
        todo!()
    }

    /// Whether `name` exists.
    pub fn contains(&self, _name: &str) -> bool {
        todo!()
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<&str> {
        todo!()
    }

    /// What the header says of `name`.
    pub fn info(&self, _name: &str) -> Result<&TensorInfo> {
        todo!()
    }

    /// Reads a whole tensor as f32 (dequantised, transformed), refusing NaN and infinities.
    pub async fn read(&self, _name: &str) -> Result<HostTensor> {
        todo!()
    }

    /// [`Checkpoint::read`], and the shape must be this one.
    pub async fn read_shaped(&self, _name: &str, _shape: &[usize]) -> Result<HostTensor> {
        todo!()
    }

    /// Reads only `rows` (in the order given, repeats allowed) of a 2-D tensor.
    pub async fn read_rows(&self, _name: &str, _rows: &[usize]) -> Result<HostTensor> {
        todo!()
    }
}
