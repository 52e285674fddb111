//! Parquet.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use super::columns::Columns;
use super::delimited::columns;
use super::limits::{MAX_ROWS, MAX_TEXT};
use super::pages;
use super::row::{CLUSTER, COMPLEXITY, Cell, FIELDS, ID, Row};
use crate::error::{Error, Result};
use crate::platform::quietly;

/// Rows of a Parquet file.
///
/// # Errors
/// [`Error::Malformed`] for a damaged file, a missing column or one of another type;
/// [`Error::Unsupported`] for a compression that this build does not read.
pub(super) fn read(name: &str, file: &[u8], names: &Columns) -> Result<Vec<Row>> {
    // The Parquet reader returns errors for most damage, and panics on some (a flipped byte in a
    // level run, for one). It makes room for what a file says it has, so that is looked at first.
    pages::check_footer(file).map_err(|found| damaged(name, &found))?;
    let decoded = quietly(|| decode(name, file, names));
    decoded
        .unwrap_or_else(|words| Err(damaged(name, &format!("a page that the Parquet reader cannot decode ({words})"))))
}

/// [`read`], as far as the Parquet reader does not panic.
fn decode(name: &str, file: &[u8], names: &Columns) -> Result<Vec<Row>> {
    let file = Bytes::copy_from_slice(file);
    // what a writer noted of its own types is not needed, and would have to be trusted
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options)
        .map_err(|error| unreadable(name, &error))?;
    let mut rows = Gathered::new(name, builder.schema(), names)?;
    // Other columns are not decoded: whatever is in them is no concern of the rows.
    let wanted: Vec<usize> = rows.columns.iter().flatten().copied().collect();
    let schema = builder.parquet_schema();
    let leaves: Vec<usize> =
        (0..schema.num_columns()).filter(|&leaf| wanted.contains(&schema.get_column_root_idx(leaf))).collect();
    let at_once =
        pages::batch_rows(&file, builder.metadata(), &leaves, MAX_ROWS).map_err(|found| damaged(name, &found))?;
    let mask = ProjectionMask::roots(schema, wanted);
    let reader = builder.with_projection(mask).with_batch_size(at_once).build();
    let reader = reader.map_err(|error| unreadable(name, &error))?;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(name, &error.to_string()))?;
        rows.add(&batch).map_err(|found| damaged(name, &found))?;
    }
    Ok(rows.rows)
}

/// Rows of a table in memory.
///
/// # Errors
/// [`Error::Malformed`] for a missing column, one of another type, values that do not fit their type, or more
/// than a data set holds.
pub(super) fn table_rows(name: &str, schema: &Schema, batches: &[RecordBatch], names: &Columns) -> Result<Vec<Row>> {
    let mut rows = Gathered::new(name, schema, names)?;
    for batch in batches {
        let added = quietly(|| rows.add(batch)).unwrap_or_else(Err);
        added.map_err(|found| {
            Error::malformed(name, "content", "an Arrow table", found, "cast its columns to text and integers")
        })?;
    }
    Ok(rows.rows)
}

/// Rows that are gathered from batches.
struct Gathered {
    header: Vec<String>,
    /// Place of each field in the header.
    columns: [Option<usize>; FIELDS.len()],
    rows: Vec<Row>,
    /// Of their text.
    bytes: u64,
}

impl Gathered {
    fn new(name: &str, schema: &Schema, names: &Columns) -> Result<Self> {
        let header: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let columns = columns(name, &header, names)?;
        for (field, column) in columns.iter().enumerate() {
            if let Some(column) = column {
                check_type(name, field, schema.field(*column).data_type())?;
            }
        }
        Ok(Self { header, columns, rows: Vec::new(), bytes: 0 })
    }

