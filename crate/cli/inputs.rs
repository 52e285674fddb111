//! From paths that a user types to sources that the library reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::ModelFiles;
use crate::platform::{FileSource, ReadLimits, Source, read_all};

/// Opens a file as a source.
///
/// # Errors
/// Missing or unreadable files.
pub fn source(path: &Path) -> Result<Source> {
    Ok(Arc::new(FileSource::open(path)?))
}

/// All bytes of a data set: a file's or a pipe's.
///
/// # Errors
/// As [`read_all`].
pub fn data_set(path: &Path) -> Result<Vec<u8>> {
    match read_all(path, ReadLimits::default()) {
        Err(Error::Missing { .. }) => {
            let name = path.display();
            Err(Error::missing(format!("data set {name}"), "`--dataset` takes [DOMAIN=]FILE"))
        }
        read => read,
    }
}

/// The files of a model: a Hugging Face folder, or a GGUF file. `tokenizer` replaces the model's
/// own.
///
/// # Errors
/// As [`ModelFiles::among`]; [`Error::Usage`] for a file that is no GGUF.
pub async fn model_files(path: &Path, tokenizer: Option<&Path>) -> Result<ModelFiles> {
    let tokenizer = tokenizer.map(source).transpose()?;
    if path.is_file() {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
            return Ok(ModelFiles::Gguf { file: source(path)?, tokenizer });
        }
        return Err(Error::usage(
            format!("{} is neither a folder nor a .gguf file", path.display()),
            "`--model` takes a known name, a Hugging Face folder, or a .gguf file",
        ));
    }
    if !path.is_dir() {
        if path.exists() {
            // says what it is
            source(path)?;
        }
        return Err(Error::missing(
            format!("model {}", path.display()),
            "`--model` takes a known name (see `saescope models`), a Hugging Face folder, or a .gguf file",
        ));
    }
    let named = |path: &PathBuf| {
        let known = |ending| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
        path.is_file() && ["json", "safetensors", "gguf"].into_iter().any(known)
    };
    let files = list(path)?.iter().filter(|p| named(p)).map(|p| source(p)).collect::<Result<Vec<_>>>()?;
    ModelFiles::among(&path.display().to_string(), &files, tokenizer).await
}

/// The files of an SAE: a `.npz` file, or a folder whose files tell its format.
///
/// # Errors
/// [`Error::Missing`] when there is nothing at `path`.
pub fn sae_files(path: &Path) -> Result<Vec<Source>> {
    if !path.exists() {
        return Err(Error::missing(
            format!("SAE {}", path.display()),
            "`--sae LAYER=PATH` takes a Gemma Scope params.npz, a SAELens folder or a Gemma Scope 2 folder",
        ));
    }
    if !path.is_dir() {
        return Ok(vec![source(path)?]);
    }
    list(path)?.into_iter().filter(|p| p.is_file()).map(|p| source(&p)).collect()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder.display().to_string(), "list", e, "check that the folder is readable");
    let mut files = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|e| e.path()).map_err(failed))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
