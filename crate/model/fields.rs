//! Reading a `config.json` so that no field is ignored in silence.
//!
//! Every field is taken by name, declared harmless, or refused: a checkpoint setting that changes
//! the numbers is honoured or the checkpoint is not run.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Fields of transformers' `PretrainedConfig` that do not enter the forward pass of inference.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "dtype",
    "eos_token_id",
    "id2label",
    "initializer_range",
    "label2id",
    "max_length",
    "model_type",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "problem_type",
    "return_dict",
    "task_specific_params",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_cache",
];

/// The fields of one config object, taken one by one; see [`Fields::finish`].
#[derive(Debug, Clone)]
pub struct Fields {
    file: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Wraps a JSON object; `file` appears in messages.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is not an object.
    pub fn new(file: &str, value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { file: file.to_owned(), map }),
            other => Err(Error::malformed(
                file,
                "config",
                "a json object",
                kind(&other),
                "this should be the model's config.json",
            )),
        }
    }

    /// The file's name, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Takes an optional field; null counts as absent.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it has another type.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        match self.map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let found = value.to_string();
                serde_json::from_value(value).map(Some).map_err(|e| {
                    Error::malformed(&self.file, name, short_type::<T>(), format!("{found} ({e})"), "check the config")
                })
            }
        }
    }

    /// Takes a field that must be there.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is missing or has another type.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| {
            Error::malformed(&self.file, name, "a value", "nothing", "is this the config.json of the checkpoint?")
        })
    }

    /// Takes a field, or the default that transformers uses.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it has another type.
    pub fn or<T: DeserializeOwned>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// Takes a field whose absence means a default and whose null means none.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it has another type.
    pub fn default_or_null<T: DeserializeOwned>(&mut self, name: &str, default: T) -> Result<Option<T>> {
        if self.map.contains_key(name) { self.optional(name) } else { Ok(Some(default)) }
    }

    /// Takes a nested object.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is there and not an object.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        match self.map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Fields::new(&format!("{}: {name}", self.file), value).map(Some),
        }
    }

    /// Whether a field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|v| !v.is_null())
    }

    /// Takes fields that do not change the numbers.
    pub fn harmless(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// Refuses any of these fields unless it has the one value that changes nothing.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the field.
    pub fn only(&mut self, name: &str, allowed: Value) -> Result<()> {
        match self.map.remove(name) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if value == allowed => Ok(()),
            Some(value) => Err(Error::unsupported(
                format!("{}: {name} = {value}", self.file),
                format!("only {name} = {allowed} is computed correctly here, so the checkpoint is refused"),
            )),
        }
    }

    /// Ends the reading: whatever is left that is not known to be harmless is refused.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first unknown field.
    pub fn finish(mut self) -> Result<()> {
        self.harmless(HARMLESS);
        // beam search and sampling settings, which old configs carry
        self.map.retain(|_, value| !value.is_null());
        match self.map.iter().next() {
            None => Ok(()),
            Some((name, value)) => Err(Error::unsupported(
                format!("{}: unknown field {name} = {value}", self.file),
                "it may change the numbers, so it is not ignored; remove it if you know that it does not",
            )),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn short_type<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    match name.rsplit("::").next().unwrap_or(name) {
        "usize" | "u32" | "u64" | "i64" => "a whole number",
        "f64" | "f32" => "a number",
        "String>" | "String" => "a string",
        "bool" => "true or false",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unread_fields_are_refused_by_name() {
        let mut f = Fields::new("config.json", json!({"a": 1, "torch_dtype": "float32", "n": null})).unwrap();
        assert_eq!(f.required::<usize>("a").unwrap(), 1);
        f.finish().unwrap();
        let f = Fields::new("config.json", json!({"logit_scale": 0.5})).unwrap();
        let text = f.finish().unwrap_err().to_string();
        assert!(text.contains("logit_scale = 0.5") && text.contains("config.json") && text.contains("hint:"), "{text}");
    }

    #[test]
    fn wrong_types_and_missing_fields_say_so() {
        let mut f = Fields::new("c", json!({"a": "x", "b": true})).unwrap();
        let text = f.required::<usize>("a").unwrap_err().to_string();
        assert!(text.contains("a whole number") && text.contains("\"x\""), "{text}");
        assert!(f.required::<usize>("zz").unwrap_err().to_string().contains("zz"));
        let mut caps = Fields::new("c", json!({"null": null, "set": 2.0})).unwrap();
        assert_eq!(caps.default_or_null("absent", 50.0).unwrap(), Some(50.0));
        assert_eq!(caps.default_or_null("null", 50.0).unwrap(), None);
        assert_eq!(caps.default_or_null("set", 50.0).unwrap(), Some(2.0));
        assert!(f.only("b", json!(false)).is_err());
        assert!(Fields::new("c", json!([1])).is_err());
    }
}
