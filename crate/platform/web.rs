//! Web: the browser's event loop, one thread.

use std::future::Future;
use std::time::Duration;

use futures::channel::oneshot;
use wasm_bindgen::prelude::*;

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

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, millis: f64) -> JsValue;
}

/// Waits on the browser's timer.
pub async fn sleep(duration: Duration) {
    let millis = duration.as_secs_f64() * 1e3;
    let promise = js_sys::Promise::new(&mut |resolve, _reject| {
        set_timeout(&resolve, millis);
    });
    // a timer's promise is never rejected
    let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
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

/// Peak memory is the browser's to tell; see the page's own count.
pub fn peak_memory() -> Option<u64> {
    None
}

/// How the host matmul splits its work.
pub fn matmul_parallelism() -> faer::Par {
    faer::Par::Seq
}
