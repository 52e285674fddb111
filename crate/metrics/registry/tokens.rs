//! Token counts, which everything else is to be read beside.

use crate::metrics::column::{Cell, Kind};
use crate::metrics::metric::{BLANK, Compute, Group, Metric};
use crate::metrics::text_kind::TextKind;

pub(super) const GROUP: Group = Group { title: "Length", metrics: &[N_TOKENS] };

const N_TOKENS: Metric = Metric {
    name: "n_tokens",
    label: "Tokens",
    kind: Kind::Int64,
    unit: "tokens",
    texts: &TextKind::ALL,
    range: "≥ 1",
    meaning: "How many tokens the text has, BOS included",
    formula: "by the model's own tokenizer",
    confounded: "nearly every raw metric (published r = 0.98 between feature count and tokens): no comparison without it",
    compute: Compute::Text(|of| Ok(Cell::count(of.text.n_tokens))),
    ..BLANK
};
