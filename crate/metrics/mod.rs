//! From plain data (residuals, reconstructions, active features) to a row of `metrics.parquet`.
//!
//! [`measure`] reduces one text at one SAE layer as soon as its data is there, so that decoder
//! rows need not be kept. A run's samples are then gone through twice: [`FirstPass`] takes what
//! depends on all of them (the mean residual behind `explained_variance`), [`Rows`], [`HealthPass`] and
//! [`SinkPass`] the rest, sample by sample; [`table()`], [`health()`] and [`sink_warnings`] do so for
//! samples in memory. What the metrics are stands in [`GROUPS`]. No tensors, no I/O, f64.

mod column;
mod health;
mod layer;
mod metric;
mod noise;
mod norm;
mod nulls;
mod passes;
mod pooled;
mod recovered;
mod registry;
mod schema;
mod sink;
mod sparse;
mod table;
mod text;
mod text_kind;
mod token_cosine;
mod words;

#[cfg(test)]
mod tests;

pub use column::{Cell, Column, Direction, Family, Form, Kind, Part, Table};
pub use health::{HealthPass, LayerHealth, health};
pub use layer::{GeometryMeasure, Keep, LayerInput, LayerMeasure, Position, measure};
pub use metric::{AtLayer, BLANK, Compute, Extras, Group, Metric, OneSample, OneText, Scope, TextAtLayer};
pub use noise::{Noise, noisy};
pub use norm::{SINK_MEDIANS, is_sink, median_norm, residual_norm};
pub use nulls::{
    MOST_FEATURES, NULL_DRAWS, NULLS, NullKey, Nulls, POOL_ROWS, Pool, PoolsOf, null, pool_features, random_pool,
};
pub use passes::{FirstPass, Rows};
pub use pooled::{LayerPooled, Pooled};
pub use recovered::{PassageLoss, Recovered, draw, recovered};
pub use registry::GROUPS;
pub use schema::schema;
pub use sink::{SinkPass, sink_warnings};
pub use table::table;
pub use text::{SampleMeasure, TextMeasure};
pub use text_kind::TextKind;
pub use token_cosine::{Aligned, TokenCosines, TokenNull, cosines, token_null, unit};
pub use words::{cell as markdown_cell, metric_tables, page_entries};
