//! Weights in memory: dense, or packed as their file stores them.

use std::fmt;

use super::dtype::DType;
use super::layout::{Layout, Transform, zeroed};
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

impl Weights {
    /// The values in their stored type where that has 16 bits and lies in the presented order, else dense.
    ///
    /// # Errors
    /// As [`Weights::dense`].
    pub fn narrow(self) -> Result<Narrow> {
        let packed = match self {
            Self::Dense(tensor) => return Ok(Narrow::Dense(tensor)),
            Self::Packed(packed) => packed,
        };
        let halves: fn(Halves) -> Narrow = match packed.layout.dtype {
            DType::BF16 => Narrow::Bf16,
            DType::F16 => Narrow::F16,
            _ => return packed.unpack().map(Narrow::Dense),
        };
        // one that is not finite is found, and named, by unpacking
        if packed.layout.transform != Transform::None || !packed.finite_halves() {
            return packed.unpack().map(Narrow::Dense);
        }
        Ok(halves(Halves { shape: packed.layout.shape, bytes: packed.bytes }))
    }
}

/// Weights in as few bytes as they lose nothing in.
#[derive(Debug, Clone, PartialEq)]
pub enum Narrow {
    /// f32.
    Dense(HostTensor),
    /// bf16.
    Bf16(Halves),
    /// f16.
    F16(Halves),
}

/// A tensor of 16-bit values, row-major, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Halves {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Two to a value, little-endian.
    pub bytes: Vec<u8>,
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

    /// Whether no 16-bit value has all bits of its exponent set.
    fn finite_halves(&self) -> bool {
        let exponent = if self.layout.dtype == DType::BF16 { 0x7f80 } else { 0x7c00 };
        // without a branch a value, a piece at a time
        let clean = |values: &[[u8; 2]]| {
            !values.iter().fold(false, |bad, value| bad | (u16::from_le_bytes(*value) & exponent == exponent))
        };
        self.bytes.as_chunks::<2>().0.chunks(1 << 12).all(clean)
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
