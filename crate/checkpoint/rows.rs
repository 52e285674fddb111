//! Reading a few rows of a matrix without reading the rest.

use std::ops::Range;

use futures::stream::{self, StreamExt};

use super::dtype::DType;
use super::entry::{Entry, FirstBad, Transform, decode_checked, shown, zeroed};
use super::pieces::{Packing, fetch};
use crate::error::{Error, Result};
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
        let dtype = self.decodable(source)?;
        let numel = rows.len().checked_mul(columns).ok_or_else(|| {
            Error::usage(
                format!("{} rows of {columns} values are more than memory can hold", rows.len()),
                "ask for fewer rows",
            )
        })?;
        match dtype.bytes_of(columns) {
            Some(row_bytes) if self.by_rows() && row_bytes > 0 => {
                let mut out = zeroed(numel, source)?;
                self.read_runs(source, rows, dtype, row_bytes, columns, &mut out).await?;
                Ok(out)
            }
            // a row is scattered over the file, or nothing: read everything, keep what was asked for
            _ => {
                let all = self.read(source, Vec::new()).await?;
                let mut out = zeroed(numel, source)?;
                for (out, &row) in out.chunks_exact_mut(columns.max(1)).zip(rows) {
                    out.copy_from_slice(&all[row * columns..][..columns]);
                }
                Ok(out)
            }
        }
    }

    /// Whether a presented row is one run of stored bytes.
    fn by_rows(&self) -> bool {
        self.transform != Transform::Transpose && self.packing == Packing::Stored
    }

    async fn read_runs(
        &self,
        source: &Source,
        rows: &[usize],
        dtype: DType,
        row_bytes: u64,
        columns: usize,
        out: &mut [f32],
    ) -> Result<()> {
        let stored: Vec<u64> = rows.iter().map(|&row| self.stored_row(row) as u64).collect();
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
                let bytes = &bytes[at as usize..][..row_bytes as usize];
                let bad = FirstBad::default();
                let start = rows[position] * columns;
                decode_checked(dtype, bytes, self.addend(), out, || start, &bad);
                self.refuse_bad(&bad, out, start, source)
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
