//! JSON arrays and JSON lines.

use std::cell::{Cell as Shared, RefCell};
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::columns::Columns;
use super::limits;
use super::row::{Cell, FIELDS, Row};
use crate::error::{Error, Result};

/// Key of the array in an object that wraps it.
const WRAPPER: &str = "samples";
/// Distinct keys that are remembered for messages.
const KEYS: usize = 64;
const SHAPE: &str = "an array of objects, or an object whose `samples` is one";
const SHAPE_HINT: &str = r#"write [{"id": "a", "prompt": "…", "fact": "…", "hallucination": "…"}, …]"#;

/// Rows of an array of objects, or of the `samples` of an object.
///
/// # Errors
/// [`Error::Malformed`] with line and column when the text is not JSON or has another shape; without
/// them when no row has a key that every row needs.
pub(super) fn read_array(name: &str, text: &[u8], columns: &Columns) -> Result<Vec<Row>> {
    let keys = Keys::new(columns);
    let place = Place { text, read: Shared::new(0), counted: Shared::new((0, 1)) };
    let mut deserializer = serde_json::Deserializer::from_reader(&place);
    let rows = DeserializeSeed::deserialize(Top(&place, &keys), &mut deserializer);
    let rows = rows.and_then(|rows| deserializer.end().map(|()| rows)).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        let words = without_place(&error);
        if !error.is_data() {
            let hint = match text.trim_ascii() {
                [b'{', ..] if words.starts_with("trailing characters") => {
                    "a file with one object a line is JSON Lines: name it .jsonl"
                }
                _ if error.is_eof() => "the file ends too early: copy it again, or close its brackets",
                _ => "correct the text at this place; a JSON checker shows it in context",
            };
            return Error::malformed(name, at, "valid JSON", words, hint);
        }
        // serde's wording for a type is "invalid type: FOUND, expected SHAPE".
        let found = words.strip_prefix("invalid type: ").unwrap_or(&words);
        let found = found.split_once(", expected ").map_or(found, |(found, _)| found);
        Error::malformed(name, at, SHAPE, found, SHAPE_HINT)
    })?;
    keys.check(name, rows)
}

/// Rows of a file with one object a line.
///
/// # Errors
/// [`Error::Malformed`] when no row has a key that every row needs.
pub(super) fn read_lines(name: &str, text: &[u8], columns: &Columns) -> Result<Vec<Row>> {
    let keys = Keys::new(columns);
    let mut rows = Vec::new();
    for (i, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let row = Object(None, &keys).deserialize(&mut deserializer).and_then(|row| deserializer.end().map(|()| row));
        let row = row.unwrap_or_else(|error| {
            let array = if rows.is_empty() && line.trim_ascii_start().starts_with(b"[") {
                " (a file that holds one array is JSON: name it .json)"
            } else {
                ""
            };
            let fault = format!("not valid JSON at column {}: {}{array}", error.column(), without_place(&error));
            Row { fault: Some(fault), ..Row::default() }
        });
        limits::room(name, &rows)?;
        rows.push(Row { line: Some(i + 1), ..row });
    }
    keys.check(name, rows)
}

/// What the fields are called, and what keys the rows have.
struct Keys<'a> {
    columns: &'a Columns,
    found: RefCell<Vec<String>>,
}

impl<'a> Keys<'a> {
    fn new(columns: &'a Columns) -> Self {
        Self { columns, found: RefCell::default() }
    }

    /// The field that a key holds; the key is remembered.
    fn field(&self, key: &str) -> Option<usize> {
        let mut found = self.found.borrow_mut();
        if found.len() < KEYS && !found.iter().any(|k| k == key) {
            found.push(key.to_owned());
        }
        self.columns.field_index(key)
    }

