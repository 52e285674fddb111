//! Reading a `config.json` so that no field is ignored in silence.
//!
//! Every field is taken by name, declared harmless, or refused: a checkpoint setting that changes
//! the numbers is honoured or the checkpoint is not run. Two kinds of fields are passed over with a
//! note ([`IgnoredField`]): private ones (`_name`, which transformers keeps for itself), unless the
//! family reads `name`; and those that the user names.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Fields of transformers' `PretrainedConfig` that do not enter the forward pass of inference.
const HARMLESS: &[&str] = &[
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

/// Private fields that every saved checkpoint may have, not worth a note: where the weights came from
/// and which implementation of attention to take.
const PRIVATE: &[&str] = &["_attn_implementation", "_attn_implementation_autoset", "_commit_hash", "_name_or_path"];

/// A field that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredField {
    /// Its name.
    pub name: String,
    /// Its value, as JSON.
    pub value: String,
    /// Whether the user named it; else it is private.
    pub asked: bool,
}

/// What a config and the objects in it have in common.
#[derive(Debug, Default)]
struct Leave {
    /// Fields that the user wants passed over.
    asked: Vec<String>,
    passed: Mutex<Vec<IgnoredField>>,
}

/// The fields of one config object, taken one by one; see [`Fields::finish`].
#[derive(Debug, Clone)]
pub struct Fields {
    file: String,
    map: Map<String, Value>,
    /// names that somebody asked for, whether they are there or not
    read: BTreeSet<String>,
    leave: Arc<Leave>,
}

/// The fields that were passed over, for after the reading.
#[derive(Debug, Clone)]
pub struct Ignored(Arc<Leave>);

impl Ignored {
    /// Them, by name within each object.
    ///
    /// # Errors
    /// [`Error::Usage`] where the user named a field that is not among them: there is none of that name
    /// in `file`, or it is read.
    pub fn list(&self, file: &str) -> Result<Vec<IgnoredField>> {
        let passed = self.0.passed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // known to change no number: passed over in any case
        let harmless = |name: &str| HARMLESS.contains(&name) || PRIVATE.contains(&name);
        let passed_over = |name: &str| harmless(name) || passed.iter().any(|f| f.name == name);
        match self.0.asked.iter().find(|name| !passed_over(name)) {
            None => Ok(passed),
            Some(name) => Err(Error::usage(
                format!("--ignore-config-field {name}: {file} has no unread field of this name"),
                "only a field that is not read can be ignored; leave the option out",
            )),
        }
    }
}

impl Fields {
    /// Wraps a JSON object; `file` appears in messages.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is not an object.
    pub fn new(file: &str, value: Value) -> Result<Self> {
        Self::within(file, value, Arc::default())
    }

    /// [`Fields::new`], with names of fields to pass over where nobody reads them.
    ///
    /// # Errors
    /// As [`Fields::new`].
    pub fn ignoring(file: &str, value: Value, names: &[String]) -> Result<Self> {
        Self::within(file, value, Arc::new(Leave { asked: names.to_vec(), passed: Mutex::default() }))
    }

    fn within(file: &str, value: Value, leave: Arc<Leave>) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { file: file.to_owned(), map, read: BTreeSet::new(), leave }),
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

    /// The fields that will have been passed over.
    pub fn ignored(&self) -> Ignored {
        Ignored(self.leave.clone())
    }

    /// Takes a field out, noting that somebody reads it.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.read.insert(name.to_owned());
        self.map.remove(name)
    }

    /// Takes an optional field; null counts as absent.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it has another type.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        match self.take(name) {
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
        self.read.insert(name.to_owned());
        if self.map.contains_key(name) { self.optional(name) } else { Ok(Some(default)) }
    }

    /// Takes a nested object.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is there and not an object.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Fields::within(&format!("{}: {name}", self.file), value, self.leave.clone()).map(Some),
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
        match self.take(name) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if value == allowed => Ok(()),
            Some(value) => Err(Error::unsupported(
                format!("{}: {name} = {value}", self.file),
                format!("only {name} = {allowed} is computed correctly here, so the checkpoint is refused"),
            )),
        }
    }

    /// Ends the reading: of what is left, what is known to be harmless is dropped, private fields and
    /// those that the user named are passed over with a note, anything else is refused.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first unknown field.
    pub fn finish(mut self) -> Result<()> {
        self.harmless(HARMLESS);
        self.harmless(PRIVATE);
        // beam search and sampling settings, which old configs carry
        self.map.retain(|_, value| !value.is_null());
        let mut left: Vec<(&String, &Value)> = self.map.iter().collect();
        left.sort_by_key(|(name, _)| *name);
        for (name, value) in left {
            let asked = self.leave.asked.contains(name);
            // transformers keeps `_x` for itself; where a family reads x, `_x` may be its other spelling
            let private = name.strip_prefix('_').is_some_and(|public| !self.read.contains(public));
            if !asked && !private {
                return Err(Error::unsupported(
                    format!("{}: unknown field {name} = {value}", self.file),
                    format!(
                        "it may change the numbers, so it is not passed over in silence; if you know that it does \
                         not, say so with --ignore-config-field {name}"
                    ),
                ));
            }
            let field = IgnoredField { name: name.clone(), value: value.to_string(), asked };
            self.leave.passed.lock().unwrap_or_else(PoisonError::into_inner).push(field);
        }
        Ok(())
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
    fn private_fields_pass_with_a_note_unless_they_are_read() {
        let config = json!({"_model_name_or_path": "a/b", "_name_or_path": "x", "_rope_theta": 2.0, "p": {"_y": 1}});
        let mut f = Fields::new("config.json", config).unwrap();
        let ignored = f.ignored();
        f.object("p").unwrap().unwrap().finish().unwrap();
        f.clone().finish().unwrap();
        let names: Vec<String> = ignored.list("config.json").unwrap().into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["_y", "_model_name_or_path", "_rope_theta"]);
        // a family that reads rope_theta does not pass over its private twin
        f.or("rope_theta", 1.0).unwrap();
        let text = f.finish().unwrap_err().to_string();
        assert!(text.contains("unknown field _rope_theta = 2.0"), "{text}");
    }

    #[test]
    fn a_field_is_ignored_on_request_only_where_nobody_reads_it() {
        let config = json!({"logit_scale": 0.5, "a": 1});
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let mut f = Fields::ignoring("c", config.clone(), &names(&["logit_scale"])).unwrap();
        let ignored = f.ignored();
        f.optional::<usize>("a").unwrap();
        f.finish().unwrap();
        let passed = IgnoredField { name: "logit_scale".into(), value: "0.5".into(), asked: true };
        assert_eq!(ignored.list("c").unwrap(), [passed]);
        for name in ["a", "nowhere"] {
            let mut f = Fields::ignoring("c", config.clone(), &names(&["logit_scale", name])).unwrap();
            let ignored = f.ignored();
            f.optional::<usize>("a").unwrap();
            f.finish().unwrap();
            let text = ignored.list("c").unwrap_err().to_string();
            assert!(text.contains(&format!("--ignore-config-field {name}: c has no unread field")), "{text}");
        }
        let text = Fields::new("c", config).unwrap().finish().unwrap_err().to_string();
        assert!(text.contains("--ignore-config-field") && !text.contains("remove it"), "{text}");
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
