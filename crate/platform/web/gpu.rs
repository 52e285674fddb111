//! The browser's WebGPU adapter, and what the worker counts of it.

use std::cell::RefCell;

use burn::tensor::Device;
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

thread_local! {
    /// burn initialises a device once per worker
    static OPENED: RefCell<Option<Device>> = const { RefCell::new(None) };
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

/// Opens the adapter for burn; a second call gives the same device.
///
/// # Errors
/// [`Error::Device`] with the browser's words.
pub async fn open() -> Result<Device> {
    if let Some(device) = OPENED.with_borrow(Clone::clone) {
        return Ok(device);
    }
    let device = Device::wgpu_options().init_async().await.map_err(|e| failed(&e.to_string()))?;
    OPENED.set(Some(device.clone()));
    Ok(device)
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
