//! What every format is read into, and the rules that turn a row into a sample.

use std::collections::HashMap;

use super::limits::MAX_FIELD;
use super::{Rejected, Sample, UNSPECIFIED_DOMAIN};
use crate::error::{Error, Result};

/// UTF-8's byte order mark, skipped at the start of a text file.
pub(super) const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// The fields of a row, in the order of [`Row::cells`].
pub(super) const FIELDS: [&str; 7] = ["id", "domain", "complexity", "prompt", "fact", "hallucination", "cluster"];
/// Indices into [`FIELDS`].
pub(super) const ID: usize = 0;
pub(super) const DOMAIN: usize = 1;
pub(super) const COMPLEXITY: usize = 2;
const PROMPT: usize = 3;
const FACT: usize = 4;
const HALLUCINATION: usize = 5;
pub(super) const CLUSTER: usize = 6;

/// One value as its format gave it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Cell {
    /// The row has no such field.
    #[default]
    Absent,
    Null,
    Text(String),
    Integer(i64),
    /// A whole number may stand for an integer: pandas writes integers with gaps so.
    Float(f64),
    /// Something that no field can be, in words.
    Fault(String),
}

/// One row before its checks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Row {
    /// Line that it starts on, from 1.
    pub line: Option<usize>,
    /// Values in the order of [`FIELDS`].
    pub cells: [Cell; FIELDS.len()],
    /// Why the row as a whole cannot be read; its cells then count only for the id.
    pub fault: Option<String>,
}

/// The file without UTF-8's byte order mark.
///
/// # Errors
/// [`Error::Malformed`] when the bytes are no UTF-8 text at all, by their first few.
pub(super) fn text_start<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let (found, hint) = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("UTF-16", "save the file as UTF-8"),
        [0x1f, 0x8b, ..] => ("gzip data", "decompress the file first"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd data", "decompress the file first"),
        [b'P', b'K', 3, 4, ..] => ("a zip archive or spreadsheet", "unpack it, or export the sheet as CSV"),
        [b'P', b'A', b'R', b'1', ..] => ("a Parquet file", "give the file the extension .parquet"),
        // either alone may be a strange text; both are near the beginning of most other files
        _ if is_binary(&bytes[..bytes.len().min(4096)]) => ("binary data", "a data set is JSON, JSONL, CSV or Parquet"),
        _ => return Ok(bytes.strip_prefix(UTF8_BOM).unwrap_or(bytes)),
    };
    Err(Error::malformed(name, "encoding", "UTF-8 text", found, hint))
}

/// Whether there are NUL bytes and bytes that are not UTF-8 (a character cut at the end is).
fn is_binary(start: &[u8]) -> bool {
    start.contains(&0) && std::str::from_utf8(start).is_err_and(|e| e.error_len().is_some())
}

/// Whether no row has an id, so that ids have to be made.
pub(super) fn without_ids(rows: &[Row]) -> bool {
    rows.iter().all(|row| match &row.cells[ID] {
        Cell::Absent | Cell::Null => true,
        Cell::Text(text) => text.trim().is_empty(),
        Cell::Integer(_) | Cell::Float(_) | Cell::Fault(_) => false,
    })
}

/// Samples and rejected rows, each in file order. `domain` replaces every row's own; with `make_ids`
/// the number of the row is its id.
pub(super) fn check(file: &str, rows: Vec<Row>, domain: Option<&str>, make_ids: bool) -> (Vec<Sample>, Vec<Rejected>) {
    let made = |i: usize| format!("row-{:06}", i + 1);
    let ids: Vec<Result<String, String>> =
        rows.iter().enumerate().map(|(i, row)| if make_ids { Ok(made(i)) } else { id(&row.cells[ID]) }).collect();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, id) in ids.iter().enumerate() {
        if let Ok(id) = id {
            places.entry(id).or_default().push(i);
        }
    }
    let place = |i: usize| match rows[i].line {
        Some(line) => format!("line {line}"),
        None => format!("row {}", i + 1),
    };
    let shared: Vec<Option<String>> = ids
        .iter()
        .enumerate()
        .map(|(i, id)| {
            let all = places.get(id.as_deref().ok()?)?;
            let other = if all[0] == i { all.get(1)? } else { &all[0] };
            Some(format!("id is not unique: also on {}", place(*other)))
        })
        .collect();

    let (mut samples, mut rejected) = (Vec::new(), Vec::new());
    for (i, ((row, id), shared)) in rows.into_iter().zip(ids).zip(shared).enumerate() {
        let line = row.line;
        match sample(row, &id, shared, domain) {
            Ok(sample) => samples.push(sample),
            Err(reason) => {
                let id = id.ok().filter(|_| !make_ids);
                rejected.push(Rejected { file: file.to_owned(), row: i + 1, line, id, reason });
            }
        }
    }
    (samples, rejected)
}

