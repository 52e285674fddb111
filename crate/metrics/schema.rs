//! The columns of `metrics.parquet`, and the plain table that carries them.

use super::registry::{Direction, GROUPS, place};
use super::text::TextKind;

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
        Self { part: Some(Part { metric: metric.into(), form }), ..self }
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

/// The columns of `metrics.parquet` for SAEs at these `layers`, in file order: those of
/// [`super::GROUPS`].
///
/// The first SAE layer is `layers[0]`, the second and third are `layers[1]` and `layers[2]`. With
/// fewer than three layers the cross-layer columns stay and are null; of more than three, the rest
/// take no part in them.
pub fn schema(layers: &[usize], logprob: bool) -> Vec<Column> {
    place(GROUPS, layers, logprob).into_iter().map(|placed| placed.column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_types_follow_the_contract() {
        let columns = schema(&[5, 12, 20], true);
        for (i, column) in columns.iter().enumerate() {
            assert!(columns[..i].iter().all(|c| c.name != column.name), "{} twice", column.name);
            let kind = match column.name.as_str() {
                "sample_id" | "domain" | "run_id" => Kind::Utf8,
                name if name.ends_with("_shape_class") => Kind::Utf8,
                name if name == "complexity" || name.ends_with("_l0_norm") => Kind::Int64,
                name if name.starts_with("n_tokens_") || name.ends_with("_count") => Kind::Int64,
                "prompt_is_sink" => Kind::Bool,
                _ => Kind::Float64,
            };
            assert_eq!(column.kind, kind, "{}", column.name);
        }
    }

    #[test]
    fn the_first_group_of_metrics_has_51_columns() {
        // 3 layers × 2 texts × 6, and 5 metrics × (fact, hall, diff)
        let columns = schema(&[5, 12, 20], false);
        let end = columns.iter().position(|c| c.name == "n_tokens_prompt").unwrap();
        assert_eq!(end - 3, 3 * 2 * 6 + 5 * 3);
        assert_eq!(columns[3].name, "l5_fact_l0_norm");
        assert_eq!(columns[end - 1].name, "cross_layer_consistency_diff");
    }

    #[test]
    fn no_cell_holds_a_nan() {
        assert_eq!(Cell::from(f64::NAN), Cell::Null);
        assert_eq!(Cell::from(Some(f64::INFINITY)), Cell::Null);
        assert_eq!(Cell::from(None), Cell::Null);
        assert_eq!(Cell::from(1.5), Cell::Float(1.5));
    }
}
