//! The whole run in the browser.

use super::devices;
use super::settings::{self, pass};
use super::spools;
use super::subject::{Subjects, file_infos, verify};
use super::task::{Reporter, Task, memory};
use super::workers::Deal;
use crate::engine::Outcome;
use crate::error::{Error, Result};
use crate::metrics::{self, Extras, SampleMeasure};
use crate::output;
use crate::platform::{self, BoxFuture, MemoryFiles};
use crate::protocol::{Bytes, Event, PartialRun, RunFiles, Setup};
use crate::run::{self, Comparisons, Header, Parts, Reopen, Request, Spool};

/// `asked` is what the page keeps of the set-up, to ask for the run again.
pub(super) async fn analyze(
    subjects: &Subjects,
    task: &Task,
    setup: &Setup,
    run_id: String,
    asked: String,
) -> Result<RunFiles> {
    let now = jiff::Timestamp::from_millisecond(js_sys::Date::now() as i64).unwrap_or_default();
    let data = settings::data(setup)?;
    let mut options = settings::options(setup)?;
    let (compute, mut compute_info) = devices::compute(setup.device, setup.precision).await?;
    let on_gpu = !compute.on_host();
    let opened = subjects.open(task, &setup.subject).await?;
    task.check()?;
    verify(&opened).await?;
    task.check()?;
    let loaded = &opened.loaded;
    options.pass = Some(pass(loaded));
    platform::reset_gpu_peak();

    let header = Header::new(run_id.clone(), now, data.samples.len(), asked);
    let mut spool = spools::open(header).await?;
    let started_at = spool.header().started_at;
    let computes = [compute];
    let reopen = |old| -> BoxFuture<'static, _> { Box::pin(devices::reopened(old)) };
    let request = Request {
        loaded,
        computes: &computes,
        data: &data,
        options: &options,
        shard: None,
        any_device: true,
        reopen: on_gpu.then_some(&reopen as &Reopen),
    };
    let deal = if on_gpu { None } else { Some(Deal::new(setup, &opened, &request, &spool)?) };
    let deal = deal.filter(|deal| deal.workers > 1);
    if let Some(deal) = &deal {
        compute_info.threads = deal.workers;
    }
    let base = async {
        let mut saes = Vec::new();
        for at in &loaded.saes {
            saes.push(file_infos(&opened, at.sae.sources()).await?);
        }
        let hashes = (file_infos(&opened, &loaded.model_files()).await?, saes);
        let (compute, limit, options) = (compute_info, setup.limit, &options);
        let parts = Parts {
            run_id: run_id.clone(),
            started_at,
            loaded,
            compute,
            data: &data,
            excerpt: None,
            limit,
            shard: None,
            options,
            hashes,
        };
        Ok(parts.base())
    };
    let mut on_pass = |spool: &Spool, _: &Outcome| {
        // a partial result that cannot be shown is no reason to stop
        let _ = partial(task, spool);
    };
    match deal {
        Some(deal) => deal.keep(task, &opened, request, &mut spool, base, &mut on_pass).await?,
        None => run::execute(request, &mut spool, base, &Reporter { task }, &mut on_pass).await?,
    }
    let base = spool.base().cloned().ok_or_else(|| Error::usage("no samples are left to run", "choose more"))?;
    // a worker may have computed on the GPU before; this run did not
    let gpu_peak = on_gpu.then(|| platform::gpu_memory().peak);
    let mut files = MemoryFiles::default();
    run::finish(base, &[&spool], Comparisons::Made, gpu_peak, &mut files)?;
    drop(spool);
    spools::discard(&run_id).await;
    let bytes = |name: &str| Bytes(files.bytes(name).to_vec());
    Ok(RunFiles {
        metrics: bytes(output::METRICS_FILE),
        features: bytes(output::FEATURES_FILE),
        stats: bytes(output::STATS_FILE),
        stats_features: bytes(output::STATS_FEATURES_FILE),
        manifest: String::from_utf8_lossy(files.bytes(output::MANIFEST_FILE)).into_owned(),
        memory: memory(),
    })
}

/// Tells the page what is finished so far.
fn partial(task: &Task, spool: &Spool) -> Result<()> {
    let Some(base) = spool.base() else { return Ok(()) };
    let samples: Vec<SampleMeasure> = (0..spool.measured()).map(|i| spool.sample(i)).collect::<Result<_>>()?;
    let table = metrics::table(
        &samples,
        &base.manifest.layers,
        Extras { logprob: base.logprob, nulls: base.nulls > 0 },
        &base.manifest.run_id,
    )?;
    let partial = PartialRun {
        samples_done: samples.len(),
        samples_total: spool.header().samples,
        metrics: Bytes(output::metrics_parquet(&table)?),
    };
    task.event(&Event::Partial { partial });
    Ok(())
}
