//! What a Parquet file would take in memory, told by its footer and its pages' headers before the reader
//! believes them: it makes room for as much as they say, and an allocation that fails ends the program.
//!
//! Format: <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::limits::MAX_TEXT;
use super::thrift::{Compact, Seen};

/// Largest footer.
const MAX_FOOTER: usize = 64 << 20;
/// Deepest columns in columns.
const MAX_NESTING: usize = 64;
/// Bytes that the values of one batch may take, before their copies.
const BATCH_BYTES: u64 = 64 << 20;
/// Most rows of a batch.
const BATCH_ROWS: u64 = 1024;
/// Largest inflated page of the old LZ4, whose reader asks for no length.
const OLD_LZ4_BYTES: u64 = 256 << 20;
/// No byte of LZ4 stands for more.
const LZ4_RATIO: u64 = 255;

// numbers of the format: types of pages, and encodings
const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;
const DELTA_LENGTH: i64 = 6;
const DELTA_TEXT: i64 = 7;

/// Checks the footer of a file that ends as a Parquet file does; the reader refuses any other.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_footer(file: &[u8]) -> Result<(), String> {
    let Some((rest, [a, b, c, d, b'P', b'A', b'R', b'1'])) = file.split_last_chunk::<8>() else { return Ok(()) };
    let len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    if len > MAX_FOOTER {
        return Err(format!("a footer of {len} bytes, more than {MAX_FOOTER}"));
    }
    let Some(start) = rest.len().checked_sub(len) else {
        return Err(format!("a footer of {len} bytes in a file of {}", file.len()));
    };
    // of every entry of the schema, how many there are below it
    let mut below: Vec<usize> = Vec::new();
    let walked = Compact::new(&rest[start..]).walk(&mut |path, seen| match (path, seen) {
        ([2], Seen::Begin) => below.push(0),
        ([2, 5], Seen::Integer(n)) => {
            if let Some(last) = below.last_mut() {
                *last = usize::try_from(n).unwrap_or(usize::MAX);
            }
        }
        _ => {}
    });
    walked.map_err(|found| format!("a footer with {found}"))?;
    check_tree(&below)
}

/// A tree by the number of children of each node, depth first: its reader follows it down, and makes room
/// for as many as it says.
fn check_tree(below: &[usize]) -> Result<(), String> {
    let mut open: Vec<usize> = Vec::new();
    for (i, &children) in below.iter().enumerate() {
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > below.len() - i - 1 {
            return Err(format!("a schema whose entry {i} has {children} columns below it, of {}", below.len()));
        }
        if open.len() == MAX_NESTING {
            return Err(format!("a schema more than {MAX_NESTING} deep"));
        }
        open.push(children);
    }
    Ok(())
}

/// How many rows may be read at once of some leaves of the schema, so that no batch explodes; `most` rows in all.
///
/// # Errors
/// What is too much, or wrong.
pub(super) fn batch_rows(
    file: &Bytes,
    metadata: &ParquetMetaData,
    leaves: &[usize],
    most: usize,
) -> Result<usize, String> {
    let (mut rows, mut total) = (0u64, 0u64);
    let mut widest = vec![1; leaves.len()];
    for group in metadata.row_groups() {
        let in_group = u64::try_from(group.num_rows()).map_err(|_| "a negative number of rows")?;
        rows = rows.saturating_add(in_group);
        if rows > most as u64 {
            return Err(format!("{rows} rows or more, at most {most} are read"));
        }
        for (&leaf, widest) in leaves.iter().zip(&mut widest) {
            let chunk = group.columns().get(leaf).ok_or("a row group without a column")?;
            let pages = Pages::read(file, chunk, in_group)?;
            total = total.saturating_add(pages.bytes);
            if total > MAX_TEXT {
                return Err(format!("more than {MAX_TEXT} bytes in the columns of the fields"));
            }
            *widest = pages.widest(file, chunk, in_group)?.max(*widest);
        }
    }
    Ok((BATCH_BYTES / widest.iter().sum::<u64>().max(1)).clamp(1, BATCH_ROWS) as usize)
}

