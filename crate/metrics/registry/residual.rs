//! The residual that a text is read at, and attention sinks.

use crate::metrics::column::{Cell, Kind};
use crate::metrics::layer::LayerMeasure;
use crate::metrics::metric::{BLANK, Compute, Group, Metric};
use crate::metrics::text_kind::TextKind;

pub(super) const GROUP: Group =
    Group { title: "Residuals and attention sinks", metrics: &[RESIDUAL_NORM, PROMPT_IS_SINK] };

const RESIDUAL_NORM: Metric = Metric {
    name: "residual_norm",
    label: "Residual norm",
    unit: "residual units",
    texts: &TextKind::ALL,
    range: "≥ 0",
    meaning: "The length of the residual that the text is read at",
    formula: "‖x‖₂",
    confounded: "attention sinks, where it is many times as large; depth, with which it grows",
    compute: Compute::TextAtLayer(|at| Ok(at.measured.residual_norm.into())),
    ..BLANK
};

const PROMPT_IS_SINK: Metric = Metric {
    name: "prompt_is_sink",
    label: "Prompt ends at an attention sink",
    kind: Kind::Bool,
    texts: &[],
    range: "true, false",
    meaning: "Whether the prompt is read at an attention sink of the first SAE layer, so that `centroid_drift` and \
              `axis_twist`, which start from it, mean little",
    formula: "`residual_norm` of the prompt at the first SAE layer above twice the layer's median on ordinary text, \
              which the manifest has",
    source: "G. Xiao et al., “Efficient streaming language models with attention sinks”, 2023; M. Sun et al., \
             “Massive activations in large language models”, 2024",
    confounded: "the factor of two, which is a convention",
    compute: Compute::Sample(|of| Cell::Bool(of.sample.prompt.layers.first().is_some_and(LayerMeasure::is_sink))),
    ..BLANK
};
