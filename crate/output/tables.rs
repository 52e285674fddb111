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

use super::manifest::SCHEMA_VERSION;
use crate::error::{Error, Result};
use crate::metrics::{Cell, Kind, Table};

/// Name of the metrics' file in a run's folder.
pub const METRICS_FILE: &str = "metrics.parquet";

/// Name of the statistics' file in a run's folder.
pub const STATS_FILE: &str = "stats.parquet";

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
/// [`Error::Io`] where writing fails; [`Error::Mismatch`] where a cell is not of its column's kind,
/// or null in a column without nulls.
pub fn write_table(file: &str, table: &Table, to: impl Write + Send) -> Result<()> {
    let mut fields = Vec::with_capacity(table.columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(table.columns.len());
    for (i, column) in table.columns.iter().enumerate() {
        let cells = || {
            table.rows.iter().enumerate().map(move |(r, row)| match row.get(i) {
                Some(Cell::Null) if column.nullable => Ok(None),
                Some(cell) if *cell != Cell::Null => Ok(Some(cell)),
                other => Err(misfit(file, &column.name, r, column.kind, other)),
            })
        };
        macro_rules! build {
            ($builder:expr, $pattern:pat => $value:expr) => {{
                let mut builder = $builder;
                for (r, cell) in cells().enumerate() {
                    match cell? {
                        None => builder.append_null(),
                        Some($pattern) => builder.append_value($value),
                        other => return Err(misfit(file, &column.name, r, column.kind, other)),
                    }
                }
                Arc::new(builder.finish()) as ArrayRef
            }};
        }
        let (array, data_type) = match column.kind {
            Kind::Int64 => (build!(Int64Builder::new(), Cell::Int(v) => *v), DataType::Int64),
            Kind::Float64 => (build!(Float64Builder::new(), Cell::Float(v) => *v), DataType::Float64),
            Kind::Utf8 => (build!(StringBuilder::new(), Cell::Text(v) => v), DataType::Utf8),
            Kind::Bool => (build!(BooleanBuilder::new(), Cell::Bool(v) => *v), DataType::Boolean),
        };
        arrays.push(array);
        fields.push(Field::new(&column.name, data_type, column.nullable));
    }
    let schema = Arc::new(Schema::new(fields));
    let mut writer = ArrowWriter::try_new(to, schema.clone(), Some(properties(&[]))).map_err(|e| failed(file, e))?;
    if !arrays.is_empty() {
        let batch = RecordBatch::try_new(schema, arrays).map_err(|e| failed_arrow(file, e))?;
        writer.write(&batch).map_err(|e| failed(file, e))?;
    }
    writer.close().map_err(|e| failed(file, e))?;
    Ok(())
}

/// Snappy, the schema version in the file's own metadata, and the columns that rows are sorted by.
pub(super) fn properties(sorted_by: &[i32]) -> WriterProperties {
    let sorting = sorted_by
        .iter()
        .map(|&column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect::<Vec<_>>();
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("saescope {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "saescope.schema_version".to_owned(),
            SCHEMA_VERSION.to_string(),
        )]))
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
