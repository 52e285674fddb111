//! Triples (prompt, fact, hallucination): the 200 built-in ones and every reader of a user's own.
//!
//! # Which fault costs a row, and which the file
//! A fault that leaves the other rows readable rejects its row: the row is listed in
//! [`Dataset::rejected`] with its reason, and reading goes on. [`Dataset::strict`] turns such a
//! list into one error, for callers that want all rows or none.
//!
//! | fault | consequence |
//! |---|---|
//! | `id` missing or empty in some rows, or used more than once (all rows that share it) | rows rejected |
//! | `prompt` missing, empty, or only white space | row rejected |
//! | `fact` or `hallucination` missing or null | row rejected |
//! | a field of the wrong type, or twice in one JSON object; `complexity` no 64-bit integer | row rejected |
//! | a row that is not an object (JSON), not valid JSON (a JSONL line), has more or fewer fields than the header (CSV) | row rejected |
//! | text that is not UTF-8 in a JSONL line, a CSV row, a Parquet value | row rejected |
//! | JSON that is malformed or not UTF-8; JSON that holds no array of objects | file refused, with line and column |
//! | a column missing or doubled in a CSV header or a Parquet schema, a key that no JSON row has; a Parquet column of the wrong type | file refused |
//! | a CSV quote that is never closed; UTF-16; a compressed text file; a damaged Parquet file | file refused |
//! | no row at all, or none that is usable; more than 2,000,000 rows, or 1 GiB of text | file refused |
//!
//! # Fields
//! `prompt`, `fact` and `hallucination` (text, kept exactly as given) are required; `cluster` (text or an integer,
//! trimmed) may name what a sample is not independent of. `id` (text or an
//! integer, trimmed) is required as soon as one row has it; a file in which no row has one gets
//! `row-000001` and so on, by the number of the row in the file, which [`merge`] makes
//! `file2-row-000001` for the second file. `domain` (trimmed, `unspecified` by default) and `complexity` (an integer,
//! 0 by default) may be missing, null or empty. An empty fact or hallucination is allowed: the
//! text is then the prompt and one space. Names are matched without regard to case, [`Columns`] gives
//! others; other fields and columns are ignored.

mod columnar;
mod columns;
mod controls;
mod delimited;
mod doubts;
mod faults;
mod json;
mod labels;
mod limit;
mod limits;
mod memory;
mod pages;
mod row;
#[cfg(test)]
mod tests;
mod thrift;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use columnar::{parquet_batches, parquet_columns, parquet_table};
pub use columns::Columns;
pub use controls::{ControlPairs, positive_controls};
pub use labels::{Labels, layer_of, neuronpedia_url};
pub use memory::Rows;

use crate::error::{Error, Result, shown};
use crate::hash::{self, Hasher};

/// What stands between prompt and completion unless something else is asked for: one ASCII space.
pub const DEFAULT_JOIN: &str = " ";

/// Domain of a sample whose file names none.
pub const UNSPECIFIED_DOMAIN: &str = "unspecified";

/// The built-in triples, one JSON object a line. Each carries a `source` for its fact.
///
/// 50 each of the domains `entity`, `temporal`, `logical` and `adversarial`. `complexity` counts
/// how much has to be known or worked out: 1–2 common knowledge or one step, 3–4 school knowledge
/// or a step with a trap, 5–6 general knowledge or two steps, 7–8 specialised knowledge, three
/// steps or a widespread myth, 9–10 expert knowledge, long chains, or a myth that textbooks repeat.
pub const BUILTIN_JSONL: &str = include_str!("builtin.jsonl");

/// One triple.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Sample {
    /// Unique name within the data set.
    pub id: String,
    /// Group that results are compared within.
    pub domain: String,
    /// Difficulty; 1 to 10 in the built-in set, any integer in others, 0 where none is given.
    pub complexity: i64,
    /// What it is not independent of: samples of one template or source. None where the data set does not say.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub cluster: Option<String>,
    /// Unfinished sentence.
    pub prompt: String,
    /// True completion.
    pub fact: String,
    /// False completion.
    pub hallucination: String,
}

impl Sample {
    /// The cluster that it is in: the data set's own, else that of all samples with this very prompt.
    pub fn cluster(&self) -> String {
        match &self.cluster {
            Some(cluster) => cluster.clone(),
            None => format!("prompt {}", &hash::sha256(&self.prompt)[..16]),
        }
    }

    /// The prompt alone.
    pub fn prompt_text(&self) -> String {
        self.prompt.clone()
    }

    /// Prompt, `join`, fact.
    pub fn fact_text(&self, join: &str) -> String {
        format!("{}{join}{}", self.prompt, self.fact)
    }

