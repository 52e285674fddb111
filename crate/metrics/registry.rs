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
mod identity;
mod origin;
mod residual;
mod tokens;

use super::layer::LayerMeasure;
use super::passes::LayerPooled;
use super::schema::{Cell, Column, Form, Kind, Part};
use super::text::{SampleMeasure, TextKind, TextMeasure};
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
    origin::GROUP,
];

/// The texts that fact-against-hallucination metrics have.
pub(super) const COMPARED: &[TextKind] = &[TextKind::Fact, TextKind::Hall];

/// Metrics that stand together in the file and in the documents.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Heading in `docs/METRICS.md`.
    pub title: &'static str,
    /// Its entries. By layer, those of a text come text by text, then those of the layer; after all
    /// layers come those of a text and of the sample.
    pub metrics: &'static [Metric],
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name without layer and text, as it stands in column names: `sphericity`.
    pub name: &'static str,
    /// Name in words, as the page shows it.
    pub label: &'static str,
    /// Type of its columns; a difference is of the same.
    pub kind: Kind,
    /// Unit of its values; empty for what is not a quantity.
    pub unit: &'static str,
    /// Which texts have it; empty where it is no text's.
    pub texts: &'static [TextKind],
    /// The sign of its `*_diff` column, where it has one.
    pub difference: Option<Direction>,
    /// When its cells are null, in words; none where they never are.
    pub null: Option<&'static str>,
    /// Whether its columns are there only when log-probabilities are asked for.
    pub with_logprob: bool,
    /// Values that it can take.
    pub range: &'static str,
    /// The field's own term, where the name says something else or less.
    pub term: Option<&'static str>,
    /// One sentence, without the full stop.
    pub meaning: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// Where that comes from; empty where the formula says all.
    pub source: &'static str,
    /// What moves it beside what it is meant to show; empty for what is not measured, but given.
    pub confounded: &'static str,
    /// What computes it, and with that what it is measured on.
    pub compute: Compute,
}

/// An entry to fill in from: a number that is never null, of a fact and a hallucination.
pub const BLANK: Metric = Metric {
    name: "",
    label: "",
    kind: Kind::Float64,
    unit: "",
    texts: COMPARED,
    difference: None,
    null: None,
    with_logprob: false,
    range: "",
    term: None,
    meaning: "",
    formula: "",
    source: "",
    confounded: "",
    compute: Compute::Sample(|_| Cell::Null),
};

/// The function behind a metric; its argument is what the metric is measured on.
#[derive(Debug, Clone, Copy)]
pub enum Compute {
    /// Of each text at each SAE layer.
    TextAtLayer(fn(&TextAtLayer<'_>) -> Result<Cell>),
    /// Of each SAE layer, over both completions.
    Layer(fn(&AtLayer<'_>) -> Cell),
    /// Of each text.
    Text(fn(&OneText<'_>) -> Result<Cell>),
    /// Of the sample.
    Sample(fn(&OneSample<'_>) -> Cell),
}

/// What a metric is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each text at each SAE layer.
    TextAtLayer,
    /// Each SAE layer.
    Layer,
    /// Each text.
    Text,
    /// The sample.
    Sample,
}

impl Scope {
    /// In words: `text and layer`, `layer`, `text`, `sample`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TextAtLayer => "text and layer",
            Self::Layer => "layer",
            Self::Text => "text",
            Self::Sample => "sample",
        }
    }
}

/// The sign of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// hallucination − fact: every comparison of a metric, and the `*_diff` columns of those that a
    /// hallucination is expected to raise.
    HallMinusFact,
    /// fact − hallucination: the `*_diff` columns of those that a hallucination is expected to lower.
    FactMinusHall,
}

impl Direction {
    /// Name as it stands in `stats.parquet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HallMinusFact => "hall_minus_fact",
            Self::FactMinusHall => "fact_minus_hall",
        }
    }

    /// As a formula: `hall − fact`, `fact − hall`.
    pub fn formula(self) -> &'static str {
        match self {
            Self::HallMinusFact => "hall − fact",
            Self::FactMinusHall => "fact − hall",
        }
    }

    fn of(self, fact: f64, hall: f64) -> f64 {
        match self {
            Self::HallMinusFact => hall - fact,
            Self::FactMinusHall => fact - hall,
        }
    }
}

/// One text at one SAE layer.
#[derive(Debug, Clone, Copy)]
pub struct TextAtLayer<'a> {
    /// The sample's id, for messages.
    pub sample_id: &'a str,
    /// The measures.
    pub measured: &'a LayerMeasure,
    /// What is known of this layer over the whole run.
    pub pooled: &'a LayerPooled,
}

