//! The GGUF header: metadata and tensor descriptions, parsed from the beginning of the file.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Every count and length is
//! held against the file's length before anything is allocated for it.

use std::collections::BTreeMap;

use crate::error::{Error, Result, shown};

/// A metadata value. Integers of every width become `i64`; single floats become the shortest
/// decimal that means them (`1e-5`, not `9.999999747378752e-6`), as a config.json would have it.
#[derive(Debug, Clone, PartialEq)]
pub enum MetaValue {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// UTF-8 text.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Single-precision numbers (doubles are rounded).
    Floats(Vec<f32>),
    /// Flags.
    Bools(Vec<bool>),
    /// Texts.
    Texts(Vec<String>),
}

/// A tensor as the header describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorHeader {
    pub(super) name: String,
    /// Sizes, innermost first.
    pub(super) dims: Vec<u64>,
    /// ggml's number of the storage type.
    pub(super) kind: u32,
    /// From the beginning of the data section.
    pub(super) offset: u64,
}

/// The parsed header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, MetaValue>,
    pub(super) tensors: Vec<TensorHeader>,
    pub(super) alignment: u64,
    /// Where the data section begins.
    pub(super) data: u64,
}

const AGAIN: &str = "the file is damaged or not a GGUF file; fetch it again";

/// Parses the header out of the first bytes of a file of `file_len` bytes; `None` when the header
/// goes on past `bytes`.
pub(super) fn parse(bytes: &[u8], file_len: u64, name: &str) -> Result<Option<Header>> {
    let mut cursor = Cursor { bytes, at: 0, file_len };
    match cursor.header() {
        Ok(header) => Ok(Some(header)),
        Err(Stop::Short) => Ok(None),
        Err(Stop::Bad { what, expected, found }) => Err(Error::malformed(name, what, expected, found, AGAIN)),
        Err(Stop::Unsupported(what, hint)) => Err(Error::unsupported(format!("{name}: {what}"), hint)),
    }
}

/// Why parsing stopped.
enum Stop {
    /// More bytes are needed, and the file has them.
    Short,
    Bad {
        what: String,
        expected: String,
        found: String,
    },
    Unsupported(String, &'static str),
}

fn bad<T>(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Bad { what: what.into(), expected: expected.into(), found: found.into() })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    file_len: u64,
}

