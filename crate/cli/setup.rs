//! From arguments to what the engine runs on: model, SAEs, devices, data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::args::{DataArgs, DeviceArg, DeviceArgs, ModelArgs, PrecisionArg};
use super::{fetch, inputs, known, say};
use crate::dataset::{self, Dataset, Format, Rows};
use crate::error::{Error, Result};
use crate::model::ModelFiles;
use crate::model::ops::{Compute, Precision};
use crate::model::registry;
use crate::output::{self, Backend, ComputeInfo, Weights};
use crate::platform::fetch::Fetched;
use crate::platform::{self, Adapter, BoxFuture, Interface};
use crate::run::{self, Loaded, SaeFiles};

/// Loads what `--model`, `--sae` and `--tokenizer` name; a known model is fetched if need be.
///
/// # Errors
/// Whatever is missing or does not fit.
pub async fn load(args: &ModelArgs, saes_needed: bool) -> Result<Loaded> {
    let path = Path::new(&args.model);
    let is_known = registry::all()?.iter().any(|model| model.name == args.model);
    if is_known && path.exists() {
        say(&format!("{0} is the known model; the folder here is `--model ./{0}`", args.model));
    }
    let (origin, files, mut saes) = if path.exists() && !is_known {
        let files = inputs::model_files(path, args.tokenizer.as_deref()).await?;
        let name = path.file_name().map_or_else(|| args.model.clone(), |n| n.to_string_lossy().into_owned());
        let origin = "local".to_owned();
        (run::Origin { name, known: None, origin, revision: None, pinned: BTreeMap::new() }, files, Vec::new())
    } else {
        let looks_like_a_path = args.model.contains(['/', '\\']) || args.model.ends_with(".gguf");
        if looks_like_a_path && !known::is_hub_name(&args.model) {
            // says what `--model` takes
            inputs::model_files(path, None).await?;
        }
        let mut known = known::find(&args.model)?;
        // what is left out is not fetched
        if !args.layers.is_empty() {
            known.saes.retain(|sae| args.layers.contains(&sae.layer));
        }
        let own = args.saes.is_empty() && saes_needed;
        let fetched = fetch::known(&known, own)?;
        let files = fetched_files(&fetched.model.files, args.tokenizer.as_deref()).await?;
        let mut saes = Vec::new();
        let pinned = std::iter::once(&fetched.model).chain(&fetched.saes).flat_map(Fetched::pinned).collect();
        for (entry, files) in known.saes.iter().zip(&fetched.saes) {
            let files = files.files.iter().map(|p| inputs::source(p)).collect::<Result<_>>()?;
            saes.push(SaeFiles { layer: entry.layer, files, known: Some(entry.clone()) });
        }
        let revision = match &fetched.model.origin {
            platform::Origin::Hub(hub) => hub.revision.clone(),
            _ => None,
        };
        let origin = fetched.model.origin.describe();
        (run::Origin { name: known.name.clone(), known: Some(known), origin, revision, pinned }, files, saes)
    };
    for arg in &args.saes {
        saes.push(SaeFiles { layer: arg.layer, files: inputs::sae_files(&arg.path)?, known: None });
    }
    if saes_needed && !args.layers.is_empty() {
        saes.retain(|sae| args.layers.contains(&sae.layer));
        if let Some(layer) = args.layers.iter().find(|layer| saes.iter().all(|sae| sae.layer != **layer)) {
            return Err(Error::missing(
                format!("an SAE of layer {layer} for {}", origin.name),
                format!("give one with `--sae {layer}=PATH`, or leave the layer out of `--layers`"),
            ));
        }
    }
    let mut loaded = run::load_ignoring(origin, files, saes, saes_needed, &args.ignored_fields).await?;
    if let Some(quantize) = args.quantize.quantize {
        loaded = loaded.quantize(quantize.into(), args.quantize.allow_requantize)?;
    }
    for field in &loaded.model.ignored_fields {
        let why = if field.asked { "unknown, ignored on request" } else { "private to transformers, not read" };
        say(&format!("note: config field {} = {}: {why}", field.name, field.value));
    }
    Ok(loaded)
}

/// The files of a fetched model.
async fn fetched_files(files: &[PathBuf], tokenizer: Option<&Path>) -> Result<ModelFiles> {
    let sources = files.iter().map(|p| inputs::source(p)).collect::<Result<Vec<_>>>()?;
    ModelFiles::among("the fetched files", &sources, tokenizer.map(inputs::source).transpose()?).await
}

