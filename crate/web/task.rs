//! Open requests: their events, their end, and how they are stopped.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::rc::Rc;

use js_sys::{Array, Object};
use serde::Serialize;
use wasm_bindgen::JsValue;

use super::convert::{set, to_js};
use super::explore::Shown;
use super::host::Catalog;
use super::subject::Opened;
use crate::engine::{Observer, Progress};
use crate::error::{Error, Result};
use crate::metrics::SampleMeasure;
use crate::platform::{self, Download, GpuMemory, Session};

/// What the engine keeps between requests.
pub(super) struct Shared {
    emit: js_sys::Function,
    pub(super) base: String,
    open: RefCell<Vec<Rc<Task>>>,
    pub(super) catalog: RefCell<Option<Rc<Catalog>>>,
    /// the model of the last request, with what it was asked for by
    pub(super) opened: RefCell<Option<(String, Rc<Opened>)>>,
    pub(super) shown: RefCell<Option<(String, Rc<Shown>)>>,
}

/// A request that has no terminal answer yet.
pub(super) struct Task {
    pub(super) id: u32,
    cancelled: Cell<bool>,
    session: Session,
}

/// A request's result, and the buffers to hand over rather than copy.
pub(super) struct Outgoing {
    pub(super) value: JsValue,
    pub(super) transfer: Array,
}

impl Outgoing {
    pub(super) fn plain(value: &impl Serialize) -> Self {
        Self { value: to_js(value), transfer: Array::new() }
    }

    pub(super) fn null() -> Self {
        Self { value: JsValue::NULL, transfer: Array::new() }
    }

    /// Adds bytes under a name, to be handed over.
    pub(super) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        let array = js_sys::Uint8Array::from(bytes);
        self.transfer.push(&array.buffer());
        set(&self.value, name, &array);
        self
    }
}

impl Shared {
    pub(super) fn new(emit: js_sys::Function, base: String) -> Self {
        Self {
            emit,
            base,
            open: RefCell::default(),
            catalog: RefCell::default(),
            opened: RefCell::default(),
            shown: RefCell::default(),
        }
    }

    pub(super) fn begin(self: &Rc<Self>, id: u32) -> Rc<Task> {
        let (shared, received) = (self.clone(), Cell::new(0u64));
        let session = Session::begin(move |download: &Download<'_>| {
            received.set(received.get() + download.received);
            let Download { file, done, total, .. } = *download;
            shared.event(id, "download", &to_js(&DownloadEvent { file, done, total, received: received.get() }));
        });
        let task = Rc::new(Task { id, cancelled: Cell::new(false), session });
        self.open.borrow_mut().push(task.clone());
        task
    }

    pub(super) fn end(&self, task: Rc<Task>, answer: Result<Outgoing>) {
        self.open.borrow_mut().retain(|t| t.id != task.id);
        let message = message(task.id, if answer.is_ok() { "done" } else { "error" });
        match answer {
            Ok(Outgoing { value, transfer }) => {
                set(&message, "result", &value);
                self.send(&message, &transfer);
            }
            Err(error) => {
                set(&message, "error", &to_js(&EngineError::of(&error)));
                self.send(&message, &Array::new());
            }
        }
    }

    /// Asks a request to stop; one that has ended already stays ended.
    pub(super) fn cancel(&self, target: u32) {
        let task = self.open.borrow().iter().find(|t| t.id == target).cloned();
        if let Some(task) = task {
            task.cancelled.set(true);
            task.session.abort();
        }
    }

    /// Lets go of opened models, whose stored bytes may be gone.
    pub(super) fn forget_loaded(&self) {
        self.opened.take();
        self.shown.take();
    }

    pub(super) fn event(&self, id: u32, kind: &str, value: &JsValue) {
        self.event_with(id, kind, value, &Array::new());
    }

    pub(super) fn event_with(&self, id: u32, kind: &str, value: &JsValue, transfer: &Array) {
        let message = message(id, kind);
        set(&message, kind, value);
        self.send(&message, transfer);
    }

    fn send(&self, message: &JsValue, transfer: &Array) {
        // a page that is gone has nobody to tell
        let _ = self.emit.call2(&JsValue::NULL, message, transfer);
    }
}

impl Task {
    /// # Errors
    /// [`Error::Cancelled`] once the user asked for it.
    pub(super) fn check(&self) -> Result<()> {
        if self.cancelled.get() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

fn message(id: u32, kind: &str) -> JsValue {
    let message = Object::new().into();
    set(&message, "id", &id.into());
    set(&message, "type", &kind.into());
    message
}

#[derive(Serialize)]
struct DownloadEvent<'a> {
    file: &'a str,
    done: u64,
    total: u64,
    received: u64,
}

/// `EngineError` of the protocol.
#[derive(Serialize)]
struct EngineError {
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl EngineError {
    fn of(error: &Error) -> Self {
        let kind = match error {
            Error::Io { source, .. } => match source.kind() {
                ErrorKind::QuotaExceeded | ErrorKind::StorageFull => "quota",
                ErrorKind::UnexpectedEof => "truncated",
                ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown | ErrorKind::ConnectionAborted => "network",
                _ => "io",
            },
            Error::Malformed { .. } => "malformed",
            Error::Missing { .. } => "missing",
            Error::Unsupported { .. } => "unsupported",
            Error::Mismatch { .. } => "mismatch",
            Error::Device { .. } => "device",
            Error::Usage { .. } => "usage",
            Error::Cancelled => "cancelled",
        };
        Self { kind, message: error.message(), hint: error.hint().map(str::to_owned) }
    }
}

/// `Memory` of the protocol.
#[derive(Serialize)]
pub(super) struct Memory {
    gpu: u64,
    gpu_peak: u64,
    gpu_largest: u64,
    wasm: u64,
}

impl Memory {
    pub(super) fn now() -> Self {
        let GpuMemory { bytes, peak, largest } = platform::gpu_memory();
        Self { gpu: bytes, gpu_peak: peak, gpu_largest: largest, wasm: platform::peak_memory().unwrap_or_default() }
    }
}

#[derive(Serialize)]
struct ProgressEvent {
    samples_done: f64,
    samples_total: usize,
    seconds: f64,
    rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<f64>,
    layer: usize,
    layers: usize,
    bytes_read: u64,
    stages: Vec<(&'static str, f64)>,
    memory: Memory,
}

/// Told of finished samples.
type OnMeasured<'a> = &'a dyn Fn(&[SampleMeasure]);

/// Sends a run's progress to the page.
pub(super) struct Reporter<'a> {
    pub(super) shared: &'a Shared,
    pub(super) task: &'a Task,
    /// Samples that an earlier attempt finished.
    pub(super) before: usize,
    /// What to do with finished samples.
    pub(super) on_measured: Option<OnMeasured<'a>>,
}

impl Observer for Reporter<'_> {
    fn progress(&self, progress: &Progress) -> ControlFlow<()> {
        let event = ProgressEvent {
            samples_done: progress.samples_done + self.before as f64,
            samples_total: progress.samples_total + self.before,
            seconds: progress.seconds,
            rate: progress.rate(),
            eta: progress.eta(),
            layer: progress.layer,
            layers: progress.layers,
            bytes_read: progress.bytes_read,
            stages: progress.timings.named(),
            memory: Memory::now(),
        };
        self.shared.event(self.task.id, "progress", &to_js(&event));
        match self.task.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn measured(&self, samples: &[SampleMeasure]) {
        if let Some(then) = self.on_measured {
            then(samples);
        }
    }
}
