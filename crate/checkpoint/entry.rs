//! One tensor of the index: where it lies, how it is stored, and what is undone on reading.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::TensorInfo;
use super::dtype::DType;
use super::pieces::{Packing, Pieces};
use crate::error::{Error, Result};
use crate::platform::{Source, par_chunks_mut};

/// Stored bytes read at a time: few requests, little memory beside the result.
const PIECE_BYTES: usize = 8 << 20;
/// Values decoded by one parallel task; a multiple of every block length.
const TASK_VALUES: usize = 1 << 16;
/// Values decoded, then checked while they are still in the nearest cache.
const CHECK_VALUES: usize = 1 << 12;

/// What turns the stored tensor into the presented one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Transform {
    /// Nothing.
    None,
    /// A constant on every value.
    Add(f32),
    /// llama.cpp interleaves the two halves of each head's rotary dimensions in Q and K
    /// (`permute` in its converter): stored row `2 j + s` of a head is row `s · head/2 + j`.
    HeadRows {
        /// Rows of one head, even.
        head: usize,
    },
    /// Stored as `[columns, rows]`.
    Transpose,
}

/// A tensor of the index.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) info: TensorInfo,
    /// Which of the checkpoint's sources.
    pub(super) source: usize,
    /// First byte in that source.
    pub(super) offset: u64,
    /// `None` for a type that is listed but not computed with.
    pub(super) dtype: Option<DType>,
    pub(super) transform: Transform,
    pub(super) packing: Packing,
}

impl Entry {
    /// Values, by the header; openers have checked that the product does not overflow.
    pub(super) fn numel(&self) -> usize {
        self.info.shape.iter().product()
    }

    /// Values per row: what one step along the first dimension spans.
    pub(super) fn columns(&self) -> usize {
        self.info.shape.iter().skip(1).product()
    }

    /// The storage type, or a refusal that names it.
    pub(super) fn decodable(&self, source: &Source) -> Result<DType> {
        self.dtype.ok_or_else(|| {
            Error::unsupported(
                format!("{}: tensor {} of type {}", source.name(), shown(&self.info.name), shown(&self.info.dtype)),
                "convert the checkpoint to F32, F16 or BF16",
            )
        })
    }

    /// Stored row of presented row `row`.
    pub(super) fn stored_row(&self, row: usize) -> usize {
        match self.transform {
            Transform::HeadRows { head } => {
                let within = row % head;
                let (side, pair) = (within / (head / 2), within % (head / 2));
                row - within + 2 * pair + side
            }
            _ => row,
        }
    }

    /// What is added to every value.
    pub(super) fn addend(&self) -> Option<f32> {
        if let Transform::Add(a) = self.transform { Some(a) } else { None }
    }

    /// The whole tensor as presented, in `spent` if that is large enough.
    pub(super) async fn read(&self, source: &Source, spent: Vec<f32>) -> Result<Vec<f32>> {
        let dtype = self.decodable(source)?;
        let mut out = sized(spent, self.numel(), source)?;
        if out.is_empty() {
            return Ok(out);
        }
        // values that have to be at hand together
        let unit = match self.transform {
            Transform::None | Transform::Add(_) => dtype.block_len(),
            Transform::HeadRows { head } => head * self.columns(),
            Transform::Transpose => self.info.shape[0],
        };
        let unit_bytes = dtype.bytes_of(unit).ok_or_else(|| self.split_block(source))? as usize;
        let step = (PIECE_BYTES / unit_bytes).max(1);
        let units = out.len() / unit;
        let bad = FirstBad::default();
        let mut pieces = Pieces::new(source, &self.info.name, self.offset, self.packing).await?;
        for first in (0..units).step_by(step) {
            let count = step.min(units - first);
            let bytes = pieces.take(count * unit_bytes).await?;
            let done = first * unit..(first + count) * unit;
            match self.transform {
                Transform::None | Transform::Add(_) => {
                    decode_run(dtype, &bytes, self.addend(), &mut out[done.clone()], done.start, &bad);
                }
                Transform::HeadRows { .. } => self.place_heads(dtype, &bytes, &mut out[done.clone()], done.start, &bad),
                Transform::Transpose => self.place_columns(dtype, &bytes, &mut out, first, source, &bad)?,
            }
            self.refuse_bad(&bad, &out, 0, source)?;
        }
        pieces.finish().await?;
        Ok(out)
    }

    /// Decodes whole heads, each stored row to its own place.
    fn place_heads(&self, dtype: DType, bytes: &[u8], out: &mut [f32], start: usize, bad: &FirstBad) {
        let columns = self.columns();
        let row_bytes = bytes.len() / (out.len() / columns);
        let Transform::HeadRows { head } = self.transform else { return };
        par_chunks_mut(out, head * columns, |h, rows| {
            for (r, row) in rows.chunks_exact_mut(columns).enumerate() {
                let stored = self.stored_row(h * head + r);
                decode_checked(
                    dtype,
                    &bytes[stored * row_bytes..][..row_bytes],
                    None,
                    row,
                    || start + (h * head + r) * columns,
                    bad,
                );
            }
        });
    }

