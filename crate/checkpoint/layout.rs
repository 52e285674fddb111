//! How a tensor lies in its stored bytes, and the way from there to f32.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::decode::first_not_finite;
use super::dtype::DType;
use crate::error::{Error, Result, shown};
use crate::platform::par_chunks_mut;

/// Stored bytes taken at a time: few requests, little memory beside the result.
const PIECE_BYTES: usize = 8 << 20;
/// Values decoded by one parallel task; a multiple of every block length.
pub(super) const TASK_VALUES: usize = 1 << 16;
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

impl Transform {
    /// What it does to a row alone.
    pub(super) fn of_rows(self) -> Self {
        match self {
            Self::Add(added) => Self::Add(added),
            Self::None | Self::HeadRows { .. } | Self::Transpose => Self::None,
        }
    }
}

/// Storage type and order of one tensor's values, with the names that errors speak of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub(super) file: String,
    pub(super) name: String,
    /// As presented.
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) transform: Transform,
}

impl Layout {
    /// Number of values; openers have checked that the product does not overflow.
    pub(super) fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Values per row: what one step along the first dimension spans.
    pub(super) fn columns(&self) -> usize {
        self.shape.iter().skip(1).product()
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
    fn addend(&self) -> Option<f32> {
        if let Transform::Add(a) = self.transform { Some(a) } else { None }
    }

    /// Values that have to be at hand together.
    fn unit(&self) -> usize {
        match self.transform {
            Transform::None | Transform::Add(_) => self.dtype.block_len(),
            Transform::HeadRows { head } => head * self.columns(),
            Transform::Transpose => self.shape[0],
        }
    }

    /// The stored bytes cut into parts that decode one by one: how many bytes each has, the last one
    /// perhaps fewer. None for a tensor without values.
    pub(super) fn parts(&self) -> Result<Vec<usize>> {
        let numel = self.numel();
        if numel == 0 {
            return Ok(Vec::new());
        }
        let unit = self.unit();
        let unit_bytes = self.dtype.bytes_of(unit).ok_or_else(|| self.split_block())? as usize;
        let (step, units) = ((PIECE_BYTES / unit_bytes).max(1), numel / unit);
        Ok((0..units).step_by(step).map(|first| step.min(units - first) * unit_bytes).collect())
    }

    /// Decodes one of [`Layout::parts`] into its place in the whole tensor `out`; `at` is where its bytes
    /// begin.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value that is not finite, naming its index.
    pub(super) fn unpack(&self, bytes: &[u8], at: usize, out: &mut [f32]) -> Result<()> {
        let values = |bytes: usize| bytes / self.dtype.block_bytes() * self.dtype.block_len();
        let (start, len) = (values(at), values(bytes.len()));
        let bad = FirstBad::default();
        match self.transform {
            Transform::None | Transform::Add(_) => {
                decode_run(self.dtype, bytes, self.addend(), &mut out[start..start + len], start, &bad);
            }
            Transform::HeadRows { head } => self.place_heads(head, bytes, &mut out[start..start + len], start, &bad),
            Transform::Transpose => self.place_columns(bytes, out, start / self.shape[0], &bad)?,
        }
        self.refuse_bad(&bad, out, 0)
    }

    /// Decodes whole heads, each stored row to its own place.
    fn place_heads(&self, head: usize, bytes: &[u8], out: &mut [f32], start: usize, bad: &FirstBad) {
        let columns = self.columns();
        let row_bytes = bytes.len() / (out.len() / columns);
        par_chunks_mut(out, head * columns, |h, rows| {
            for (r, row) in rows.chunks_exact_mut(columns).enumerate() {
                let stored = self.stored_row(h * head + r);
                let bytes = &bytes[stored * row_bytes..][..row_bytes];
                decode_checked(self.dtype, bytes, None, row, || start + (h * head + r) * columns, bad);
            }
        });
    }

    /// Decodes stored rows from `first` on and lays them down as columns.
    fn place_columns(&self, bytes: &[u8], out: &mut [f32], first: usize, bad: &FirstBad) -> Result<()> {
        let (rows, columns) = (self.shape[0], self.columns());
        let mut piece = zeroed(bytes.len() / self.dtype.block_bytes() * self.dtype.block_len(), &self.file)?;
        let unchecked = FirstBad::default();
        decode_run(self.dtype, bytes, None, &mut piece, 0, &unchecked);
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

    /// Decodes the presented row `row` from its own bytes.
    ///
    /// # Errors
    /// As [`Layout::unpack`].
    pub(super) fn unpack_row(&self, row: usize, bytes: &[u8], out: &mut [f32]) -> Result<()> {
        let bad = FirstBad::default();
        let start = row * self.columns();
        decode_checked(self.dtype, bytes, self.addend(), out, || start, &bad);
        self.refuse_bad(&bad, out, start)
    }

    /// Errors if `bad` has seen anything; `start` is the flat index of `values[0]`.
    fn refuse_bad(&self, bad: &FirstBad, values: &[f32], start: usize) -> Result<()> {
        let Some(flat) = bad.get() else { return Ok(()) };
        let mut rest = flat;
        let mut index: Vec<_> = self
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
            &self.file,
            format!("tensor {} at {index:?}", shown(&self.name)),
            "a finite value",
            found,
            "the file is damaged or was saved from a run that had diverged; fetch it again",
        ))
    }

    fn split_block(&self) -> Error {
        Error::unsupported(
            format!(
                "{}: tensor {} of type {} with rows that are not whole blocks",
                self.file,
                shown(&self.name),
                self.dtype.name()
            ),
            "convert the checkpoint to F32, F16 or BF16",
        )
    }
}

/// The smallest flat index of a value that is not finite, gathered from parallel tasks.
#[derive(Debug)]
struct FirstBad(AtomicUsize);

impl Default for FirstBad {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl FirstBad {
    fn note(&self, index: usize) {
        self.0.fetch_min(index, Ordering::Relaxed);
    }

    fn get(&self) -> Option<usize> {
        let index = self.0.load(Ordering::Relaxed);
        (index != usize::MAX).then_some(index)
    }
}

/// Decodes a run of whole blocks in parallel; `start` is the flat index of `out[0]`.
fn decode_run(dtype: DType, bytes: &[u8], add: Option<f32>, out: &mut [f32], start: usize, bad: &FirstBad) {
    let task_bytes = TASK_VALUES / dtype.block_len() * dtype.block_bytes();
    par_chunks_mut(out, TASK_VALUES, |task, out| {
        let bytes = &bytes[task * task_bytes..];
        decode_checked(dtype, bytes, add, out, || start + task * TASK_VALUES, bad);
    });
}

/// Decodes and checks in cache-sized steps.
fn decode_checked(
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
        if let Some(first) = first_not_finite(out) {
            bad.note(start() + i * CHECK_VALUES + first);
            return;
        }
    }
}

/// `len` zeros, or an error where the memory is not to be had.
pub(super) fn zeroed(len: usize, file: &str) -> Result<Vec<f32>> {
    // `vec!` aborts when memory runs out but gets zeroed pages for nothing; so ask first
    drop(reserved::<f32>(len, file)?);
    Ok(vec![0.0; len])
}

/// Room for `len` values, or an error where the memory is not to be had.
pub(super) fn reserved<T>(len: usize, file: &str) -> Result<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(len).map_err(|_| {
        Error::io(
            file,
            "read",
            io::Error::new(io::ErrorKind::OutOfMemory, format!("no memory for {len} values")),
            "close other programs, or take a smaller model",
        )
    })?;
    Ok(room)
}
