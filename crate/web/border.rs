//! The border: JavaScript's values are read into the library's types here, once, and written from them.

use js_sys::{Array, ArrayBuffer, Object, Reflect};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::File;

use crate::error::{Error, Result};
use crate::platform::{Source, picked};
use crate::protocol::{Answer, EngineError, Event, PickedFile, Request};

/// A message of the page.
pub(super) struct Incoming {
    /// Of the request.
    pub(super) id: u32,
    /// What is asked for, where it can be read.
    pub(super) request: Result<Request>,
    /// The files that the user picked, by [`PickedFile::index`].
    pub(super) picked: Vec<Source>,
}

impl Incoming {
    /// Reads a message; none without an id: there is nobody to answer.
    pub(super) fn read(message: &JsValue) -> Option<Self> {
        let id = Reflect::get(message, &"id".into()).ok()?.as_f64().filter(|id| *id >= 0.0)? as u32;
        let mut files = Vec::new();
        let plain = without_files(message, &mut files);
        let request = serde_wasm_bindgen::from_value(plain)
            .map_err(|e| Error::usage(format!("request: {e}"), "reload the page: its parts differ in version"));
        Some(Self { id, request, picked: files.iter().map(picked).collect() })
    }
}

/// The same value with a description in the place of every file, which goes to `files`.
fn without_files(value: &JsValue, files: &mut Vec<File>) -> JsValue {
    if let Some(file) = value.dyn_ref::<File>() {
        let name = picked(file).name().to_owned();
        let (size, modified) = (file.size(), file.last_modified());
        files.push(file.clone());
        return to_js(&PickedFile { index: files.len() - 1, name, size, modified });
    }
    if let Some(list) = value.dyn_ref::<Array>() {
        // long lists are of numbers
        if !list.get(0).is_object() {
            return value.clone();
        }
        return list.iter().map(|item| without_files(&item, files)).collect::<Array>().into();
    }
    match value.dyn_ref::<Object>() {
        Some(object) if !value.is_instance_of::<ArrayBuffer>() && !ArrayBuffer::is_view(value) => {
            let out = Object::new().into();
            for entry in Object::entries(object).iter() {
                let entry = Array::from(&entry);
                set(&out, &entry.get(0), &without_files(&entry.get(1), files));
            }
            out
        }
        _ => value.clone(),
    }
}

/// A message to the page, and the buffers in it, which are handed over rather than copied.
pub(super) struct Outgoing {
    pub(super) message: JsValue,
    pub(super) transfer: Array,
}

impl Outgoing {
    /// What request `id` says before its end.
    pub(super) fn event(id: u32, event: &Event) -> Self {
        Self::new(id, to_js(event))
    }

    /// The end of request `id`.
    pub(super) fn end(id: u32, answer: &Result<Answer>) -> Self {
        let message: JsValue = Object::new().into();
        match answer {
            Ok(answer) => {
                let result = Reflect::get(&to_js(answer), &"result".into()).unwrap_or(JsValue::NULL);
                set(&message, &"type".into(), &"done".into());
                set(&message, &"result".into(), &result);
            }
            Err(error) => {
                set(&message, &"type".into(), &"error".into());
                set(&message, &"error".into(), &to_js(&EngineError::from(error)));
            }
        }
        Self::new(id, message)
    }

    fn new(id: u32, message: JsValue) -> Self {
        set(&message, &"id".into(), &id.into());
        let transfer = Array::new();
        buffers(&message, &transfer);
        Self { message, transfer }
    }
}

/// Collects the buffers under everything in a message.
fn buffers(value: &JsValue, out: &Array) {
    if ArrayBuffer::is_view(value) {
        // every kind of view has its buffer there
        let _ = Reflect::get(value, &"buffer".into()).map(|buffer| out.push(&buffer));
    } else if let Some(list) = value.dyn_ref::<Array>() {
        // lists are of one kind
        if list.get(0).is_object() {
            list.iter().for_each(|item| buffers(&item, out));
        }
    } else if let Some(object) = value.dyn_ref::<Object>() {
        Object::values(object).iter().for_each(|item| buffers(&item, out));
    }
}

/// Plain data as JavaScript has them: bytes as `Uint8Array`, absent options as null unless their field is
/// left out.
fn to_js(value: &impl Serialize) -> JsValue {
    let serializer = serde_wasm_bindgen::Serializer::json_compatible().serialize_bytes_as_arrays(false);
    // plain structs of numbers, texts, bytes and lists have no way to fail
    value.serialize(&serializer).unwrap_or(JsValue::NULL)
}

/// Sets a field of an object made here.
fn set(object: &JsValue, name: &JsValue, value: &JsValue) {
    // only frozen objects and proxies refuse
    let _ = Reflect::set(object, name, value);
}
