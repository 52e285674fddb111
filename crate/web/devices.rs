//! Which device computes, and whether it computes right.

use std::cell::RefCell;

use crate::engine::{TOLERANCE, self_test};
use crate::error::{Error, Result};
use crate::model::ops::{self, Compute, kernels_are_exact};
use crate::output::{Backend, ComputeInfo, Precision, ProgramInfo, Weights};
use crate::platform::{self, WebAdapter};
use crate::protocol::{Device, DeviceChoice, Hello, WebGpu, WebGpuState as State};

thread_local! {
    static KNOWN: RefCell<Option<WebGpu>> = const { RefCell::new(None) };
}

pub(super) async fn hello() -> Result<Hello> {
    let ProgramInfo { version, git_commit, .. } = ProgramInfo::this();
    let cpu_self_test = self_test(&Compute::cpu()).await?;
    if cpu_self_test > TOLERANCE {
        return Err(Error::device(
            format!("the CPU path differs from the known numbers by {cpu_self_test:.1e}"),
            "this browser computes wrong values; try another one, and please report it",
        ));
    }
    let webgpu = webgpu(false).await;
    let device = if webgpu.state == State::Ok { Device::Webgpu } else { Device::Cpu };
    // the list is never empty
    let cpu_product = platform::gemm::f32_kernels()[0].name.to_owned();
    Ok(Hello { version, commit: git_commit, webgpu, cpu_self_test, cpu_product, device })
}

/// Finds the adapter and, if it is a real GPU or is `wanted` all the same, tests it; once.
async fn webgpu(wanted: bool) -> WebGpu {
    let known = KNOWN.with_borrow(Clone::clone);
    if let Some(known) = known.filter(|k| !wanted || k.state != State::Software || k.self_test.is_some()) {
        return known;
    }
    let found = find(wanted).await;
    KNOWN.set(Some(found.clone()));
    found
}

async fn find(wanted: bool) -> WebGpu {
    let mut found = WebGpu { state: State::None, adapter: None, reason: None, self_test: None, max_buffer: None };
    let WebAdapter { name, software, max_buffer } = match platform::adapter().await {
        Ok(Some(adapter)) => adapter,
        Ok(None) => {
            found.reason = Some("the browser offers no WebGPU adapter".to_owned());
            return found;
        }
        Err(e) => return WebGpu { state: State::Failed, reason: Some(words(&e)), ..found },
    };
    found = WebGpu { adapter: Some(name), max_buffer: Some(max_buffer), ..found };
    if software {
        found.state = State::Software;
        found.reason = Some("the adapter is a rasteriser on the CPU, slower than the CPU path".to_owned());
        if !wanted {
            return found;
        }
    }
    let tested = match platform::open_webgpu().await {
        Ok(device) => {
            let compute = Compute::gpu(device, ops::Precision::F32, Some(max_buffer));
            self_test(&compute).await
        }
        Err(e) => Err(e),
    };
    match tested {
        Ok(difference) => {
            found.self_test = Some(difference);
            if difference > TOLERANCE {
                found.state = State::Wrong;
                found.reason = Some(format!(
                    "its values differ from the known numbers by {difference:.1e} (at most {TOLERANCE:.0e})"
                ));
            } else if !software {
                found.state = State::Ok;
            }
        }
        Err(e) => {
            found.state = State::Failed;
            found.reason = Some(words(&e));
        }
    }
    found
}

/// An error's own words, to stand inside another's: without its kind and its hint.
fn words(error: &Error) -> String {
    match error {
        Error::Device { what, .. } => what.clone(),
        other => other.message(),
    }
}

/// Whether `auto` would take the GPU, without opening anything that is not open.
pub(super) async fn takes_gpu(choice: DeviceChoice) -> bool {
    match choice {
        DeviceChoice::Webgpu => true,
        DeviceChoice::Auto => webgpu(false).await.state == State::Ok,
        DeviceChoice::Cpu => false,
    }
}

/// What a `DeviceChoice` stands for, and its words for the manifest.
///
/// # Errors
/// [`Error::Device`] for a WebGPU that is asked for and not there, or wrong; [`Error::Usage`] for
/// f16 on the CPU, and bf16.
pub(super) async fn compute(choice: DeviceChoice, precision: Precision) -> Result<(Compute, ComputeInfo)> {
    if precision == Precision::Bf16 {
        return Err(Error::usage("bf16 is for processors with instructions for it", "choose f32 or f16"));
    }
    let f16 = precision == Precision::F16;
    let info = |device: &str, adapter, backend| ComputeInfo {
        precision,
        device: device.to_owned(),
        adapter,
        backend,
        threads: platform::threads(),
        weights: Weights::Streamed,
    };
    if !takes_gpu(choice).await {
        if f16 {
            return Err(Error::usage("f16 is for GPUs; the CPU computes in f32", "choose f32, or WebGPU"));
        }
        return Ok((Compute::cpu(), info("cpu", None, Backend::FlexWasm)));
    }
    let found = webgpu(true).await;
    if !matches!(found.state, State::Ok | State::Software) {
        return Err(Error::device(
            found.reason.unwrap_or_else(|| "no WebGPU".to_owned()),
            "choose the CPU, or `auto`, which does so by itself",
        ));
    }
    let in_shaders = if f16 { ops::Precision::F16 } else { ops::Precision::F32 };
    let device = platform::open_webgpu().await?;
    let compute = Compute::gpu(device, in_shaders, found.max_buffer);
    // the self-test was in f32
    if f16 && !kernels_are_exact(&compute).await? {
        return Err(Error::device(
            "weights that are unpacked to f16 there are not what they should be",
            "choose f32, or the CPU",
        ));
    }
    let info = info("gpu", found.adapter, Backend::WgpuWebgpu);
    Ok((compute, info))
}

/// Opens WebGPU anew, where it has no memory left; what it held goes back first.
///
/// # Errors
/// [`Error::Device`] with the browser's words.
pub(super) async fn reopened(old: Vec<Compute>) -> Result<Vec<Compute>> {
    let mut computes = Vec::with_capacity(old.len());
    for Compute { precision, max_buffer, .. } in old {
        computes.push(Compute::gpu(platform::open_webgpu_anew().await?, precision, max_buffer));
    }
    Ok(computes)
}
