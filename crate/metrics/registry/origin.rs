//! Which run a row comes from.

use super::{BLANK, Compute, Group, Metric};
use crate::metrics::schema::{Cell, Kind};

pub(super) const GROUP: Group = Group { title: "Run", metrics: &[RUN_ID] };

const RUN_ID: Metric = Metric {
    name: "run_id",
    label: "Run",
    kind: Kind::Utf8,
    texts: &[],
    range: "unique",
    meaning: "The run that a row comes from, so that runs can be stacked",
    formula: "`run_id` of the manifest",
    compute: Compute::Sample(|of| Cell::Text(of.run_id.to_owned())),
    ..BLANK
};
