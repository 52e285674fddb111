//! Open requests: their events, their end, and how they are stopped.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use wasm_bindgen::JsValue;

use super::border::Outgoing;
use crate::engine::{self, Observer};
use crate::error::{Error, Result};
use crate::platform::{self, GpuMemory, Session, Source};
use crate::protocol::{Answer, Bytes, Download, Event, Memory, PickedFile, Progress};

/// The page, and what it waits for.
pub(super) struct Page {
    emit: js_sys::Function,
    open: RefCell<Vec<Rc<Task>>>,
}

/// A request that has no terminal answer yet.
pub(super) struct Task {
    id: u32,
    page: Rc<Page>,
    /// The files that came with it.
    picked: Vec<Source>,
    cancelled: Cell<bool>,
    session: Session,
    /// What is handed to it; closed once it is cancelled.
    sender: UnboundedSender<Handed>,
    receiver: Cell<Option<UnboundedReceiver<Handed>>>,
}

/// What another worker measured for a run.
pub(super) struct Handed {
    pub(super) portion: Bytes,
    /// Most memory that all workers took together so far.
    pub(super) memory: u64,
}

impl Page {
    /// `emit(message, transfer)` sends a message there.
    pub(super) fn new(emit: js_sys::Function) -> Rc<Self> {
        Rc::new(Self { emit, open: RefCell::default() })
    }

    pub(super) fn begin(self: &Rc<Self>, id: u32, picked: Vec<Source>) -> Rc<Task> {
        let (page, received) = (self.clone(), Cell::new(0u64));
        let session = Session::begin(move |download: &platform::Download<'_>| {
            received.set(received.get() + download.received);
            let platform::Download { file, done, total, .. } = *download;
            let download = Download { file: file.to_owned(), done, total, received: received.get() };
            page.send(Outgoing::event(id, &Event::Download { download }));
        });
        let (sender, receiver) = unbounded();
        let (cancelled, receiver) = (Cell::new(false), Cell::new(Some(receiver)));
        let task = Rc::new(Task { id, page: self.clone(), picked, cancelled, session, sender, receiver });
        self.open.borrow_mut().push(task.clone());
        task
    }

    pub(super) fn end(&self, task: &Task, answer: &Result<Answer>) {
        self.open.borrow_mut().retain(|t| t.id != task.id);
        self.send(Outgoing::end(task.id, answer));
    }

    /// Asks a request to stop; one that has ended already stays ended.
    pub(super) fn cancel(&self, target: u32) {
        if let Some(task) = self.find(target) {
            task.cancelled.set(true);
            task.session.abort();
            task.sender.close_channel();
        }
    }

    /// Hands something to a request; to one that has ended it is of no use any more.
    pub(super) fn hand(&self, target: u32, handed: Handed) {
        if let Some(task) = self.find(target) {
            // one that was cancelled takes nothing
            let _ = task.sender.unbounded_send(handed);
        }
    }

    fn find(&self, id: u32) -> Option<Rc<Task>> {
        self.open.borrow().iter().find(|t| t.id == id).cloned()
    }

    fn send(&self, Outgoing { message, transfer }: Outgoing) {
        // a page that is gone has nobody to tell
        let _ = self.emit.call2(&JsValue::NULL, &message, &transfer);
    }
}

impl Task {
    /// # Errors
    /// [`Error::Cancelled`] once the user asked for it.
    pub(super) fn check(&self) -> Result<()> {
        if self.cancelled.get() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// What is handed to it, from now on; the end of it is that the request was cancelled.
    pub(super) fn handed(&self) -> UnboundedReceiver<Handed> {
        // a second one hears of nothing
        self.receiver.take().unwrap_or_else(|| unbounded().1)
    }

    pub(super) fn event(&self, event: &Event) {
        self.page.send(Outgoing::event(self.id, event));
    }

    /// The file that a request describes.
    pub(super) fn picked(&self, file: &PickedFile) -> Result<Source> {
        self.picked.get(file.index).cloned().ok_or_else(|| {
            Error::missing(format!("picked file {}", file.name), "reload the page: its parts differ in version")
        })
    }
}

/// Memory in use now.
pub(super) fn memory() -> Memory {
    let GpuMemory { bytes, peak, largest } = platform::gpu_memory();
    Memory { gpu: bytes, gpu_peak: peak, gpu_largest: largest, wasm: platform::peak_memory().unwrap_or_default() }
}

/// Sends a run's progress to the page.
pub(super) struct Reporter<'a> {
    pub(super) task: &'a Task,
}

impl Observer for Reporter<'_> {
    fn progress(&self, progress: &engine::Progress) -> ControlFlow<()> {
        let stages = progress.timings.named().into_iter().map(|(name, seconds)| (name.to_owned(), seconds));
        let progress = Progress {
            samples_done: progress.samples_done,
            samples_total: progress.samples_total,
            seconds: progress.seconds,
            rate: progress.rate(),
            eta: progress.eta(),
            layer: progress.layer,
            layers: progress.layers,
            bytes_read: progress.bytes_read,
            stages: stages.collect(),
            memory: memory(),
        };
        self.task.event(&Event::Progress { progress });
        match self.task.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn note(&self, note: &str) {
        self.task.event(&Event::Note { note: note.to_owned() });
    }
}
