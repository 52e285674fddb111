//! Not doing twice what would come out the same: a result stands beside a note of what went in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A note of inputs, kept in a file.
pub struct Stamp {
    file: PathBuf,
    key: String,
}

impl Stamp {
    /// For a result that depends on these files and words.
    pub fn new(file: PathBuf, files: &[&Path], words: &[&str]) -> Result<Self> {
        let mut hasher = Sha256::new();
        for path in files {
            let bytes = fs::read(path).with_context(|| path.display().to_string())?;
            hasher.update(Sha256::digest(bytes));
        }
        for word in words {
            hasher.update(Sha256::digest(word));
        }
        Ok(Self { file, key: hasher.finalize().iter().map(|b| format!("{b:02x}")).collect() })
    }

    /// Whether the result was made of just these inputs.
    pub fn fits(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|key| key == self.key)
    }

    /// Notes that the result is there now.
    pub fn set(&self) -> Result<()> {
        fs::write(&self.file, &self.key).with_context(|| self.file.display().to_string())
    }
}
