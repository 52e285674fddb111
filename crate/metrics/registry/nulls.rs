//! What a shape is beside its sparsity, its activations and its dictionary: where it stands among the shapes of
//! clouds that have those and not the text's features.

use crate::metrics::column::{Cell, Family};
use crate::metrics::metric::{BLANK, Compute, Group, Metric, TextAtLayer};
use crate::metrics::nulls::Nulls;

pub(super) const GROUP: Group = Group {
    title: "Nulls of the geometry",
    metrics: &[
        SPHERICITY_RANDOM_ROWS_Z,
        SPHERICITY_RANDOM_ROWS_TAIL,
        ELONGATION_RANDOM_ROWS_Z,
        ELONGATION_RANDOM_ROWS_TAIL,
        DIMENSIONALITY_RANDOM_ROWS_Z,
        DIMENSIONALITY_RANDOM_ROWS_TAIL,
        EIGENVALUE_ENTROPY_RANDOM_ROWS_Z,
        EIGENVALUE_ENTROPY_RANDOM_ROWS_TAIL,
        SPHERICITY_PERMUTED_Z,
        SPHERICITY_PERMUTED_TAIL,
        ELONGATION_PERMUTED_Z,
        ELONGATION_PERMUTED_TAIL,
        DIMENSIONALITY_PERMUTED_Z,
        DIMENSIONALITY_PERMUTED_TAIL,
        EIGENVALUE_ENTROPY_PERMUTED_Z,
        EIGENVALUE_ENTROPY_PERMUTED_TAIL,
        SPHERICITY_RANDOM_DICTIONARY_Z,
        SPHERICITY_RANDOM_DICTIONARY_TAIL,
        ELONGATION_RANDOM_DICTIONARY_Z,
        ELONGATION_RANDOM_DICTIONARY_TAIL,
        DIMENSIONALITY_RANDOM_DICTIONARY_Z,
        DIMENSIONALITY_RANDOM_DICTIONARY_TAIL,
        EIGENVALUE_ENTROPY_RANDOM_DICTIONARY_Z,
        EIGENVALUE_ENTROPY_RANDOM_DICTIONARY_TAIL,
    ],
};

const UNDEFINED: &str = "fewer than 4 features are active, or more than 256 (as at attention sinks), or the draws do \
                         not vary";

/// The standing and the share of one number among the draws of one null.
macro_rules! standing {
    (
        $z:ident, $tail:ident, $null:ident, $shape:literal, $name:literal, $label:literal, $field:literal, $of:literal,
        $beside:literal
    ) => {
        const $z: Metric = Metric {
            name: concat!($name, "_", $field, "_z"),
            label: concat!($label, " beside ", $beside, " (z)"),
            unit: "standard deviations",
            null: Some(UNDEFINED),
            with_nulls: true,
            family: Family::Nulls,
            range: "any",
            meaning: concat!("How far the ", $name, " is from that of ", $of),
            formula: "(number − mean of the draws) / their standard deviation",
            confounded: "chance: mean and spread of 200 draws are uncertain by 7 and 5 % of that spread; n, which says how \
                         sharp the null is",
            compute: Compute::TextAtLayer(|at| Ok(of(at, |nulls| nulls.$null[$shape].map(|s| s.z)))),
            ..BLANK
        };
        const $tail: Metric = Metric {
            name: concat!($name, "_", $field, "_tail"),
            label: concat!($label, " beside ", $beside, " (share)"),
            unit: "probability",
            null: Some(UNDEFINED),
            with_nulls: true,
            family: Family::None,
            range: "1/(draws + 1) to 1",
            meaning: concat!("How many of the draws have a ", $name, " as large: ", $of),
            formula: "(1 + draws that are as large or larger) / (1 + draws)",
            source: "B. Phipson and G. K. Smyth, “Permutation p-values should never be zero”, 2010",
            confounded: "as the z of the same null",
            compute: Compute::TextAtLayer(|at| Ok(of(at, |nulls| nulls.$null[$shape].map(|s| s.tail)))),
            ..BLANK
        };
    };
}

/// The four numbers of one null.
macro_rules! null {
    ($null:ident, $field:literal, $of:literal, $beside:literal, [$($z:ident, $tail:ident),*]) => {
        null!(@ $null, $field, $of, $beside, $($z, $tail),*);
    };
    (
        @ $null:ident, $field:literal, $of:literal, $beside:literal,
        $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident
    ) => {
        standing!($a, $b, $null, 0, "sphericity", "Sphericity", $field, $of, $beside);
        standing!($c, $d, $null, 1, "elongation", "Elongation", $field, $of, $beside);
        standing!($e, $f, $null, 2, "dimensionality", "Dimensionality", $field, $of, $beside);
        standing!($g, $h, $null, 3, "eigenvalue_entropy", "Eigenvalue entropy", $field, $of, $beside);
    };
}

null!(
    random_rows,
    "random_rows",
    "the same activations on rows of the decoder that are drawn at random",
    "random rows",
    [
        SPHERICITY_RANDOM_ROWS_Z,
        SPHERICITY_RANDOM_ROWS_TAIL,
        ELONGATION_RANDOM_ROWS_Z,
        ELONGATION_RANDOM_ROWS_TAIL,
        DIMENSIONALITY_RANDOM_ROWS_Z,
        DIMENSIONALITY_RANDOM_ROWS_TAIL,
        EIGENVALUE_ENTROPY_RANDOM_ROWS_Z,
        EIGENVALUE_ENTROPY_RANDOM_ROWS_TAIL
    ]
);
null!(
    permuted,
    "permuted",
    "the same rows with the activations permuted",
    "permuted activations",
    [
        SPHERICITY_PERMUTED_Z,
        SPHERICITY_PERMUTED_TAIL,
        ELONGATION_PERMUTED_Z,
        ELONGATION_PERMUTED_TAIL,
        DIMENSIONALITY_PERMUTED_Z,
        DIMENSIONALITY_PERMUTED_TAIL,
        EIGENVALUE_ENTROPY_PERMUTED_Z,
        EIGENVALUE_ENTROPY_PERMUTED_TAIL
    ]
);
null!(
    random_dictionary,
    "random_dictionary",
    "the same activations on directions drawn uniformly: an untrained dictionary",
    "a random dictionary",
    [
        SPHERICITY_RANDOM_DICTIONARY_Z,
        SPHERICITY_RANDOM_DICTIONARY_TAIL,
        ELONGATION_RANDOM_DICTIONARY_Z,
        ELONGATION_RANDOM_DICTIONARY_TAIL,
        DIMENSIONALITY_RANDOM_DICTIONARY_Z,
        DIMENSIONALITY_RANDOM_DICTIONARY_TAIL,
        EIGENVALUE_ENTROPY_RANDOM_DICTIONARY_Z,
        EIGENVALUE_ENTROPY_RANDOM_DICTIONARY_TAIL
    ]
);

/// A cell of what was drawn; null where nothing was.
fn of(at: &TextAtLayer<'_>, number: impl Fn(&Nulls) -> Option<f64>) -> Cell {
    at.measured.nulls.as_ref().and_then(number).into()
}
