//! Graphics adapters on native: which there are, which are real, opening one for burn, and what its driver
//! says of it since.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::Device;
use burn::tensor::wgpu::WgpuSetup;

use crate::error::{Error, Result};

/// A graphics adapter that burn can compute on.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Number for `--device gpu:N`.
    pub index: usize,
    /// Name as the driver gives it.
    pub name: String,
    /// The platform's graphics interface.
    pub interface: Interface,
    /// A rasteriser on the CPU (lavapipe, SwiftShader, WARP), not a GPU.
    pub software: bool,
    /// Largest storage binding in bytes.
    pub max_binding: u64,
    handle: wgpu::Adapter,
}

impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        (self.index, &self.name) == (other.index, &other.name)
    }
}

impl Adapter {
    /// Whether the other one computes the same bits: the same device under the same driver.
    pub fn is_like(&self, other: &Self) -> bool {
        let [a, b] = [self, other].map(|adapter| adapter.handle.get_info());
        let named = |info: &wgpu::AdapterInfo| (info.name.clone(), info.driver.clone(), info.driver_info.clone());
        (self.interface, a.vendor, a.device, named(&a)) == (other.interface, b.vendor, b.device, named(&b))
    }
}

/// A platform's own graphics interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// Linux, Windows, Android.
    Vulkan,
    /// Apple's systems.
    Metal,
    /// Windows.
    Dx12,
}

impl Interface {
    fn of(backend: wgpu::Backend) -> Option<Self> {
        match backend {
            wgpu::Backend::Vulkan => Some(Self::Vulkan),
            wgpu::Backend::Metal => Some(Self::Metal),
            wgpu::Backend::Dx12 => Some(Self::Dx12),
            _ => None,
        }
    }
}

/// Says that no Wayland compositor runs where none can be reached, so that listing adapters prints
/// nothing of it.
///
/// wgpu asks Vulkan for every kind of surface. Mesa's device-select layer takes that for a program
/// with windows and asks the compositor for its GPU; without a usable `XDG_RUNTIME_DIR`, libwayland
/// then prints an error on stderr each time. With an absolute `WAYLAND_DISPLAY` it needs no such
/// folder, and a path that is no socket is a compositor that does not answer: the layer goes on
/// without, as it would have done, and honours its own variables still.
///
/// # Safety
/// It sets an environment variable: no other thread may run yet.
pub unsafe fn no_display_for_adapters() {
    let absolute = |name: &str| std::env::var_os(name).is_some_and(|path| std::path::Path::new(&path).is_absolute());
    let connected = std::env::var_os("WAYLAND_SOCKET").is_some();
    if cfg!(target_os = "linux") && !absolute("XDG_RUNTIME_DIR") && !absolute("WAYLAND_DISPLAY") && !connected {
        // SAFETY: the caller's
        unsafe { std::env::set_var("WAYLAND_DISPLAY", "/dev/null") };
    }
}

/// One for the process, for good: the Vulkan loader crashes when instances come and go on several threads.
///
/// Where the driver tells how much memory there is, an allocation that takes more than nearly all of it is
/// refused, in place of a system that swaps or ends programs.
static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
/// Per cent of a heap.
const NEARLY_ALL: u8 = 95;

/// The adapters of the platform's own graphics interface, real GPUs first.
pub async fn adapters() -> Vec<Adapter> {
    let instance = INSTANCE.get_or_init(|| {
        let mut wanted = wgpu::InstanceDescriptor::new_without_display_handle();
        wanted.memory_budget_thresholds.for_resource_creation = Some(NEARLY_ALL);
        wgpu::Instance::new(wanted)
    });
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let mut found = Vec::new();
    for handle in instance.enumerate_adapters(backends).await {
        let info = handle.get_info();
        let Some(interface) = Interface::of(info.backend) else { continue };
        found.push(Adapter {
            index: 0,
            name: info.name.clone(),
            interface,
            software: match info.device_type {
                wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu => false,
                wgpu::DeviceType::Cpu => true,
                wgpu::DeviceType::Other => continue,
            },
            max_binding: handle.limits().max_storage_buffer_binding_size,
            handle,
        });
    }
    found.sort_by_key(|a| a.software);
    for (i, adapter) in found.iter_mut().enumerate() {
        adapter.index = i;
    }
    found
}

/// A device that was opened.
struct Opened {
    adapter: Adapter,
    device: Device,
    handle: wgpu::Device,
    said: Arc<Said>,
}

/// What the driver said of a device since it was opened.
#[derive(Default)]
struct Said {
    /// The first error; those that follow follow from it.
    fault: OnceLock<Fault>,
    /// Most bytes of buffers seen.
    peak: AtomicU64,
    closed: AtomicBool,
}

/// A device's error.
struct Fault {
    out_of_memory: bool,
    text: String,
}

/// All of them: burn keeps a device for as long as the process runs.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

