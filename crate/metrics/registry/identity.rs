//! Which sample a row is.

use crate::metrics::column::{Cell, Kind};
use crate::metrics::metric::{BLANK, Compute, Group, Metric};

pub(super) const GROUP: Group = Group { title: "Sample", metrics: &[SAMPLE_ID, DOMAIN, COMPLEXITY] };

const SAMPLE_ID: Metric = Metric {
    name: "sample_id",
    label: "Sample",
    kind: Kind::Utf8,
    texts: &[],
    range: "unique in a run",
    meaning: "The sample's id in the data set",
    formula: "as the data set gives it; made from the row's number where it gives none",
    compute: Compute::Sample(|of| Cell::Text(of.sample.sample_id.clone())),
    ..BLANK
};

const DOMAIN: Metric = Metric {
    name: "domain",
    label: "Domain",
    kind: Kind::Utf8,
    texts: &[],
    range: "any text",
    meaning: "What the sample is about; statistics are made for each domain and for all together",
    formula: "as the data set gives it, or as `--dataset DOMAIN=FILE` does",
    compute: Compute::Sample(|of| Cell::Text(of.sample.domain.clone())),
    ..BLANK
};

const COMPLEXITY: Metric = Metric {
    name: "complexity",
    label: "Complexity",
    kind: Kind::Int64,
    unit: "grade",
    texts: &[],
    range: "any integer",
    meaning: "The data set's own grade of the sample",
    formula: "as the data set gives it",
    compute: Compute::Sample(|of| Cell::Int(of.sample.complexity)),
    ..BLANK
};
