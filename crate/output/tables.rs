//! A plain [`Table`] as Parquet.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use super::manifest::SCHEMA_VERSION;
use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Form, Kind, Part, Table};

/// Name of the metrics' file in a run's folder.
pub const METRICS_FILE: &str = "metrics.parquet";

/// Name of the statistics' file in a run's folder.
pub const STATS_FILE: &str = "stats.parquet";

/// Name of the features' statistics in a run's folder.
pub const STATS_FEATURES_FILE: &str = "stats_features.parquet";

/// `metrics.parquet` as bytes.
///
/// # Errors
/// As [`write_table`].
pub fn metrics_parquet(table: &Table) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_table(METRICS_FILE, table, &mut bytes)?;
    Ok(bytes)
}

/// `stats.parquet` as bytes.
///
/// # Errors
/// As [`write_table`].
pub fn stats_parquet(table: &Table) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_table(STATS_FILE, table, &mut bytes)?;
    Ok(bytes)
}

/// Writes a table as Parquet (Snappy); `file` names it in messages.
///
/// # Errors
/// As [`TableWriter`].
pub fn write_table(file: &str, table: &Table, to: impl Write + Send) -> Result<()> {
    write_rows(file, &table.columns, table.rows.iter().cloned(), to)
}

/// [`write_table`] of rows as they come.
///
/// # Errors
/// As [`TableWriter`].
pub fn write_rows(
    file: &str,
    columns: &[Column],
    mut rows: impl Iterator<Item = Vec<Cell>>,
    to: impl Write + Send,
) -> Result<()> {
    let mut writer = TableWriter::new(file, columns, to)?;
    rows.try_for_each(|row| writer.push(row))?;
    writer.close()
}

/// Rows that are encoded together. Pages end where batches do, so that a file's bytes follow from its
/// rows alone, however they came.
const BATCH_ROWS: usize = 1024;

/// Rows of a row group: what is encoded and not yet written stays in memory.
const GROUP_ROWS: usize = 4 * BATCH_ROWS;

/// A table as Parquet (Snappy), row by row; memory is that of a row group.
///
/// Every call fails with [`Error::Io`] where writing fails, and with [`Error::Mismatch`] where a cell
/// is not of its column's kind, or null in a column without nulls.
pub struct TableWriter<W: Write + Send> {
    file: String,
    columns: Vec<Column>,
    schema: Arc<Schema>,
    writer: ArrowWriter<W>,
    rows: Vec<Vec<Cell>>,
    /// rows of the batches before
    written: usize,
}

