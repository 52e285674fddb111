//! A JSON config taken apart field by field, so that none is ignored in silence.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::platform::Source;

/// Largest config that is read: real ones are a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// The fields of one JSON object that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    file: String,
    /// Name of the object inside the file (`metadata.`), empty for the top level.
    prefix: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads and parses a JSON object.
    pub(super) async fn read(source: &Source) -> Result<Self> {
        let file = source.name().to_owned();
        if source.len() > MAX_CONFIG_BYTES {
            return Err(Error::malformed(
                file,
                "size",
                format!("a config of at most {MAX_CONFIG_BYTES} bytes"),
                format!("{} bytes", source.len()),
                "check that this is the config and not the weights",
            ));
        }
        let bytes = source.read(0..source.len()).await?;
        Self::parse(file, &bytes)
    }

    /// Parses a JSON object; `file` is for messages.
    pub(super) fn parse(file: impl Into<String>, bytes: &[u8]) -> Result<Self> {
        let file = file.into();
        let hint = "the config must be one JSON object; download or save it again";
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self { file, prefix: String::new(), map }),
            Ok(other) => Err(Error::malformed(file, "top level", "a JSON object", kind(&other), hint)),
            Err(e) => Err(Error::malformed(
                file,
                format!("line {}, column {}", e.line(), e.column()),
                "valid JSON",
                e.to_string(),
                hint,
            )),
        }
    }

    /// Name of the file, for messages.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Whether `name` is there and neither null nor taken.
    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|v| !v.is_null())
    }

    /// Removes a field; null counts as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|v| !v.is_null())
    }

    fn wrong(&self, name: &str, expected: &str, found: &Value) -> Error {
        Error::malformed(
            &self.file,
            format!("field {}{name}", self.prefix),
            expected,
            excerpt(found),
            "download or save the config again",
        )
    }

    /// A non-negative integer.
    pub(super) fn take_usize(&mut self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().and_then(|v| usize::try_from(v).ok()) {
            Some(v) => Ok(Some(v)),
            None => Err(self.wrong(name, "a non-negative integer", &value)),
        }
    }

    /// A number.
    pub(super) fn take_f64(&mut self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(name, "a number", &value))
    }

    /// true or false.
    pub(super) fn take_bool(&mut self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, "true or false", &value))
    }

    /// A string.
    pub(super) fn take_str(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(value) => Err(self.wrong(name, "a string", &value)),
        }
    }

    /// An object, as fields of its own.
    pub(super) fn take_object(&mut self, name: &str) -> Result<Option<Fields>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => {
                Ok(Some(Self { file: self.file.clone(), prefix: format!("{}{name}.", self.prefix), map }))
            }
            Some(value) => Err(self.wrong(name, "an object", &value)),
        }
    }

    /// Refuses these fields by name; others are left unread.
    pub(super) fn refuse(mut self, names: &[&str]) -> Result<()> {
        self.map.retain(|name, _| names.contains(&name.as_str()));
        self.finish(&[])
    }

    /// Refuses what is left, save `harmless` fields and those whose value asks for nothing: null,
    /// false, `"none"`, an empty list or object.
    pub(super) fn finish(self, harmless: &[&str]) -> Result<()> {
        for (name, value) in &self.map {
            if harmless.contains(&name.as_str()) || asks_for_nothing(value) {
                continue;
            }
            return Err(Error::unsupported(
                format!("field {}{name} = {} in {}", self.prefix, excerpt(value), self.file),
                "unknown fields are refused because they could change the numbers; \
                 if this one does not, remove it from a copy of the config (and open an issue)",
            ));
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

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
