//! Pairs of columns of `metrics.parquet` that hold one metric for fact and hallucination.

use crate::metrics::{Kind, Table};

/// Token counts as a metric's name.
pub(super) const LENGTH: &str = "n_tokens";

/// One metric of every sample, by row of the table; none where either side is null.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// Name: the column's without the text, such as `l5_gini`, or the `*_diff` column's own.
    pub metric: String,
    /// For a `*_diff` column: the metric that it is the difference of.
    pub difference_of: Option<String>,
    /// Values by row.
    pub values: Vec<Option<Triple>>,
}

/// One sample's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Triple {
    pub fact: f64,
    pub hall: f64,
    /// hallucination − fact, or what the `*_diff` column says.
    pub difference: f64,
}

/// Every numeric column of the fact text that has a partner of the hallucination, in the table's
/// order; each is followed by its `*_diff` column where there is one.
pub(super) fn series(table: &Table) -> Vec<Series> {
    let mut found = Vec::new();
    for (i, column) in table.columns.iter().enumerate() {
        if !matches!(column.kind, Kind::Int64 | Kind::Float64) {
            continue;
        }
        let segments: Vec<&str> = column.name.split('_').collect();
        let Some(text) = segments.iter().position(|s| *s == "fact") else { continue };
        let partner = segments.iter().enumerate().map(|(k, s)| if k == text { "hall" } else { s });
        let Some(j) = table.position(&partner.collect::<Vec<_>>().join("_")) else { continue };
        let rest = segments.iter().enumerate().filter(|(k, _)| *k != text).map(|(_, s)| *s);
        let metric = rest.collect::<Vec<_>>().join("_");
        let difference = format!("{metric}_diff");
        let pair = |row: usize| {
            let cell = |i: usize| table.rows.get(row)?.get(i)?.number();
            cell(i).zip(cell(j))
        };
        let rows = 0..table.rows.len();
        let values =
            rows.clone().map(|r| pair(r).map(|(fact, hall)| Triple { fact, hall, difference: hall - fact })).collect();
        found.push(Series { metric: metric.clone(), difference_of: None, values });
        if let Some(k) = table.position(&difference) {
            let stored = |row: usize| table.rows.get(row)?.get(k)?.number();
            let triple = |r| {
                let ((fact, hall), difference) = pair(r).zip(stored(r))?;
                Some(Triple { fact, hall, difference })
            };
            found.push(Series { metric: difference, difference_of: Some(metric), values: rows.map(triple).collect() });
        }
    }
    found
}