    /// The rows, unless none of them has a key that each needs: then the file calls it otherwise.
    fn check(&self, name: &str, rows: Vec<Row>) -> Result<Vec<Row>> {
        let found = self.found.borrow();
        let nowhere = |field: usize| rows.iter().all(|row| row.cells[field] == Cell::Absent);
        let missing: Vec<usize> = (0..FIELDS.len()).filter(|&f| !self.columns.is_optional(f) && nowhere(f)).collect();
        if missing.is_empty() || found.is_empty() {
            return Ok(rows);
        }
        Err(self.columns.missing(name, "key", &missing, &found))
    }
}

/// Whether `text` is one object with a key `samples`.
pub(super) fn is_wrapped(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text)
        .is_ok_and(|map| map.contains_key(WRAPPER))
}

/// serde_json's words without their ` at line L column C`.
fn without_place(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words).to_owned()
}

/// Text that knows how far it has been read: serde_json tells the place of an error, but not of a
/// value. Its reader takes single bytes, at most one past the end of a number.
struct Place<'a> {
    text: &'a [u8],
    read: Shared<usize>,
    /// A byte count, and the line that it ends on.
    counted: Shared<(usize, usize)>,
}

impl Place<'_> {
    /// Line of the last byte but one that was read: the opening brace, or within a scalar.
    fn line(&self) -> usize {
        let (from, line) = self.counted.get();
        let to = self.read.get().saturating_sub(1).max(from);
        let line = line + self.text[from..to].iter().filter(|&&byte| byte == b'\n').count();
        self.counted.set((to, line));
        line
    }
}

impl Read for &Place<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.text[self.read.get()..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.read.set(self.read.get() + n);
        Ok(n)
    }
}

/// The whole file.
struct Top<'a>(&'a Place<'a>, &'a Keys<'a>);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Vec<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Vec<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Rows(self.0, self.1).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut rows = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != WRAPPER {
                map.next_value::<IgnoredAny>()?;
            } else if rows.replace(map.next_value_seed(Rows(self.0, self.1))?).is_some() {
                return Err(A::Error::custom("an object with `samples` twice"));
            }
        }
        rows.ok_or_else(|| A::Error::custom("an object without `samples`"))
    }
}

/// An array of rows.
struct Rows<'a>(&'a Place<'a>, &'a Keys<'a>);

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = Vec<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Vec<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element_seed(Object(Some(self.0), self.1))? {
            if rows.len() == limits::MAX_ROWS {
                return Err(A::Error::custom(format!("more than {} rows", limits::MAX_ROWS)));
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// One row: an object's fields, or the fault that it is no object.
struct Object<'a>(Option<&'a Place<'a>>, &'a Keys<'a>);

impl Object<'_> {
    fn line(&self) -> Option<usize> {
        self.0.map(Place::line)
    }

    /// The row for a value that is no object.
    fn fault<E>(self, found: impl fmt::Display) -> Result<Row, E> {
        let fault = format!("expected an object, found {found}");
        Ok(Row { line: self.line(), fault: Some(fault), ..Row::default() })
    }
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Row;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut row = Row { line: self.line(), ..Row::default() };
        while let Some(key) = map.next_key::<String>()? {
            let Some(field) = self.1.field(&key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value_seed(Value)?;
            if row.cells[field] != Cell::Absent {
                row.fault = Some(format!("{} is given twice", FIELDS[field]));
            }
            row.cells[field] = value;
        }
        Ok(row)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Row, A::Error> {
        let row = self.fault("an array");
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        row
    }

    fn visit_bool<E>(self, value: bool) -> Result<Row, E> {
        self.fault(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Row, E> {
        self.fault(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Row, E> {
        self.fault(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Row, E> {
        self.fault(format_args!("{value:?}"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Row, E> {
        self.fault("text")
    }

    fn visit_unit<E>(self) -> Result<Row, E> {
        self.fault("null")
    }
}

/// One field's value.
struct Value;

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Cell;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Fault("an object".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Fault("an array".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
        Ok(Cell::Fault(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(i64::try_from(value).map_or_else(|_| Cell::Fault(value.to_string()), Cell::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Cell, E> {
        Ok(Cell::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }
}
