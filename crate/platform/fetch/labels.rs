//! Neuronpedia's explanations of a dictionary's features: files of a public bucket that are numbered from 0, as many as
//! there are.
//!
//! How many, nothing says: they are asked for until one is not there. Then a mark is written beside them, and only with
//! it they count as fetched: a break in the middle looks like an end. Layout:
//! <https://docs.neuronpedia.org/api-and-data/exports>.

use std::path::{Path, PathBuf};

use super::{OnProgress, Settings, http, lock};
use crate::error::{Error, Result};
use crate::platform::{RemoteFile, write_atomic};

/// Bytes of a file at most: real ones have a few megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// Files of a dictionary at most: real ones have a few dozen.
const MOST_FILES: usize = 4096;

/// The mark: how many files there are.
const MARK: &str = "batches";

/// Where the files of a dictionary (`model/source`) lie.
fn folder(dictionary: &str, settings: &Settings) -> Result<PathBuf> {
    let plain = |part: &str| {
        part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !part.bytes().all(|b| b == b'.')
    };
    match dictionary.split_once('/') {
        Some((model, source)) if plain(model) && plain(source) => {
            Ok(settings.cache.join("labels").join(model).join(source))
        }
        _ => Err(Error::usage(
            format!("{dictionary} is no dictionary of Neuronpedia"),
            "a name is MODEL/SOURCE, such as gemma-2-2b/20-gemmascope-res-16k",
        )),
    }
}

fn file(number: usize) -> String {
    format!("batch-{number}.jsonl.gz")
}

/// The files of a dictionary's explanations, where all are in the cache.
pub fn cached_labels(dictionary: &str, settings: &Settings) -> Option<Vec<PathBuf>> {
    let folder = folder(dictionary, settings).ok()?;
    let text = std::fs::read_to_string(folder.join(MARK)).ok()?;
    let count: usize = text.trim().parse().ok().filter(|count| (1..=MOST_FILES).contains(count))?;
    let files: Vec<PathBuf> = (0..count).map(|number| folder.join(file(number))).collect();
    files.iter().all(|path| path.is_file()).then_some(files)
}

/// Fetches a dictionary's explanations (`gemma-2-2b/20-gemmascope-res-16k`) into the cache; what is there already is
/// not fetched again, and one that broke off goes on.
///
/// # Errors
/// [`Error::Missing`] where there are none; [`Error::Usage`] for what is no name of a dictionary; those of fetching.
pub fn fetch_labels(dictionary: &str, settings: &Settings, progress: OnProgress<'_>) -> Result<Vec<PathBuf>> {
    if let Some(files) = cached_labels(dictionary, settings) {
        return Ok(files);
    }
    let folder = folder(dictionary, settings)?;
    let mut files = Vec::new();
    while files.len() < MOST_FILES && one(dictionary, &folder, files.len(), settings, progress)? {
        files.push(folder.join(file(files.len())));
    }
    if files.is_empty() {
        return Err(Error::missing(
            format!("explanations of {dictionary} at {}", settings.labels),
            "Neuronpedia has them of some dictionaries; others can be given with --labels FILE",
        ));
    }
    write_atomic(folder.join(MARK), format!("{}\n", files.len()).as_bytes())?;
    Ok(files)
}

/// Fetches one file, unless it is there; whether the bucket has it.
fn one(dictionary: &str, folder: &Path, number: usize, settings: &Settings, progress: OnProgress<'_>) -> Result<bool> {
    let target = folder.join(file(number));
    let _lock = lock(&target, settings)?;
    if target.is_file() {
        return Ok(true);
    }
    let url = format!("{}/{dictionary}/explanations/{}", settings.labels, file(number));
    let shown = RemoteFile { path: format!("{dictionary}/{}", file(number)), size: None, sha256: None };
    match http::download_from(url, MOST_BYTES, &shown, &target, settings, progress) {
        Ok(()) => Ok(true),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
