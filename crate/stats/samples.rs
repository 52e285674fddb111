//! What comparisons need of `metrics.parquet`: its numbers, read back column by column. They lie in a
//! scratch file in blocks of rows, so that a run of any size takes the memory of a block and of the columns
//! that are being compared.

use std::collections::HashMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Table};
use crate::platform::{MemoryJournal, Scratch};
use crate::random;

/// Rows of a block.
const BLOCK: usize = 1024;
/// Bytes of a number.
const WIDTH: usize = size_of::<f64>();

/// The numbers of a run's samples.
pub struct Samples {
    pub(super) columns: Vec<Column>,
    /// A column's place among those that hold numbers.
    places: Vec<Option<usize>>,
    /// Whole blocks: in each, column after column, [`BLOCK`] numbers in little-endian.
    scratch: Scratch,
    blocks: usize,
    /// Of the rows after the last block, by place; NaN where the cell is null.
    rest: Vec<Vec<f64>>,
    /// Position of the column `domain`.
    domain_column: usize,
    /// Every domain once, in order of appearance.
    domains: Vec<String>,
    place: HashMap<String, u32>,
    /// By sample.
    domain: Vec<u32>,
    /// Position of the column `cluster`, where there is one.
    cluster_column: Option<usize>,
    /// Numbers of the clusters, by the first bytes of their names' hashes: names are not kept.
    clusters: HashMap<u64, u32>,
    /// By sample; empty without the column.
    cluster: Vec<u32>,
}

impl Samples {
    /// No samples yet, of a table with these columns; `scratch` is empty.
    ///
    /// # Errors
    /// [`Error::Mismatch`] without a column `domain`.
    pub fn new(columns: &[Column], scratch: Scratch) -> Result<Self> {
        let mut numeric = 0;
        let places = columns.iter().map(|column| {
            matches!(column.kind, Kind::Int64 | Kind::Float64).then(|| {
                numeric += 1;
                numeric - 1
            })
        });
        let places = places.collect();
        Ok(Self {
            places,
            scratch,
            blocks: 0,
            rest: vec![Vec::new(); numeric],
            domain_column: columns.iter().position(|c| c.name == "domain").ok_or_else(|| lacks("domain"))?,
            columns: columns.to_vec(),
            domains: Vec::new(),
            place: HashMap::new(),
            domain: Vec::new(),
            cluster_column: columns.iter().position(|c| c.name == "cluster" && c.kind == Kind::Utf8),
            clusters: HashMap::new(),
            cluster: Vec::new(),
        })
    }

    /// Adds a sample's row.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn push(&mut self, row: &[Cell]) -> Result<()> {
        for (i, place) in self.places.iter().enumerate() {
            let Some(place) = place else { continue };
            debug_assert!(row.get(i).is_some(), "no cell of {}", self.columns[i].name);
            self.rest[*place].push(row.get(i).and_then(Cell::number).unwrap_or(f64::NAN));
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
        if let Some(column) = self.cluster_column {
            let name = match row.get(column) {
                Some(Cell::Text(name)) => name.as_str(),
                _ => "",
            };
            let [a, b, c, d, e, f, g, h, ..] = random::key(&[name.as_bytes()]);
            let next = u32::try_from(self.clusters.len()).unwrap_or(u32::MAX);
            self.cluster.push(*self.clusters.entry(u64::from_le_bytes([a, b, c, d, e, f, g, h])).or_insert(next));
        }
        if self.domain.len() == (self.blocks + 1) * BLOCK {
            let bytes: Vec<u8> = self.rest.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
            self.scratch.append(&bytes)?;
            self.rest.iter_mut().for_each(Vec::clear);
            self.blocks += 1;
        }
        Ok(())
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

    /// A column's numbers, by sample; NaN where the cell is null, and all of them where the column holds no
    /// numbers.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn numbers(&self, column: usize) -> Result<Vec<f64>> {
        let Some(place) = self.places[column] else { return Ok(vec![f64::NAN; self.len()]) };
        let mut out = Vec::with_capacity(self.len());
        let mut bytes = vec![0; BLOCK * WIDTH];
        for block in 0..self.blocks {
            let at = (block * self.rest.len() + place) * BLOCK * WIDTH;
            self.scratch.read(at as u64, &mut bytes)?;
            out.extend(bytes.as_chunks::<WIDTH>().0.iter().map(|number| f64::from_le_bytes(*number)));
        }
        out.extend_from_slice(&self.rest[place]);
        Ok(out)
    }

    /// [`Samples::numbers`] of the column of this name; none where there is no such column.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn numbers_of(&self, name: &str) -> Result<Option<Vec<f64>>> {
        self.position(name).map(|column| self.numbers(column)).transpose()
    }

    /// A sample's domain.
    pub(super) fn domain(&self, sample: usize) -> &str {
        &self.domains[self.domain[sample] as usize]
    }

    /// Number of a sample's cluster; its own where the table has none.
    pub(super) fn cluster(&self, sample: usize) -> u32 {
        self.cluster.get(sample).copied().unwrap_or(sample as u32)
    }

    /// Every domain once.
    pub(super) fn domains(&self) -> &[String] {
        &self.domains
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples")
            .field("len", &self.len())
            .field("columns", &self.columns.len())
            .finish_non_exhaustive()
    }
}

/// The samples of a table that is in memory.
impl TryFrom<&Table> for Samples {
    type Error = Error;

    fn try_from(table: &Table) -> Result<Self> {
        let mut samples = Self::new(&table.columns, Box::new(MemoryJournal::default()))?;
        table.rows.iter().try_for_each(|row| samples.push(row))?;
        Ok(samples)
    }
}

/// A table that is no `metrics.parquet`.
pub(super) fn lacks(column: &str) -> Error {
    Error::mismatch("metrics table", format!("a column {column}"), "none", "give a whole metrics.parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of more rows than a block has come back as they were.
    #[test]
    fn numbers_come_back_by_column() {
        let column = |name: &str, kind| {
            let (name, description) = (name.to_owned(), String::new());
            Column { name, kind, nullable: true, unit: "", description, part: None }
        };
        let columns = [column("domain", Kind::Utf8), column("a", Kind::Int64), column("b", Kind::Float64)];
        for n in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let mut samples = Samples::new(&columns, Box::new(MemoryJournal::default())).unwrap();
            let b = |i: usize| if i.is_multiple_of(5) { Cell::Null } else { Cell::Float(i as f64 / 3.0) };
            for i in 0..n {
                samples.push(&[Cell::Text(format!("d{}", i % 3)), Cell::Int(i as i64), b(i)]).unwrap();
            }
            assert_eq!((samples.len(), samples.domains().len()), (n, n.min(3)));
            assert_eq!(samples.numbers(1).unwrap(), (0..n).map(|i| i as f64).collect::<Vec<_>>());
            let found = samples.numbers(2).unwrap();
            assert_eq!(found.len(), n);
            for (i, found) in found.iter().enumerate() {
                assert_eq!(b(i).number().map(f64::to_bits), (!found.is_nan()).then_some(found.to_bits()), "{i} of {n}");
                assert_eq!(samples.domain(i), format!("d{}", i % 3));
            }
            assert!(samples.numbers(0).unwrap().iter().all(|number| number.is_nan()));
        }
    }
}
