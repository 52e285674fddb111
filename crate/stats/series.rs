//! Pairs of columns of `metrics.parquet` that hold one metric for fact and hallucination.

use crate::metrics::{Direction, Form, Kind, Part, Table, TextKind};

/// Token counts as a metric's name.
pub(super) const LENGTH: &str = "n_tokens";

/// One metric of every sample, by row of the table; none where either side is null.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// Name: the metric's with its layer, such as `l5_gini`, or the `*_diff` column's own.
    pub metric: String,
    /// For a `*_diff` column: the metric that it is the difference of.
    pub difference_of: Option<String>,
    /// What a difference of this series is.
    pub direction: Direction,
    /// Values by row.
    pub values: Vec<Option<Triple>>,
}

/// One sample's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Triple {
    pub fact: f64,
    pub hall: f64,
    /// By the series' direction.
    pub difference: f64,
}

/// Every numeric metric that has columns of fact and of hallucination, in the table's order; each is
/// followed by its difference where there is one. Columns say themselves what they are parts of.
pub(super) fn series(table: &Table) -> Vec<Series> {
    let mut found = Vec::new();
    for (i, column) in table.columns.iter().enumerate() {
        let (Kind::Int64 | Kind::Float64, Some(part)) = (column.kind, &column.part) else { continue };
        if part.form != Form::Text(TextKind::Fact) {
            continue;
        }
        let other = |wanted: &dyn Fn(Form) -> bool| {
            table
                .columns
                .iter()
                .position(|c| c.part.as_ref().is_some_and(|other| other.metric == part.metric && wanted(other.form)))
        };
        let Some(j) = other(&|form| form == Form::Text(TextKind::Hall)) else { continue };
        let pair = |row: usize| {
            let cell = |i: usize| table.rows.get(row)?.get(i)?.number();
            cell(i).zip(cell(j))
        };
        let rows = 0..table.rows.len();
        let values =
            rows.clone().map(|r| pair(r).map(|(fact, hall)| Triple { fact, hall, difference: hall - fact })).collect();
        let direction = Direction::HallMinusFact;
        found.push(Series { metric: part.metric.clone(), difference_of: None, direction, values });
        let Some(k) = other(&|form| matches!(form, Form::Difference(_))) else { continue };
        let difference = &table.columns[k];
        let Some(Part { form: Form::Difference(direction), .. }) = difference.part else { continue };
        let stored = |row: usize| table.rows.get(row)?.get(k)?.number();
        let triple = |r| {
            let ((fact, hall), difference) = pair(r).zip(stored(r))?;
            Some(Triple { fact, hall, difference })
        };
        found.push(Series {
            metric: difference.name.clone(),
            difference_of: Some(part.metric.clone()),
            direction,
            values: rows.map(triple).collect(),
        });
    }
    found
}
