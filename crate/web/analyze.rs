//! The whole run in the browser.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{field, optional, plain, set, text, to_js};
use super::subject::{file_infos, open, verify};
use super::task::{Memory, Outgoing, Reporter, Shared, Task};
use super::{dataset_of, devices};
use crate::dataset::{DEFAULT_JOIN, Dataset};
use crate::engine::{self, Batching, Options};
use crate::error::Result;
use crate::metrics::{self, Noise, SampleMeasure};
use crate::output::{self, FileInfo};
use crate::platform;
use crate::run::{Finished, Loaded, Parts, finish};

/// Samples of one pass: few enough that results come while one watches and little is lost with a
/// device, many enough that reading the weights again costs little beside computing.
const SMALL_PASS: usize = 70;
const LARGE_PASS: usize = 100;
/// Blocks up to this many bytes are small.
const SMALL_BLOCK: u64 = 64 << 20;

/// A `Setup` of the protocol, less the subject.
pub(super) struct Settings {
    pub(super) data: Dataset,
    pub(super) limit: Option<usize>,
    pub(super) device: String,
    pub(super) precision: String,
    pub(super) options: Options,
    pub(super) keep: bool,
}

impl Settings {
    pub(super) fn read(setup: &JsValue) -> Result<Self> {
        let mut data = dataset_of(&field(setup, "data"))?;
        let limit = optional(setup, "limit")?;
        let seed = plain(setup, "seed")?;
        if let Some(limit) = limit {
            data.limit(limit, seed);
        }
        let noise: Noise = text(setup, "noise")?.parse()?;
        let batching = match optional::<usize>(setup, "batch_size")? {
            Some(n) => Batching::Triples(n.max(1)),
            None => Batching::Auto,
        };
        let (logprob, join) = (plain(setup, "logprob")?, DEFAULT_JOIN.to_owned());
        let options = Options { batching, noise, seed, logprob, pass: None, join };
        let (device, precision) = (text(setup, "device")?, text(setup, "precision")?);
        let keep = plain(&field(setup, "subject"), "store")?;
        Ok(Self { data, limit, device, precision, options, keep })
    }
}

/// Samples per pass through a model of this size.
pub(super) fn pass(loaded: &Loaded) -> usize {
    if loaded.model.layer_bytes(0) <= SMALL_BLOCK { SMALL_PASS } else { LARGE_PASS }
}

