//! The whole run in the browser.

use std::cell::RefCell;
use std::collections::HashSet;

use super::devices;
use super::settings::{self, data_file, pass};
use super::subject::{Subjects, file_infos, verify};
use super::task::{Reporter, Task, memory};
use crate::dataset::Dataset;
use crate::engine;
use crate::error::Result;
use crate::metrics::{self, SampleMeasure};
use crate::model::ops::Kernels;
use crate::output;
use crate::platform;
use crate::protocol::{Bytes, Event, PartialRun, RunFiles, Setup};
use crate::run::{Finished, Loaded, Parts, finish};

pub(super) async fn analyze(
    subjects: &Subjects,
    task: &Task,
    setup: &Setup,
    run_id: String,
    finished: &[Bytes],
) -> Result<RunFiles> {
    let started_at = jiff::Timestamp::from_millisecond(js_sys::Date::now() as i64).unwrap_or_default();
    let data = settings::data(setup)?;
    let mut options = settings::options(setup)?;
    let (compute, compute_info) = devices::compute(setup.device, setup.precision).await?;
    let on_gpu = compute.kernels == Kernels::Tensor;
    let opened = subjects.open(task, &setup.subject).await?;
    task.check()?;
    verify(&opened).await?;
    task.check()?;
    let loaded = &opened.loaded;
    options.pass = Some(pass(loaded));
    platform::reset_gpu_peak();

    let before = finished_before(finished, loaded, &data);
    let done: HashSet<&str> = before.iter().map(|s| s.sample_id.as_str()).collect();
    let remaining: Vec<_> = data.samples.iter().filter(|s| !done.contains(s.id.as_str())).cloned().collect();
    let layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    let continued = !before.is_empty();
    let so_far = RefCell::new(before.clone());
    let on_measured = |samples: &[SampleMeasure]| {
        so_far.borrow_mut().extend_from_slice(samples);
        // a partial result that cannot be shown is no reason to stop
        let _ = partial(task, &so_far.borrow(), samples, &layers, options.logprob, data.samples.len());
    };
    let reporter = Reporter { task, before: before.len(), on_measured: Some(&on_measured) };
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
        run_id,
        started_at,
        loaded,
        compute: compute_info,
        data: &data,
        data_files: vec![data_file(&data, &setup.data)],
        limit: setup.limit,
        options: &options,
        outcome: &outcome,
        peak_gpu_buffer_bytes: gpu_peak,
        hashes,
    })?;
    if continued {
        manifest.warnings.push("the run was continued after a break; its timings are of the last part".to_owned());
    }
    let manifest = String::from_utf8_lossy(&output::manifest_json(&manifest)?).into_owned();
    let (metrics, features, stats) = (Bytes(metrics), Bytes(features), Bytes(stats));
    Ok(RunFiles { metrics, features, stats, manifest, memory: memory() })
}

/// Samples that an earlier attempt handed out, as far as they belong to this run.
fn finished_before(parts: &[Bytes], loaded: &Loaded, data: &Dataset) -> Vec<SampleMeasure> {
    let layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    let mut out: Vec<SampleMeasure> = Vec::new();
    for Bytes(part) in parts {
        // bytes of another version are of no use; their samples are measured again
        out.extend(postcard::from_bytes::<Vec<SampleMeasure>>(part).unwrap_or_default());
    }
    let ids: HashSet<&str> = data.samples.iter().map(|s| s.id.as_str()).collect();
    out.retain(|s| ids.contains(s.sample_id.as_str()) && s.prompt.layers.iter().map(|l| l.layer).eq(layers.clone()));
    out
}

/// Tells the page what is finished so far, and hands it what a new worker would go on from.
fn partial(
    task: &Task,
    so_far: &[SampleMeasure],
    new: &[SampleMeasure],
    layers: &[usize],
    logprob: bool,
    total: usize,
) -> Result<()> {
    let table = metrics::table(so_far, layers, logprob)?;
    let partial = PartialRun {
        samples_done: so_far.len(),
        samples_total: total,
        metrics: Bytes(output::metrics_parquet(&table)?),
        finished: Bytes(postcard::to_stdvec(new).unwrap_or_default()),
    };
    task.event(&Event::Partial { partial });
    Ok(())
}
