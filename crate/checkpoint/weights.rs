//! Weights in memory: dense, or packed as their file stores them.

use std::fmt;

use super::layout::{Layout, zeroed};
use crate::error::Result;

/// A tensor in host memory, row-major f32.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values, row-major.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// Number of values.
    pub fn numel(&self) -> usize {
        self.data.len()
    }
}

/// A tensor's weights in host memory.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// As they are computed with.
    Dense(HostTensor),
    /// As they are stored.
    Packed(Packed),
}

impl Weights {
    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Dense(tensor) => &tensor.shape,
            Self::Packed(packed) => &packed.layout.shape,
        }
    }

    /// The values, unpacked in parallel where they are packed; no copy where they are dense.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] for a packed value that is not finite, naming its index.
    pub fn dense(self) -> Result<HostTensor> {
        match self {
            Self::Dense(tensor) => Ok(tensor),
            Self::Packed(packed) => packed.unpack(),
        }
    }
}

impl From<HostTensor> for Weights {
    fn from(tensor: HostTensor) -> Self {
        Self::Dense(tensor)
    }
}

/// A tensor as its file stores it: half-precision values, or ggml's quantised blocks.
///
/// Its bytes are the file's (inflated, where an archive deflates them), whole blocks of its storage type
/// one after another, in the file's order of rows: what a checkpoint does on reading (llama.cpp's order of
/// rotary rows, transposition, Gemma's 1 on norms) is done on unpacking. No value has been looked at yet.
#[derive(Clone, PartialEq)]
pub struct Packed {
    layout: Layout,
    bytes: Vec<u8>,
}

impl Packed {
    /// `bytes` are those of all of the layout's parts.
    pub(super) fn new(layout: Layout, bytes: Vec<u8>) -> Self {
        Self { layout, bytes }
    }

    fn unpack(self) -> Result<HostTensor> {
        let Self { layout, bytes } = self;
        let mut data = zeroed(layout.numel(), &layout.file)?;
        let mut at = 0;
        for len in layout.parts()? {
            layout.unpack(&bytes[at..at + len], at, &mut data)?;
            at += len;
        }
        Ok(HostTensor { shape: layout.shape, data })
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layout { name, shape, dtype, .. } = &self.layout;
        write!(f, "Packed({name} {shape:?} {}, {} bytes)", dtype.name(), self.bytes.len())
    }
}
