//! Reading a few rows of a matrix without reading the rest.

use std::collections::BTreeSet;
use std::ops::Range;

use futures::stream::{self, StreamExt};

use super::entry::Entry;
use super::layout::{Layout, Transform, zeroed};
use super::pieces::{Compression, fetch};
use super::quantize::Recode;
use super::weights::HostTensor;
use crate::error::{Error, Result, shown};
use crate::platform::{Source, par_chunks_mut};

/// Bytes between two rows that are cheaper to read along than to ask for anew.
const GAP_BYTES: u64 = 64 << 10;
/// Most bytes of one request.
const RUN_BYTES: u64 = 8 << 20;
/// Requests in flight; the network's latency is hidden, memory stays bounded.
const IN_FLIGHT: usize = 8;
/// Values decoded by one parallel task.
const TASK_VALUES: usize = 1 << 16;

/// A request: positions in the caller's list (as a range of the sorted order) and stored rows.
struct Run {
    positions: Range<usize>,
    rows: Range<u64>,
}

impl Entry {
    /// Rows in the order given, `[rows.len() × columns]`.
    pub(super) async fn read_rows(&self, source: &Source, rows: &[usize]) -> Result<Vec<f32>> {
        let &[height, columns] = self.info.shape.as_slice() else {
            return Err(Error::mismatch(
                format!("{}: tensor {} read by rows", source.name(), shown(&self.info.name)),
                "two dimensions",
                format!("shape {:?}", self.info.shape),
                "the checkpoint is of another model than its configuration says",
            ));
        };
        if let Some(past) = rows.iter().find(|&&row| row >= height) {
            return Err(Error::mismatch(
                format!("{}: row of tensor {}", source.name(), shown(&self.info.name)),
                format!("an index below its {height} rows"),
                past.to_string(),
                "the tokenizer or the index belongs to another model",
            ));
        }
        let layout = self.layout(source)?;
        let numel = rows.len().checked_mul(columns).ok_or_else(|| {
            Error::usage(
                format!("{} rows of {columns} values are more than memory can hold", rows.len()),
                "ask for fewer rows",
            )
        })?;
        match layout.dtype.bytes_of(columns) {
            Some(row_bytes) if self.by_rows() && row_bytes > 0 => {
                self.check_sum(source).await?;
                let mut out = zeroed(numel, source.name())?;
                self.read_runs(source, rows, &layout, row_bytes, &mut out).await?;
                match &self.recode {
                    None => Ok(out),
                    // rows are whole blocks, and the order of these is the caller's
                    Some(recode) => {
                        let recode = Recode { dtype: recode.dtype, transform: recode.transform.of_rows() };
                        let tensor = HostTensor { shape: vec![rows.len(), columns], data: out };
                        Ok(self.recoded(source, &recode, tensor)?.unpack()?.data)
                    }
                }
            }
            // a row is scattered over the file, or nothing: read everything, keep what was asked for
            _ => {
                let all = self.read(source, Vec::new()).await?;
                let mut out = zeroed(numel, source.name())?;
                for (out, &row) in out.chunks_exact_mut(columns.max(1)).zip(rows) {
                    out.copy_from_slice(&all[row * columns..][..columns]);
                }
                Ok(out)
            }
        }
    }

    /// Whether a presented row is one run of stored bytes.
    fn by_rows(&self) -> bool {
        let recoded_by_rows = self.recode.as_ref().is_none_or(Recode::by_rows);
        self.transform != Transform::Transpose && self.compression == Compression::Stored && recoded_by_rows
    }

    async fn read_runs(
        &self,
        source: &Source,
        rows: &[usize],
        layout: &Layout,
        row_bytes: u64,
        out: &mut [f32],
    ) -> Result<()> {
        let columns = layout.columns();
        let stored: Vec<u64> = rows.iter().map(|&row| layout.stored_row(row) as u64).collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&position| stored[position]);
        let runs = runs(&order, &stored, row_bytes);
        let mut fetched = stream::iter(runs)
            .map(|run| async move {
                let at = self.offset + run.rows.start * row_bytes;
                let bytes = fetch(source, at, ((run.rows.end - run.rows.start) * row_bytes) as usize).await?;
                Ok::<_, Error>((run, bytes))
            })
            .buffered(IN_FLIGHT);
        while let Some(next) = fetched.next().await {
            let (run, bytes) = next?;
            let positions = &order[run.positions];
            let decode = |position: usize, out: &mut [f32]| {
                let at = (stored[position] - run.rows.start) * row_bytes;
                layout.unpack_row(rows[position], &bytes[at as usize..][..row_bytes as usize], out)
            };
            let (first, last) = (positions[0], positions[positions.len() - 1]);
            if positions.is_sorted() && last - first + 1 == positions.len() {
                // neighbours in the result too: decode side by side
                let per_task = (TASK_VALUES / columns).max(1);
                let failed = std::sync::Mutex::new(None);
                let place = &mut out[first * columns..(last + 1) * columns];
                par_chunks_mut(place, per_task * columns, |task, out| {
                    for (i, out) in out.chunks_exact_mut(columns).enumerate() {
                        if let Err(e) = decode(first + task * per_task + i, out) {
                            // poisoned only if another task panicked, which then propagates
                            let mut failed = failed.lock().unwrap_or_else(|p| p.into_inner());
                            failed.get_or_insert(e);
                            return;
                        }
                    }
                });
                if let Some(e) = failed.into_inner().unwrap_or_else(|p| p.into_inner()) {
                    return Err(e);
                }
            } else {
                for &position in positions {
                    decode(position, &mut out[position * columns..][..columns])?;
                }
            }
        }
        Ok(())
    }
}

