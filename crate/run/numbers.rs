//! A finished run's `metrics.parquet`, read back for statistics that are made later.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType;

use crate::dataset::{parquet_batches, parquet_columns};
use crate::error::{Error, Result};
use crate::metrics::{self, Cell, Column, Extras, Kind};
use crate::platform::MemoryJournal;
use crate::stats::Samples;

/// The numbers of a `metrics.parquet` with SAEs at these layers, of the columns that this version knows, and the
/// samples' ids; `name` is for messages.
///
/// # Errors
/// A file that is damaged, or is no such table.
pub fn numbers(name: &str, bytes: &[u8], layers: &[usize]) -> Result<(Samples, Vec<String>)> {
    let there = parquet_columns(name, bytes)?;
    let known = metrics::schema(layers, Extras { logprob: true, nulls: true });
    let columns: Vec<Column> = known.into_iter().filter(|column| there.contains(&column.name)).collect();
    let wanted: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut samples = Samples::new(&columns, Box::new(MemoryJournal::default()))?;
    let mut ids = Vec::new();
    let id = columns.iter().position(|column| column.name == "sample_id");
    parquet_batches(name, bytes, &wanted, |batch| {
        for row in 0..batch.num_rows() {
            let cells: Option<Vec<Cell>> =
                columns.iter().map(|column| cell(batch.column_by_name(&column.name)?, column.kind, row)).collect();
            let other =
                || Error::malformed(name, "columns", "those that this program writes", "others", "is it a run's?");
            let cells = cells.ok_or_else(other)?;
            samples.push(&cells)?;
            ids.push(match id.and_then(|id| cells.get(id)) {
                Some(Cell::Text(id)) => id.clone(),
                _ => String::new(),
            });
        }
        Ok(())
    })?;
    Ok((samples, ids))
}

/// A cell of a column of this kind; none where the column is of another.
fn cell(values: &dyn Array, kind: Kind, row: usize) -> Option<Cell> {
    let there = values.is_valid(row);
    let cell = match (kind, values.data_type()) {
        (Kind::Float64, DataType::Float64) => {
            Cell::from(there.then(|| values.as_primitive::<Float64Type>().value(row)))
        }
        (Kind::Int64, DataType::Int64) if there => Cell::Int(values.as_primitive::<Int64Type>().value(row)),
        (Kind::Utf8, DataType::Utf8) if there => Cell::Text(values.as_string::<i32>().value(row).to_owned()),
        (Kind::Bool, DataType::Boolean) if there => Cell::Bool(values.as_boolean().value(row)),
        (Kind::Int64, DataType::Int64) | (Kind::Utf8, DataType::Utf8) | (Kind::Bool, DataType::Boolean) => Cell::Null,
        _ => return None,
    };
    Some(cell)
}
