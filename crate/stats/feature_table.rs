//! Features' comparisons as a table.

use super::controls::Controlled;
use super::features::{FeatureRow, FeatureTests};
use super::table::{StatColumn, columns_of, control_columns, count, each_control, joined, number, text, together};
use crate::metrics::{Cell, Column, Kind};

/// A cell of the tests; null in a domain's row.
fn of(row: &FeatureRow, cell: impl FnOnce(&FeatureTests) -> Cell) -> Cell {
    row.tested.as_ref().map_or(Cell::Null, cell)
}

const DOMAIN: &str = "the row is that of a domain";
const UNTESTED: &str = "the row is that of a domain, or the differences do not vary";
const FEW_CHAINS: &str = "the row is that of a domain, the differences do not vary, or there are fewer chains in which the \
     feature is active than the length control needs";
const NO_INTERVAL: &str = "the row is that of a domain, the differences do not vary, there are fewer chains in which the \
     feature is active than the length control needs, or those do not vary";
const PERFECT: &str = "the row is that of a domain, or the area is 0 or 1";

fn control_of(row: &FeatureRow, at: usize) -> Option<Controlled> {
    row.tested.as_ref()?.controls[at]
}

macro_rules! of_feature {
    ($at:literal, $name:literal, $equal:literal, $grades:literal, $lacks:literal) => {
        control_columns!(
            control_of, $at, $name,
            count(
                concat!("n_", $name, "_chains"),
                "chains",
                concat!(
                    "Closed chains in which its differences do not cancel, of ", $equal, $grades,
                    ": what this control rests on"
                ),
                |row| control_of(row, $at).map_or(Cell::Null, |of| Cell::count(of.n_chains)),
            ),
            equal: concat!($equal, $grades), unit: "activation",
            test: "Sign-flip test of it over chains, two-sided, from its whole null distribution",
            over: "all tested features of all layers", lacks: concat!($lacks, ", or the row is that of a domain"),
            few: " in which the feature is active", no_q: ""
        )
    };
}

const CONTROLS: [[StatColumn<FeatureRow>; 7]; 3] = each_control!(of_feature);

