//! CSV and its relatives: the delimiter is the one under which the header names the columns.

use std::cell::Cell as Shared;

use csv::{ByteRecord, ReaderBuilder};

use super::columns::Columns;
use super::limits::{self, Metered};
use super::row::{COMPLEXITY, Cell, FIELDS, ID, Row};
use crate::error::{Error, Result};

/// Delimiters that are tried, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// A record appended to the text: it comes out alone unless a quote swallowed it.
const SENTINEL: &[u8] = b"\nend";

/// Rows below the header.
///
/// # Errors
/// [`Error::Malformed`] when the header lacks a required column or doubles one, or when a quote is
/// opened and never closed.
pub(super) fn read(name: &str, text: &[u8], names: &Columns) -> Result<Vec<Row>> {
    let (delimiter, header) = sniff(name, text, names)?;
    let columns = columns(name, &header, names)?;

    let read = Shared::new(0);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(Metered::new(std::io::Read::chain(text, SENTINEL), &read));
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut record = ByteRecord::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut last = (0, false);
    let mut is_header = true;
    while reader.read_byte_record(&mut record).map_err(|error| unreadable(name, &error))? {
        read.set(0);
        let start = record.position().map_or(0, csv::Position::byte) as usize;
        last = (lines.line_of(start), record.len() == 1 && record.get(0) == Some(&SENTINEL[1..]));
        if is_header {
            is_header = false;
            continue;
        }
        // the sentinel is one more
        if !last.1 {
            limits::room(name, &rows)?;
        }
        rows.push(row(last.0, &record, &columns, header.len()));
    }
    if !last.1 {
        return Err(Error::malformed(
            name,
            format!("the row that starts on line {}", last.0),
            "a closing quote for each opening one",
            "the end of the file within quotes",
            "close the quote; a quote within a quoted field is written twice",
        ));
    }
    rows.pop();
    Ok(rows)
}

/// The delimiter, and the header's names under it.
fn sniff(name: &str, text: &[u8], names: &Columns) -> Result<(u8, Vec<String>)> {
    let mut best: Option<((usize, usize), u8, Vec<String>)> = None;
    for delimiter in DELIMITERS {
        let mut record = ByteRecord::new();
        let read = Shared::new(0);
        let text = Metered::new(text, &read);
        let mut reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(text);
        if !reader.read_byte_record(&mut record).map_err(|error| unreadable(name, &error))? {
            continue;
        }
        let header: Vec<String> = record.iter().map(|field| String::from_utf8_lossy(field).trim().to_owned()).collect();
        // of a header without a known name, the delimiter that cuts it into most columns is likeliest
        let known = (header.iter().filter(|column| names.field_index(column).is_some()).count(), header.len());
        if best.as_ref().is_none_or(|(most, ..)| known > *most) {
            best = Some((known, delimiter, header));
        }
    }
    let (_, delimiter, header) = best.ok_or_else(|| {
        Error::malformed(name, "header", FIELDS.join(", "), "an empty file", "give a CSV file with a header line")
    })?;
    Ok((delimiter, header))
}

/// The column of each field.
pub(super) fn columns(name: &str, header: &[String], names: &Columns) -> Result<[Option<usize>; FIELDS.len()]> {
    let mut columns = [None; FIELDS.len()];
    for (i, column) in header.iter().enumerate() {
        let Some(field) = names.field_index(column) else { continue };
        if let Some(first) = columns[field].replace(i) {
            return Err(Error::malformed(
                name,
                "columns",
                format!("one column {}", FIELDS[field]),
                format!("two: {:?} and {:?}", header[first], column),
                "remove or rename one of them; names are matched without regard to case",
            ));
        }
    }
    let missing: Vec<usize> = (0..FIELDS.len()).filter(|&f| columns[f].is_none() && !names.is_optional(f)).collect();
    if missing.is_empty() {
        return Ok(columns);
    }
    Err(names.missing(name, "column", &missing, header))
}

/// One record's row.
fn row(line: usize, record: &ByteRecord, columns: &[Option<usize>; FIELDS.len()], width: usize) -> Row {
    let cell = |field: usize| {
        let Some(bytes) = columns[field].and_then(|column| record.get(column)) else { return Cell::Absent };
        match std::str::from_utf8(bytes) {
            Ok(text) if field == COMPLEXITY => number(text.trim()),
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Fault("bytes that are not UTF-8".to_owned()),
        }
    };
    let mut row = Row { line: Some(line), cells: std::array::from_fn(cell), fault: None };
    if record.len() != width {
        row.fault = Some(format!(
            "expected {width} fields as in the header, found {} (a field that holds the delimiter needs quotes)",
            record.len()
        ));
        // In a row of another width only the columns before the odd one are where they belong.
        if columns[ID] != Some(0) {
            row.cells[ID] = Cell::Absent;
        }
    }
    row
}

/// A complexity as text: empty, an integer, or a whole number as a data frame writes it.
fn number(text: &str) -> Cell {
    if text.is_empty() {
        Cell::Null
    } else if let Ok(value) = text.parse::<i64>() {
        Cell::Integer(value)
    } else if let Ok(value) = text.parse::<f64>() {
        Cell::Float(value)
    } else {
        Cell::Text(text.to_owned())
    }
}

fn unreadable(name: &str, error: &csv::Error) -> Error {
    Error::malformed(name, "text", "CSV", error.to_string(), "export the table again as CSV in UTF-8")
}

/// Line numbers of byte offsets that only grow. The reader's own count starts a record at the line
/// ends before it, and does not know those that the first read of the header skipped.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the first byte at or after `offset` that ends no line, from 1.
    fn line_of(&mut self, offset: usize) -> usize {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let offset = offset.min(self.text.len()).max(self.at);
        let skipped = self.text[offset..].iter().take_while(|byte| is_end(byte)).count();
        let to = offset + skipped;
        for i in self.at..to {
            let ends = match self.text[i] {
                b'\n' => true,
                b'\r' => self.text.get(i + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += usize::from(ends);
        }
        self.at = to;
        self.line
    }
}