/// Opens an adapter for burn; a second call gives the same device, while it works.
///
/// # Errors
/// [`Error::Device`] with the driver's words.
pub async fn open(adapter: &Adapter) -> Result<Device> {
    let there = |opened: &Opened| opened.adapter == *adapter && opened.said.fault.get().is_none();
    if let Some(opened) = opened().iter().find(|opened| there(opened)) {
        return Ok(opened.device.clone());
    }
    open_anew(adapter).await
}

fn opened() -> std::sync::MutexGuard<'static, Vec<Opened>> {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens an adapter for burn, once more where it is open: a device of its own, with memory of its own.
///
/// # Errors
/// As [`open()`].
pub async fn open_anew(adapter: &Adapter) -> Result<Device> {
    let failed = |e: String| {
        Error::device(
            format!("cannot open {} ({:?}): {e}", adapter.name, adapter.interface),
            "update the graphics driver, or run with `--device cpu`",
        )
    };
    let instance = INSTANCE.get().ok_or_else(|| failed("no adapters were asked for".to_owned()))?.clone();
    // as cubecl does where it opens one: what it compiles for is the adapter's features
    let wanted = wgpu::DeviceDescriptor {
        required_features: adapter.handle.features().difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        required_limits: adapter.handle.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        // SAFETY: no kernel here uses one of them
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        ..wgpu::DeviceDescriptor::default()
    };
    let (handle, queue) = adapter.handle.request_device(&wanted).await.map_err(|e| failed(e.to_string()))?;
    let backend = adapter.handle.get_info().backend;
    let setup = WgpuSetup { instance, adapter: adapter.handle.clone(), device: handle.clone(), queue, backend };
    let device = Device::wgpu_options().setup(setup).init().map_err(|e| failed(e.to_string()))?;
    let said = Arc::new(Said::default());
    // in place of cubecl's, which ends the thread that computes, and every later wait for it
    let hears = said.clone();
    handle.on_uncaptured_error(Arc::new(move |error| {
        let out_of_memory = matches!(error, wgpu::Error::OutOfMemory { .. });
        hears.fault.get_or_init(|| Fault { out_of_memory, text: error.to_string() });
    }));
    let opened_device = Opened { adapter: adapter.clone(), device: device.clone(), handle, said };
    opened().push(opened_device);
    Ok(device)
}

/// Whether what a device computed can be trusted: it has said nothing since it was opened.
///
/// # Errors
/// [`Error::OutOfMemory`]; [`Error::Device`] with the driver's words.
pub fn check_device(device: &Device) -> Result<()> {
    let opened = opened();
    let Some(opened) = opened.iter().find(|opened| opened.device == *device) else { return Ok(()) };
    match opened.said.fault.get() {
        None => Ok(()),
        Some(Fault { out_of_memory: true, text }) => Err(Error::out_of_memory(
            format!("{}: {text}", opened.adapter.name),
            "close what else uses the device, take a smaller `--memory-budget`, or run with `--device cpu`",
        )),
        Some(Fault { text, .. }) => Err(Error::device(
            format!("{}: {text}", opened.adapter.name),
            "update the graphics driver, or run with `--device cpu`",
        )),
    }
}

/// Takes down what buffers a device holds now: [`peak_buffers`] tells of the most.
pub fn count_buffers(device: &Device) {
    let opened = opened();
    let Some(opened) = opened.iter().find(|opened| opened.device == *device) else { return };
    if let Some(bytes) = opened.handle.generate_allocator_report().map(|report| report.total_reserved_bytes) {
        opened.said.peak.fetch_max(bytes, Ordering::Relaxed);
    }
}

/// Most bytes of buffers that devices held together before some of them were closed.
static PEAK_OF_CLOSED: AtomicU64 = AtomicU64::new(0);

/// Most bytes of buffers that the devices have held together, where their drivers tell.
pub fn peak_buffers() -> Option<u64> {
    let most = peak_of(&opened()).max(PEAK_OF_CLOSED.load(Ordering::Relaxed));
    Some(most).filter(|bytes| *bytes > 0)
}

fn peak_of(opened: &[Opened]) -> u64 {
    let open = opened.iter().filter(|opened| !opened.said.closed.load(Ordering::Relaxed));
    open.map(|opened| opened.said.peak.load(Ordering::Relaxed)).sum()
}

/// Gives a device's memory back; nothing can be computed on it any more.
pub fn close_device(device: &Device) {
    let all = opened();
    PEAK_OF_CLOSED.fetch_max(peak_of(&all), Ordering::Relaxed);
    if let Some(opened) = all.iter().find(|opened| opened.device == *device) {
        opened.said.closed.store(true, Ordering::Relaxed);
        opened.said.fault.get_or_init(|| Fault { out_of_memory: false, text: "the device was closed".to_owned() });
        opened.handle.destroy();
    }
}
