//! Weights in memory: dense, or packed as their file stores them.

use std::fmt;

use super::dtype::DType;
use super::layout::{Layout, TASK_VALUES, Transform, zeroed};
use crate::error::Result;
use crate::platform::par_chunks_mut;

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

    /// Whether they are stored in bf16.
    pub fn is_bf16(&self) -> bool {
        matches!(self, Self::Packed(packed) if packed.layout.dtype == DType::BF16)
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
    /// The values in their stored type where that is of 16 bits or quantised, in the presented order, else dense.
    ///
    /// # Errors
    /// As [`Weights::dense`].
    pub fn narrow(self) -> Result<Narrow> {
        let packed = match self {
            Self::Dense(tensor) => return Ok(Narrow::Dense(tensor)),
            Self::Packed(packed) => packed,
        };
        let dtype = packed.layout.dtype;
        let kind = BlockType::of(dtype);
        // one that is not finite is found, and named, by unpacking
        let finite = match kind {
            Some(kind) => kind.finite_scales(&packed.bytes),
            None => matches!(dtype, DType::BF16 | DType::F16) && packed.finite_halves(),
        };
        if !finite || !packed.has_rows() {
            return packed.unpack().map(Narrow::Dense);
        }
        let (shape, bytes) = packed.into_rows();
        Ok(match (kind, dtype) {
            (Some(kind), _) => Narrow::Blocks(Blocks { shape, kind, bytes }),
            (None, DType::BF16) => Narrow::Bf16(Halves { shape, bytes }),
            (None, _) => Narrow::F16(Halves { shape, bytes }),
        })
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
    /// ggml's quantised blocks.
    Blocks(Blocks),
}

impl Narrow {
    /// The values as f32, unpacked in parallel.
    pub fn dense(self) -> HostTensor {
        let (dtype, shape, bytes) = match self {
            Self::Dense(tensor) => return tensor,
            Self::Bf16(Halves { shape, bytes }) => (DType::BF16, shape, bytes),
            Self::F16(Halves { shape, bytes }) => (DType::F16, shape, bytes),
            Self::Blocks(Blocks { shape, kind, bytes }) => (kind.dtype(), shape, bytes),
        };
        let mut data = vec![0.0; bytes.len() / dtype.block_bytes() * dtype.block_len()];
        let task_bytes = TASK_VALUES / dtype.block_len() * dtype.block_bytes();
        par_chunks_mut(&mut data, TASK_VALUES, |task, out| dtype.decode(&bytes[task * task_bytes..], out));
        HostTensor { shape, data }
    }
}

/// A tensor of 16-bit values, row-major, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Halves {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Two to a value, little-endian.
    pub bytes: Vec<u8>,
}

/// A tensor of quantised blocks, row after row, all scales finite; rows are whole blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Of all blocks.
    pub kind: BlockType,
    /// The blocks, one after another.
    pub bytes: Vec<u8>,
}

/// ggml's types of quantised blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, missing_docs)]
pub enum BlockType {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl BlockType {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Q4_0, Self::Q4_1, Self::Q5_0, Self::Q5_1, Self::Q8_0, Self::Q4K, Self::Q5K, Self::Q6K];

    pub(super) fn of(dtype: DType) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.dtype() == dtype)
    }

    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Q4_0 => DType::Q4_0,
            Self::Q4_1 => DType::Q4_1,
            Self::Q5_0 => DType::Q5_0,
            Self::Q5_1 => DType::Q5_1,
            Self::Q8_0 => DType::Q8_0,
            Self::Q4K => DType::Q4K,
            Self::Q5K => DType::Q5K,
            Self::Q6K => DType::Q6K,
        }
    }

    /// Name, as ggml calls it.
    pub fn name(self) -> &'static str {
        self.dtype().name()
    }

    /// Values of a block.
    pub fn values(self) -> usize {
        self.dtype().block_len()
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        self.dtype().block_bytes()
    }

    /// Where in a block its f16 scales are.
    pub(crate) fn scales(self) -> &'static [usize] {
        match self {
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => &[0],
            Self::Q4_1 | Self::Q5_1 | Self::Q4K | Self::Q5K => &[0, 2],
            Self::Q6K => &[208],
        }
    }

    /// Whether no block has a scale with all bits of its exponent set.
    pub(super) fn finite_scales(self, bytes: &[u8]) -> bool {
        let bad = |block: &[u8], at: usize| u16::from_le_bytes([block[at], block[at + 1]]) & 0x7c00 == 0x7c00;
        let blocks = bytes.chunks_exact(self.bytes());
        !blocks.fold(false, |any, block| self.scales().iter().fold(any, |any, &at| any | bad(block, at)))
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

    /// Whether no 16-bit value has all bits of its exponent set.
    fn finite_halves(&self) -> bool {
        let exponent = if self.layout.dtype == DType::BF16 { 0x7f80 } else { 0x7c00 };
        // without a branch a value, a piece at a time
        let clean = |values: &[[u8; 2]]| {
            !values.iter().fold(false, |bad, value| bad | (u16::from_le_bytes(*value) & exponent == exponent))
        };
        self.bytes.as_chunks::<2>().0.chunks(1 << 12).all(clean)
    }

    /// Whether the presented rows are stored ones, in whole blocks.
    fn has_rows(&self) -> bool {
        let whole = self.layout.columns().is_multiple_of(self.layout.dtype.block_len());
        matches!(self.layout.transform, Transform::None | Transform::HeadRows { .. }) && whole
    }

    /// Shape, and the bytes of the rows in the presented order.
    fn into_rows(self) -> (Vec<usize>, Vec<u8>) {
        let Self { layout, bytes } = self;
        let rows = layout.shape.first().copied().unwrap_or(0);
        if layout.transform == Transform::None || rows == 0 {
            return (layout.shape, bytes);
        }
        let row_bytes = bytes.len() / rows;
        let mut out = Vec::with_capacity(bytes.len());
        for row in 0..rows {
            out.extend_from_slice(&bytes[layout.stored_row(row) * row_bytes..][..row_bytes]);
        }
        (layout.shape, out)
    }

    /// The stored bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn unpack(self) -> Result<HostTensor> {
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
