//! How well an SAE fits its model on ordinary text, over all positions: L0, fraction of variance
//! unexplained, dead features, and the cross-entropy recovered when the reconstruction is spliced in.

use std::collections::{HashMap, HashSet};

use super::analyze::SaeAt;
use super::logprob::{Question, next_token_logprobs};
use super::progress::{Stage, Timings};
use super::sae_pass::DeviceEncoder;
use super::stream::Stream;
use crate::batch::{Batch, BatchLimit, pack};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::ops::Compute;
use crate::platform;

/// Trie nodes per micro-batch.
const NODES: usize = 1024;

/// Figures of one SAE.
#[derive(Debug, Clone, PartialEq)]
pub struct SaeHealth {
    /// Block.
    pub layer: usize,
    /// Positions measured.
    pub positions: usize,
    /// Positions left out for their residual norm (the first of each text, as a rule).
    pub outliers: usize,
    /// Mean number of active features.
    pub l0: f64,
    /// Σ‖x − x̂‖² / Σ‖x − mean‖².
    pub fvu: f64,
    /// Share of features that are active nowhere.
    pub dead: f64,
    /// Cross-entropies, if asked for.
    pub cross_entropy: Option<CrossEntropy>,
}

/// Mean −ln p of the next token, in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossEntropy {
    /// Predictions counted.
    pub tokens: usize,
    /// The model left alone.
    pub clean: f64,
    /// With x̂ in place of x.
    pub spliced: f64,
    /// With zero in place of x.
    pub zeroed: f64,
}

impl CrossEntropy {
    /// (zeroed − spliced) / (zeroed − clean): 1 is a perfect reconstruction, 0 no better than zero.
    pub fn recovered(&self) -> f64 {
        (self.zeroed - self.spliced) / (self.zeroed - self.clean)
    }
}

/// What stands in for the residual stream.
#[derive(Clone, Copy, PartialEq)]
enum Splice {
    Reconstruction,
    Zero,
}

/// Measures SAEs (through [`super::fit`]) on token sequences; the first `ce_texts` of them also for
/// cross-entropy. Positions whose residual norm is above `outlier` times the layer's median are left
/// out of the figures and keep their residual when the others are replaced; the prediction made from
/// a text's first position is not counted.
///
/// # Errors
/// Reading and device errors; texts without tokens.
pub async fn health(
    model: &Model,
    compute: &Compute,
    saes: &[SaeAt],
    texts: &[Vec<u32>],
    outlier: f64,
    ce_texts: usize,
) -> Result<Vec<SaeHealth>> {
    if !(outlier.is_finite() && outlier > 0.0) {
        return Err(Error::usage(format!("outlier limit {outlier}"), "give a positive number of medians, such as 2"));
    }
    if texts.iter().all(|t| t.len() < 3) {
        return Err(Error::usage("no text has three tokens or more", "give longer passages"));
    }
    let deepest = saes.iter().map(|s| s.layer).max().unwrap_or_default();
    let batches = batches(texts);
    let computes = std::slice::from_ref(compute);
    let mut timings = Timings::default();
    let hooks = saes.iter().map(|s| (s.layer, s.sae.clone())).collect();
    let mut stream = Stream::start(model, computes, &batches, hooks, deepest, &mut timings).await?;
    let mut out = Vec::new();
    let mut limits = HashMap::new();
    let d = model.dims().d_model;
    for layer in 0..=deepest {
        let encoder = stream.advance(None, Stage::Model, &mut timings).await?;
        let (Some(at), Some(encoder)) = (saes.iter().find(|s| s.layer == layer), encoder) else { continue };
        let encoder = DeviceEncoder::new(encoder, compute);
        let rows = per_text(&stream.all_rows().await?, &batches, texts.len(), d);
        let all: Vec<&[f32]> = rows.iter().flat_map(|r| r.chunks(d)).collect();
        let mut norms: Vec<f64> = all.iter().map(|x| norm(x)).collect();
        let kept: Vec<&[f32]> = {
            let mut sorted = norms.clone();
            sorted.sort_by(f64::total_cmp);
            let limit = outlier * sorted[sorted.len() / 2];
            limits.insert(layer, limit);
            all.iter().zip(&norms).filter(|(_, n)| **n < limit).map(|(x, _)| *x).collect()
        };
        norms.clear();
        if kept.is_empty() {
            return Err(Error::usage(
                format!("no position of layer {layer} is below {outlier} times the median norm"),
                "raise `--outlier`",
            ));
        }
        let mut health = figures(at, &encoder, &kept).await?;
        health.outliers = all.len() - kept.len();
        out.push(health);
    }
    drop(stream);
    if ce_texts > 0 {
        let texts = &texts[..ce_texts.min(texts.len())];
        let (clean, tokens) = cross_entropy(model, compute, texts, None, &limits).await?;
        for (health, at) in out.iter_mut().zip(saes) {
            let (spliced, _) =
                cross_entropy(model, compute, texts, Some((at, Splice::Reconstruction)), &limits).await?;
            let (zeroed, _) = cross_entropy(model, compute, texts, Some((at, Splice::Zero)), &limits).await?;
            health.cross_entropy = Some(CrossEntropy { tokens, clean, spliced, zeroed });
        }
    }
    Ok(out)
}

fn batches(texts: &[Vec<u32>]) -> Vec<Batch> {
    let groups: Vec<Vec<&[u32]>> = texts.iter().map(|t| vec![t.as_slice()]).collect();
    pack(&groups, BatchLimit::Nodes(NODES))
}

