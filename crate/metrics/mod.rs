//! From plain data (residuals, reconstructions, active features) to a row of `metrics.parquet`.
//!
//! [`measure`] reduces one text at one SAE layer as soon as its data is there, so that decoder
//! rows need not be kept. A run's samples are then gone through twice: [`FirstPass`] takes what
//! depends on all of them (the mean residual behind `explained_variance`), [`Rows`], [`HealthPass`] and
//! [`SinkPass`] the rest, sample by sample; [`table()`], [`health()`] and [`sink_warnings`] do so for
//! samples in memory. What the metrics are stands in [`GROUPS`]. No tensors, no I/O, f64.

mod health;
mod layer;
mod noise;
mod passes;
mod recovered;
mod registry;
mod schema;
mod sink;
mod sparse;
mod table;
mod text;
mod words;

#[cfg(test)]
mod tests;

pub use health::{HealthPass, LayerHealth, health};
pub use layer::{GeometryMeasure, Keep, LayerInput, LayerMeasure, Position, measure};
pub use noise::{Noise, noisy};
pub use passes::{FirstPass, LayerPooled, Pooled, Rows};
pub use recovered::{PassageLoss, Recovered, draw, recovered};
pub use registry::{AtLayer, BLANK, Compute, Direction, GROUPS, Group, Metric, OneSample, OneText, Scope, TextAtLayer};
pub use schema::{Cell, Column, Form, Kind, Part, Table, schema};
pub use sink::{SINK_MEDIANS, SinkPass, is_sink, median_norm, residual_norm, sink_warnings};
pub use table::table;
pub use text::{SampleMeasure, TextKind, TextMeasure};
pub use words::{cell as markdown_cell, metric_tables, page_entries};