/// Both completions at one SAE layer.
#[derive(Debug, Clone, Copy)]
pub struct AtLayer<'a> {
    /// Prompt and fact.
    pub fact: &'a LayerMeasure,
    /// Prompt and hallucination.
    pub hall: &'a LayerMeasure,
}

/// One text, with the sample that it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct OneText<'a> {
    /// The sample.
    pub sample: &'a SampleMeasure,
    /// The text.
    pub text: &'a TextMeasure,
}

/// One sample.
#[derive(Debug, Clone, Copy)]
pub struct OneSample<'a> {
    /// The sample.
    pub sample: &'a SampleMeasure,
    /// The run that measured it.
    pub run_id: &'a str,
}

impl Metric {
    /// What it is measured on.
    pub fn scope(&self) -> Scope {
        match self.compute {
            Compute::TextAtLayer(_) => Scope::TextAtLayer,
            Compute::Layer(_) => Scope::Layer,
            Compute::Text(_) => Scope::Text,
            Compute::Sample(_) => Scope::Sample,
        }
    }

    /// Whether it is measured, and not given by the data set or the run.
    pub fn is_measured(&self) -> bool {
        !self.confounded.is_empty()
    }

    /// Its columns with placeholders: `l{L}_{t}_sphericity`, `centroid_drift_{t}`. A difference has
    /// `diff` in the place of the text.
    pub fn template(&self) -> String {
        match self.scope() {
            Scope::TextAtLayer => format!("l{{L}}_{{t}}_{}", self.name),
            Scope::Layer => format!("l{{L}}_{}", self.name),
            Scope::Text => format!("{}_{{t}}", self.name),
            Scope::Sample => self.name.to_owned(),
        }
    }

    /// Its name in `stats.parquet`: with the layer, where it is measured at one, and without the text.
    pub fn series(&self, layer: &str) -> String {
        match self.scope() {
            Scope::TextAtLayer | Scope::Layer => format!("l{layer}_{}", self.name),
            Scope::Text | Scope::Sample => self.name.to_owned(),
        }
    }

    /// Its column at an SAE layer and in a form.
    fn column(&self, layer: Option<usize>, form: Form) -> Column {
        let layer_name = layer.map(|layer| layer.to_string()).unwrap_or_default();
        let mut name = self.template().replace("{L}", &layer_name);
        let mut of = Vec::new();
        match form {
            Form::Whole => {}
            Form::Text(text) => {
                name = name.replace("{t}", text.short());
                of.push(format!("{} text", text.as_str()));
            }
            Form::Difference(direction) => {
                name = name.replace("{t}", "diff");
                of.push(direction.formula().to_owned());
            }
        }
        of.extend(layer.map(|layer| format!("layer {layer}")));
        let of = if of.is_empty() { String::new() } else { format!(" ({})", of.join(", ")) };
        Column {
            name,
            kind: self.kind,
            nullable: self.null.is_some(),
            unit: self.unit,
            description: format!("{}{of}", self.meaning),
            part: Some(Part { metric: self.series(&layer_name), form }),
        }
    }
}

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
pub(super) fn place(groups: &'static [Group], layers: &[usize], logprob: bool) -> Vec<Placed> {
    let mut placed = Vec::new();
    for group in groups {
        let metrics = || group.metrics.iter().filter(move |m| logprob || !m.with_logprob);
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

/// Something that [`super::Keep::needed`] asks for was not kept.
pub(super) fn lacking(what: &str, sample: &str, layer: usize) -> Error {
    Error::mismatch(
        format!("sample {sample}: layer {layer}: {what}"),
        "kept when measured",
        "nothing",
        "measure with Keep::needed; please report this",
    )
}

/// The kept residual, shape \[d\].
pub(super) fn residual<'a>(measured: &'a LayerMeasure, sample: &str) -> Result<&'a [f32]> {
    measured.x.as_deref().ok_or_else(|| lacking("residual", sample, measured.layer))
}

/// ‖x − μ‖².
pub(super) fn squared_deviation(measured: &LayerMeasure, mean: &[f64], sample: &str) -> Result<f64> {
    Ok(residual(measured, sample)?.iter().zip(mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum())
}

/// Indices and activations.
fn features(measured: &LayerMeasure) -> (&[u32], &[f32]) {
    (&measured.indices, &measured.activations)
}