pub(super) async fn analyze(shared: &Rc<Shared>, task: &Rc<Task>, message: &JsValue) -> Result<Outgoing> {
    let started_at = jiff::Timestamp::from_millisecond(js_sys::Date::now() as i64).unwrap_or_default();
    let setup = field(message, "setup");
    let Settings { data, limit, device, precision, mut options, .. } = Settings::read(&setup)?;
    let (compute, compute_info) = devices::compute(&device, &precision).await?;
    let on_gpu = !compute.on_host();
    let opened = open(shared, &field(&setup, "subject")).await?;
    task.check()?;
    verify(&opened).await?;
    task.check()?;
    let loaded = &opened.loaded;
    options.pass = Some(pass(loaded));
    platform::reset_gpu_peak();

    let before = finished_before(&field(message, "finished"), loaded, &data)?;
    let done: HashSet<&str> = before.iter().map(|s| s.sample_id.as_str()).collect();
    let remaining: Vec<_> = data.samples.iter().filter(|s| !done.contains(s.id.as_str())).cloned().collect();
    let layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    let continued = !before.is_empty();
    let so_far = RefCell::new(before.clone());
    let on_measured = |samples: &[SampleMeasure]| {
        so_far.borrow_mut().extend_from_slice(samples);
        // a partial result that cannot be shown is no reason to stop
        let _ = partial(shared, task, &so_far.borrow(), samples, &layers, options.logprob, data.samples.len());
    };
    let reporter = Reporter { shared, task, before: before.len(), on_measured: Some(&on_measured) };
    let mut outcome = engine::analyze(&loaded.model, &[compute], &loaded.saes, &remaining, &options, &reporter).await?;
    if continued {
        outcome.samples.extend(before);
        let place = |id: &str| data.samples.iter().position(|s| s.id == id);
        outcome.samples.sort_by_key(|s| place(&s.sample_id));
    }
    let mut saes = Vec::new();
    for at in &loaded.saes {
        saes.push(file_infos(&opened, at.sae.sources()).await?);
    }
    let hashes = (file_infos(&opened, &loaded.weight_files).await?, saes);
    // a worker may have computed on the GPU before; this run did not
    let gpu_peak = on_gpu.then(|| platform::gpu_memory().peak);
    let Finished { metrics, features, stats, mut manifest, .. } = finish(Parts {
        run_id: text(message, "run_id")?,
        started_at,
        loaded,
        compute: compute_info,
        data: &data,
        data_files: vec![data_file(&data, &field(&setup, "data"))],
        limit,
        options: &options,
        outcome: &outcome,
        peak_gpu_buffer_bytes: gpu_peak,
        hashes,
    })?;
    if continued {
        manifest.warnings.push("the run was continued after a break; its timings are of the last part".to_owned());
    }
    let manifest = output::manifest_json(&manifest)?;
    let result: JsValue = Object::new().into();
    set(&result, "manifest", &String::from_utf8_lossy(&manifest).as_ref().into());
    set(&result, "memory", &to_js(&Memory::now()));
    let outgoing = Outgoing { value: result, transfer: Array::new() };
    Ok(outgoing.bytes("metrics", &metrics).bytes("features", &features).bytes("stats", &stats))
}

/// Samples that an earlier attempt handed out, as far as they belong to this run.
fn finished_before(buffers: &JsValue, loaded: &Loaded, data: &Dataset) -> Result<Vec<SampleMeasure>> {
    let layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    let buffers: Array = buffers.clone().dyn_into().unwrap_or_default();
    let mut out: Vec<SampleMeasure> = Vec::new();
    for buffer in buffers.iter() {
        let bytes = Uint8Array::new(&buffer).to_vec();
        // bytes of another version are of no use; their samples are measured again
        out.extend(postcard::from_bytes::<Vec<SampleMeasure>>(&bytes).unwrap_or_default());
    }
    let ids: HashSet<&str> = data.samples.iter().map(|s| s.id.as_str()).collect();
    out.retain(|s| ids.contains(s.sample_id.as_str()) && s.prompt.layers.iter().map(|l| l.layer).eq(layers.clone()));
    Ok(out)
}

/// Tells the page what is finished so far, and hands it what a new worker would go on from.
fn partial(
    shared: &Shared,
    task: &Task,
    so_far: &[SampleMeasure],
    new: &[SampleMeasure],
    layers: &[usize],
    logprob: bool,
    total: usize,
) -> Result<()> {
    let table = metrics::table(so_far, layers, logprob)?;
    let metrics = Uint8Array::from(output::metrics_parquet(&table)?.as_slice());
    let finished = Uint8Array::from(postcard::to_stdvec(new).unwrap_or_default().as_slice()).buffer();
    let event: JsValue = Object::new().into();
    set(&event, "samples_done", &(so_far.len() as u32).into());
    set(&event, "samples_total", &(total as u32).into());
    set(&event, "metrics", &metrics);
    set(&event, "finished", &finished);
    shared.event_with(task.id, "partial", &event, &Array::of2(&metrics.buffer(), &finished));
    Ok(())
}

/// The data set as the manifest names it.
fn data_file(data: &Dataset, choice: &JsValue) -> FileInfo {
    let bytes = match field(choice, "kind").as_string().as_deref() {
        Some("builtin") => crate::dataset::BUILTIN_JSONL.len() as u64,
        _ => u64::from(Uint8Array::new(&field(choice, "bytes")).length()),
    };
    FileInfo { path: data.name.clone(), bytes, sha256: Some(data.sha256.clone()) }
}
