//! What a run would cost, from headers alone.

use super::devices::takes_gpu;
use super::settings::{self, pass};
use super::subject::{Opened, Subjects};
use super::task::Task;
use crate::batch::{BatchLimit, pack};
use crate::error::Result;
use crate::output::Precision;
use crate::platform;
use crate::protocol::{Device, Plan, Setup};

/// Trie nodes of a micro-batch on the GPU, as the engine has it.
const GPU_NODES: u64 = 1024;

pub(super) async fn plan(subjects: &Subjects, task: &Task, setup: &Setup) -> Result<Plan> {
    let data = settings::data(setup)?;
    let options = settings::options(setup)?;
    let opened = subjects.open(task, &setup.subject).await?;
    let loaded = &opened.loaded;
    let model = &loaded.model;
    let join = &options.join;
    let mut warnings = data.warnings(join);
    let mut tokens: Vec<[Vec<u32>; 3]> = Vec::new();
    let mut too_long = 0;
    for sample in &data.samples {
        let texts = [sample.prompt_text(), sample.fact_text(join), sample.hall_text(join)];
        let mut ids = [Vec::new(), Vec::new(), Vec::new()];
        for (text, ids) in texts.iter().zip(&mut ids) {
            *ids = model.tokenizer.encode(text)?;
        }
        too_long += usize::from(ids.iter().any(|t| t.len() > model.dims().max_positions));
        tokens.push(ids);
    }
    if too_long > 0 {
        warnings.push(format!("{too_long} samples are longer than the model's context and will fail"));
    }
    if !data.rejected.is_empty() {
        warnings.push(format!("{} rows of the data set cannot be used", data.rejected.len()));
    }
    let pass = pass(loaded).max(1);
    let computed = tokens
        .chunks(pass)
        .map(|samples| {
            let groups: Vec<Vec<&[u32]>> = samples.iter().map(|t| t.iter().map(Vec::as_slice).collect()).collect();
            pack(&groups, BatchLimit::Nodes(4096)).iter().map(|b| b.trie.len()).sum::<usize>()
        })
        .sum();
    let gpu = takes_gpu(setup.device).await;
    let (needed, stored) = bytes(&opened, options.logprob)?;
    let (device_bytes, worker_bytes) = memory(&opened, gpu, setup.precision == Precision::F16, computed as u64);
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
        samples: data.samples.len(),
        texts: tokens.len() * 3,
        tokens: tokens.iter().flatten().map(Vec::len).sum(),
        tokens_computed: computed,
        needed_bytes: needed,
        stored_bytes: stored,
        free_bytes,
        device_bytes,
        worker_bytes,
        warnings,
    })
}

/// Bytes that a run reads of the model's and the SAEs' files, and how many of them are here.
fn bytes(opened: &Opened, logprob: bool) -> Result<(u64, u64)> {
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
    if ranged_total > 0 {
        let read = loaded.model.bytes_up_to(last_block(opened, logprob), logprob)?.min(ranged_total);
        needed += read;
        stored += ranged_here.min(read);
    }
    Ok((needed, stored))
}

fn last_block(opened: &Opened, logprob: bool) -> usize {
    let deepest = opened.loaded.saes.iter().map(|s| s.layer).max().unwrap_or_default();
    if logprob { opened.loaded.model.dims().n_layers.saturating_sub(1) } else { deepest }
}

/// Most bytes at once on the device and in the worker: a block in use and one being read, an SAE's
/// encoder, the residual streams, and the intermediate results of a micro-batch. Upper bounds from
/// shapes; a run shows what it really takes.
fn memory(opened: &Opened, gpu: bool, half: bool, nodes: u64) -> (u64, u64) {
    let model = &opened.loaded.model;
    let block = model.layer_bytes(0);
    let d = model.dims().d_model as u64;
    let sae = opened.loaded.saes.iter().map(|s| s.sae.d_in as u64 * s.sae.d_sae as u64 * 4).max().unwrap_or_default();
    let streams = nodes * d * 4;
    // queries, keys, values, norms, the MLP's two halves, scores of 64 MB, pre-activations of 64 MB
    let batch = nodes.min(GPU_NODES) * d * 4 * 24 + (128 << 20);
    let program = 64 << 20;
    if gpu {
        let weights = if half { block / 2 + sae / 2 } else { block + sae };
        (weights + streams + batch, program + 2 * block + 2 * sae)
    } else {
        (0, program + 2 * block + 2 * sae + streams * 4 + batch)
    }
}
