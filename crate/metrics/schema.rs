//! The columns of `metrics.parquet`, and the plain table that carries them.

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

/// Name and type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as it stands in the file.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// Whether cells may be null: only where the definition may have nothing to apply to.
    pub nullable: bool,
}

impl Column {
    /// A column without nulls.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, nullable: false }
    }

    /// A column that may hold nulls.
    pub fn nullable(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, nullable: true }
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

/// Metrics whose `*_diff` column is fact − hallucination, since a hallucination is expected to lower
/// them; every other `*_diff` column is hallucination − fact.
pub const FALLING: [&str; 2] = ["stability", "cross_layer_consistency"];

/// The columns of `metrics.parquet` for SAEs at these `layers`, in file order:
///
/// 1. `sample_id`, `domain`, `complexity`;
/// 2. by layer, by text: `l0_norm`, `reconstruction_error`, `gini`, `sphericity`, `shape_class`,
///    `dimensionality`;
/// 3. fact, hallucination and difference of drift, twist, stability, entropy and consistency;
/// 4. token counts; by layer, by text: energy, elongation, eigenvalue entropy, misalignment angle,
///    explained variance; by layer: ghost and missing; the reconstruction cosines; and, where
///    `logprob` is set, log-probabilities.
///
/// The first SAE layer is `layers[0]`, the second and third are `layers[1]` and `layers[2]`. With
/// fewer than three layers the cross-layer columns stay and are null; of more than three, the rest
/// take no part in them. `explained_variance` is null where every residual of the run is the same.
pub fn schema(layers: &[usize], logprob: bool) -> Vec<Column> {
    use Kind::{Float64, Int64, Utf8};
    const TEXTS: [&str; 2] = ["fact", "hall"];
    const FORMS: [&str; 3] = ["fact", "hall", "diff"];
    let mut columns =
        vec![Column::new("sample_id", Utf8), Column::new("domain", Utf8), Column::new("complexity", Int64)];
    for layer in layers {
        for text in TEXTS {
            for (name, kind) in [
                ("l0_norm", Int64),
                ("reconstruction_error", Float64),
                ("gini", Float64),
                ("sphericity", Float64),
                ("shape_class", Utf8),
                ("dimensionality", Float64),
            ] {
                columns.push(Column::new(format!("l{layer}_{text}_{name}"), kind));
            }
        }
    }
    for name in ["centroid_drift", "axis_twist"] {
        columns.extend(FORMS.map(|form| Column::new(format!("{name}_{form}"), Float64)));
    }
    columns.extend(FORMS.map(|form| Column::nullable(format!("stability_{form}"), Float64)));
    columns.extend(FORMS.map(|form| Column::new(format!("entropy_{form}"), Float64)));
    columns.extend(FORMS.map(|form| Column::nullable(format!("cross_layer_consistency_{form}"), Float64)));

    columns.extend(["prompt", "fact", "hall"].map(|text| Column::new(format!("n_tokens_{text}"), Int64)));
    for layer in layers {
        for text in TEXTS {
            for name in ["energy", "elongation", "eigenvalue_entropy", "misalignment_angle"] {
                columns.push(Column::new(format!("l{layer}_{text}_{name}"), Float64));
            }
            columns.push(Column::nullable(format!("l{layer}_{text}_explained_variance"), Float64));
        }
        for name in ["ghost", "missing"] {
            columns.push(Column::new(format!("l{layer}_{name}_count"), Int64));
            columns.push(Column::new(format!("l{layer}_{name}_energy"), Float64));
        }
    }
    columns.extend(TEXTS.map(|text| Column::nullable(format!("cross_layer_reconstruction_cosine_{text}"), Float64)));
    if logprob {
        columns.extend(TEXTS.map(|text| Column::nullable(format!("logprob_{text}"), Float64)));
    }
    columns
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
                "sample_id" | "domain" => Kind::Utf8,
                name if name.ends_with("_shape_class") => Kind::Utf8,
                name if name == "complexity" || name.ends_with("_l0_norm") => Kind::Int64,
                name if name.starts_with("n_tokens_") || name.ends_with("_count") => Kind::Int64,
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
