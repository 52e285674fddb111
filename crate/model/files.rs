//! A model's files, told apart by their names: a folder on disk, a browser's picker and a host's list are
//! sorted by the same rule.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::platform::{self, Source, file_name};

/// The config of a Hugging Face folder.
pub const CONFIG: &str = "config.json";
/// Its tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// Its weights, where they are one file.
pub const WEIGHTS: &str = "model.safetensors";
/// Which shard holds which of its weights, where they are several.
pub const INDEX: &str = "model.safetensors.index.json";

/// The files of a model, before anything is read.
#[derive(Debug, Clone)]
pub enum ModelFiles {
    /// A Hugging Face folder.
    HuggingFace {
        /// [`CONFIG`]
        config: Source,
        /// [`TOKENIZER`]
        tokenizer: Source,
        /// [`WEIGHTS`], or its shards.
        weights: Vec<Source>,
    },
    /// A GGUF file.
    Gguf {
        /// The file.
        file: Source,
        /// A `tokenizer.json` instead of the file's own vocabulary.
        tokenizer: Option<Source>,
    },
}

impl ModelFiles {
    /// Sorts `files`, in any order and with others among them: a Hugging Face folder's, whose weights are the
    /// shards that [`INDEX`] lists, else [`WEIGHTS`], else the only `.safetensors` file; or else one GGUF file.
    /// `place` says in messages where they lie; `tokenizer` takes the place of theirs.
    ///
    /// # Errors
    /// [`Error::Missing`] naming the file that is not there; those of reading the index.
    pub async fn among(place: &str, files: &[Source], tokenizer: Option<Source>) -> Result<Self> {
        let lower = |s: &Source| file_name(s.name()).to_ascii_lowercase();
        let named = |name: &str| files.iter().find(|s| lower(s) == name).cloned();
        let ending = |ending: &str| -> Vec<&Source> { files.iter().filter(|s| lower(s).ends_with(ending)).collect() };
        let tokenizer = tokenizer.or_else(|| named(TOKENIZER));
        let safetensors = ending(".safetensors");
        if let ([file], []) = (ending(".gguf").as_slice(), safetensors.as_slice()) {
            return Ok(Self::Gguf { file: (*file).clone(), tokenizer });
        }
        let missing = |what: &str, hint: &str| Error::missing(format!("{what} in {place}"), hint);
        let config = named(CONFIG).ok_or_else(|| {
            missing(CONFIG, "a model is a .gguf file, or a Hugging Face folder with config.json and *.safetensors")
        })?;
        let tokenizer = tokenizer
            .ok_or_else(|| missing(TOKENIZER, "it belongs to the model; name one elsewhere with `--tokenizer FILE`"))?;
        let weights = if let Some(index) = named(INDEX) {
            listed(&index)
                .await?
                .iter()
                .map(|shard| {
                    let held = files.iter().find(|s| file_name(s.name()) == shard).cloned();
                    held.ok_or_else(|| missing(shard, "a shard is missing; fetch the model again"))
                })
                .collect::<Result<_>>()?
        } else if let Some(whole) = named(WEIGHTS) {
            vec![whole]
        } else if let [one] = safetensors.as_slice() {
            vec![(*one).clone()]
        } else {
            let hint = "weights are read from safetensors or GGUF; convert others first";
            return Err(missing(&format!("{WEIGHTS} or {INDEX}"), hint));
        };
        Ok(Self::HuggingFace { config, tokenizer, weights })
    }
}

/// Largest index that is read: those of the largest models are a few megabytes.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// [`shards`] of an index that has still to be read.
///
/// # Errors
/// As [`shards`]; reading errors.
pub async fn listed(index: &Source) -> Result<Vec<String>> {
    shards(index.name(), &platform::whole(index, MAX_INDEX_BYTES, "an index of shards").await?)
}

