//! What a row is not independent of, and which run it comes from.

use crate::metrics::column::{Cell, Kind};
use crate::metrics::metric::{BLANK, Compute, Group, Metric};

pub(super) const CLUSTERS: Group = Group { title: "Independence", metrics: &[CLUSTER] };

pub(super) const GROUP: Group = Group { title: "Run", metrics: &[RUN_ID] };

const CLUSTER: Metric = Metric {
    name: "cluster",
    label: "Cluster",
    kind: Kind::Utf8,
    texts: &[],
    range: "any text",
    meaning: "What the sample is not independent of: the statistics draw samples of one cluster together",
    formula: "as the data set gives it; where it does not, `prompt` and the beginning of the prompt's SHA-256, so that \
              samples that share a prompt are one cluster",
    compute: Compute::Sample(|of| Cell::Text(of.sample.cluster.clone())),
    ..BLANK
};

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