const BEFORE_CONTROLS: &[StatColumn<FeatureRow>] = &[
    StatColumn {
        name: "layer",
        kind: Kind::Int64,
        null: None,
        unit: "",
        meaning: "The SAE layer",
        cell: |r| Cell::count(r.layer),
    },
    StatColumn {
        name: "feature",
        kind: Kind::Int64,
        null: None,
        unit: "",
        meaning: "The feature's number in that layer's dictionary",
        cell: |r| Cell::Int(r.feature.into()),
    },
    text(
        "domain",
        "`all` for all samples together (`(all)` where one of several domains has that name), which is where features \
         are tested; or a domain in which the feature is active: counts and means alone. With one domain only, or more \
         than 64, there are no rows but those of all samples",
        |r| Cell::Text(r.domain.to_string()),
    ),
    count("n", "samples", "Samples", |r| Cell::count(r.activity.n)),
    count("n_fact", "samples", "Samples whose fact has the feature at its last token", |r| {
        Cell::count(r.activity.n_fact)
    }),
    count("n_hall", "samples", "Samples whose hallucination has it there", |r| Cell::count(r.activity.n_hall)),
    count(
        "n_ghost",
        "samples",
        "Samples whose hallucination has it and whose fact has not: where it is a ghost",
        |r| Cell::count(r.activity.n_ghost),
    ),
    count("n_missing", "samples", "Samples whose fact has it and whose hallucination has not", |r| {
        Cell::count(r.activity.n_missing)
    }),
    number("mean_fact", "activation", "there are no samples", "Mean over facts, 0 where it is not active", |r| {
        r.activity.mean_fact().into()
    }),
    number(
        "mean_hall",
        "activation",
        "there are no samples",
        "Mean over hallucinations, 0 where it is not active",
        |r| r.activity.mean_hall().into(),
    ),
    number("ghost_activation", "activation", "it is no ghost in any", "Mean activation where it is a ghost", |r| {
        r.activity.ghost_activation().into()
    }),
    number(
        "missing_activation",
        "activation",
        "it is missing from none",
        "Mean activation in the facts whose hallucination has it not",
        |r| r.activity.missing_activation().into(),
    ),
    StatColumn {
        name: "n_clusters",
        kind: Kind::Int64,
        null: Some(DOMAIN),
        unit: "clusters",
        meaning: "Clusters of samples in which it is active: six at least",
        cell: |r| of(r, |t| Cell::count(t.n_clusters)),
    },
    number(
        "presence_p",
        "probability",
        DOMAIN,
        "Exact sign test of presence (McNemar's test): of clusters that have \
         it in more hallucinations than facts against those that have it in fewer, two-sided",
        |r| of(r, |t| t.presence_p.into()),
    ),
    number(
        "presence_q",
        "false-discovery rate",
        DOMAIN,
        "Benjamini–Hochberg q of it over all tested features of all \
         layers; it has no length control, and no verdict reads it",
        |r| of(r, |t| t.presence_q.into()),
    ),
    number("mean_diff", "activation", DOMAIN, "Mean difference of activation, hallucination − fact", |r| {
        of(r, |t| t.mean_diff.into())
    }),
    number("cohens_dz", "standard deviations", UNTESTED, "Cohen's d of the paired difference of activation", |r| {
        of(r, |t| t.cohens_dz.into())
    }),
    number(
        "auroc",
        "probability",
        DOMAIN,
        "Area under the ROC curve of the activation alone: the chance that it is \
         larger for a hallucination than for a fact, ties counted half",
        |r| of(r, |t| t.auroc.map(|a| a.area).into()),
    ),
    number(
        "auroc_ci_low",
        "probability",
        PERFECT,
        "Lower end of its 95 % interval (paired and by clusters, on the \
         logit)",
        |r| of(r, |t| t.auroc.and_then(|a| a.interval).map(|i| i.0).into()),
    ),
    number("auroc_ci_high", "probability", PERFECT, "Its upper end", |r| {
        of(r, |t| t.auroc.and_then(|a| a.interval).map(|i| i.1).into())
    }),
    number(
        "p_permutation",
        "probability",
        UNTESTED,
        "Sign-flip test of the mean difference of activation, two-sided, \
         from its whole null distribution",
        |r| of(r, |t| t.p.into()),
    ),
    number(
        "q_value",
        "false-discovery rate",
        UNTESTED,
        "Benjamini–Hochberg q of it over all tested features of all \
         layers",
        |r| of(r, |t| t.q.into()),
    ),
    number(
        "equivalence_p",
        "probability",
        UNTESTED,
        "Two one-sided t-tests against the bound (|d_z| = 0.3 unless the \
         manifest says otherwise): small where a difference as large as that is ruled out",
        |r| of(r, |t| t.equivalence.map(|e| e.p).into()),
    ),
    number(
        "length_r",
        "correlation",
        "the row is that of a domain, or nothing varies",
        "Pearson's r of the activation \
         with the token count over fact and hallucination texts",
        |r| of(r, |t| t.length_r.into()),
    ),
    StatColumn {
        name: "n_length_chains",
        kind: Kind::Int64,
        null: Some(DOMAIN),
        unit: "chains",
        meaning: "Closed chains of equal length in which its differences do not cancel: what the length control rests on",
        cell: |r| of(r, |t| Cell::count(t.n_chains)),
    },
    number(
        "length_adjusted_diff",
        "activation",
        FEW_CHAINS,
        "Mean difference of activation over the triples in \
         closed chains: the one at equal length",
        |r| of(r, |t| t.adjusted.map(|a| a.difference).into()),
    ),
    number("length_adjusted_ci_low", "activation", NO_INTERVAL, "Lower end of its 95 % interval", |r| {
        of(r, |t| t.adjusted.and_then(|a| a.interval).map(|i| i.0).into())
    }),
    number("length_adjusted_ci_high", "activation", NO_INTERVAL, "Upper end of its 95 % interval", |r| {
        of(r, |t| t.adjusted.and_then(|a| a.interval).map(|i| i.1).into())
    }),
    number(
        "length_adjusted_p",
        "probability",
        FEW_CHAINS,
        "Sign-flip test of it over chains, two-sided, from its \
         whole null distribution",
        |r| of(r, |t| t.adjusted.map(|a| a.p).into()),
    ),
    number(
        "length_adjusted_q",
        "false-discovery rate",
        FEW_CHAINS,
        "Benjamini–Hochberg q of it over all tested \
         features of all layers",
        |r| of(r, |t| t.adjusted_q.into()),
    ),
];

const AFTER_CONTROLS: &[StatColumn<FeatureRow>] = &[
    StatColumn {
        name: "survives_length_control",
        kind: Kind::Bool,
        null: Some("there is nothing to judge by"),
        unit: "",
        meaning: "Whether there is a difference of activation at equal length",
        cell: |r| of(r, |t| t.verdict.survives().map_or(Cell::Null, Cell::Bool)),
    },
    StatColumn {
        name: "verdict",
        kind: Kind::Utf8,
        null: Some(DOMAIN),
        unit: "",
        meaning: "What the difference of activation amounts to after its length control, by the rule of stats.parquet",
        cell: |r| of(r, |t| Cell::Text(t.verdict.as_str().into())),
    },
];

const LISTS: [&[StatColumn<FeatureRow>]; 5] =
    [BEFORE_CONTROLS, &CONTROLS[0], &CONTROLS[1], &CONTROLS[2], AFTER_CONTROLS];

/// The columns of `stats_features.parquet`, in file order.
pub static FEATURE_STAT_COLUMNS: &[StatColumn<FeatureRow>] = &joined::<_, { together(&LISTS) }>(&LISTS);

/// The columns of `stats_features.parquet`: [`FEATURE_STAT_COLUMNS`].
pub fn feature_columns() -> Vec<Column> {
    columns_of(FEATURE_STAT_COLUMNS)
}

/// A row of `stats_features.parquet`.
pub fn feature_cells(row: &FeatureRow) -> Vec<Cell> {
    FEATURE_STAT_COLUMNS.iter().map(|column| (column.cell)(row)).collect()
}