/// The pages of a column chunk, by their headers.
#[derive(Default)]
struct Pages {
    /// All of them, unpacked.
    bytes: u64,
    /// Bytes of a value on average, in the page where that is most.
    average: u64,
    /// The largest page in which a value may begin like the one before it.
    shared: u64,
    /// Whether they have to be looked into.
    inside: bool,
}

impl Pages {
    fn read(file: &Bytes, chunk: &ColumnChunkMetaData, rows: u64) -> Result<Self, String> {
        let (start, len) = chunk.byte_range();
        let end = start.checked_add(len).filter(|&end| end <= file.len() as u64);
        let Some(end) = end else { return Err(format!("a column of {len} bytes at {start}")) };
        let mut rest = &file[start as usize..end as usize];
        let mut pages = Self::default();
        while !rest.is_empty() {
            let (header, len) = Header::read(rest).map_err(|found| format!("a page's header with {found}"))?;
            let stored = rest.get(len..).and_then(|rest| rest.get(..header.stored as usize));
            let stored = stored.ok_or("a page that leaves its column")?;
            header.check(rows)?;
            header.check_codec(chunk.compression(), stored)?;
            pages.bytes = pages.bytes.saturating_add(header.unpacked);
            match (header.kind, header.encoding) {
                (DICTIONARY, _) => pages.inside = true,
                (DATA | DATA_V2, encoding) => {
                    pages.average = pages.average.max(header.unpacked / header.values.max(1));
                    pages.inside |= matches!(encoding, DELTA_LENGTH | DELTA_TEXT);
                    pages.shared = pages.shared.max(if encoding == DELTA_TEXT { header.unpacked } else { 0 });
                }
                _ => {}
            }
            rest = &rest[len + stored.len()..];
        }
        Ok(pages)
    }

    /// Bytes of the largest value that may occur again and again.
    fn widest(&self, file: &Bytes, chunk: &ColumnChunkMetaData, rows: u64) -> Result<u64, String> {
        let mut widest = self.average.max(self.shared);
        if !self.inside || chunk.column_type() != Type::BYTE_ARRAY {
            return Ok(widest);
        }
        let words = |e: parquet::errors::ParquetError| e.to_string();
        let levels = chunk.column_descr().max_def_level() > 0;
        let mut pages = SerializedPageReader::new(Arc::new(file.clone()), chunk, rows as usize, None).map_err(words)?;
        while let Some(page) = pages.get_next_page().map_err(words)? {
            match page {
                Page::DictionaryPage { buf, .. } => widest = widest.max(longest(&buf)),
                Page::DataPage { buf, num_values, encoding, .. } => {
                    // definition levels come first, behind their length
                    let start = match buf.first_chunk().filter(|_| levels) {
                        Some(len) => (u32::from_le_bytes(*len) as usize).saturating_add(4),
                        None => 0,
                    };
                    check_deltas(buf.get(start..).unwrap_or_default(), encoding, num_values)?;
                }
                Page::DataPageV2 { buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, .. } => {
                    let start = (def_levels_byte_len as usize).saturating_add(rep_levels_byte_len as usize);
                    check_deltas(buf.get(start..).unwrap_or_default(), encoding, num_values)?;
                }
            }
        }
        Ok(widest)
    }
}

/// Length of the longest of some values, each behind its length.
fn longest(mut dictionary: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((len, rest)) = dictionary.split_first_chunk() {
        let len = u32::from_le_bytes(*len) as usize;
        let Some(rest) = rest.get(len..) else { break };
        longest = longest.max(len as u64);
        dictionary = rest;
    }
    longest
}

/// A page of lengths and texts must not speak of more of them than it has values.
fn check_deltas(values: &[u8], encoding: Encoding, most: u32) -> Result<(), String> {
    let lists = match encoding {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return Ok(()),
    };
    let mut rest = values;
    for _ in 0..lists {
        let used = deltas(rest, u64::from(most)).map_err(|found| format!("a page of lengths with {found}"))?;
        rest = rest.get(used..).unwrap_or_default();
    }
    Ok(())
}

