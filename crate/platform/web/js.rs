//! JavaScript's promises and exceptions in Rust's terms.

use std::io;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::DomException;

use crate::error::{Error, Result};

/// Awaits a promise; a rejection becomes an error about `file`.
pub(super) async fn wait(file: &str, action: &'static str, promise: js_sys::Promise) -> Result<JsValue> {
    JsFuture::from(promise).await.map_err(|e| failed(file, action, &e))
}

/// Name and text of an exception.
pub(super) fn described(exception: &JsValue) -> (String, String) {
    if let Some(e) = exception.dyn_ref::<DomException>() {
        return (e.name(), e.message());
    }
    match exception.dyn_ref::<js_sys::Error>() {
        Some(e) => (e.name().into(), e.message().into()),
        None => ("unknown".to_owned(), format!("{exception:?}")),
    }
}

/// An exception as an error about `file`; the browser's names are told apart where a user can do
/// something about them.
pub(super) fn failed(file: &str, action: &'static str, exception: &JsValue) -> Error {
    let (name, text) = described(exception);
    let (kind, hint) = match name.as_str() {
        "AbortError" => return Error::Cancelled,
        "QuotaExceededError" => (
            io::ErrorKind::QuotaExceeded,
            "the browser's storage for this site is full; delete what is stored, or run without keeping downloads",
        ),
        "NoModificationAllowedError" => (io::ErrorKind::ResourceBusy, "another worker or tab has it; try again"),
        "NotFoundError" => (io::ErrorKind::NotFound, "the file was moved or deleted; choose it again"),
        "NotReadableError" => {
            (io::ErrorKind::PermissionDenied, "the file changed since it was chosen; choose it again")
        }
        "SecurityError" | "NotAllowedError" => {
            (io::ErrorKind::PermissionDenied, "the browser refuses storage here, as in some private windows")
        }
        _ => (io::ErrorKind::Other, "try again; if it stays so, please report it"),
    };
    let text = if text.is_empty() { name } else { text };
    Error::io(file, action, io::Error::new(kind, text), hint)
}

/// The worker that this runs in.
pub(super) fn worker() -> Result<web_sys::WorkerGlobalScope> {
    js_sys::global()
        .dyn_into()
        .map_err(|_| Error::unsupported("running outside a web worker", "the engine works in a worker of the page"))
}
