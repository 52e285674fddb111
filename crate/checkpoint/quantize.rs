//! From f32 to ggml's quantised blocks, operation for operation as ggml's reference quantisers do it
//! (`quantize_row_q8_0_ref`, `quantize_row_q5_0_ref`, `quantize_row_q4_K_ref`).

mod q4_k;

use half::f16;

use q4_k::q4_k;

use super::dtype::DType;
use super::layout::Transform;
use super::weights::{BlockType, HostTensor};
use crate::error::{Error, Result, shown};
use crate::platform::par_chunks_mut;

/// Values encoded by one parallel task, about.
const TASK_VALUES: usize = 1 << 16;

/// How a model's matrices are quantised; its embeddings take 8 bits, what is no matrix stays in 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// Q8_0: 8 bits a value, a scale for 32 of them.
    Q8,
    /// Q4_K: 4 bits a value, a scale and a minimum for 32 of them; Q5_0 where rows are no multiples of 256.
    Q4,
}

impl Quantization {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    /// llama.cpp's number for files of this kind (`llama_ftype`).
    pub(super) fn file_type(self) -> i64 {
        match self {
            Self::Q8 => 7,
            Self::Q4 => 14,
        }
    }

    /// The type of the blocks of a model's matrices.
    pub fn blocks(self) -> BlockType {
        match self {
            Self::Q8 => BlockType::Q8_0,
            Self::Q4 => BlockType::Q4K,
        }
    }

    /// The type of a matrix whose rows have so many values; none where they are whole blocks of neither.
    pub(super) fn blocks_of(self, row: usize) -> Option<BlockType> {
        // what llama.cpp takes where Q4_K does not fit
        let kinds = [self.blocks(), BlockType::Q5_0];
        kinds.into_iter().find(|kind| row.is_multiple_of(kind.values()))
    }
}

/// The storage that a tensor is put into as it is read: the values that are computed with are those that
/// come out of it again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recode {
    pub(super) dtype: DType,
    pub(super) transform: Transform,
}

impl Recode {
    /// Rows and columns as they are stored, of a tensor that is presented in `shape`.
    fn stored(&self, shape: &[usize]) -> [usize; 2] {
        let (rows, columns) = (shape.first().copied().unwrap_or(1), shape.iter().skip(1).product());
        if self.transform == Transform::Transpose { [columns, rows] } else { [rows, columns] }
    }

    /// Whether a presented row is one run of stored bytes.
    pub(super) fn by_rows(&self) -> bool {
        self.transform != Transform::Transpose
    }

    /// The stored bytes of a tensor as it is presented.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for values so large that no f16 scale holds them.
    pub(super) fn encode(&self, tensor: &HostTensor, file: &str, name: &str) -> Result<Vec<u8>> {
        let [_, columns] = self.stored(&tensor.shape);
        let Some(row_bytes) = self.dtype.bytes_of(columns).map(|bytes| bytes as usize) else {
            return Err(Error::unsupported(
                format!("{file}: tensor {} in blocks of {}", shown(name), self.dtype.name()),
                "please report this: it is a bug",
            ));
        };
        if tensor.data.is_empty() {
            return Ok(Vec::new());
        }
        let presented = tensor.shape.iter().skip(1).product::<usize>();
        let mut out = vec![0; tensor.data.len() / columns * row_bytes];
        let rows = (TASK_VALUES / columns).max(1);
        par_chunks_mut(&mut out, rows * row_bytes, |task, out| {
            let mut row = vec![0.0; columns];
            for (i, out) in out.chunks_exact_mut(row_bytes).enumerate() {
                let stored = task * rows + i;
                let at = |row: usize| &tensor.data[row * presented..][..presented];
                let values = match self.transform {
                    Transform::None => at(stored),
                    Transform::HeadRows { head } => at(presented_row(stored, head)),
                    Transform::Add(added) => {
                        row.iter_mut().zip(at(stored)).for_each(|(row, value)| *row = value - added);
                        &row
                    }
                    Transform::Transpose => {
                        let column = tensor.data[stored..].iter().step_by(presented);
                        row.iter_mut().zip(column).for_each(|(row, value)| *row = *value);
                        &row
                    }
                };
                self.dtype.encode(values, out);
            }
        });
        match BlockType::of(self.dtype) {
            Some(kind) if !kind.finite_scales(&out) => Err(Error::unsupported(
                format!("{file}: tensor {} with values too large for the scales of {}", shown(name), kind.name()),
                "run the model as it is, without `--quantize`",
            )),
            _ => Ok(out),
        }
    }
}