    /// Prompt, `join`, hallucination.
    pub fn hall_text(&self, join: &str) -> String {
        format!("{}{join}{}", self.prompt, self.hallucination)
    }
}

/// A row that stays out of a data set, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Rejected {
    /// File that holds the row.
    pub file: String,
    /// Number of the row among the file's rows, from 1 (a header is no row).
    pub row: usize,
    /// Line that the row starts on, from 1; none in Parquet.
    pub line: Option<usize>,
    /// Its id, where it has a readable one.
    pub id: Option<String>,
    /// Everything that is wrong with it.
    pub reason: String,
}

/// A file that samples came from, as it was when it was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Path, or `builtin`.
    pub name: String,
    /// The domain that took the place of its rows' own.
    pub domain: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// sha256 of the bytes that were parsed, in lower-case hexadecimal.
    pub sha256: String,
}

/// Samples in file order, and the rows that could not become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Path, or `builtin`.
    pub name: String,
    /// Usable rows, in file order; at least one.
    pub samples: Vec<Sample>,
    /// The other rows, in file order.
    pub rejected: Vec<Rejected>,
    /// Lower-case hexadecimal sha256 of the file's bytes (see [`merge`] for several files).
    pub sha256: String,
    /// The files, in the order given.
    pub files: Vec<DataFile>,
    /// Whether ids were made from row numbers, since a file has none.
    pub made_ids: bool,
    /// Columns that are called otherwise than their fields.
    pub columns: Columns,
}

/// File formats of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An array of objects, or an object whose `samples` is one.
    Json,
    /// One object a line; blank lines are skipped.
    Jsonl,
    /// A header and rows, separated by commas, semicolons, tabs or `|`, quoted by `"`.
    Csv,
    /// Parquet with text columns (plain, large, view, dictionary or binary) and integer columns.
    Parquet,
}

impl Format {
    /// The format that a file name's extension tells; none where it tells nothing.
    pub fn from_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" | "tsv" => Some(Self::Csv),
            "parquet" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The format by extension, and by content where the extension does not tell.
    pub fn detect(name: &str, bytes: &[u8]) -> Self {
        Self::from_name(name).unwrap_or_else(|| Self::sniff(bytes))
    }

    /// The format by content: Parquet's magic, a leading bracket or brace, else CSV.
    fn sniff(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"PAR1") {
            return Self::Parquet;
        }
        let text = bytes.strip_prefix(row::UTF8_BOM).unwrap_or(bytes).trim_ascii();
        match text.first() {
            Some(b'[') => Self::Json,
            // One object a line, or one object over many: the first line alone is an object in
            // the former, and there is a second line.
            Some(b'{') => match text.iter().position(|&b| b == b'\n') {
                Some(end) if serde_json::from_slice::<serde::de::IgnoredAny>(&text[..end]).is_ok() => Self::Jsonl,
                Some(_) => Self::Json,
                None if json::is_wrapped(text) => Self::Json,
                None => Self::Jsonl,
            },
            _ => Self::Csv,
        }
    }
}

/// The 200 built-in triples.
///
/// # Errors
/// None in a build whose tests pass: the data are compiled in.
pub fn builtin() -> Result<Dataset> {
    parse("builtin", Format::Jsonl, BUILTIN_JSONL.as_bytes(), None)?.strict()
}

/// Reads a data set whose columns are called like their fields; see [`parse_as`].
///
/// # Errors
/// As [`parse_as`].
pub fn parse(name: &str, format: Format, bytes: &[u8], domain: Option<&str>) -> Result<Dataset> {
    parse_as(name, format, bytes, domain, &Columns::default())
}

/// Reads a data set; `name` appears in messages, `domain` replaces every row's own, `columns` says
/// what the fields are called.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Unsupported`] for what the module's table calls a refused file.
pub fn parse_as(name: &str, format: Format, bytes: &[u8], domain: Option<&str>, columns: &Columns) -> Result<Dataset> {
    let domain = domain.map(str::trim);
    if domain == Some("") {
        return Err(Error::usage(
            format!("the domain given for {name} is empty"),
            "name it as in `--dataset entity=FILE`, or give the file alone",
        ));
    }
    let rows = match format {
        Format::Json => json::read_array(name, row::text_start(name, bytes)?, columns)?,
        Format::Jsonl => json::read_lines(name, row::text_start(name, bytes)?, columns)?,
        Format::Csv => delimited::read(name, row::text_start(name, bytes)?, columns)?,
        Format::Parquet => columnar::read(name, bytes, columns)?,
    };
    checked(name, rows, domain, columns, |_| (bytes.len() as u64, hash::sha256(bytes)))
}

