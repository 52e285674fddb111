//! The data set that a part is of, for whoever has the part's own samples alone.

use serde::{Deserialize, Serialize};

use super::fingerprint::data_sha256;
use super::shard::Shard;
use crate::dataset::{DataFile, Dataset, Sample};
use crate::error::{Error, Result};
use crate::output::{DatasetInfo, FileInfo};

/// What is known of a data set as a whole: parts of one run have it in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// As the manifest has it, without a shard.
    pub info: DatasetInfo,
    /// What a reader has to know of the texts.
    pub warnings: Vec<String>,
    /// See [`data_sha256`].
    pub sha256: String,
}

impl Whole {
    /// Of all samples; `limit` is what was asked for, `join` stands between prompt and completion.
    pub fn of(data: &Dataset, limit: Option<usize>, join: &str) -> Self {
        let info = DatasetInfo {
            files: data_files(data),
            samples: data.samples.len(),
            limit,
            shard: None,
            join: join.to_owned(),
            columns: (!data.columns.is_empty()).then(|| data.columns.to_string()),
            made_ids: data.made_ids,
            skipped_rows: data.rejected.iter().map(|r| format!("{}: {r}", r.file)).collect(),
        };
        Self { info, warnings: data.warnings(join), sha256: data_sha256(&data.samples) }
    }
}

/// The files behind the data, by the bytes that were parsed; a domain that was given stands before the path.
fn data_files(data: &Dataset) -> Vec<FileInfo> {
    let info = |file: &DataFile| FileInfo {
        path: file.domain.as_ref().map_or_else(|| file.name.clone(), |domain| format!("{domain}={}", file.name)),
        bytes: file.bytes,
        sha256: Some(file.sha256.clone()),
    };
    data.files.iter().map(info).collect()
}

/// A part's own samples among those of its data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The data set.
    pub whole: Whole,
    /// Where each of the part's samples stands in it, from 0, ascending.
    pub rows: Vec<usize>,
}

impl Excerpt {
    /// Of these samples, which are those of `shard`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where they are not, or do not stand where `rows` says.
    pub fn new(whole: Whole, rows: Vec<usize>, samples: &[Sample], shard: Shard) -> Result<Self> {
        let unlike = |what: &str, expected: String, found: String| {
            Err(Error::mismatch(what, expected, found, "give a part as it was cut from its data set"))
        };
        if rows.len() != samples.len() {
            return unlike("places of a part's samples", samples.len().to_string(), rows.len().to_string());
        }
        if let Some(sample) = samples.iter().find(|sample| !shard.takes(&sample.id)) {
            return unlike("samples of a part", format!("those of part {shard}"), format!("{:?}", sample.id));
        }
        let of = whole.info.samples;
        let ascending = rows.windows(2).all(|two| two[0] < two[1]);
        if !ascending || rows.last().is_some_and(|last| *last >= of) {
            return unlike("places of a part's samples", format!("ascending, below {of}"), "others".to_owned());
        }
        Ok(Self { whole, rows })
    }
}
