//! How large a data set may be. What is beyond is no data set of triples, or has to be taken in parts.

use std::cell::Cell;
use std::io::{self, Read};

use super::row::Row;
use crate::error::{Error, Result};

/// Most rows: at that many, what is known of the rows takes a few gigabytes.
pub(super) const MAX_ROWS: usize = 2_000_000;
/// Most bytes of text, as Parquet unpacks them; other files are as large as their text.
pub(super) const MAX_TEXT: u64 = 1 << 30;

/// Most bytes of one field: no model's context is as long.
pub(super) const MAX_FIELD: usize = 16 << 20;
/// Most bytes of one row of a table.
const MAX_RECORD: usize = 16 << 20;

/// Refuses one row more than [`MAX_ROWS`].
///
/// # Errors
/// [`Error::Malformed`] naming the limit.
pub(super) fn room(name: &str, rows: &[Row]) -> Result<()> {
    if rows.len() < MAX_ROWS {
        return Ok(());
    }
    Err(Error::malformed(name, "rows", format!("at most {MAX_ROWS}"), "more", "split the file"))
}

/// Bytes that are counted from one row to the next, since a table's reader makes room for every field of a
/// row, and a field may be a single byte.
pub(super) struct Metered<'a, R> {
    inner: R,
    read: &'a Cell<usize>,
}

impl<'a, R> Metered<'a, R> {
    /// `read` counts, and is set back by who has seen a row.
    pub(super) fn new(inner: R, read: &'a Cell<usize>) -> Self {
        Self { inner, read }
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > MAX_RECORD {
            return Err(io::Error::other(format!("a row of more than {MAX_RECORD} bytes, or a quote left open")));
        }
        let n = self.inner.read(buffer)?;
        self.read.set(self.read.get() + n);
        Ok(n)
    }
}