/// A data set of rows; `hashed` gives size and sha256 of what they came from, or of the samples.
fn checked(
    name: &str,
    rows: Vec<row::Row>,
    domain: Option<&str>,
    columns: &Columns,
    hashed: impl FnOnce(&[Sample]) -> (u64, String),
) -> Result<Dataset> {
    let total = rows.len();
    let made_ids = row::without_ids(&rows);
    let (samples, rejected) = row::check(name, rows, domain, made_ids);
    let (bytes, sha256) = hashed(&samples);
    let (name_of, domain) = (name.to_owned(), domain.map(str::to_owned));
    let files = vec![DataFile { name: name_of.clone(), domain, bytes, sha256: sha256.clone() }];
    let columns = columns.clone();
    let dataset = Dataset { name: name_of, samples, rejected, sha256, files, made_ids, columns };
    if !dataset.samples.is_empty() {
        return Ok(dataset);
    }
    if total > 0 {
        return dataset.strict();
    }
    Err(Error::malformed(
        name,
        "rows",
        "at least one",
        "none",
        "a data set holds rows of prompt, fact and hallucination; id, domain, complexity and cluster are optional",
    ))
}

/// Several data sets as one, in the order given.
///
/// One data set passes through unchanged. Otherwise the name lists the parts', `sha256` is the hash of
/// the parts' binary hashes, one after another, and ids that were made from row numbers begin with
/// the number of their part, `file1-`, so that they stay apart.
///
/// # Errors
/// [`Error::Usage`] when there is no part; [`Error::Mismatch`] when two parts share an id: results
/// are told apart by it, so it is not made unique behind the user's back.
pub fn merge(mut datasets: Vec<Dataset>) -> Result<Dataset> {
    if datasets.len() <= 1 {
        return datasets
            .pop()
            .ok_or_else(|| Error::usage("no data set given", "give at least one with --dataset FILE"));
    }
    for (k, part) in datasets.iter_mut().enumerate().filter(|(_, part)| part.made_ids) {
        part.samples.iter_mut().for_each(|sample| sample.id = format!("file{}-{}", k + 1, sample.id));
    }
    let mut owner: HashMap<&str, &str> = HashMap::new();
    for part in &datasets {
        for sample in &part.samples {
            if let Some(first) = owner.insert(&sample.id, &part.name) {
                return Err(Error::mismatch(
                    format!("id \"{}\" in {}", shown(&sample.id), part.name),
                    "ids that are unique over all data sets",
                    format!("the same id in {first}"),
                    "rename the ids in one of the files, for example with a prefix for each file",
                ));
            }
        }
    }
    let mut hasher = Hasher::new();
    for part in &datasets {
        // text that is no hash counts as itself
        hasher.update(hash::unhex(&part.sha256).unwrap_or_else(|| part.sha256.clone().into_bytes()));
    }
    let name = datasets.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(", ");
    let made_ids = datasets.iter().any(|part| part.made_ids);
    let columns = datasets.first().map(|part| part.columns.clone()).unwrap_or_default();
    let (mut samples, mut rejected, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for part in datasets {
        samples.extend(part.samples);
        rejected.extend(part.rejected);
        files.extend(part.files);
    }
    Ok(Dataset { name, samples, rejected, sha256: hasher.hex(), files, made_ids, columns })
}

impl Dataset {
    /// The data set, if no row was rejected.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the reasons, each with the first rows at fault.
    pub fn strict(self) -> Result<Self> {
        if self.rejected.is_empty() {
            return Ok(self);
        }
        let total = self.samples.len() + self.rejected.len();
        let found = format!("{} at fault", self.rejected.len());
        let expected = if total == 1 { "1 usable row".to_owned() } else { format!("{total} usable rows") };
        let hint = if self.samples.is_empty() {
            "no row is usable; each needs a prompt, a fact and a hallucination, and ids have to be unique"
        } else {
            "correct these rows, or leave them out with --skip-invalid"
        };
        Err(Error::malformed(self.name, "rows", expected, found, hint).with_lines(&faults::lines(&self.rejected)))
    }
}

impl Rejected {
    /// Where it stands: `line 3 (row 2), id "a"`.
    fn place(&self) -> String {
        let place = match self.line {
            Some(line) => format!("line {line} (row {})", self.row),
            None => format!("row {}", self.row),
        };
        self.id.as_ref().map_or(place.clone(), |id| format!("{place}, id \"{}\"", shown(id)))
    }
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place(), self.reason)
    }
}