impl Cursor<'_> {
    fn header(&mut self) -> Result<Header, Stop> {
        let magic = self.array::<4>("magic")?;
        if &magic != b"GGUF" {
            return bad("magic", "the bytes GGUF", String::from_utf8_lossy(&magic).escape_debug().to_string());
        }
        let version = self.u32("version")?;
        match version {
            2 | 3 => {}
            1 => {
                return Err(Stop::Unsupported(
                    "GGUF version 1".into(),
                    "convert it anew with a llama.cpp of after August 2023",
                ));
            }
            _ if matches!(version.swap_bytes(), 1..=3) => {
                return Err(Stop::Unsupported("big-endian GGUF".into(), "take the usual little-endian file"));
            }
            _ => return bad("version", "2 or 3", version.to_string()),
        }
        let tensor_count = self.u64("number of tensors")?;
        let value_count = self.u64("number of metadata values")?;
        // a value takes at least a key's length, a type and a byte; a tensor two lengths more
        self.room(value_count, 13, "number of metadata values")?;
        self.room(tensor_count, 24, "number of tensors")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..value_count {
            let key = self.text("metadata key")?;
            let value = self.value(&key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return bad(format!("metadata {}", shown(&key)), "each key once", "the same key again");
            }
        }
        let mut tensors = Vec::new();
        for _ in 0..tensor_count {
            tensors.push(self.tensor()?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(MetaValue::Int(n @ 1..=65536)) if n.count_ones() == 1 => *n as u64,
            Some(other) => return bad("general.alignment", "a power of two up to 65536", format!("{other:?}")),
        };
        let data = (self.at as u64).next_multiple_of(alignment);
        if data > self.file_len && !tensors.is_empty() {
            return bad(
                "length of the file",
                format!("more than the {data} bytes of the header"),
                self.file_len.to_string(),
            );
        }
        Ok(Header { metadata, tensors, alignment, data })
    }

    fn tensor(&mut self) -> Result<TensorHeader, Stop> {
        let name = self.text("tensor name")?;
        let what = format!("tensor {}", shown(&name));
        let rank = self.u32(&what)?;
        if rank > 4 {
            return bad(what, "at most 4 dimensions", rank.to_string());
        }
        let dims = (0..rank).map(|_| self.u64(&what)).collect::<Result<_, _>>()?;
        Ok(TensorHeader { dims, kind: self.u32(&what)?, offset: self.u64(&what)?, name })
    }

    fn value(&mut self, key: &str) -> Result<MetaValue, Stop> {
        let what = format!("metadata {}", shown(key));
        let kind = self.u32(&what)?;
        Ok(match kind {
            0..=5 | 10 | 11 => MetaValue::Int(self.int(kind, &what)?),
            6 => MetaValue::Float(shortest(f32::from_le_bytes(self.array(&what)?))),
            7 => MetaValue::Bool(self.flag(&what)?),
            8 => MetaValue::Text(self.text(&what)?),
            9 => self.list(&what)?,
            12 => MetaValue::Float(f64::from_le_bytes(self.array(&what)?)),
            _ => return bad(what, "a value type from 0 to 12", kind.to_string()),
        })
    }

    fn list(&mut self, what: &str) -> Result<MetaValue, Stop> {
        let kind = self.u32(what)?;
        let count = self.u64(what)?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return Err(Stop::Unsupported(format!("{what}: a list of lists"), "convert the model anew")),
            _ => return bad(what, "a value type from 0 to 12", kind.to_string()),
        };
        self.room(count, least, what)?;
        // the file has this many bytes, but perhaps not yet the buffer: allocate only for what is here
        if count * least > (self.bytes.len() - self.at) as u64 {
            return Err(Stop::Short);
        }
        Ok(match kind {
            0..=5 | 10 | 11 => MetaValue::Ints((0..count).map(|_| self.int(kind, what)).collect::<Result<_, _>>()?),
            6 => MetaValue::Floats(
                (0..count).map(|_| self.array(what).map(f32::from_le_bytes)).collect::<Result<_, _>>()?,
            ),
            7 => MetaValue::Bools((0..count).map(|_| self.flag(what)).collect::<Result<_, _>>()?),
            8 => MetaValue::Texts((0..count).map(|_| self.text(what)).collect::<Result<_, _>>()?),
            _ => MetaValue::Floats(
                (0..count).map(|_| self.array(what).map(|b| f64::from_le_bytes(b) as f32)).collect::<Result<_, _>>()?,
            ),
        })
    }

    fn int(&mut self, kind: u32, what: &str) -> Result<i64, Stop> {
        Ok(match kind {
            0 => self.array::<1>(what)?[0].into(),
            1 => i8::from_le_bytes(self.array(what)?).into(),
            2 => u16::from_le_bytes(self.array(what)?).into(),
            3 => i16::from_le_bytes(self.array(what)?).into(),
            4 => self.u32(what)?.into(),
            5 => i32::from_le_bytes(self.array(what)?).into(),
            10 => {
                let value = self.u64(what)?;
                match i64::try_from(value) {
                    Ok(value) => value,
                    Err(_) => return bad(what, "an integer below 2^63", value.to_string()),
                }
            }
            _ => i64::from_le_bytes(self.array(what)?),
        })
    }

    fn flag(&mut self, what: &str) -> Result<bool, Stop> {
        match self.array::<1>(what)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => bad(what, "0 or 1", other.to_string()),
        }
    }

    fn text(&mut self, what: &str) -> Result<String, Stop> {
        let len = self.u64(what)?;
        self.room(len, 1, what)?;
        let bytes = self.take(len as usize, what)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => bad(what, "UTF-8 text", e.to_string()),
        }
    }

    fn u32(&mut self, what: &str) -> Result<u32, Stop> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, Stop> {
        self.array(what).map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Stop> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn take(&mut self, len: usize, what: &str) -> Result<&[u8], Stop> {
        self.room(len as u64, 1, what)?;
        let taken = self.bytes.get(self.at..self.at + len).ok_or(Stop::Short)?;
        self.at += len;
        Ok(taken)
    }

    /// The rest of the file must have room for `count` things of at least `least` bytes.
    fn room(&self, count: u64, least: u64, what: &str) -> Result<(), Stop> {
        let left = self.file_len - self.at as u64;
        if count.checked_mul(least).is_some_and(|bytes| bytes <= left) {
            return Ok(());
        }
        bad(what, format!("something that fits into the remaining {left} bytes of the file"), count.to_string())
    }
}

/// The double with the shortest decimal that reads back as `value`.
pub(super) fn shortest(value: f32) -> f64 {
    // a float's own text always parses
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