    /// Decodes stored rows from `first` on and lays them down as columns.
    fn place_columns(
        &self,
        dtype: DType,
        bytes: &[u8],
        out: &mut [f32],
        first: usize,
        source: &Source,
        bad: &FirstBad,
    ) -> Result<()> {
        let (rows, columns) = (self.info.shape[0], self.columns());
        let mut piece = zeroed(bytes.len() / dtype.block_bytes() * dtype.block_len(), source)?;
        let unchecked = FirstBad::default();
        decode_run(dtype, bytes, None, &mut piece, 0, &unchecked);
        const LINE: usize = 16;
        par_chunks_mut(out, LINE * columns, |block, out| {
            for (column, stored) in piece.chunks_exact(rows).enumerate() {
                for (row, value) in stored[block * LINE..].iter().take(LINE).enumerate() {
                    out[row * columns + first + column] = *value;
                }
            }
        });
        if let Some(i) = unchecked.get() {
            let (column, row) = (first + i / rows, i % rows);
            bad.note(row * columns + column);
        }
        Ok(())
    }

    /// Errors if `bad` has seen anything; `start` is the flat index of `values[0]`.
    pub(super) fn refuse_bad(&self, bad: &FirstBad, values: &[f32], start: usize, source: &Source) -> Result<()> {
        let Some(flat) = bad.get() else { return Ok(()) };
        let mut rest = flat;
        let mut index: Vec<_> = self
            .info
            .shape
            .iter()
            .rev()
            .map(|&size| {
                let i = rest % size.max(1);
                rest /= size.max(1);
                i
            })
            .collect();
        index.reverse();
        let found = values.get(flat - start).map_or("a value that is not".to_owned(), ToString::to_string);
        Err(Error::malformed(
            source.name(),
            format!("tensor {} at {index:?}", shown(&self.info.name)),
            "a finite value",
            found,
            "the file is damaged or was saved from a run that had diverged; fetch it again",
        ))
    }

    fn split_block(&self, source: &Source) -> Error {
        Error::unsupported(
            format!(
                "{}: tensor {} of type {} with rows that are not whole blocks",
                source.name(),
                shown(&self.info.name),
                shown(&self.info.dtype)
            ),
            "convert the checkpoint to F32, F16 or BF16",
        )
    }
}

/// The smallest flat index of a value that is not finite, gathered from parallel tasks.
#[derive(Debug)]
pub(super) struct FirstBad(AtomicUsize);

impl Default for FirstBad {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl FirstBad {
    pub(super) fn note(&self, index: usize) {
        self.0.fetch_min(index, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Option<usize> {
        let index = self.0.load(Ordering::Relaxed);
        (index != usize::MAX).then_some(index)
    }
}

/// Decodes a run of whole blocks in parallel; `start` is the flat index of `out[0]`.
pub(super) fn decode_run(dtype: DType, bytes: &[u8], add: Option<f32>, out: &mut [f32], start: usize, bad: &FirstBad) {
    let task_bytes = TASK_VALUES / dtype.block_len() * dtype.block_bytes();
    par_chunks_mut(out, TASK_VALUES, |task, out| {
        let bytes = &bytes[task * task_bytes..];
        decode_checked(dtype, bytes, add, out, || start + task * TASK_VALUES, bad);
    });
}

/// Decodes and checks in cache-sized steps.
pub(super) fn decode_checked(
    dtype: DType,
    bytes: &[u8],
    add: Option<f32>,
    out: &mut [f32],
    start: impl Fn() -> usize,
    bad: &FirstBad,
) {
    let step_bytes = CHECK_VALUES / dtype.block_len() * dtype.block_bytes();
    for (i, (out, bytes)) in out.chunks_mut(CHECK_VALUES).zip(bytes.chunks(step_bytes)).enumerate() {
        dtype.decode(bytes, out);
        if let Some(add) = add {
            out.iter_mut().for_each(|v| *v += add);
        }
        if let Some(first) = super::decode::first_not_finite(out) {
            bad.note(start() + i * CHECK_VALUES + first);
            return;
        }
    }
}

/// `len` zeros, or an error where the memory is not to be had.
pub(super) fn zeroed(len: usize, source: &Source) -> Result<Vec<f32>> {
    // `vec!` aborts when memory runs out but gets zeroed pages for nothing; so ask first
    let mut probe = Vec::<f32>::new();
    let asked = probe.try_reserve_exact(len);
    drop(probe);
    asked.map_err(|_| {
        Error::io(
            source.name(),
            "read",
            io::Error::new(io::ErrorKind::OutOfMemory, format!("no memory for {len} values")),
            "close other programs, or take a smaller model",
        )
    })?;
    Ok(vec![0.0; len])
}

/// `len` values of whatever, in `spent` if that is large enough.
fn sized(mut spent: Vec<f32>, len: usize, source: &Source) -> Result<Vec<f32>> {
    if spent.capacity() < len {
        return zeroed(len, source);
    }
    spent.resize(len, 0.0);
    Ok(spent)
}

/// `text` fit for a message: control characters escaped, cut when absurdly long.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// The three of `names` that share the longest beginning and end with `name`.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let likeness = |other: &str| {
        let most = name.len().min(other.len());
        let front = name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let back = name.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
        (front + back).min(most)
    };
    let mut scored: Vec<_> = names.map(|other| (likeness(other), other)).collect();
    // stable: equally alike names stay in alphabetical order
    scored.sort_by_key(|(score, other)| (std::cmp::Reverse(*score), other.len().abs_diff(name.len())));
    scored.into_iter().take(3).map(|(_, other)| shown(other)).collect()
}