    /// Adds those of a batch, whose columns are found by name; what is wrong with it, in words.
    fn add(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let first = self.rows.len();
        if first + batch.num_rows() > MAX_ROWS {
            return Err(format!("more than {MAX_ROWS} rows"));
        }
        self.rows.resize_with(first + batch.num_rows(), Row::default);
        for (field, column) in self.columns.iter().enumerate() {
            let Some(array) = column.and_then(|column| batch.column_by_name(&self.header[column])) else { continue };
            let cells = cells(array, field).map_err(|error| error.to_string())?;
            for (row, cell) in self.rows[first..].iter_mut().zip(cells) {
                if let Cell::Text(text) = &cell {
                    self.bytes += text.len() as u64;
                }
                row.cells[field] = cell;
            }
        }
        if self.bytes > MAX_TEXT { Err(format!("more than {MAX_TEXT} bytes of text")) } else { Ok(()) }
    }
}

/// Most rows of a file of this program's: one for each active feature of a text at a layer.
const MOST_ROWS: usize = 1 << 28;

/// Gives the columns of these names, batch by batch, of a file that this program wrote, or says to have.
///
/// # Errors
/// [`Error::Malformed`] for a damaged file or a column that is not there; what `each` returns.
pub fn parquet_batches(
    name: &str,
    file: &[u8],
    wanted: &[&str],
    mut each: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    pages::check_footer(file).map_err(|found| damaged(name, &found))?;
    let decoded = quietly(|| {
        let file = Bytes::copy_from_slice(file);
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options)
            .map_err(|error| unreadable(name, &error))?;
        if let Some(missing) = wanted.iter().find(|wanted| builder.schema().column_with_name(wanted).is_none()) {
            return Err(damaged(name, &format!("no column {missing}")));
        }
        let schema = builder.parquet_schema();
        let leaves: Vec<usize> =
            (0..schema.num_columns()).filter(|&leaf| wanted.contains(&schema.get_column_root(leaf).name())).collect();
        let at_once =
            pages::batch_rows(&file, builder.metadata(), &leaves, MOST_ROWS).map_err(|found| damaged(name, &found))?;
        let mask = ProjectionMask::leaves(schema, leaves);
        let reader = builder.with_projection(mask).with_batch_size(at_once).build();
        for batch in reader.map_err(|error| unreadable(name, &error))? {
            each(&batch.map_err(|error| damaged(name, &error.to_string()))?)?;
        }
        Ok(())
    });
    decoded
        .unwrap_or_else(|words| Err(damaged(name, &format!("a page that the Parquet reader cannot decode ({words})"))))
}

/// All of a file of this program's, as Arrow; what the file says of its columns is in the schema's metadata.
///
/// # Errors
/// [`Error::Malformed`] for a damaged file.
pub fn parquet_table(name: &str, file: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    pages::check_footer(&file).map_err(|found| damaged(name, &found))?;
    let decoded = quietly(move || {
        let file = Bytes::from(file);
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options)
            .map_err(|error| unreadable(name, &error))?;
        let said = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
        let said = said.filter(|pair| pair.key.starts_with("saescope."));
        let said: HashMap<_, _> = said.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect();
        let schema = SchemaRef::new(builder.schema().as_ref().clone().with_metadata(said));
        let leaves: Vec<usize> = (0..builder.parquet_schema().num_columns()).collect();
        let at_once =
            pages::batch_rows(&file, builder.metadata(), &leaves, MOST_ROWS).map_err(|found| damaged(name, &found))?;
        let reader = builder.with_batch_size(at_once).build().map_err(|error| unreadable(name, &error))?;
        let batches = reader.map(|batch| batch.and_then(|batch| batch.with_schema(schema.clone())));
        let batches = batches.collect::<Result<Vec<_>, _>>().map_err(|error| damaged(name, &error.to_string()))?;
        Ok((schema, batches))
    });
    decoded
        .unwrap_or_else(|words| Err(damaged(name, &format!("a page that the Parquet reader cannot decode ({words})"))))
}

