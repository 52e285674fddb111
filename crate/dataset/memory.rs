//! Rows that a program has in memory.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::{Columns, Dataset, Format, Sample, checked, columnar, parse_as};
use crate::error::Result;
use crate::hash::Hasher;

/// What such rows are called in messages and in the manifest.
const NAME: &str = "rows in memory";

/// Rows in memory, in place of a file's. The rules are those of files: a row that cannot be used is rejected
/// with its reason.
#[derive(Debug, Clone)]
pub enum Rows {
    /// An array of objects, as JSON. Its sha256 is that of these bytes.
    Json(Vec<u8>),
    /// An Arrow table. Its sha256 is that of its samples as JSON Lines, fields in the order of [`Sample`]'s:
    /// a table has no bytes of its own.
    Table {
        /// Its columns.
        schema: SchemaRef,
        /// Its rows.
        batches: Vec<RecordBatch>,
    },
}

impl Rows {
    /// Reads them; `columns` says what the fields are called.
    ///
    /// # Errors
    /// As [`parse_as`].
    pub fn read(&self, columns: &Columns) -> Result<Dataset> {
        match self {
            Self::Json(bytes) => parse_as(NAME, Format::Json, bytes, None, columns),
            Self::Table { schema, batches } => {
                let rows = columnar::table_rows(NAME, schema, batches, columns)?;
                checked(NAME, rows, None, columns, as_lines)
            }
        }
    }
}

/// Size and sha256 of samples as JSON Lines.
fn as_lines(samples: &[Sample]) -> (u64, String) {
    let (mut bytes, mut hasher) = (0, Hasher::new());
    for sample in samples {
        // text and an integer: there is nothing that could not be written
        let mut line = serde_json::to_vec(sample).unwrap_or_default();
        line.push(b'\n');
        bytes += line.len() as u64;
        hasher.update(line);
    }
    (bytes, hasher.hex())
}
