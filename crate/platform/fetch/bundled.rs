//! Files that the program brings itself: the SAEs of the default model, which are published nowhere else.
//! They are part of the program, so that an installed one is whole; a file that lies in the current
//! folder is never taken for one of them.

use std::path::Path;

use super::{finish, part_of};
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::platform::{Bundled, RemoteFile};

/// Path below `models/`, and contents.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../models/", $path)) as &[u8])),*]
    };
}

const FILES: &[(&str, &[u8])] = files![
    "smollm2-135m-instruct/layer_06/cfg.json",
    "smollm2-135m-instruct/layer_06/sae_weights.safetensors",
    "smollm2-135m-instruct/layer_14/cfg.json",
    "smollm2-135m-instruct/layer_14/sae_weights.safetensors",
    "smollm2-135m-instruct/layer_23/cfg.json",
    "smollm2-135m-instruct/layer_23/sae_weights.safetensors",
];

fn contents(own: &Bundled, file: &RemoteFile) -> Option<&'static [u8]> {
    let path = format!("{}/{}", own.folder, file.path);
    FILES.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
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
