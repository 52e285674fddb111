//! Which run a row comes from.

use crate::metrics::column::{Cell, Kind};
use crate::metrics::metric::{BLANK, Compute, Group, Metric};

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
