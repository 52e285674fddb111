//! Files that the program brings itself: the SAEs of the default model, which are published nowhere else.
//! They are part of the program, so that an installed one is whole; a file that lies in the current
//! folder is never taken for one of them.

use std::path::Path;

use super::{finish, part_of};
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::platform::{Bundled, RemoteFile};

/// A folder below `models/`, and its files: each a package of its own, since one registry's packages have a
/// largest size.
type Folder = (&'static str, [(&'static str, &'static [u8]); 2]);

const FOLDERS: [Folder; 3] = [
    ("smollm2-135m-instruct/layer_06", saescope_smollm2_135m_instruct_06::FILES),
    ("smollm2-135m-instruct/layer_14", saescope_smollm2_135m_instruct_14::FILES),
    ("smollm2-135m-instruct/layer_23", saescope_smollm2_135m_instruct_23::FILES),
];

fn contents(own: &Bundled, file: &RemoteFile) -> Option<&'static [u8]> {
    let (_, files) = FOLDERS.iter().find(|(folder, _)| *folder == own.folder)?;
    files.iter().find(|(name, _)| *name == file.path).map(|(_, bytes)| *bytes)
}

/// Whether the program brings every file of it.
pub(super) fn holds(own: &Bundled) -> bool {
    own.files.iter().all(|file| contents(own, file).is_some())
}

/// A name for exactly these files, by the hashes that the registry gives.
pub(super) fn version(own: &Bundled) -> String {
    let mut hasher = Hasher::new();
    for file in &own.files {
        hasher.update(format!("{} {}\n", file.path, file.sha256.as_deref().unwrap_or("-")));
    }
    hasher.hex()[..16].to_owned()
}

/// Writes one file to `target`, checked like a fetched one.
pub(super) fn write(own: &Bundled, file: &RemoteFile, target: &Path) -> Result<()> {
    let what = format!("models/{}/{}", own.folder, file.path);
    let bytes = contents(own, file).ok_or_else(|| {
        Error::missing(
            format!("{what} among the files of this program"),
            "the registry has to be corrected, or the program built again",
        )
    })?;
    let part = part_of(target);
    std::fs::write(&part, bytes).map_err(|e| {
        let hint = "check that the disk has room; SAESCOPE_CACHE moves the cache";
        Error::io(part.display().to_string(), "write", e, hint)
    })?;
    finish(&what, &part, target, file)
}
