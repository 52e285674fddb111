//! The browser's WebGPU adapter, opening it for burn, what the browser says of it since, and what the worker
//! counts of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;
use burn::tensor::wgpu::WgpuSetup;
use futures::lock::Mutex;
use wasm_bindgen::prelude::*;

use crate::error::{Error, Result};

#[wasm_bindgen]
extern "C" {
    /// What the worker's script sees of WebGPU (www/engine/gpu-probe.ts): buffers counted where they are
    /// made and destroyed, and the adapter's own words.
    #[wasm_bindgen(js_name = saescopeGpu, thread_local_v2)]
    static PROBE: Probe;

    #[derive(Debug, Clone)]
    type Probe;
    #[wasm_bindgen(method, getter)]
    fn bytes(this: &Probe) -> f64;
    #[wasm_bindgen(method, getter)]
    fn peak(this: &Probe) -> f64;
    #[wasm_bindgen(method, getter)]
    fn largest(this: &Probe) -> f64;
    #[wasm_bindgen(method)]
    fn reset(this: &Probe);
    /// The device is about to be closed: that it is lost then is no news.
    #[wasm_bindgen(method)]
    fn release(this: &Probe);
    /// The adapter as `{ name, software, max_buffer }`; null where there is none.
    #[wasm_bindgen(method, catch)]
    async fn find(this: &Probe) -> std::result::Result<JsValue, JsValue>;
}

/// The adapter that the browser offers.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct WebAdapter {
    /// In the browser's words.
    pub name: String,
    /// A rasteriser on the CPU (SwiftShader), not a GPU.
    pub software: bool,
    /// Most bytes of one storage binding.
    pub max_buffer: u64,
}

/// Bytes in buffers of the graphics device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GpuMemory {
    /// Now.
    pub bytes: u64,
    /// At most since [`reset_gpu_peak`].
    pub peak: u64,
    /// Largest single buffer so far.
    pub largest: u64,
}

/// A device that was opened.
#[derive(Clone)]
struct Opened {
    device: Device,
    handle: wgpu::Device,
    /// The first error that the browser told of it; those that follow follow from it.
    fault: Arc<OnceLock<Fault>>,
}

/// A device's error.
enum Fault {
    /// The browser says no more of it.
    OutOfMemory,
    Other(String),
}

thread_local! {
    /// All of the worker's: whoever still has a closed one is told so.
    static OPENED: RefCell<Vec<Opened>> = const { RefCell::new(Vec::new()) };
    /// Requests overlap, and one device is enough for all.
    static OPENING: Rc<Mutex<()>> = Rc::new(Mutex::new(()));
}

/// The adapter, if the browser has one.
///
/// # Errors
/// [`Error::Device`] in the browser's words when asking for it fails.
pub async fn adapter() -> Result<Option<WebAdapter>> {
    let probe = PROBE.with(Clone::clone);
    let found = probe.find().await.map_err(|e| failed(&super::js::described(&e).1))?;
    if found.is_null() || found.is_undefined() {
        return Ok(None);
    }
    serde_wasm_bindgen::from_value(found).map(Some).map_err(|e| failed(&e.to_string()))
}

/// Opens the adapter for burn; a second call gives the same device, while it works.
///
/// # Errors
/// [`Error::Device`] with the browser's words.
pub async fn open() -> Result<Device> {
    let opening = OPENING.with(Rc::clone);
    let _one = opening.lock().await;
    let works = |opened: &&Opened| opened.fault.get().is_none();
    match OPENED.with_borrow(|all| all.iter().find(works).map(|opened| opened.device.clone())) {
        Some(device) => Ok(device),
        None => another().await,
    }
}

/// Gives the memory of what is open back, and opens the adapter once more. Nothing can be computed on the old device.
///
/// # Errors
/// As [`open`].
pub async fn open_anew() -> Result<Device> {
    let opening = OPENING.with(Rc::clone);
    let _one = opening.lock().await;
    another().await
}

async fn another() -> Result<Device> {
    OPENED.with_borrow(|all| {
        if !all.is_empty() {
            PROBE.with(Probe::release);
        }
        for old in all {
            // one that has none left is known as that
            old.fault.get_or_init(|| Fault::Other("the device was closed".to_owned()));
            old.handle.destroy();
        }
    });
    // as cubecl does where it opens one: what it compiles for is the adapter's features
    let instance = wgpu::Instance::default();
    let preferred = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..wgpu::RequestAdapterOptions::default()
    };
    let adapter = instance.request_adapter(&preferred).await.map_err(|e| failed(&e.to_string()))?;
    let wanted = wgpu::DeviceDescriptor {
        required_features: adapter.features().difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    };
    let (handle, queue) = adapter.request_device(&wanted).await.map_err(|e| failed(&e.to_string()))?;
    let backend = adapter.get_info().backend;
    let setup = WgpuSetup { instance, adapter, device: handle.clone(), queue, backend };
    let device = Device::wgpu_options().setup(setup).init().map_err(|e| failed(&e.to_string()))?;
    let fault = Arc::new(OnceLock::new());
    // in place of cubecl's: a lack of memory is told apart, and can be mended
    let hears = fault.clone();
    handle.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        hears.get_or_init(|| match error {
            wgpu::Error::OutOfMemory { .. } => Fault::OutOfMemory,
            error => Fault::Other(error.to_string()),
        });
    }));
    OPENED.with_borrow_mut(|all| all.push(Opened { device: device.clone(), handle, fault }));
    Ok(device)
}

/// Whether what a device computed can be trusted: the browser has said nothing of it since it was opened.
///
/// # Errors
/// [`Error::OutOfMemory`]; [`Error::Device`] with the browser's words.
pub fn check_device(device: &Device) -> Result<()> {
    OPENED.with_borrow(|all| {
        let opened = all.iter().find(|opened| opened.device == *device);
        match opened.and_then(|opened| opened.fault.get()) {
            None => Ok(()),
            Some(Fault::OutOfMemory) => Err(Error::out_of_memory(
                "WebGPU has none left for another buffer",
                "close other tabs, choose a smaller batch or a smaller model, or run on the CPU",
            )),
            Some(Fault::Other(text)) => {
                Err(Error::device(format!("WebGPU: {text}"), "run on the CPU, or update the browser and the driver"))
            }
        }
    })
}

/// Buffers of the graphics device.
pub fn gpu_memory() -> GpuMemory {
    PROBE.with(|p| GpuMemory { bytes: p.bytes() as u64, peak: p.peak() as u64, largest: p.largest() as u64 })
}

/// Counts the peak anew.
pub fn reset_gpu_peak() {
    PROBE.with(Probe::reset);
}

fn failed(text: &str) -> Error {
    Error::device(format!("cannot open WebGPU: {text}"), "run on the CPU, or update the browser and the driver")
}
