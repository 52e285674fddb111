//! Hashes of large files, remembered.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::output::FileInfo;
use crate::platform::fetch::cache_dir;
use crate::platform::{self, Source};

/// sha256 of whole files. Known ones are remembered by path, size and time of change, so that a
/// large checkpoint is not read through at every run.
///
/// # Errors
/// Reading errors.
pub async fn hash_files(files: Vec<Source>) -> Result<Vec<FileInfo>> {
    let memory = cache_dir().ok().map(|d| d.join("sha256.json"));
    let mut known: BTreeMap<String, String> = memory
        .as_ref()
        .and_then(|p| std::fs::read(p).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut out = Vec::new();
    let mut learned = false;
    for file in files {
        let key = key(&file);
        let sha256 = match key.as_ref().and_then(|k| known.get(k)) {
            Some(sha256) => sha256.clone(),
            None => {
                let sha256 = platform::sha256(&file).await?;
                if let Some(key) = key {
                    known.insert(key, sha256.clone());
                    learned = true;
                }
                sha256
            }
        };
        out.push(FileInfo { path: file.name().to_owned(), bytes: file.len(), sha256: Some(sha256) });
    }
    if let (true, Some(path), Ok(bytes)) = (learned, memory, serde_json::to_vec_pretty(&known)) {
        // only a convenience: a run does not fail for it
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = platform::write_atomic(&path, &bytes);
    }
    Ok(out)
}

fn key(file: &Source) -> Option<String> {
    let path = std::fs::canonicalize(file.name()).ok()?;
    let changed = std::fs::metadata(&path).ok()?.modified().ok()?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(format!("{}|{}|{}", path.display(), file.len(), since.as_nanos()))
}
