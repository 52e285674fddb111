//! Numbers that go to the page.

use js_sys::Float32Array;
use serde::{Serialize, Serializer};

/// A list of numbers for the page: a `Float32Array` there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Floats(pub Vec<f32>);

impl Serialize for Floats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_wasm_bindgen::preserve::serialize(&Float32Array::from(self.0.as_slice()), serializer)
    }
}
