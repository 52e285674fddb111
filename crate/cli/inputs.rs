//! From paths that a user types to sources that the library reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::ModelFiles;
use crate::platform::{FileSource, Source};

/// Opens a file as a source.
///
/// # Errors
/// Missing or unreadable files.
pub fn source(path: &Path) -> Result<Source> {
    Ok(Arc::new(FileSource::open(path)?))
}

/// The files of a model: a Hugging Face folder, or a GGUF file. `tokenizer` replaces the model's
/// own.
///
/// # Errors
/// [`Error::Missing`] naming the file that a folder lacks.
pub fn model_files(path: &Path, tokenizer: Option<&Path>) -> Result<ModelFiles> {
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
        return Err(Error::missing(
            format!("model {}", path.display()),
            "`--model` takes a known name (see `saescope models`), a Hugging Face folder, or a .gguf file",
        ));
    }
    let config = source(&require(path, "config.json", "is this a Hugging Face model folder?")?)?;
    let tokenizer = match tokenizer {
        Some(tokenizer) => tokenizer,
        None => source(&require(path, "tokenizer.json", "name one with `--tokenizer FILE`")?)?,
    };
    let weights = weight_files(path)?.iter().map(|p| source(p)).collect::<Result<_>>()?;
    Ok(ModelFiles::HuggingFace { config, tokenizer, weights })
}

/// `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let index = folder.join("model.safetensors.index.json");
    if index.is_file() {
        let name = index.display().to_string();
        let bytes =
            std::fs::read(&index).map_err(|e| Error::io(&name, "read", e, "check that the file is readable"))?;
        let malformed = |found: String| {
            Error::malformed(&name, "weight_map", "tensor names with the shard of each", found, "fetch the file again")
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        let map =
            value.get("weight_map").and_then(|m| m.as_object()).ok_or_else(|| malformed("no such object".into()))?;
        let mut shards: Vec<&str> =
            map.values().map(|v| v.as_str().ok_or_else(|| malformed(v.to_string()))).collect::<Result<_>>()?;
        shards.sort_unstable();
        shards.dedup();
        // a shard's name is a file beside the index, nothing else
        if let Some(bad) = shards.iter().find(|s| Path::new(s).components().count() != 1) {
            return Err(malformed(format!("the shard name {bad}")));
        }
        return shards.iter().map(|s| require(folder, s, "a shard is missing; fetch the model again")).collect();
    }
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let mut found: Vec<PathBuf> = list(folder)?;
    found.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    if found.len() == 1 {
        return Ok(found);
    }
    Err(Error::missing(
        format!("{}: model.safetensors or model.safetensors.index.json", folder.display()),
        "weights are read from safetensors or GGUF; convert others first",
    ))
}

/// The files of an SAE: a `.npz` file, or a folder whose files tell its format.
///
/// # Errors
/// [`Error::Missing`] when there is nothing at `path`.
pub fn sae_files(path: &Path) -> Result<Vec<Source>> {
    if path.is_file() {
        return Ok(vec![source(path)?]);
    }
    if !path.is_dir() {
        return Err(Error::missing(
            format!("SAE {}", path.display()),
            "`--sae LAYER=PATH` takes a Gemma Scope params.npz, a SAELens folder or a Gemma Scope 2 folder",
        ));
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

fn require(folder: &Path, name: &str, hint: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(Error::missing(format!("file {}", path.display()), hint)) }
}
