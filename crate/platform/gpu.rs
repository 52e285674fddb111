//! Graphics adapters on native: which there are, which are real, and opening one for burn.

use std::sync::Mutex;

use burn::tensor::{Device, DeviceKind};

use crate::error::{Error, Result};

/// A graphics adapter that burn can compute on.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    kind: Kind,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Discrete(usize),
    Integrated(usize),
    Virtual(usize),
    Cpu,
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

/// The adapters of the platform's own graphics interface, real GPUs first.
pub async fn adapters() -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let (mut discrete, mut integrated, mut virtual_gpus, mut software) = (0, 0, 0, 0);
    let mut found = Vec::new();
    for adapter in instance.enumerate_adapters(backends).await {
        let info = adapter.get_info();
        let Some(interface) = Interface::of(info.backend) else { continue };
        let take = |counter: &mut usize| {
            *counter += 1;
            *counter - 1
        };
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => Kind::Discrete(take(&mut discrete)),
            wgpu::DeviceType::IntegratedGpu => Kind::Integrated(take(&mut integrated)),
            wgpu::DeviceType::VirtualGpu => Kind::Virtual(take(&mut virtual_gpus)),
            // burn names software adapters without a number: the first is the one that it opens
            wgpu::DeviceType::Cpu if take(&mut software) == 0 => Kind::Cpu,
            _ => continue,
        };
        found.push(Adapter {
            index: 0,
            name: info.name.clone(),
            interface,
            software: kind == Kind::Cpu,
            max_binding: adapter.limits().max_storage_buffer_binding_size,
            kind,
        });
    }
    found.sort_by_key(|a| a.software);
    for (i, adapter) in found.iter_mut().enumerate() {
        adapter.index = i;
    }
    found
}

/// Devices opened so far: burn initialises each once per process.
static OPENED: Mutex<Vec<(String, usize, Device)>> = Mutex::new(Vec::new());

/// Opens an adapter for burn; a second call gives the same device.
///
/// # Errors
/// [`Error::Device`] with the driver's words.
pub async fn open(adapter: &Adapter) -> Result<Device> {
    let failed = |e: String| {
        Error::device(
            format!("cannot open {} ({:?}): {e}", adapter.name, adapter.interface),
            "update the graphics driver, or run with `--device cpu`",
        )
    };
    let mut opened = OPENED.lock().map_err(|e| failed(e.to_string()))?;
    let key = (adapter.name.clone(), adapter.index);
    if let Some((_, _, device)) = opened.iter().find(|(n, i, _)| *n == key.0 && *i == key.1) {
        return Ok(device.clone());
    }
    let kind = match adapter.kind {
        Kind::Discrete(i) => DeviceKind::DiscreteGpu(i),
        Kind::Integrated(i) => DeviceKind::IntegratedGpu(i),
        Kind::Virtual(i) => DeviceKind::VirtualGpu(i),
        Kind::Cpu => DeviceKind::Cpu,
    };
    let device = Device::wgpu_options().device_kind(kind).init().map_err(|e| failed(e.to_string()))?;
    opened.push((key.0, key.1, device.clone()));
    Ok(device)
}