/// Bytes of a list of integers by their differences, of which there must not be more than `most`.
fn deltas(bytes: &[u8], most: u64) -> Result<usize, String> {
    let mut head = Compact::new(bytes);
    let (block, parts, count) = (head.varint()?, head.varint()?, head.varint()?);
    head.zigzag()?;
    if count > most {
        return Err(format!("{count} of {most} values"));
    }
    if parts == 0 || block == 0 || block % parts != 0 || parts > bytes.len() as u64 {
        return Err(format!("blocks of {block} values in {parts} parts"));
    }
    let mut at = head.at();
    // the first value is in the header
    let mut left = count.saturating_sub(1);
    while left > 0 {
        let mut head = Compact::new(bytes.get(at..).unwrap_or_default());
        head.zigzag()?;
        at += head.at();
        let widths = at..at + parts as usize;
        at = widths.end;
        for &width in bytes.get(widths).ok_or("its end")? {
            if left == 0 {
                break;
            }
            let part = (block / parts).checked_mul(u64::from(width)).ok_or("a part of too many bits")? / 8;
            at = at.saturating_add(usize::try_from(part).unwrap_or(usize::MAX));
            left = left.saturating_sub(block / parts);
        }
    }
    Ok(at)
}

/// What a page's header says.
#[derive(Default)]
struct Header {
    kind: i64,
    unpacked: u64,
    stored: u64,
    values: u64,
    encoding: i64,
    /// Bytes at the beginning that are not packed.
    levels: u64,
}

impl Header {
    /// The header, and its length.
    fn read(bytes: &[u8]) -> Result<(Self, usize), String> {
        let mut header = Self::default();
        // they are of 32 bits
        let possible = 0..=i64::from(i32::MAX);
        let mut wrong = false;
        let mut compact = Compact::new(bytes);
        compact.walk(&mut |path, seen| {
            let Seen::Integer(value) = seen else { return };
            let mut size = |field: &mut u64| {
                // of two, the larger counts
                *field = (*field).max(value.unsigned_abs());
                wrong |= !possible.contains(&value);
            };
            match path {
                [1] => header.kind = value,
                [2] => size(&mut header.unpacked),
                [3] => size(&mut header.stored),
                [5 | 7 | 8, 1] => size(&mut header.values),
                [5, 2] | [8, 4] => header.encoding = value,
                [8, 5 | 6] => {
                    header.levels = header.levels.saturating_add(value.unsigned_abs());
                    wrong |= !possible.contains(&value);
                }
                _ => {}
            }
        })?;
        if wrong { Err("an impossible size".to_owned()) } else { Ok((header, compact.at())) }
    }

    /// No more values than rows; in a dictionary, none without a byte.
    fn check(&self, rows: u64) -> Result<(), String> {
        let most = if self.kind == DICTIONARY { self.unpacked } else { rows };
        if self.values > most {
            return Err(format!("a page of {} values, at most {most} fit", self.values));
        }
        Ok(())
    }

    /// What is unpacked without regard to the header's length must not be longer. Others make as much room
    /// as it says, and stop there.
    fn check_codec(&self, codec: Compression, stored: &[u8]) -> Result<(), String> {
        match codec {
            Compression::GZIP(_) => {
                let packed = stored.get(self.levels as usize..).unwrap_or_default();
                let most = self.unpacked.saturating_sub(self.levels);
                let inflated = io::copy(&mut MultiGzDecoder::new(packed).take(most + 1), &mut io::sink());
                match inflated {
                    Ok(n) if n > most => Err(format!("a page that inflates to more than its {most} bytes")),
                    // the reader says it better
                    _ => Ok(()),
                }
            }
            Compression::LZ4 if stored.len() as u64 > OLD_LZ4_BYTES / LZ4_RATIO => {
                Err("a page of more than a megabyte in the old LZ4 (write it with snappy)".to_owned())
            }
            _ => Ok(()),
        }
    }
}
