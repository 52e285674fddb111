//! More of the features of a text at a layer, and which of them only one completion has.

use super::cloud::geometry;
use crate::metrics::column::{Cell, Kind};
use crate::metrics::layer::{features, squared_deviation};
use crate::metrics::metric::{BLANK, Compute, Group, Metric};
use crate::metrics::sparse::only_in;

pub(super) const GROUP: Group = Group {
    title: "More of the features of a text at a layer",
    metrics: &[
        ENERGY,
        ELONGATION,
        EIGENVALUE_ENTROPY,
        MISALIGNMENT_ANGLE,
        EXPLAINED_VARIANCE,
        GHOST_COUNT,
        GHOST_ENERGY,
        MISSING_COUNT,
        MISSING_ENERGY,
    ],
};

const ENERGY: Metric = Metric {
    name: "energy",
    label: "Energy",
    unit: "activation",
    range: "≥ 0",
    term: Some("L1 norm of the activations (no square is taken)"),
    meaning: "The sum of the activations",
    formula: "Σ m",
    confounded: "n and the residual's norm, with which it grows; the SAE's scale of activations",
    compute: Compute::TextAtLayer(|at| Ok(at.measured.energy.into())),
    ..BLANK
};

const ELONGATION: Metric = Metric {
    name: "elongation",
    label: "Elongation",
    unit: "ratio",
    range: "0 to 1",
    term: Some("axis ratio b/a, which is 1 for a disc and falls as the cloud gets longer"),
    meaning: "The second semi-axis of the cloud of features over its first",
    formula: "b/a = √(λ2/λ1); 0 with fewer than two non-zero λ",
    confounded: "n: the second axis grows with the number of features whatever they are",
    compute: Compute::TextAtLayer(|at| Ok(geometry(at)?.elongation.into())),
    ..BLANK
};

const EIGENVALUE_ENTROPY: Metric = Metric {
    name: "eigenvalue_entropy",
    label: "Eigenvalue entropy",
    unit: "nats",
    range: "0 to ln(n−1)",
    term: Some("spectral entropy; its exponential is the effective rank"),
    meaning: "How evenly the cloud of features is spread over its axes",
    formula: "−Σ q ln q, q = λ/Σλ; 0 for an empty spectrum",
    source: "O. Roy and M. Vetterli, “The effective rank”, 2007",
    confounded: "n, which bounds it",
    compute: Compute::TextAtLayer(|at| Ok(geometry(at)?.eigenvalue_entropy.into())),
    ..BLANK
};

const MISALIGNMENT_ANGLE: Metric = Metric {
    name: "misalignment_angle",
    label: "Misalignment angle",
    unit: "degrees",
    range: "0 to 90",
    meaning: "How far the leading axis of the cloud of features is from pointing at its centroid",
    formula: "angle between the centroid and the line of the leading axis; 0 with a zero vector",
    confounded: "λ1 ≈ λ2, where the leading axis is hardly determined; in many dimensions any two directions are near \
                 90 degrees",
    compute: Compute::TextAtLayer(|at| Ok(geometry(at)?.misalignment_angle.into())),
    ..BLANK
};

const EXPLAINED_VARIANCE: Metric = Metric {
    name: "explained_variance",
    label: "Explained variance",
    unit: "ratio",
    null: Some("every residual of the run at this layer is the same, so that there is nothing to explain"),
    range: "at most 1; negative where the mean residual is the better reconstruction",
    meaning: "How much of the residual's deviation from the run's mean the SAE reconstructs",
    formula: "1 − ‖x − x̂‖² / ‖x − μ‖², μ = mean of x over the run's fact and hallucination texts at that layer",
    confounded: "the rest of the run, through μ: not comparable between data sets; texts near the mean, which have \
                 little to explain; attention sinks, which take part in μ",
    compute: Compute::TextAtLayer(|at| {
        let deviation = squared_deviation(at.measured, &at.pooled.mean, at.sample_id)?;
        Ok((deviation > 0.0).then(|| 1.0 - at.measured.squared_error / deviation).into())
    }),
    ..BLANK
};

const GHOST_COUNT: Metric = Metric {
    name: "ghost_count",
    label: "Ghost features",
    kind: Kind::Int64,
    unit: "features",
    texts: &[],
    range: "0 to the hallucination's L0",
    term: Some("size of the set difference hallucination ∖ fact"),
    meaning: "How many features are active in the hallucination and not in the fact",
    formula: "|A_hall ∖ A_fact|",
    confounded: "L0 of the hallucination, and with it token counts",
    compute: Compute::Layer(|at| Cell::count(only_in(features(at.hall), &at.fact.indices).0)),
    ..BLANK
};

const GHOST_ENERGY: Metric = Metric {
    name: "ghost_energy",
    label: "Ghost energy",
    unit: "activation",
    texts: &[],
    range: "0 to the hallucination's energy",
    term: Some("L1 norm of the activations outside the shared features"),
    meaning: "The sum of the activations of features that are active in the hallucination and not in the fact",
    formula: "Σ a over A_hall ∖ A_fact",
    confounded: "L0 and energy of the hallucination, and with them token counts",
    compute: Compute::Layer(|at| only_in(features(at.hall), &at.fact.indices).1.into()),
    ..BLANK
};

const MISSING_COUNT: Metric = Metric {
    name: "missing_count",
    label: "Missing features",
    range: "0 to the fact's L0",
    term: Some("size of the set difference fact ∖ hallucination"),
    meaning: "How many features are active in the fact and not in the hallucination",
    formula: "|A_fact ∖ A_hall|",
    confounded: "L0 of the fact, and with it token counts",
    compute: Compute::Layer(|at| Cell::count(only_in(features(at.fact), &at.hall.indices).0)),
    ..GHOST_COUNT
};

const MISSING_ENERGY: Metric = Metric {
    name: "missing_energy",
    label: "Missing energy",
    range: "0 to the fact's energy",
    meaning: "The sum of the activations of features that are active in the fact and not in the hallucination",
    formula: "Σ a over A_fact ∖ A_hall",
    confounded: "L0 and energy of the fact, and with them token counts",
    compute: Compute::Layer(|at| only_in(features(at.fact), &at.hall.indices).1.into()),
    ..GHOST_ENERGY
};
