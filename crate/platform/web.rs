//! Web: the browser's event loop, one thread.

use std::future::Future;
use std::time::Duration;

use futures::channel::oneshot;

#[path = "web/chunked.rs"]
mod chunked;
#[path = "web/floats.rs"]
mod floats;
#[path = "web/gpu.rs"]
mod gpu;
#[path = "web/journal.rs"]
mod journal;
#[path = "web/js.rs"]
mod js;
#[path = "web/remote.rs"]
mod remote;
#[path = "web/session.rs"]
mod session;
#[path = "web/store.rs"]
mod store;

pub use chunked::{ChunkedSource, WebFile, picked};
pub use floats::Floats;
pub use gpu::{
    GpuMemory, WebAdapter, adapter, check_device, gpu_memory, open as open_webgpu, open_anew as open_webgpu_anew,
    reset_gpu_peak,
};
pub use journal::WebJournal;
pub use remote::fetch_small;
pub use session::{Download, Session};
pub use store::{Estimate, StoredItem, delete, estimate, stored};

/// `Send` on native, nothing on the web (where futures hold JavaScript values).
pub trait MaybeSend {}
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` on native, nothing on the web.
pub trait MaybeSync {}
impl<T: ?Sized> MaybeSync for T {}

/// A boxed future; not `Send` here.
pub type BoxFuture<'a, T> = futures::future::LocalBoxFuture<'a, T>;

/// Runs a future on the event loop and returns a future of its output.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> impl Future<Output = Option<T>> {
    let (tx, rx) = oneshot::channel();
    wasm_bindgen_futures::spawn_local(async move {
        // the receiver is gone only when the caller gave up: nobody left to tell
        let _ = tx.send(future.await);
    });
    async move { rx.await.ok() }
}

/// Makes a future and runs it on the event loop.
pub fn spawn_from<F: Future<Output = ()> + 'static>(make: impl FnOnce() -> F + 'static) {
    wasm_bindgen_futures::spawn_local(make());
}

/// Waits on the browser's timer.
pub async fn sleep(duration: Duration) {
    gloo_timers::future::sleep(duration).await;
}

/// Lets the event loop run (messages, cancel requests).
pub async fn yield_now() {
    sleep(Duration::ZERO).await;
}

/// A monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock(web_time::Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self(web_time::Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Calls `f(index, chunk)` for every `chunk_len` elements of `data`.
pub fn par_chunks_mut<T>(data: &mut [T], chunk_len: usize, f: impl Fn(usize, &mut [T])) {
    data.chunks_mut(chunk_len.max(1)).enumerate().for_each(|(i, c)| f(i, c));
}

/// `f(0), f(1), … f(n−1)`, in order.
pub fn par_map<T>(n: usize, f: impl Fn(usize) -> T) -> Vec<T> {
    (0..n).map(f).collect()
}

/// Number of threads that [`par_map`] uses.
pub fn threads() -> usize {
    1
}

/// Processors of this machine, as far as the browser tells.
pub fn cores() -> usize {
    js::worker().map_or(1, |scope| scope.navigator().hardware_concurrency().max(1.0) as usize)
}

/// Bytes of memory of this machine, roughly, where the browser tells; none tells of very much.
pub fn device_memory() -> Option<u64> {
    let navigator = js::worker().ok()?.navigator();
    let gigabytes = js_sys::Reflect::get(&navigator, &"deviceMemory".into()).ok()?.as_f64()?;
    Some((gigabytes * f64::from(1u32 << 30)) as u64)
}

/// Runs `work`. A panic ends the worker here, with its words on the page; none comes back.
///
/// # Errors
/// None.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    Ok(work())
}

/// The page counts a device's buffers: see [`gpu_memory`].
pub fn count_buffers(_: &burn::tensor::Device) {}

/// Size of the WASM memory, which only grows: its peak. The device's buffers are counted apart.
pub fn peak_memory() -> Option<u64> {
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().into();
    let buffer: js_sys::ArrayBuffer = memory.buffer().into();
    Some(u64::from(buffer.byte_length()))
}
