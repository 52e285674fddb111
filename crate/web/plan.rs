//! What a run would cost, from headers alone.

use super::devices::takes_gpu;
use super::settings::{self, pass};
use super::subject::{Opened, Subjects, WebSource};
use super::task::Task;
use super::workers;
use crate::engine::{Needs, Schedule};
use crate::error::Result;
use crate::output::Precision;
use crate::platform;
use crate::protocol::{Device, Plan, Setup};

pub(super) async fn plan(subjects: &Subjects, task: &Task, setup: &Setup) -> Result<Plan> {
    let data = settings::data(setup)?;
    let mut options = settings::options(setup)?;
    let opened = subjects.open(task, &setup.subject).await?;
    let loaded = &opened.loaded;
    let model = &loaded.model;
    let join = &options.join;
    let mut warnings = data.warnings(join);
    let gpu = takes_gpu(setup.device).await;
    options.pass = Some(pass(loaded));
    let work = Schedule::new(model, &data.samples, &options, !gpu).work();
    if work.unfit > 0 {
        warnings.push(format!("{} samples are empty or longer than the model's context and will fail", work.unfit));
    }
    if !data.rejected.is_empty() {
        warnings.push(format!("{} rows of the data set cannot be used", data.rejected.len()));
    }
    let half = setup.precision == Precision::F16;
    let needs = Needs::of(model, &loaded.saes, options.logprob, &work, gpu, half)?;
    let reads = Reads::of(&opened, needs.weights);
    let workers = if gpu { 1 } else { workers::count(setup, data.samples.len(), needs.host, reads) };
    let Reads { needed, stored, .. } = reads;
    let room = workers::machine().room();
    if workers > 1 && needs.host * workers as u64 > room {
        warnings.push(format!(
            "{workers} workers may take {:.1} GB of memory together, {:.1} GB is what this machine can be expected to have for them; fewer take less",
            (needs.host * workers as u64) as f64 / 1e9,
            room as f64 / 1e9
        ));
    }
    let estimate = platform::estimate().await;
    let free_bytes = estimate.quota.zip(estimate.usage).map(|(quota, usage)| (quota - usage).max(0.0));
    if setup.subject.store
        && let Some(free) = free_bytes.filter(|free| *free < needed.saturating_sub(stored) as f64)
    {
        warnings.push(format!(
            "the browser has {:.0} MB left for this site, less than is to be downloaded; run without keeping downloads",
            free / 1e6
        ));
    }
    Ok(Plan {
        model: loaded.name.clone(),
        architecture: model.architecture.name().to_owned(),
        d_model: model.dims().d_model,
        n_layers: model.dims().n_layers,
        layers: loaded.saes.iter().map(|s| s.layer).collect(),
        device: if gpu { Device::Webgpu } else { Device::Cpu },
        workers,
        samples: data.samples.len(),
        texts: work.texts,
        tokens: work.tokens,
        tokens_computed: work.nodes,
        needed_bytes: needed,
        stored_bytes: stored,
        free_bytes,
        device_bytes: needs.device,
        worker_bytes: needs.host,
        warnings,
    })
}

/// What a run reads of the model's and the SAEs' files, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reads {
    pub(super) needed: u64,
    /// Of these, what is here.
    pub(super) stored: u64,
    /// Whether much of it comes over the network while the run computes.
    pub(super) meanwhile: bool,
}

impl Reads {
    /// `weights_read`: bytes of the model's weights that are read.
    pub(super) fn of(opened: &Opened, weights_read: u64) -> Self {
        let loaded = &opened.loaded;
        let weights: Vec<&str> = loaded.weight_files.iter().map(|f| f.name()).collect();
        let (mut needed, mut stored) = (0, 0);
        let (mut ranged_total, mut ranged_here) = (0, 0);
        for file in &opened.files {
            if weights.contains(&file.name()) && !file.whole() {
                ranged_total += file.len();
                ranged_here += file.here();
            } else {
                needed += file.len();
                stored += file.here();
            }
        }
        let mut meanwhile = opened.files.iter().any(WebSource::passing);
        if ranged_total > 0 {
            let read = weights_read.min(ranged_total);
            needed += read;
            stored += ranged_here.min(read);
            // of the embedding only rows are read: after a run of the same texts all is here, after one of others most
            meanwhile |= ranged_here < read / 4 * 3;
        }
        Self { needed, stored, meanwhile }
    }
}