fn norm(x: &[f32]) -> f64 {
    x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

/// Every text's rows, in token order, from the micro-batches' nodes.
fn per_text(rows: &[Vec<f32>], batches: &[Batch], texts: usize, d: usize) -> Vec<Vec<f32>> {
    let mut out = vec![Vec::new(); texts];
    for (batch, rows) in batches.iter().zip(rows) {
        for slot in &batch.texts {
            out[slot.group] =
                slot.path.iter().flat_map(|&n| &rows[n as usize * d..(n as usize + 1) * d]).copied().collect();
        }
    }
    out
}

/// x̂ of rows, with their active features' indices.
async fn reconstruct(at: &SaeAt, encoder: &DeviceEncoder, rows: &[&[f32]]) -> Result<Vec<(Vec<u32>, Vec<f64>)>> {
    let encoded = encoder.encode(rows).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let mut used: Vec<usize> = encoded.iter().flat_map(|e| e.features.iter().map(|f| f.index as usize)).collect();
    used.sort_unstable();
    used.dedup();
    let decoder = at.sae.decoder_rows(&used).await?;
    let d = at.sae.d_in;
    platform::par_map(encoded.len(), |i| {
        let mut gathered = Vec::with_capacity(encoded[i].features.len() * d);
        for f in &encoded[i].features {
            // every index was put into `used` above
            let row = used.binary_search(&(f.index as usize)).unwrap_or_default();
            gathered.extend_from_slice(&decoder.data[row * d..(row + 1) * d]);
        }
        let indices = encoded[i].features.iter().map(|f| f.index).collect();
        Ok((indices, encoder.decode(&encoded[i], &gathered)?))
    })
    .into_iter()
    .collect()
}

async fn figures(at: &SaeAt, encoder: &DeviceEncoder, rows: &[&[f32]]) -> Result<SaeHealth> {
    let d = at.sae.d_in;
    let mut mean = vec![0.0f64; d];
    for x in rows {
        mean.iter_mut().zip(*x).for_each(|(m, v)| *m += f64::from(*v));
    }
    mean.iter_mut().for_each(|m| *m /= rows.len().max(1) as f64);
    let (mut wrong, mut total, mut active) = (0.0, 0.0, 0usize);
    let mut fired = HashSet::new();
    for chunk in rows.chunks(4096) {
        for (x, (indices, x_hat)) in chunk.iter().zip(reconstruct(at, encoder, chunk).await?) {
            wrong += x.iter().zip(&x_hat).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
            total += x.iter().zip(&mean).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
            active += indices.len();
            fired.extend(indices);
        }
        platform::yield_now().await;
    }
    Ok(SaeHealth {
        layer: at.layer,
        positions: rows.len(),
        outliers: 0,
        l0: active as f64 / rows.len().max(1) as f64,
        fvu: wrong / total,
        dead: 1.0 - fired.len() as f64 / at.sae.d_sae.max(1) as f64,
        cross_entropy: None,
    })
}

/// Mean −ln p over all predictions but those from first positions, and how many there are.
async fn cross_entropy(
    model: &Model,
    compute: &Compute,
    texts: &[Vec<u32>],
    splice: Option<(&SaeAt, Splice)>,
    limits: &HashMap<usize, f64>,
) -> Result<(f64, usize)> {
    let batches = batches(texts);
    let computes = std::slice::from_ref(compute);
    let last = model.dims().n_layers - 1;
    let d = model.dims().d_model;
    let mut timings = Timings::default();
    let hooks = splice.iter().map(|(at, _)| (at.layer, at.sae.clone())).collect();
    let mut stream = Stream::start(model, computes, &batches, hooks, last, &mut timings).await?;
    for layer in 0..=last {
        let encoder = stream.advance(None, Stage::Model, &mut timings).await?;
        let (Some((at, how)), Some(encoder)) = (splice, encoder) else { continue };
        let encoder = DeviceEncoder::new(encoder, compute);
        let limit = limits.get(&layer).copied().unwrap_or(f64::INFINITY);
        let mut rows = stream.all_rows().await?;
        for (batch, rows) in batches.iter().zip(&mut rows) {
            // first positions and outliers keep their residual
            let nodes: Vec<usize> = (0..batch.trie.len())
                .filter(|&n| batch.trie.depths[n] > 0 && norm(&rows[n * d..(n + 1) * d]) < limit)
                .collect();
            let replaced: Vec<Vec<f64>> = match how {
                Splice::Zero => vec![vec![0.0; d]; nodes.len()],
                Splice::Reconstruction => {
                    let kept: Vec<&[f32]> = nodes.iter().map(|&n| &rows[n * d..(n + 1) * d]).collect();
                    reconstruct(at, &encoder, &kept).await?.into_iter().map(|(_, x_hat)| x_hat).collect()
                }
            };
            for (&n, x_hat) in nodes.iter().zip(&replaced) {
                rows[n * d..(n + 1) * d].iter_mut().zip(x_hat).for_each(|(x, v)| *x = *v as f32);
            }
        }
        stream.replace(rows);
    }
    let (mut sum, mut count) = (0.0, 0);
    for (batch, x) in batches.iter().zip(stream.into_streams()) {
        let mut questions = vec![Question::default(); batch.trie.len()];
        for slot in &batch.texts {
            for t in 2..slot.path.len() {
                questions[slot.path[t - 1] as usize].targets.push(texts[slot.group][t]);
            }
        }
        for answer in next_token_logprobs(model, x, &questions, compute).await? {
            sum -= answer.targets.iter().sum::<f64>();
            count += answer.targets.len();
        }
    }
    Ok((sum / count.max(1) as f64, count))
}
