//! Hashes of large files, remembered.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::output::FileInfo;
use crate::platform::fetch::cache_dir;
use crate::platform::{self, Source};

/// sha256 of whole files. Known ones are remembered by path and by everything that the system tells of a
/// file (see [`platform::ByteSource::identity`]), so that a large checkpoint is not read through at every
/// run; with `anew`, all are read.
///
/// # Errors
/// Reading errors; [`Error::Mismatch`] for a file that is changed meanwhile.
pub async fn hash_files(files: Vec<Source>, anew: bool) -> Result<Vec<FileInfo>> {
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
        let sha256 = match key.as_ref().and_then(|k| known.get(k)).filter(|_| !anew) {
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
        // what has been read of it before may be another content than what was hashed
        if file.touched()? {
            return Err(Error::mismatch(
                format!("{}: contents", file.name()),
                "a file that stays as it is",
                "one that was changed after it had been opened",
                "run again when nobody writes to it",
            ));
        }
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
    Some(format!("{}|{}", path.display(), file.identity()?))
}
