//! What a request wants to hear of downloads, and how it stops them. One worker serves one user:
//! every open request hears of every download, and the last one to be cancelled stops them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use web_sys::{AbortController, AbortSignal};

/// How far one file is.
#[derive(Debug, Clone)]
pub struct Download<'a> {
    /// Its name.
    pub file: &'a str,
    /// Bytes here.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes that just came over the network.
    pub received: u64,
}

type OnDownload = Rc<dyn Fn(&Download<'_>)>;

thread_local! {
    static LISTENERS: RefCell<Vec<(u64, OnDownload)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static CONTROLLER: RefCell<Option<AbortController>> = const { RefCell::new(None) };
}

/// An open request; dropping it ends its interest.
#[derive(Debug)]
pub struct Session(u64);

impl Session {
    /// Begins to hear of downloads.
    pub fn begin(on_download: impl Fn(&Download<'_>) + 'static) -> Self {
        let id = NEXT.replace(NEXT.get() + 1);
        LISTENERS.with_borrow_mut(|all| all.push((id, Rc::new(on_download))));
        Self(id)
    }

    /// Stops downloads under way, unless another request may be waiting for them.
    pub fn abort(&self) {
        let alone = LISTENERS.with_borrow(|all| all.iter().all(|(id, _)| *id == self.0));
        if alone && let Some(controller) = CONTROLLER.take() {
            controller.abort();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        LISTENERS.with_borrow_mut(|all| all.retain(|(id, _)| *id != self.0));
    }
}

/// Tells every open request.
pub(super) fn tell(download: &Download<'_>) {
    let listeners: Vec<OnDownload> = LISTENERS.with_borrow(|all| all.iter().map(|(_, f)| f.clone()).collect());
    listeners.iter().for_each(|f| f(download));
}

/// The signal that ends a fetch begun now; none where the browser has no such thing.
pub(super) fn signal() -> Option<AbortSignal> {
    CONTROLLER.with_borrow_mut(|controller| {
        if controller.is_none() {
            *controller = AbortController::new().ok();
        }
        controller.as_ref().map(AbortController::signal)
    })
}