/// File names of the shards that an [`INDEX`] lists, each once; `name` and `bytes` are the index's.
///
/// # Errors
/// [`Error::Malformed`] for anything else, and for a name that is not that of a file beside the index.
pub fn shards(name: &str, bytes: &[u8]) -> Result<Vec<String>> {
    let malformed = |found: String| {
        Error::malformed(name, "weight_map", "tensor names with the shard of each", found, "fetch the file again")
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    let map = value.get("weight_map").and_then(Value::as_object).ok_or_else(|| malformed("no such object".into()))?;
    let mut shards: Vec<String> = map
        .values()
        .map(|v| v.as_str().map(str::to_owned).ok_or_else(|| malformed(v.to_string())))
        .collect::<Result<_>>()?;
    shards.sort_unstable();
    shards.dedup();
    match shards.iter().find(|s| file_name(s) != s.as_str() || matches!(s.as_str(), "" | "." | "..")) {
        Some(bad) => Err(malformed(format!("the shard name {bad:?}"))),
        None => Ok(shards),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::executor::block_on;

    use super::*;
    use crate::platform::MemorySource;

    fn file(name: &str, bytes: &str) -> Source {
        Arc::new(MemorySource::new(format!("some/folder/{name}"), bytes.as_bytes()))
    }

    fn sorted(files: &[(&str, &str)]) -> Result<ModelFiles> {
        let files: Vec<Source> = files.iter().map(|(name, bytes)| file(name, bytes)).collect();
        block_on(ModelFiles::among("some/folder", &files, None))
    }

    fn weights(files: &[(&str, &str)]) -> Vec<String> {
        match sorted(files).unwrap() {
            ModelFiles::HuggingFace { weights, .. } => weights.iter().map(|w| w.name().to_owned()).collect(),
            ModelFiles::Gguf { .. } => panic!("a folder, not a GGUF file"),
        }
    }

    const INDEXED: &str = r#"{"weight_map": {"b": "two.safetensors", "a": "one.safetensors", "c": "two.safetensors"}}"#;

    #[test]
    fn weights_are_what_the_index_lists_then_the_usual_name_then_the_only_file() {
        let folder = [(CONFIG, ""), (TOKENIZER, ""), ("one.safetensors", ""), ("two.safetensors", "")];
        let with = |more: &[(&'static str, &'static str)]| [&folder[..], more].concat();
        let usual = with(&[(WEIGHTS, ""), ("model.gguf", "")]);
        assert_eq!(weights(&usual), ["some/folder/model.safetensors"]);
        let indexed = with(&[(INDEX, INDEXED), (WEIGHTS, "")]);
        assert_eq!(weights(&indexed), ["some/folder/one.safetensors", "some/folder/two.safetensors"]);
        assert_eq!(weights(&folder[..3]), ["some/folder/one.safetensors"]);
        let several = sorted(&folder).unwrap_err().to_string();
        assert!(several.contains("model.safetensors.index.json in some/folder"), "{several}");
    }

    #[test]
    fn one_gguf_file_is_a_model_by_itself() {
        let files = [("Model.GGUF", ""), (TOKENIZER, ""), (CONFIG, "")];
        assert!(matches!(sorted(&files).unwrap(), ModelFiles::Gguf { tokenizer: Some(_), .. }));
        assert!(matches!(sorted(&files[..1]).unwrap(), ModelFiles::Gguf { tokenizer: None, .. }));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = [(CONFIG, ""), (TOKENIZER, ""), (INDEX, INDEXED), ("two.safetensors", "")];
        for (files, named) in [(&folder[..], "one.safetensors"), (&folder[..1], TOKENIZER), (&folder[1..2], CONFIG)] {
            let error = sorted(files).unwrap_err().to_string();
            assert!(error.contains(&format!("{named} in some/folder")), "{error}");
        }
    }

    #[test]
    fn a_shard_is_a_file_beside_its_index() {
        for bad in ["../one", "a/one", "a\\one", "..", "."] {
            let index = serde_json::json!({ "weight_map": { "a": bad } }).to_string();
            let error = shards("index", index.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("shard name"), "{bad}: {error}");
        }
        for malformed in ["", "{}", r#"{"weight_map": {"a": 1}}"#] {
            assert!(shards("index", malformed.as_bytes()).is_err(), "{malformed}");
        }
    }
}
