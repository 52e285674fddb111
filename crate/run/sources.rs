//! A run's files, held against what the manifest says of them.

use super::Loaded;
use crate::error::{Error, Result};
use crate::output::{FileInfo, Manifest};
use crate::platform::{self, Source};

/// The files that the numbers depend on, with what the manifest says of each.
fn files<'a>(loaded: &Loaded, manifest: &'a Manifest) -> Vec<(Source, &'a FileInfo)> {
    let mut out: Vec<(Source, &FileInfo)> = loaded.model_files().into_iter().zip(&manifest.model.files).collect();
    for (at, info) in loaded.saes.iter().zip(&manifest.saes) {
        out.extend(at.sae.sources().iter().cloned().zip(&info.files));
    }
    out
}

/// A known model's files are the registry's.
///
/// # Errors
/// [`Error::Mismatch`] naming the first that is not.
pub(super) fn as_pinned(loaded: &Loaded, manifest: &Manifest) -> Result<()> {
    let read = files(loaded, manifest).into_iter().map(|(_, info)| info).chain([&manifest.tokenizer.file]);
    for info in read {
        let pinned = loaded.pinned.get(&info.path);
        if let (Some(expected), Some(found)) = (pinned, &info.sha256)
            && expected != found
        {
            return Err(Error::mismatch(
                format!("sha256 of {}", info.path),
                format!("{expected}, as the registry has it for {}", loaded.name),
                found.clone(),
                format!("the file was changed after it had been fetched: saescope fetch {}", loaded.name),
            ));
        }
    }
    Ok(())
}

/// No file has changed since it was opened: what was measured was measured on what was hashed. A file that
/// the system says something was done to is read again.
///
/// # Errors
/// [`Error::Mismatch`] naming the first that has changed; reading errors.
pub(super) async fn unchanged(loaded: &Loaded, manifest: &Manifest) -> Result<()> {
    for (source, info) in files(loaded, manifest) {
        if !source.touched()? {
            continue;
        }
        let now = platform::sha256(&source).await?;
        if info.sha256.as_ref() != Some(&now) {
            return Err(Error::mismatch(
                format!("{}: contents", info.path),
                format!("those of the beginning, sha256 {}", info.sha256.as_deref().unwrap_or("unknown")),
                now,
                "the file changed while the run read it: put back what was there, or begin the run anew",
            ));
        }
    }
    Ok(())
}
