//! The cloud of active features of one text at one SAE layer.

use crate::error::Result;
use crate::metrics::column::{Cell, Kind};
use crate::metrics::layer::{GeometryMeasure, lacking};
use crate::metrics::metric::{BLANK, Compute, Group, Metric, TextAtLayer};

pub(super) const GROUP: Group = Group {
    title: "Features of a text at a layer",
    metrics: &[L0_NORM, RECONSTRUCTION_ERROR, GINI, SPHERICITY, SHAPE_CLASS, DIMENSIONALITY],
};

/// The numbers that need decoder rows.
pub(super) fn geometry(at: &TextAtLayer<'_>) -> Result<GeometryMeasure> {
    at.measured.geometry.ok_or_else(|| lacking("geometry", at.sample_id, at.measured.layer))
}

const L0_NORM: Metric = Metric {
    name: "l0_norm",
    label: "L0",
    kind: Kind::Int64,
    unit: "features",
    range: "0 to the dictionary's width",
    meaning: "How many features are active",
    formula: "n = |A|",
    source: "T. Bricken et al., “Towards monosemanticity”, 2023",
    confounded: "token count (published r = 0.98); attention sinks, where thousands are active",
    compute: Compute::TextAtLayer(|at| Ok(Cell::count(at.measured.indices.len()))),
    ..BLANK
};

const RECONSTRUCTION_ERROR: Metric = Metric {
    name: "reconstruction_error",
    label: "Reconstruction error",
    unit: "residual units",
    range: "≥ 0",
    meaning: "How far the SAE's reconstruction is from the residual",
    formula: "‖x − x̂‖₂",
    confounded: "the residual's norm (`residual_norm`), to which it is in proportion; token count",
    compute: Compute::TextAtLayer(|at| Ok(at.measured.squared_error.sqrt().into())),
    ..BLANK
};

const GINI: Metric = Metric {
    name: "gini",
    label: "Gini of activations",
    unit: "ratio",
    range: "0 (all equal) to (n−1)/n",
    meaning: "How unequally the activation is spread over the active features",
    formula: "m ascending, 1-based index k: 2 Σ k m₍ₖ₎ / (n Σ m) − (n+1)/n; 0 if n = 0",
    source: "C. Gini, 1912; as a measure of sparsity: N. Hurley and S. Rickard, 2009",
    confounded: "n: over active features alone it says nothing of how many there are",
    compute: Compute::TextAtLayer(|at| Ok(at.measured.gini.into())),
    ..BLANK
};

const SPHERICITY: Metric = Metric {
    name: "sphericity",
    label: "Sphericity",
    unit: "ratio",
    range: "0 to 1",
    term: Some("axis ratio c/a of the inertia ellipsoid"),
    meaning: "The third semi-axis of the cloud of features over its first",
    formula: "c/a = √(λ3/λ1), λ of the weighted covariance; 0 with fewer than three non-zero λ",
    confounded: "n: the third axis grows with the number of features whatever they are",
    compute: Compute::TextAtLayer(|at| Ok(geometry(at)?.sphericity.into())),
    ..BLANK
};

const SHAPE_CLASS: Metric = Metric {
    name: "shape_class",
    label: "Shape class",
    kind: Kind::Utf8,
    range: "`Spherical`, `Oblate`, `Prolate`, `Triaxial`, `None`",
    meaning: "The form of the cloud of features by its two axis ratios",
    formula: "`Spherical` b/a > 0.9 and c/a > 0.9; `Oblate` b/a > 0.8 and c/a < 0.6; `Prolate` b/a < 0.6 and \
              c/a < 0.6; else `Triaxial`; `None` if n = 0. c/a = √(λ3/λ1), b/a = √(λ2/λ1)",
    confounded: "n: one or two features have no second axis and are rods; its limits are conventions",
    compute: Compute::TextAtLayer(|at| Ok(Cell::Text(geometry(at)?.shape_class.as_str().into()))),
    ..BLANK
};

const DIMENSIONALITY: Metric = Metric {
    name: "dimensionality",
    label: "Dimensionality",
    unit: "dimensions",
    range: "1 to n−1; 0 if no λ is non-zero",
    term: Some("participation ratio"),
    meaning: "How many directions the cloud of features effectively has",
    formula: "(Σλ)² / Σλ², λ of the weighted covariance",
    source: "P. Gao et al., “A theory of multineuronal dimensionality, dynamics and measurement”, 2017",
    confounded: "n, which bounds it",
    compute: Compute::TextAtLayer(|at| Ok(geometry(at)?.dimensionality.into())),
    ..BLANK
};
