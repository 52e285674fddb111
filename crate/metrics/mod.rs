//! From plain data (residuals, reconstructions, active features) to a row of `metrics.parquet`.
//!
//! [`measure`] reduces one text at one SAE layer as soon as its data is there, so that decoder
//! rows need not be kept; [`table`] joins the whole run, because the mean residual behind
//! `explained_variance` is known only then. No tensors, no I/O, f64.

mod health;
mod layer;
mod noise;
mod schema;
mod sparse;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub use health::{LayerHealth, health};
pub use layer::{GeometryMeasure, Keep, LayerInput, LayerMeasure, Position, measure};
pub use noise::{Noise, noisy};
pub use schema::{Cell, Column, FALLING, Kind, Table, schema};
pub use table::table;
pub use text::{SampleMeasure, TextKind, TextMeasure};
