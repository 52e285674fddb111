//! The fields of a config object, taken one by one.
//!
//! Every field is taken by name, declared harmless, or refused: a setting that changes the numbers is
//! honoured or the file is not used. What else may be left over is its owner's to say ([`Unread`]); what
//! passes with a note is listed ([`IgnoredField`]).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{excerpt, kind};
use crate::error::{Error, Result};

/// Which fields of a config may be left that nobody reads.
#[derive(Debug)]
pub struct Unread {
    /// Names that pass without a note: known to change no number.
    pub harmless: &'static [&'static str],
    /// Whether `_name` passes with a note where nobody reads `name`: transformers keeps such fields for
    /// itself.
    pub private: bool,
    /// Whether a value that asks for nothing passes: false, `"none"`, an empty list or object. Null always
    /// does.
    pub idle: bool,
    /// What to do about a field of this name that is refused.
    pub hint: fn(&str) -> String,
}

/// A field that was passed over with a note.
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
#[derive(Debug)]
struct Leave {
    unread: &'static Unread,
    /// Fields that the user wants passed over.
    asked: Vec<String>,
    passed: Mutex<Vec<IgnoredField>>,
}

/// The fields of one config object that nobody has taken yet; see [`Fields::finish`].
#[derive(Debug, Clone)]
pub struct Fields {
    file: String,
    /// name of the object inside the file (`metadata.`), empty for the top level
    prefix: String,
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
        // what is known to change no number is passed over in any case
        let passed_over = |name: &str| self.0.unread.harmless.contains(&name) || passed.iter().any(|f| f.name == name);
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
    /// Wraps a JSON object; `file` appears in messages, and `asked` are names of fields to pass over where
    /// nobody reads them.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is not an object.
    pub fn new(file: &str, value: Value, unread: &'static Unread, asked: &[String]) -> Result<Self> {
        let Value::Object(map) = value else {
            return Err(Error::malformed(
                file,
                "top level",
                "a JSON object",
                kind(&value),
                "this should be a config; download or save it again",
            ));
        };
        let leave = Arc::new(Leave { unread, asked: asked.to_vec(), passed: Mutex::default() });
        Ok(Self { file: file.to_owned(), prefix: String::new(), map, read: BTreeSet::new(), leave })
    }

    /// The file's name, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The fields that will have been passed over.
    pub fn ignored(&self) -> Ignored {
        Ignored(self.leave.clone())
    }

