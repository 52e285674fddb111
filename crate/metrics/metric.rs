//! What an entry of the registry says of a metric, and what its function is given.

use super::column::{Cell, Column, Direction, Family, Form, Kind, Part};
use super::layer::LayerMeasure;
use super::pooled::LayerPooled;
use super::text::{SampleMeasure, TextMeasure};
use super::text_kind::{COMPARED, TextKind};
use crate::error::Result;

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
    /// Whether its columns are there only where nulls are drawn.
    pub with_nulls: bool,
    /// Among which metrics it is tested.
    pub family: Family,
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

/// What a run measures beside what every run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extras {
    /// Log-probabilities.
    pub logprob: bool,
    /// Nulls of the geometry.
    pub nulls: bool,
}

/// With or without log-probabilities, and without nulls.
impl From<bool> for Extras {
    fn from(logprob: bool) -> Self {
        Self { logprob, nulls: false }
    }
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
    with_nulls: false,
    family: Family::Metrics,
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
    /// Whether a run with these has it.
    pub(super) fn is_in(&self, extras: Extras) -> bool {
        (extras.logprob || !self.with_logprob) && (extras.nulls || !self.with_nulls)
    }

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
    pub(super) fn column(&self, layer: Option<usize>, form: Form) -> Column {
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
            part: Some(Part { metric: self.series(&layer_name), form, family: self.family }),
        }
    }
}
