//! The whole run at once, for callers that have it in memory.

use super::column::Table;
use super::metric::Extras;
use super::passes::{FirstPass, Rows};
use super::text::SampleMeasure;
use crate::error::Result;

/// `metrics.parquet` of a whole run, one row per sample in their order; columns as [`super::schema()`].
/// `run_id` names the run that measured them.
///
/// # Errors
/// As [`FirstPass::add`], [`Rows::new`] and [`Rows::row`].
pub fn table(samples: &[SampleMeasure], layers: &[usize], extras: impl Into<Extras>, run_id: &str) -> Result<Table> {
    let mut first = FirstPass::new(layers);
    samples.iter().try_for_each(|sample| first.add(sample))?;
    let second = Rows::new(layers, extras, run_id, first.finish())?;
    let rows = samples.iter().map(|sample| second.row(sample)).collect::<Result<_>>()?;
    Ok(Table { columns: second.columns().to_vec(), rows })
}
