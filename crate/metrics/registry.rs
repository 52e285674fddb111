//! What a metric is, said once: its name, type, unit, scope, the sign of its difference, when it is
//! null, what it means and by which formula, and the function that computes it.
//!
//! [`GROUPS`] is the list, in file order. Everything else follows from it: the columns
//! ([`super::schema()`]), the rows ([`super::Rows`]), the pairs that the statistics compare
//! ([`Part`]), the descriptions in the Parquet files, `docs/METRICS.md` and the page's words
//! ([`super::metric_tables`], [`super::page_entries`]). A column is two hops from its origin: its
//! entry, and the function that the entry names.
//!
//! To add a metric, put an entry into a group; `cargo xtask generate` writes the documents anew.

mod across;
mod beyond;
mod cloud;
mod completion;
mod controls;
mod identity;
mod nulls;
mod origin;
mod residual;
mod token;
mod tokens;

use super::column::{Cell, Column, Direction, Form};
use super::metric::{AtLayer, Compute, Extras, Group, Metric, OneSample, OneText, Scope, TextAtLayer};
use super::pooled::LayerPooled;
use super::text_kind::TextKind;
use crate::error::{Error, Result};

/// Every metric, in the order of the file.
pub static GROUPS: &[Group] = &[
    identity::GROUP,
    cloud::GROUP,
    across::GROUP,
    tokens::GROUP,
    beyond::GROUP,
    completion::GROUP,
    residual::GROUP,
    nulls::GROUP,
    token::GROUP,
    controls::GROUP,
    origin::CLUSTERS,
    origin::GROUP,
];

/// A column of a run, and how its cells come about.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) column: Column,
    metric: &'static Metric,
    from: Basis,
}

/// What a column's cells are computed from.
#[derive(Debug, Clone, Copy)]
enum Basis {
    TextAtLayer(usize, TextKind),
    Layer(usize),
    Text(TextKind),
    Sample,
    /// The columns of fact and hallucination, which stand before it.
    Columns(usize, usize, Direction),
}

/// The columns of these groups for SAEs at these `layers`, in file order.
pub(super) fn place(groups: &'static [Group], layers: &[usize], extras: Extras) -> Vec<Placed> {
    let mut placed = Vec::new();
    for group in groups {
        let metrics = || group.metrics.iter().filter(move |m| m.is_in(extras));
        for (order, &layer) in layers.iter().enumerate() {
            for kind in TextKind::ALL {
                let of_text = |m: &&Metric| m.scope() == Scope::TextAtLayer && m.texts.contains(&kind);
                placed.extend(metrics().filter(of_text).map(|metric| Placed {
                    column: metric.column(Some(layer), Form::Text(kind)),
                    metric,
                    from: Basis::TextAtLayer(order, kind),
                }));
            }
            placed.extend(metrics().filter(|m| m.scope() == Scope::Layer).map(|metric| Placed {
                column: metric.column(Some(layer), Form::Whole),
                metric,
                from: Basis::Layer(order),
            }));
        }
        for metric in metrics() {
            match metric.scope() {
                Scope::TextAtLayer | Scope::Layer => {}
                Scope::Text => place_text(metric, &mut placed),
                Scope::Sample => {
                    placed.push(Placed { column: metric.column(None, Form::Whole), metric, from: Basis::Sample });
                }
            }
        }
    }
    placed
}

/// A text's metric: its texts, then its difference.
fn place_text(metric: &'static Metric, placed: &mut Vec<Placed>) {
    let start = placed.len();
    placed.extend(metric.texts.iter().map(|&kind| Placed {
        column: metric.column(None, Form::Text(kind)),
        metric,
        from: Basis::Text(kind),
    }));
    let at = |kind| metric.texts.iter().position(|&t| t == kind).map(|i| start + i);
    if let (Some(direction), Some(fact), Some(hall)) = (metric.difference, at(TextKind::Fact), at(TextKind::Hall)) {
        placed.push(Placed {
            column: metric.column(None, Form::Difference(direction)),
            metric,
            from: Basis::Columns(fact, hall, direction),
        });
    }
}

impl Placed {
    /// The cell of one sample; `row` holds the cells of the columns before this one.
    pub(super) fn cell(&self, of: &OneSample<'_>, pooled: &[LayerPooled], row: &[Cell]) -> Result<Cell> {
        let OneSample { sample, .. } = *of;
        match (self.metric.compute, self.from) {
            (Compute::TextAtLayer(compute), Basis::TextAtLayer(order, kind)) => {
                let measured = &sample.text(kind).layers[order];
                compute(&TextAtLayer { sample_id: &sample.sample_id, measured, pooled: &pooled[order] })
            }
            (Compute::Layer(compute), Basis::Layer(order)) => {
                Ok(compute(&AtLayer { fact: &sample.fact.layers[order], hall: &sample.hall.layers[order] }))
            }
            (Compute::Text(compute), Basis::Text(kind)) => compute(&OneText { sample, text: sample.text(kind) }),
            (Compute::Sample(compute), Basis::Sample) => Ok(compute(of)),
            (_, Basis::Columns(fact, hall, direction)) => {
                let sides = row.get(fact).and_then(Cell::number).zip(row.get(hall).and_then(Cell::number));
                Ok(sides.map(|(fact, hall)| direction.of(fact, hall)).into())
            }
            // `place` pairs them by scope
            (compute, from) => Err(Error::mismatch(
                format!("column {}", self.column.name),
                format!("{compute:?}"),
                format!("{from:?}"),
                "please report this",
            )),
        }
    }
}