/// Groups sorted rows into requests: gaps up to [`GAP_BYTES`] are bridged, requests stay within
/// [`RUN_BYTES`] (one row at least).
fn runs(order: &[usize], stored: &[u64], row_bytes: u64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, &position) in order.iter().enumerate() {
        let row = stored[position];
        match runs.last_mut() {
            Some(run)
                if row.saturating_sub(run.rows.end) * row_bytes <= GAP_BYTES
                    && (row + 1 - run.rows.start) * row_bytes <= RUN_BYTES.max(row_bytes) =>
            {
                run.positions.end = i + 1;
                run.rows.end = run.rows.end.max(row + 1);
            }
            _ => runs.push(Run { positions: i..i + 1, rows: row..row + 1 }),
        }
    }
    runs
}

/// Some rows of a matrix, found by their index in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// ascending, each once
    indices: Vec<usize>,
    width: usize,
    data: Vec<f32>,
}

impl Rows {
    /// Each index once, ascending: what is read and handed to [`Rows::new`].
    pub fn distinct(indices: impl IntoIterator<Item = usize>) -> Vec<usize> {
        indices.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// From ascending indices and their rows `[indices.len(), width]`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where those do not belong together: a bug, not a bad file.
    pub fn new(indices: Vec<usize>, rows: HostTensor) -> Result<Self> {
        match rows.shape[..] {
            [n, width] if n == indices.len() && indices.is_sorted_by(|a, b| a < b) && rows.data.len() == n * width => {
                Ok(Self { indices, width, data: rows.data })
            }
            _ => Err(Error::mismatch(
                "rows of a matrix",
                format!("{} rows of ascending indices", indices.len()),
                format!("shape {:?}", rows.shape),
                "please report this: it is a bug",
            )),
        }
    }

    /// The rows with these indices in the whole matrix, in the order given: `[n, width]`.
    ///
    /// # Errors
    /// [`Error::Missing`] for a row that was not read: a bug, not a bad file.
    pub fn gather(&self, indices: impl IntoIterator<Item = usize>) -> Result<HostTensor> {
        let indices = indices.into_iter();
        let mut data = Vec::with_capacity(indices.size_hint().0 * self.width);
        let mut n = 0;
        for index in indices {
            let at = self.indices.binary_search(&index).map_err(|_| {
                Error::missing(format!("row {index} among those read of a matrix"), "please report this: it is a bug")
            })?;
            data.extend_from_slice(&self.data[at * self.width..][..self.width]);
            n += 1;
        }
        Ok(HostTensor { shape: vec![n, self.width], data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_not_read_is_an_error_and_not_another_row() {
        let tensor = |rows: usize| HostTensor { shape: vec![rows, 2], data: (0..2 * rows).map(|i| i as f32).collect() };
        let indices = Rows::distinct([9, 4, 9, 0]);
        assert_eq!(indices, [0, 4, 9]);
        let rows = Rows::new(indices, tensor(3)).unwrap();
        let got = rows.gather([9, 0, 9]).unwrap();
        assert_eq!((got.shape, got.data), (vec![3, 2], vec![4.0, 5.0, 0.0, 1.0, 4.0, 5.0]));
        assert_eq!(rows.gather([]).unwrap().shape, [0, 2]);
        for missing in [1, 5, 10] {
            let text = rows.gather([4, missing]).unwrap_err().to_string();
            assert!(text.contains(&format!("row {missing} ")), "{text}");
        }
        for (indices, rows) in [(vec![0, 4], 3), (vec![4, 0, 9], 3), (vec![4, 4], 2)] {
            assert!(Rows::new(indices, tensor(rows)).is_err());
        }
    }
}