    /// Whether a field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|v| !v.is_null())
    }

    /// Takes a field out, whatever it holds; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.read.insert(name.to_owned());
        self.map.remove(name).filter(|v| !v.is_null())
    }

    fn wrong(&self, name: &str, expected: &str, found: String) -> Error {
        Error::malformed(
            &self.file,
            format!("field {}{name}", self.prefix),
            expected,
            found,
            "check the config, or download or save it again",
        )
    }

    /// Takes an optional field; null counts as absent.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it has another type.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let found = excerpt(&value);
        serde_json::from_value(value).map(Some).map_err(|_| self.wrong(name, type_in_words::<T>(), found))
    }

    /// Takes a field that must be there.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is missing or has another type.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| self.wrong(name, type_in_words::<T>(), "nothing".to_owned()))
    }

    /// Takes a field, or the default of the program that the config is written for.
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

    /// Takes a nested object, as fields of its own.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is there and not an object.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self {
                file: self.file.clone(),
                prefix: format!("{}{name}.", self.prefix),
                map,
                read: BTreeSet::new(),
                leave: self.leave.clone(),
            })),
            Some(value) => Err(self.wrong(name, "an object", excerpt(&value))),
        }
    }

    /// Takes fields that do not change the numbers.
    pub fn harmless(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// Refuses a field unless it has the one value that changes nothing.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the field.
    pub fn only(&mut self, name: &str, allowed: Value) -> Result<()> {
        match self.take(name).filter(|value| *value != allowed) {
            None => Ok(()),
            Some(value) => Err(Error::unsupported(
                format!("{}: {}{name} = {}", self.file, self.prefix, excerpt(&value)),
                format!("only {name} = {allowed} is computed correctly here, so the file is refused"),
            )),
        }
    }

    /// Ends the reading of an object that anybody may write anything into: refuses these fields, as
    /// [`Fields::finish`] does, and leaves others unread.
    ///
    /// # Errors
    /// As [`Fields::finish`].
    pub fn refuse(mut self, names: &[&str]) -> Result<()> {
        self.map.retain(|name, _| names.contains(&name.as_str()));
        self.finish()
    }

    /// Ends the reading: of what is left, what [`Unread`] lets pass and what the user named is passed over,
    /// anything else is refused.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first unknown field.
    pub fn finish(self) -> Result<()> {
        let unread = self.leave.unread;
        let mut left: Vec<(&String, &Value)> = self.map.iter().collect();
        left.sort_by_key(|(name, _)| *name);
        for (name, value) in left {
            let idle = value.is_null() || unread.idle && asks_for_nothing(value);
            if idle || unread.harmless.contains(&name.as_str()) {
                continue;
            }
            let asked = self.leave.asked.contains(name);
            // where somebody reads x, `_x` may be its other spelling
            let own = name.strip_prefix('_').is_some_and(|public| !self.read.contains(public));
            if !(asked || unread.private && own) {
                return Err(Error::unsupported(
                    format!("{}: unknown field {}{name} = {}", self.file, self.prefix, excerpt(value)),
                    (unread.hint)(name),
                ));
            }
            let field = IgnoredField { name: name.clone(), value: value.to_string(), asked };
            self.leave.passed.lock().unwrap_or_else(PoisonError::into_inner).push(field);
        }
        Ok(())
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(s) => s.is_empty() || s.eq_ignore_ascii_case("none"),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn type_in_words<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    match name.rsplit("::").next().unwrap_or(name) {
        "usize" | "u32" | "u64" => "a non-negative integer",
        "f64" | "f32" => "a number",
        "String" => "a string",
        "String>" => "a list of strings",
        "bool" => "true or false",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static PLAIN: Unread = Unread {
        harmless: &["torch_dtype", "_name_or_path"],
        private: true,
        idle: false,
        hint: |name| format!("see --ignore-config-field {name}"),
    };
    static IDLE: Unread = Unread { harmless: &[], private: false, idle: true, hint: |_| "remove it".to_owned() };

    fn fields(file: &str, value: Value) -> Result<Fields> {
        Fields::new(file, value, &PLAIN, &[])
    }

    #[test]
    fn unread_fields_are_refused_by_name() {
        let mut f = fields("config.json", json!({"a": 1, "torch_dtype": "float32", "n": null})).unwrap();
        assert_eq!(f.required::<usize>("a").unwrap(), 1);
        f.finish().unwrap();
        let f = fields("config.json", json!({"logit_scale": 0.5})).unwrap();
        let text = f.finish().unwrap_err().to_string();
        assert!(text.contains("logit_scale = 0.5") && text.contains("config.json") && text.contains("hint:"), "{text}");
    }

    #[test]
    fn private_fields_pass_with_a_note_unless_they_are_read() {
        let config = json!({"_model_name_or_path": "a/b", "_name_or_path": "x", "_rope_theta": 2.0, "p": {"_y": 1}});
        let mut f = fields("config.json", config).unwrap();
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
        let mut f = Fields::new("c", config.clone(), &PLAIN, &names(&["logit_scale"])).unwrap();
        let ignored = f.ignored();
        f.optional::<usize>("a").unwrap();
        f.finish().unwrap();
        let passed = IgnoredField { name: "logit_scale".into(), value: "0.5".into(), asked: true };
        assert_eq!(ignored.list("c").unwrap(), [passed]);
        for name in ["a", "nowhere"] {
            let mut f = Fields::new("c", config.clone(), &PLAIN, &names(&["logit_scale", name])).unwrap();
            let ignored = f.ignored();
            f.optional::<usize>("a").unwrap();
            f.finish().unwrap();
            let text = ignored.list("c").unwrap_err().to_string();
            assert!(text.contains(&format!("--ignore-config-field {name}: c has no unread field")), "{text}");
        }
        let text = fields("c", config).unwrap().finish().unwrap_err().to_string();
        assert!(text.contains("--ignore-config-field"), "{text}");
    }

    #[test]
    fn wrong_types_and_missing_fields_say_so() {
        let mut f = fields("c", json!({"a": "x", "b": true})).unwrap();
        let text = f.required::<usize>("a").unwrap_err().to_string();
        assert!(
            text.contains("field a") && text.contains("a non-negative integer") && text.contains("\"x\""),
            "{text}"
        );
        assert!(f.required::<usize>("zz").unwrap_err().to_string().contains("zz"));
        let mut caps = fields("c", json!({"null": null, "set": 2.0})).unwrap();
        assert_eq!(caps.default_or_null("absent", 50.0).unwrap(), Some(50.0));
        assert_eq!(caps.default_or_null("null", 50.0).unwrap(), None);
        assert_eq!(caps.default_or_null("set", 50.0).unwrap(), Some(2.0));
        assert!(f.only("b", json!(false)).is_err());
        assert!(fields("c", json!([1])).is_err());
    }

    #[test]
    fn what_asks_for_nothing_passes_only_where_that_is_said() {
        for value in [json!(false), json!("none"), json!(""), json!([]), json!({})] {
            let config = json!({"new": value});
            Fields::new("c", config.clone(), &IDLE, &[]).unwrap().finish().unwrap();
            assert!(fields("c", config).unwrap().finish().is_err(), "{value}");
        }
        for value in [json!(true), json!(0), json!("x"), json!([0]), json!({"a": null})] {
            assert!(Fields::new("c", json!({"new": value}), &IDLE, &[]).unwrap().finish().is_err(), "{value}");
        }
        // nor is a private name a reason there
        assert!(Fields::new("c", json!({"_new": 1}), &IDLE, &[]).unwrap().finish().is_err());
    }

    #[test]
    fn fields_of_an_object_are_named_with_it() {
        let config = json!({"outer": {"inner": {"a": "x", "b": 1, "c": 2}}});
        let mut outer = fields("c", config).unwrap().object("outer").unwrap().unwrap();
        let mut inner = outer.object("inner").unwrap().unwrap();
        let said = |result: Result<()>| result.unwrap_err().to_string();
        assert!(said(inner.optional::<f64>("a").map(drop)).contains("field outer.inner.a"));
        assert!(said(inner.only("b", json!(2))).contains("outer.inner.b = 1"));
        inner.clone().refuse(&["d"]).unwrap();
        assert!(said(inner.clone().refuse(&["c", "d"])).contains("unknown field outer.inner.c = 2"));
        assert!(said(inner.finish()).contains("unknown field outer.inner.c = 2"));
    }
}
