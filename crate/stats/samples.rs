//! What comparisons need of `metrics.parquet`: its numbers, column by column, eight bytes each, so that a
//! large run fits.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Table};

/// The numbers of a run's samples.
#[derive(Debug, Clone)]
pub struct Samples {
    pub(super) columns: Vec<Column>,
    /// By column; NaN where the cell is null; empty where the column holds no numbers.
    numbers: Vec<Vec<f64>>,
    /// Position of the column `domain`.
    domain_column: usize,
    /// Every domain once, in order of appearance.
    domains: Vec<String>,
    place: HashMap<String, u32>,
    /// By sample.
    domain: Vec<u32>,
}

impl Samples {
    /// No samples yet, of a table with these columns, and room for `n` of them.
    ///
    /// # Errors
    /// [`Error::Mismatch`] without a column `domain`.
    pub fn new(columns: &[Column], n: usize) -> Result<Self> {
        let room = |c: &Column| Vec::with_capacity(if numeric(c) { n } else { 0 });
        let numbers = columns.iter().map(room).collect();
        let found = columns.iter().position(|c| c.name == "domain");
        let domain_column = found.ok_or_else(|| lacks("domain"))?;
        let columns = columns.to_vec();
        Ok(Self { columns, numbers, domain_column, domains: Vec::new(), place: HashMap::new(), domain: Vec::new() })
    }

    /// Adds a sample's row.
    pub fn push(&mut self, row: &[Cell]) {
        for (i, column) in self.columns.iter().enumerate().filter(|(_, c)| numeric(c)) {
            debug_assert!(row.get(i).is_some(), "no cell of {}", column.name);
            self.numbers[i].push(row.get(i).and_then(Cell::number).unwrap_or(f64::NAN));
        }
        let domain = match row.get(self.domain_column) {
            Some(Cell::Text(domain)) => domain.as_str(),
            _ => "",
        };
        let number = match self.place.get(domain) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.domains.len()).unwrap_or(u32::MAX);
                self.domains.push(domain.to_owned());
                self.place.insert(domain.to_owned(), number);
                number
            }
        };
        self.domain.push(number);
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.domain.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.domain.is_empty()
    }

    /// Position of the column of this name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// A sample's number in a column; none where it is null.
    pub(super) fn number(&self, sample: usize, column: usize) -> Option<f64> {
        self.numbers[column].get(sample).copied().filter(|value| !value.is_nan())
    }

    /// A sample's domain.
    pub(super) fn domain(&self, sample: usize) -> &str {
        &self.domains[self.domain[sample] as usize]
    }

    /// Every domain once.
    pub(super) fn domains(&self) -> &[String] {
        &self.domains
    }
}

fn numeric(column: &Column) -> bool {
    matches!(column.kind, Kind::Int64 | Kind::Float64)
}

/// The samples of a table that is in memory.
impl TryFrom<&Table> for Samples {
    type Error = Error;

    fn try_from(table: &Table) -> Result<Self> {
        let mut samples = Self::new(&table.columns, table.rows.len())?;
        table.rows.iter().for_each(|row| samples.push(row));
        Ok(samples)
    }
}

/// A table that is no `metrics.parquet`.
pub(super) fn lacks(column: &str) -> Error {
    Error::mismatch("metrics table", format!("a column {column}"), "none", "give a whole metrics.parquet")
}