/// What the engine computes on.
pub struct Devices {
    /// One entry per device.
    pub computes: Vec<Compute>,
    /// The adapters, where they are GPUs.
    pub adapters: Vec<Adapter>,
    /// Whether all were asked for.
    all: bool,
}

impl Devices {
    /// `cpu`, `gpu:N`, `gpu:N,gpu:M` or `all`, for the manifest.
    pub fn kind(&self) -> String {
        match &self.adapters[..] {
            [] => "cpu".to_owned(),
            [_, _, ..] if self.all => "all".to_owned(),
            several => several.iter().map(|one| format!("gpu:{}", one.index)).collect::<Vec<_>>().join(","),
        }
    }

    /// Name of what computes.
    pub fn name(&self) -> Option<String> {
        let names: Vec<String> = self.adapters.iter().map(|a| a.name.clone()).collect();
        (!names.is_empty()).then(|| names.join(" + "))
    }

    /// Graphics interface, or the CPU's kernels.
    pub fn backend(&self) -> Backend {
        match self.adapters.first().map(|adapter| adapter.interface) {
            None => Backend::Flex,
            Some(Interface::Vulkan) => Backend::WgpuVulkan,
            Some(Interface::Metal) => Backend::WgpuMetal,
            Some(Interface::Dx12) => Backend::WgpuDx12,
        }
    }

    /// Opens them anew, where a device has no memory left; the old ones' memory goes back first.
    pub fn reopening(&self) -> impl Fn(Vec<Compute>) -> BoxFuture<'static, Result<Vec<Compute>>> + Send + Sync + use<> {
        let adapters = self.adapters.clone();
        move |old| {
            let adapters = adapters.clone();
            Box::pin(async move {
                let precision = old.first().map_or(Precision::F32, |compute| compute.precision);
                old.iter().for_each(|compute| platform::close_device(&compute.device));
                opened(&adapters, precision).await
            })
        }
    }

    /// All of that for the manifest.
    pub fn info(&self) -> ComputeInfo {
        ComputeInfo {
            precision: match self.computes.first().map(|compute| compute.precision) {
                Some(Precision::F16) => output::Precision::F16,
                Some(Precision::Bf16) => output::Precision::Bf16,
                Some(Precision::F32) | None => output::Precision::F32,
            },
            device: self.kind(),
            adapter: self.name(),
            backend: self.backend(),
            threads: platform::threads(),
            weights: Weights::Streamed,
        }
    }
}

/// Chooses and opens devices.
///
/// # Errors
/// [`Error::Device`] when there is no such adapter or it cannot be opened; [`Error::Usage`] for a
/// precision that the device does not compute in.
pub async fn devices(args: &DeviceArgs) -> Result<Devices> {
    let precision = match args.precision {
        PrecisionArg::F32 => Precision::F32,
        PrecisionArg::F16 => Precision::F16,
        PrecisionArg::Bf16 => Precision::Bf16,
    };
    let found = match args.device {
        DeviceArg::Cpu => Vec::new(),
        _ => platform::adapters().await,
    };
    let real = || found.iter().filter(|a| !a.software).cloned();
    let none = |what: &str| {
        let listed: Vec<String> = found.iter().map(|a| format!("gpu:{} {}", a.index, a.name)).collect();
        let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
        Error::device(
            format!("{what}; adapters found: {listed}"),
            "run with `--device cpu`, or install the GPU's Vulkan driver",
        )
    };
    let chosen: Vec<Adapter> = match &args.device {
        DeviceArg::Cpu => Vec::new(),
        DeviceArg::Auto => real().take(1).collect(),
        DeviceArg::FirstGpu => vec![real().next().ok_or_else(|| none("no real GPU for `--device gpu`"))?],
        DeviceArg::Gpus(numbers) => {
            let one =
                |n| found.iter().find(|a| a.index == n).cloned().ok_or_else(|| none(&format!("no adapter gpu:{n}")));
            numbers.iter().map(|&n| one(n)).collect::<Result<_>>()?
        }
        DeviceArg::All => {
            let first = real().next().ok_or_else(|| none("no real GPU for `--device all`"))?;
            let (all, others): (Vec<Adapter>, Vec<Adapter>) = real().partition(|adapter| adapter.is_like(&first));
            for other in others {
                say(&format!(
                    "note: {} is left out, its numbers differ from those of {} by rounding",
                    other.name, first.name
                ));
            }
            all
        }
    };
    if let [first, others @ ..] = &chosen[..]
        && let Some(other) = others.iter().find(|adapter| !adapter.is_like(first))
    {
        return Err(Error::usage(
            format!(
                "gpu:{} {} and gpu:{} {} are of different kinds: their numbers differ by rounding, and which sample went where would depend on the time that each took",
                first.index, first.name, other.index, other.name
            ),
            "run parts of the data on each with `--shard`, or take devices of one kind",
        ));
    }
    if chosen.is_empty() {
        if precision == Precision::F16 {
            return Err(Error::usage(
                "`--precision f16` is for GPUs; the CPU computes in f32 or bf16",
                "leave it out, take `--precision bf16`, or choose a GPU with `--device gpu`",
            ));
        }
        return Ok(Devices { computes: vec![Compute::cpu_in(precision)], adapters: Vec::new(), all: false });
    }
    if precision == Precision::Bf16 {
        return Err(Error::usage(
            "`--precision bf16` is for the CPU: shaders have no bf16",
            "take `--precision f16`, or `--device cpu`",
        ));
    }
    let computes = opened(&chosen, precision).await?;
    Ok(Devices { computes, adapters: chosen, all: args.device == DeviceArg::All })
}