/// The presented row that is stored as row `stored`, in heads of `head` rows: the inverse of
/// [`super::layout::Layout::stored_row`].
fn presented_row(stored: usize, head: usize) -> usize {
    let within = stored % head;
    let (pair, side) = (within / 2, within % 2);
    stored - within + side * (head / 2) + pair
}

impl DType {
    /// Whether [`DType::encode`] has this type.
    pub(super) fn encodes(self) -> bool {
        matches!(self, Self::F32 | Self::Q8_0 | Self::Q5_0 | Self::Q4K)
    }

    /// Encodes whole blocks into exactly their bytes; only of types that it [`encodes`](DType::encodes).
    fn encode(self, values: &[f32], out: &mut [u8]) {
        match self {
            Self::Q8_0 => blocks(values, out, q8_0),
            Self::Q5_0 => blocks(values, out, q5_0),
            Self::Q4K => blocks(values, out, q4_k),
            _ => {
                for (value, out) in values.iter().zip(out.as_chunks_mut().0) {
                    *out = value.to_le_bytes();
                }
            }
        }
    }
}

#[inline(always)]
fn blocks<const LEN: usize, const BYTES: usize>(
    values: &[f32],
    out: &mut [u8],
    f: impl Fn(&[f32; LEN], &mut [u8; BYTES]),
) {
    for (values, out) in values.as_chunks::<LEN>().0.iter().zip(out.as_chunks_mut::<BYTES>().0) {
        f(values, out);
    }
}

/// To the nearest integer, halves away from zero: C's `roundf`, for magnitudes below 2²³. The largest number
/// below a half is added, since with a half the number before it would be rounded up too.
#[inline(always)]
fn rounded(value: f32) -> i32 {
    const BELOW_HALF: f32 = 0.499_999_97;
    (value + BELOW_HALF.copysign(value)) as i32
}

#[inline(always)]
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The scale takes the largest magnitude to 127.
#[inline(always)]
fn q8_0(values: &[f32; 32], out: &mut [u8; 34]) {
    let scale = values.iter().fold(0.0f32, |most, v| most.max(v.abs())) / 127.0;
    let inverse = inverse(scale);
    let (head, codes) = out.split_at_mut(2);
    head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (code, value) in codes.iter_mut().zip(values) {
        *code = (rounded(value * inverse) as i8).cast_unsigned();
    }
}

/// The scale takes the value of the largest magnitude, the first one of several, to −16.
#[inline(always)]
fn q5_0(values: &[f32; 32], out: &mut [u8; 22]) {
    let largest = values.iter().fold(0.0f32, |most, &v| if v.abs() > most.abs() { v } else { most });
    let scale = largest / -16.0;
    let inverse = inverse(scale);
    let (head, codes) = out.split_at_mut(6);
    let code = |value: f32| ((value * inverse + 16.5) as i8).min(31).cast_unsigned();
    let mut high = 0u32;
    for (j, out) in codes.iter_mut().enumerate() {
        let (first, second) = (code(values[j]), code(values[16 + j]));
        *out = (first & 15) | (second & 15) << 4;
        high |= u32::from(first >> 4) << j | u32::from(second >> 4) << (16 + j);
    }
    head[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    head[2..].copy_from_slice(&high.to_le_bytes());
}

#[cfg(test)]
mod tests;