/// The names of a Parquet file's columns.
///
/// # Errors
/// [`Error::Malformed`] for a damaged file.
pub fn parquet_columns(name: &str, file: &[u8]) -> Result<Vec<String>> {
    pages::check_footer(file).map_err(|found| damaged(name, &found))?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let file = Bytes::copy_from_slice(file);
    let builder = quietly(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options));
    match builder {
        Ok(Ok(builder)) => Ok(builder.schema().fields().iter().map(|field| field.name().clone()).collect()),
        Ok(Err(error)) => Err(unreadable(name, &error)),
        Err(words) => Err(damaged(name, &format!("a footer that the Parquet reader cannot decode ({words})"))),
    }
}

/// The type of the values, looking through dictionaries.
fn value_type(kind: &DataType) -> &DataType {
    match kind {
        DataType::Dictionary(_, values) => values,
        kind => kind,
    }
}

fn is_text(kind: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(kind, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
}

/// Whether a column of type `kind` can hold `field`. A column of nulls has a type of its own.
fn check_type(name: &str, field: usize, kind: &DataType) -> Result<()> {
    let values = value_type(kind);
    let (fits, expected) = match field {
        ID | CLUSTER => (is_text(values) || values.is_integer(), "text or integers"),
        COMPLEXITY => (values.is_integer() || values.is_floating(), "integers"),
        _ => (is_text(values), "text"),
    };
    if fits || *values == DataType::Null {
        return Ok(());
    }
    let hint = format!("write the column {} as {expected}", FIELDS[field]);
    Err(Error::malformed(name, format!("column {}", FIELDS[field]), expected, format!("type {kind}"), hint))
}

/// The values of one column of one batch.
fn cells(array: &ArrayRef, field: usize) -> Result<Vec<Cell>, ArrowError> {
    let kind = value_type(array.data_type()).clone();
    // A dictionary may have null values as well as null keys; unpacking it first unites them.
    let array = arrow_cast::cast(array, &kind)?;
    let convert = |to: &DataType| arrow_cast::cast(&array, to);
    if kind == DataType::Null {
        return Ok(vec![Cell::Null; array.len()]);
    }
    let cell: Box<dyn Fn(usize) -> Cell> = if is_text(&kind) {
        let bytes = convert(&DataType::LargeBinary)?;
        Box::new(move |i| match std::str::from_utf8(bytes.as_binary::<i64>().value(i)) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Fault("bytes that are not UTF-8".to_owned()),
        })
    } else if field == ID {
        let text = convert(&DataType::LargeUtf8)?;
        Box::new(move |i| Cell::Text(text.as_string::<i64>().value(i).to_owned()))
    } else if kind.is_integer() {
        let values = convert(&DataType::Int64)?;
        let text = convert(&DataType::LargeUtf8)?;
        // The cast makes an integer past 2^63 null.
        Box::new(move |i| match values.is_null(i) {
            true => Cell::Fault(text.as_string::<i64>().value(i).to_owned()),
            false => Cell::Integer(values.as_primitive::<Int64Type>().value(i)),
        })
    } else {
        let values = convert(&DataType::Float64)?;
        Box::new(move |i| match values.as_primitive::<Float64Type>().value(i) {
            // pandas writes a gap in a column of numbers as NaN.
            value if value.is_nan() => Cell::Null,
            value => Cell::Float(value),
        })
    };
    Ok((0..array.len()).map(|i| if array.is_null(i) { Cell::Null } else { cell(i) }).collect())
}

fn unreadable(name: &str, error: &ParquetError) -> Error {
    damaged(name, &error.to_string())
}

/// A Parquet reader's error in words, which are all that tells a missing codec from damage.
pub(super) fn damaged(name: &str, words: &str) -> Error {
    if words.contains("Disabled feature at compile time") {
        let codec = words.rsplit(": ").next().unwrap_or(words);
        return Error::unsupported(
            format!("{name}: compression {codec}"),
            "write the file with compression=\"snappy\" or none",
        );
    }
    Error::malformed(name, "content", "a Parquet file", words, "write the file again; a Parquet file begins with PAR1")
}
