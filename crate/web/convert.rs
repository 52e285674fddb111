//! Between JavaScript's values and the library's.

use js_sys::Reflect;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use crate::error::{Error, Result};

/// A field of an object; undefined where there is none.
pub(super) fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

/// A text field.
pub(super) fn text(object: &JsValue, name: &str) -> Result<String> {
    field(object, name).as_string().ok_or_else(|| wrong(name, "a text", &field(object, name)))
}

/// A field of plain data.
pub(super) fn plain<T: DeserializeOwned>(object: &JsValue, name: &str) -> Result<T> {
    let value = field(object, name);
    serde_wasm_bindgen::from_value(value).map_err(|e| {
        Error::usage(format!("request: field {name}: {e}"), "reload the page: its parts differ in version")
    })
}

/// A field of plain data that may be absent or null.
pub(super) fn optional<T: DeserializeOwned>(object: &JsValue, name: &str) -> Result<Option<T>> {
    let value = field(object, name);
    if value.is_undefined() || value.is_null() { Ok(None) } else { plain(object, name).map(Some) }
}

pub(super) fn wrong(name: &str, expected: &str, found: &JsValue) -> Error {
    Error::mismatch(
        format!("request: field {name}"),
        expected,
        format!("{found:?}"),
        "reload the page: its parts differ in version",
    )
}

/// Plain data as a JavaScript object; absent options are absent fields.
pub(super) fn to_js(value: &impl Serialize) -> JsValue {
    // plain structs of numbers, texts and lists have no way to fail
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).unwrap_or(JsValue::NULL)
}

/// Sets a field of an object made here.
pub(super) fn set(object: &JsValue, name: &str, value: &JsValue) {
    // only frozen objects and proxies refuse
    let _ = Reflect::set(object, &name.into(), value);
}
