//! `catalog.json`: which models and finished runs lie beside the page.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::closing::quoted;
use super::fetch::KnownFiles;
use crate::error::{Error, Result};
use crate::model::registry::KnownModel;
use crate::platform::fetch::Fetched;
use crate::protocol::{CATALOG_FILE, Catalog, HostedFile, HostedModel, HostedRun, HostedSae};
use crate::{hash, output, platform};

/// The files of a finished run, the manifest last: a folder with one is complete.
pub const RUN_FILES: [&str; 5] = [
    output::METRICS_FILE,
    output::FEATURES_FILE,
    output::STATS_FILE,
    output::STATS_FEATURES_FILE,
    output::MANIFEST_FILE,
];

/// Whether a run may be without this file: earlier versions did not write it.
pub fn may_lack(file: &str) -> bool {
    file == output::STATS_FEATURES_FILE
}

/// Longest manifest that is read; one names every sample that failed.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A file on disk, and the path under the page where it is offered.
pub type Placed = (String, PathBuf);

/// The catalog of a page's folder; an empty one where there is none.
///
/// # Errors
/// A file that is there and is not a catalog.
pub fn read(folder: &Path) -> Result<Catalog> {
    let path = folder.join(CATALOG_FILE);
    if !path.is_file() {
        return Ok(Catalog::empty());
    }
    let name = path.display().to_string();
    let bytes = std::fs::read(&path).map_err(|e| Error::io(&name, "read", e, "check that the file is readable"))?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::malformed(name, "contents", "a catalog", e.to_string(), "build the page again"))
}

/// As JSON for people and pages.
///
/// # Errors
/// None in practice.
pub fn json(catalog: &Catalog) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(catalog).map_err(|e| Error::io(CATALOG_FILE, "write", e.into(), "report this as a bug"))
}

/// A known model's entry, and where each of its files lies on disk. Hashes are the registry's, or
/// computed where `hashed`.
///
/// # Errors
/// Files that cannot be read.
pub fn model(known: &KnownModel, files: &KnownFiles, hashed: bool) -> Result<(HostedModel, Vec<Placed>)> {
    let mut placed = Vec::new();
    let mut entries = |fetched: &Fetched, folder: &str| -> Result<Vec<HostedFile>> {
        fetched
            .origin
            .files()
            .iter()
            .zip(&fetched.files)
            .map(|(file, path)| {
                let url = format!("{folder}/{}", file.path);
                let failed = |e| Error::io(path.display().to_string(), "read", e, "check that the file is readable");
                let size = path.metadata().map_err(failed)?.len();
                let sha256 = match &file.sha256 {
                    None if hashed => Some(File::open(path).and_then(hash::of_reader).map_err(failed)?),
                    known => known.clone(),
                };
                placed.push((url.clone(), path.clone()));
                Ok(HostedFile { path: file.path.clone(), url, size, sha256 })
            })
            .collect()
    };
    let folder = format!("models/{}", known.name);
    let model = entries(&files.model, &folder)?;
    let saes = known
        .saes
        .iter()
        .zip(&files.saes)
        .map(|(sae, fetched)| {
            Ok(HostedSae { layer: sae.layer, files: entries(fetched, &format!("{folder}/layer_{:02}", sae.layer))? })
        })
        .collect::<Result<_>>()?;
    Ok((HostedModel { name: known.name.clone(), summary: Some(known.summary.clone()), model, saes }, placed))
}

/// Whether `folder` holds a finished run.
///
/// # Errors
/// One of its files is something else than a file: a link leads elsewhere, a pipe may never end.
pub fn is_run(folder: &Path) -> Result<bool> {
    for file in RUN_FILES {
        let path = folder.join(file);
        let Ok(meta) = path.symlink_metadata() else {
            if may_lack(file) {
                continue;
            }
            return Ok(false);
        };
        let found = match meta.file_type() {
            kind if kind.is_file() => continue,
            kind if kind.is_symlink() => "a symbolic link",
            kind if kind.is_dir() => "a folder",
            _ => "neither file nor folder",
        };
        let hint = "a run is shared only with files of its own: put the file itself there";
        return Err(Error::malformed(path.display().to_string(), "type", "a regular file", found, hint));
    }
    Ok(true)
}

/// No finished run is in `folder`.
pub fn no_run(folder: &Path) -> Error {
    if let Some(error) = manifest(folder).and_then(|manifest| without_comparisons(folder, &manifest)) {
        return error;
    }
    let needed: Vec<&str> = RUN_FILES.into_iter().filter(|file| !may_lack(file)).collect();
    Error::missing(format!("a finished run in {}", folder.display()), format!("it has {}", needed.join(", ")))
}

/// What is said of a part whose comparisons were left to the merge.
pub fn without_comparisons(folder: &Path, manifest: &Value) -> Option<Error> {
    if !manifest["dataset"]["shard"].is_string() || folder.join(output::STATS_FILE).exists() {
        return None;
    }
    let hint = format!("join the parts with `saescope merge`, or make this one's: saescope stats {}", quoted(folder));
    Some(Error::missing(
        format!("{}: comparisons ({}) of this part of a run", folder.display(), output::STATS_FILE),
        hint,
    ))
}

/// The manifest in `folder`, read loosely: a run of another version is offered too, and the page says what it
/// thinks of it.
pub fn manifest(folder: &Path) -> Option<Value> {
    // the rest of a longer one is missing, so that it is none
    let file = platform::open_unlinked(&folder.join(output::MANIFEST_FILE)).ok()?.take(MAX_MANIFEST_BYTES);
    serde_json::from_reader(BufReader::new(file)).ok()
}

/// Whether a run's calibration.json lies in `folder`, as a file of its own.
pub fn is_calibrated(folder: &Path) -> bool {
    folder.join(output::CALIBRATION_FILE).symlink_metadata().is_ok_and(|meta| meta.is_file())
}

/// The entry of the finished run with this manifest, which is offered as `runs/<name>/`.
pub fn entry(name: &str, manifest: &Value) -> HostedRun {
    let samples = manifest["dataset"]["samples"].as_u64();
    let started_at = manifest["started_at"].as_str().map(str::to_owned);
    let model = manifest["model"]["name"].as_str().unwrap_or("unknown model");
    let mut title = model.to_owned();
    if let Some(n) = samples {
        title.push_str(&format!(", {n} samples"));
    }
    if let Some(day) = started_at.as_deref().and_then(|t| t.get(..10)) {
        title.push_str(&format!(", {day}"));
    }
    HostedRun { name: name.to_owned(), title, url: format!("runs/{name}/"), samples, started_at, calibrated: None }
}

/// Whether a name is one plain path component that needs no escaping in a URL.
pub fn plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
