//! A table's columns and cells, as plain data.

use super::text_kind::TextKind;

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Parquet `INT64`.
    Int64,
    /// Parquet `DOUBLE`.
    Float64,
    /// Parquet string.
    Utf8,
    /// Parquet `BOOLEAN`.
    Bool,
}

impl Kind {
    /// Name of the type in Parquet's own readers: `int64`, `double`, `string`, `bool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int64 => "int64",
            Self::Float64 => "double",
            Self::Utf8 => "string",
            Self::Bool => "bool",
        }
    }
}

/// A column, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as it stands in the file.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// Whether cells may be null: only where the definition may have nothing to apply to.
    pub nullable: bool,
    /// Unit of its values; empty for what is not a quantity.
    pub unit: &'static str,
    /// One sentence, without the full stop; empty where nothing is to be said.
    pub description: String,
    /// Which metric it is a part of, in tables of samples.
    pub part: Option<Part>,
}

/// Which metric a column of a table of samples is a part of, and which part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The metric with its layer, as `stats.parquet` names it: `l5_gini`, `centroid_drift`.
    pub metric: String,
    /// The part.
    pub form: Form,
    /// Among which metrics it is tested.
    pub family: Family,
}

/// Metrics that are tested together: corrections for many tests are over one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// What is measured.
    Metrics,
    /// Where that stands among nulls.
    Nulls,
    /// What is controlled for beside token counts: compared, and a member of no correction.
    Controls,
    /// None: it is not compared.
    None,
}

/// What a column holds of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// One text's.
    Text(TextKind),
    /// The difference of fact and hallucination.
    Difference(Direction),
}

/// The sign of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// hallucination − fact: every comparison of a metric, and the `*_diff` columns of those that a
    /// hallucination is expected to raise.
    HallMinusFact,
    /// fact − hallucination: the `*_diff` columns of those that a hallucination is expected to lower.
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

    /// As a formula: `hall − fact`, `fact − hall`.
    pub fn formula(self) -> &'static str {
        match self {
            Self::HallMinusFact => "hall − fact",
            Self::FactMinusHall => "fact − hall",
        }
    }

    pub(super) fn of(self, fact: f64, hall: f64) -> f64 {
        match self {
            Self::HallMinusFact => hall - fact,
            Self::FactMinusHall => fact - hall,
        }
    }
}

impl Column {
    /// A column without nulls.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, nullable: false, unit: "", description: String::new(), part: None }
    }

    /// A column that may hold nulls.
    pub fn nullable(name: impl Into<String>, kind: Kind) -> Self {
        Self { nullable: true, ..Self::new(name, kind) }
    }

    /// The same column as a part of `metric`.
    #[must_use]
    pub fn part(self, metric: impl Into<String>, form: Form) -> Self {
        Self { part: Some(Part { metric: metric.into(), form, family: Family::Metrics }), ..self }
    }
}

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value: the definition has nothing to apply to.
    Null,
    /// An integer.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text.
    Text(String),
    /// Truth.
    Bool(bool),
}

impl Cell {
    /// The value as a number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::Int(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            Self::Null | Self::Text(_) | Self::Bool(_) => None,
        }
    }

    /// A count.
    pub(crate) fn count(n: usize) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Cell {
    /// A finite number; anything else is null (no file holds a NaN).
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Float(value) } else { Self::Null }
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

/// A table: every row has one cell per column, of the column's kind or null.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Columns in file order.
    pub columns: Vec<Column>,
    /// Rows in file order.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Position of the column of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The cell of `row` in the column of this name.
    pub fn cell(&self, row: usize, name: &str) -> Option<&Cell> {
        self.rows.get(row)?.get(self.position(name)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_holds_a_nan() {
        assert_eq!(Cell::from(f64::NAN), Cell::Null);
        assert_eq!(Cell::from(Some(f64::INFINITY)), Cell::Null);
        assert_eq!(Cell::from(None), Cell::Null);
        assert_eq!(Cell::from(1.5), Cell::Float(1.5));
    }
}