/// Opens adapters; one that is named again gives a device of its own.
async fn opened(adapters: &[Adapter], precision: Precision) -> Result<Vec<Compute>> {
    let mut computes = Vec::with_capacity(adapters.len());
    for (i, adapter) in adapters.iter().enumerate() {
        let device = if adapters[..i].contains(adapter) {
            platform::open_anew(adapter).await?
        } else {
            platform::open_adapter(adapter).await?
        };
        computes.push(Compute::gpu(device, precision, Some(adapter.max_binding)));
    }
    Ok(computes)
}

/// Reads the data sets, or takes the built-in one. Rows that cannot be used end the command unless
/// `--skip-invalid`; then they are listed on stderr. `seed` draws the samples of `--limit`.
///
/// # Errors
/// Unreadable files and rows.
pub fn data(args: &DataArgs, seed: u64) -> Result<Dataset> {
    data_or(args, seed, None)
}

/// [`data`], with rows in memory in place of the data sets that are named.
///
/// # Errors
/// As [`data`]; [`Error::Usage`] for both at once.
pub fn data_or(args: &DataArgs, seed: u64, rows: Option<&Rows>) -> Result<Dataset> {
    let data = match rows {
        Some(_) if !args.datasets.is_empty() => {
            return Err(Error::usage("rows in memory and `--dataset` at once", "give one of them"));
        }
        Some(rows) => usable(rows.read(&args.columns)?, args.skip_invalid)?,
        None if args.datasets.is_empty() => dataset::builtin()?,
        None => {
            let mut parts = Vec::new();
            for arg in &args.datasets {
                let name = arg.path.display().to_string();
                let bytes = inputs::data_set(&arg.path)?;
                let format = Format::detect(&name, &bytes);
                let part = dataset::parse_as(&name, format, &bytes, arg.domain.as_deref(), &args.columns)?;
                parts.push(usable(part, args.skip_invalid)?);
            }
            dataset::merge(parts)?
        }
    };
    limited(data, args, seed)
}

/// Files that were read elsewhere, each with the domain that it is given, as [`data`] reads its own; without any
/// the built-in data set.
///
/// # Errors
/// As [`data`].
pub fn data_of(files: &[(String, Option<String>, Vec<u8>)], args: &DataArgs, seed: u64) -> Result<Dataset> {
    let mut parts = Vec::with_capacity(files.len());
    for (name, domain, bytes) in files {
        let part = dataset::parse_as(name, Format::detect(name, bytes), bytes, domain.as_deref(), &args.columns)?;
        parts.push(usable(part, args.skip_invalid)?);
    }
    limited(if parts.is_empty() { dataset::builtin()? } else { dataset::merge(parts)? }, args, seed)
}

fn limited(mut data: Dataset, args: &DataArgs, seed: u64) -> Result<Dataset> {
    if let Some(limit) = args.limit {
        data.limit(limit, seed);
    }
    if data.samples.is_empty() {
        return Err(Error::usage("no samples are left to run", "check `--limit` and the data set"));
    }
    Ok(data)
}

/// A data set whose rows can all be used, or those of them that can.
fn usable(part: Dataset, skip_invalid: bool) -> Result<Dataset> {
    if part.made_ids {
        say(&format!("note: {} has no ids: its rows are called by their numbers", part.name));
    }
    if part.rejected.is_empty() {
        return Ok(part);
    }
    if skip_invalid {
        say(&part.fault_table());
        return Ok(part);
    }
    part.strict()
}
