//! Pairs of columns of `metrics.parquet` that hold one metric for fact and hallucination.

use crate::metrics::{FALLING, Kind, Table};

/// Token counts as a metric's name.
pub(super) const LENGTH: &str = "n_tokens";

/// One metric of every sample, by row of the table; none where either side is null.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// Name: the column's without the text, such as `l5_gini`, or the `*_diff` column's own.
    pub metric: String,
    /// For a `*_diff` column: the metric that it is the difference of.
    pub difference_of: Option<String>,
    /// What a difference of this series is.
    pub direction: Direction,
    /// Values by row.
    pub values: Vec<Option<Triple>>,
}

/// The sign of a row's differences: of `mean_diff`, its interval, d_z, g, and what is left of them
/// at equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// hallucination − fact: every metric, and the `*_diff` columns of those that rise.
    HallMinusFact,
    /// fact − hallucination: the `*_diff` columns of [`FALLING`].
    FactMinusHall,
}

impl Direction {
    /// Name as it stands in `stats.parquet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HallMinusFact => "hall_minus_fact",
            Self::FactMinusHall => "fact_minus_hall",
        }
    }

    /// Of the `*_diff` column of this metric.
    fn of_column(metric: &str) -> Self {
        if FALLING.contains(&metric) { Self::FactMinusHall } else { Self::HallMinusFact }
    }
}

/// One sample's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Triple {
    pub fact: f64,
    pub hall: f64,
    /// By the series' direction.
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
        let direction = Direction::HallMinusFact;
        found.push(Series { metric: metric.clone(), difference_of: None, direction, values });
        if let Some(k) = table.position(&difference) {
            let stored = |row: usize| table.rows.get(row)?.get(k)?.number();
            let triple = |r| {
                let ((fact, hall), difference) = pair(r).zip(stored(r))?;
                Some(Triple { fact, hall, difference })
            };
            let direction = Direction::of_column(&metric);
            let values = rows.map(triple).collect();
            found.push(Series { metric: difference, difference_of: Some(metric), direction, values });
        }
    }
    found
}
