//! Configs in JSON, read so that no field is ignored in silence.

mod fields;

pub use fields::{Fields, Ignored, IgnoredField, Unread};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::platform::{self, Source};

/// Largest config that is read: real ones are a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Reads and parses a config.
///
/// # Errors
/// [`Error::Malformed`] for what is not JSON, or too large to be a config; those of reading.
pub async fn read(source: &Source) -> Result<Value> {
    parse(source.name(), &platform::whole(source, MAX_CONFIG_BYTES, "a config").await?)
}

/// Parses a config; `file` is for messages.
///
/// # Errors
/// [`Error::Malformed`] with the place of the fault.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::malformed(
            file,
            format!("line {}, column {}", e.line(), e.column()),
            "valid JSON",
            e.to_string(),
            "the file is damaged or is no config; download or save it again",
        )
    })
}

/// What kind of value this is, for messages.
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

/// The beginning of a value, for messages.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