/// One row's sample, or everything that is wrong with it.
fn sample(
    row: Row,
    id: &Result<String, String>,
    shared: Option<String>,
    domain: Option<&str>,
) -> Result<Sample, String> {
    if let Some(fault) = row.fault {
        return Err(fault);
    }
    let long = |cell: &Cell| matches!(cell, Cell::Text(text) if text.len() > MAX_FIELD);
    if let Some(field) = row.cells.iter().position(long) {
        return Err(format!("{} is longer than {MAX_FIELD} bytes", FIELDS[field]));
    }
    let [_, own_domain, complexity, prompt, fact, hallucination, cluster] = row.cells;
    let mut faults = Vec::new();
    let mut keep = |value: Result<String, String>| value.map_err(|fault| faults.push(fault)).unwrap_or_default();
    let id = keep(id.clone());
    keep(shared.map_or(Ok(String::new()), Err));
    let domain = match domain {
        Some(domain) => domain.to_owned(),
        None => keep(self::domain(own_domain)),
    };
    let prompt = keep(
        text(PROMPT, prompt)
            .and_then(|text| if text.trim().is_empty() { Err("prompt is empty".to_owned()) } else { Ok(text) }),
    );
    let fact = keep(text(FACT, fact));
    let hallucination = keep(text(HALLUCINATION, hallucination));
    let cluster = self::cluster(cluster).map_err(|fault| faults.push(fault)).unwrap_or_default();
    let complexity = self::complexity(complexity).map_err(|fault| faults.push(fault)).unwrap_or_default();
    if faults.is_empty() {
        Ok(Sample { id, domain, complexity, cluster, prompt, fact, hallucination })
    } else {
        Err(faults.join("; "))
    }
}

fn id(cell: &Cell) -> Result<String, String> {
    match cell {
        Cell::Text(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Cell::Integer(value) => Ok(value.to_string()),
        Cell::Absent => Err("id is missing".to_owned()),
        Cell::Null => Err("id is null".to_owned()),
        Cell::Text(_) => Err("id is empty".to_owned()),
        Cell::Float(value) => Err(format!("id: expected text or an integer, found {value:?}")),
        Cell::Fault(found) => Err(format!("id: expected text or an integer, found {found}")),
    }
}

fn domain(cell: Cell) -> Result<String, String> {
    let named = match cell {
        Cell::Absent | Cell::Null => String::new(),
        cell => text(DOMAIN, cell)?.trim().to_owned(),
    };
    Ok(if named.is_empty() { UNSPECIFIED_DOMAIN.to_owned() } else { named })
}

fn cluster(cell: Cell) -> Result<Option<String>, String> {
    let named = match cell {
        Cell::Absent | Cell::Null => return Ok(None),
        // a number is as good a name
        Cell::Integer(value) => value.to_string(),
        Cell::Float(value) => match whole(value) {
            Some(value) => value.to_string(),
            None => return Err(format!("cluster: expected text or an integer, found {value:?}")),
        },
        cell => text(CLUSTER, cell)?.trim().to_owned(),
    };
    Ok(Some(named).filter(|name| !name.is_empty()))
}

fn text(field: usize, cell: Cell) -> Result<String, String> {
    let name = FIELDS[field];
    match cell {
        Cell::Text(text) => Ok(text),
        Cell::Absent => Err(format!("{name} is missing")),
        Cell::Null => Err(format!("{name} is null")),
        Cell::Integer(value) => Err(format!("{name}: expected text, found {value}")),
        Cell::Float(value) => Err(format!("{name}: expected text, found {value:?}")),
        Cell::Fault(found) => Err(format!("{name}: expected text, found {found}")),
    }
}

fn complexity(cell: Cell) -> Result<i64, String> {
    let found = match cell {
        Cell::Absent | Cell::Null => return Ok(0),
        Cell::Integer(value) => return Ok(value),
        Cell::Float(value) => match whole(value) {
            Some(value) => return Ok(value),
            None => format!("{value:?}"),
        },
        Cell::Text(text) => format!("text {text:?}"),
        Cell::Fault(found) => found,
    };
    Err(format!("complexity: expected a 64-bit integer, found {found}"))
}

/// The integer that `value` is exactly, as far as an f64 holds integers exactly.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}