impl<W: Write + Send> TableWriter<W> {
    /// A file of these columns; `file` names it in messages.
    ///
    /// # Errors
    /// As the type says.
    pub fn new(file: &str, columns: &[Column], to: W) -> Result<Self> {
        let fields = columns.iter().map(|column| {
            let data_type = match column.kind {
                Kind::Int64 => DataType::Int64,
                Kind::Float64 => DataType::Float64,
                Kind::Utf8 => DataType::Utf8,
                Kind::Bool => DataType::Boolean,
            };
            Field::new(&column.name, data_type, column.nullable)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = properties(columns, &[], GROUP_ROWS);
        let writer = ArrowWriter::try_new(to, schema.clone(), Some(properties)).map_err(|e| failed(file, e))?;
        let rows = Vec::with_capacity(BATCH_ROWS);
        Ok(Self { file: file.to_owned(), columns: columns.to_vec(), schema, writer, rows, written: 0 })
    }

    /// Adds a row: one cell per column.
    ///
    /// # Errors
    /// As the type says.
    pub fn push(&mut self, row: Vec<Cell>) -> Result<()> {
        self.rows.push(row);
        if self.rows.len() == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Ends the file. What it was written to is flushed; to go on with that, give it by `&mut`.
    ///
    /// # Errors
    /// As the type says.
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        self.writer.close().map_err(|e| failed(&self.file, e))?;
        Ok(())
    }

    /// Encodes the rows that are held.
    fn flush(&mut self) -> Result<()> {
        if self.rows.is_empty() || self.columns.is_empty() {
            return Ok(());
        }
        let arrays = (0..self.columns.len()).map(|i| self.array(i)).collect::<Result<Vec<ArrayRef>>>()?;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(|e| failed_arrow(&self.file, e))?;
        self.writer.write(&batch).map_err(|e| failed(&self.file, e))?;
        self.written += self.rows.len();
        self.rows.clear();
        Ok(())
    }

    /// Column `i` of the rows that are held.
    fn array(&self, i: usize) -> Result<ArrayRef> {
        let column = &self.columns[i];
        let misfit = |r, found| misfit(&self.file, &column.name, self.written + r, column.kind, found);
        macro_rules! build {
            ($builder:expr, $pattern:pat => $value:expr) => {{
                let mut builder = $builder;
                for (r, row) in self.rows.iter().enumerate() {
                    match row.get(i) {
                        Some(Cell::Null) if column.nullable => builder.append_null(),
                        Some($pattern) => builder.append_value($value),
                        other => return Err(misfit(r, other)),
                    }
                }
                Ok(Arc::new(builder.finish()))
            }};
        }
        match column.kind {
            Kind::Int64 => build!(Int64Builder::new(), Cell::Int(v) => *v),
            Kind::Float64 => build!(Float64Builder::new(), Cell::Float(v) => *v),
            Kind::Utf8 => build!(StringBuilder::new(), Cell::Text(v) => v),
            Kind::Bool => build!(BooleanBuilder::new(), Cell::Bool(v) => *v),
        }
    }
}

/// Key of the file's own metadata under which the columns are described: a JSON object by column name,
/// with `description`, `unit`, `metric` and `part`, as far as there is something to say.
pub const COLUMNS_KEY: &str = "saescope.columns";

/// What is said of columns, as JSON: by name, `description`, `unit` where there is one, and, of a table
/// of samples, the `metric` that the column is a part of and the `part` (`prompt`, `fact`, `hall`,
/// `hall_minus_fact`, `fact_minus_hall`). Columns of which nothing is said are left out.
fn described(columns: &[Column]) -> String {
    let mut all = Map::new();
    for column in columns.iter().filter(|c| !c.description.is_empty()) {
        let mut one = Map::new();
        one.insert("description".into(), column.description.as_str().into());
        if !column.unit.is_empty() {
            one.insert("unit".into(), column.unit.into());
        }
        if let Some(Part { metric, form, .. }) = &column.part {
            one.insert("metric".into(), metric.as_str().into());
            match form {
                Form::Whole => {}
                Form::Text(text) => drop(one.insert("part".into(), text.short().into())),
                Form::Difference(direction) => drop(one.insert("part".into(), direction.as_str().into())),
            }
        }
        all.insert(column.name.clone(), Value::Object(one));
    }
    Value::Object(all).to_string()
}

/// Snappy, the schema version and the columns' descriptions in the file's own metadata, the columns that
/// rows are sorted by, and the rows of a row group.
pub(super) fn properties(columns: &[Column], sorted_by: &[i32], group_rows: usize) -> WriterProperties {
    let sorting = sorted_by
        .iter()
        .map(|&column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect::<Vec<_>>();
    let metadata = vec![
        KeyValue::new("saescope.schema_version".to_owned(), SCHEMA_VERSION.to_string()),
        KeyValue::new(COLUMNS_KEY.to_owned(), described(columns)),
    ];
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("saescope {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(metadata))
        .set_max_row_group_row_count(Some(group_rows))
        .set_sorting_columns((!sorting.is_empty()).then_some(sorting))
        .build()
}

/// A cell that does not belong into its column.
fn misfit(file: &str, column: &str, row: usize, kind: Kind, found: Option<&Cell>) -> Error {
    Error::mismatch(
        format!("{file}: column {column}, row {row}"),
        format!("{kind:?}"),
        found.map_or_else(|| "no cell".to_owned(), |cell| format!("{cell:?}")),
        "please report this",
    )
}

/// What the Parquet writer could not do, with the system's own error where there is one.
pub(super) fn failed(file: &str, error: ParquetError) -> Error {
    let source = match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => *io,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    };
    Error::io(file, "write", source, "check the free space and the permissions of the output folder")
}

/// What Arrow could not do.
pub(super) fn failed_arrow(file: &str, error: ArrowError) -> Error {
    Error::io(file, "write", std::io::Error::other(error), "please report this")
}
