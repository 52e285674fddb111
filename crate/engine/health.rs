//! How well an SAE fits its model on ordinary text, over all positions: L0, fraction of variance
//! unexplained, dead features, and the cross-entropy recovered when the reconstruction is spliced in.

use std::collections::HashSet;

use super::fit::SaeAt;
use super::logprob::{Question, next_token_logprobs};
use super::progress::{Observer, Progress, Stage, Timings, report};
use super::sae_pass::{DeviceEncoder, Encoded};
use super::stream::Stream;
use super::timeline::Timer;
use crate::batch::{Batch, BatchLimit, pack};
use crate::error::{Error, Result};
use crate::metrics::{PassageLoss, Recovered, draw, is_sink, median_norm, recovered, residual_norm};
use crate::model::Model;
use crate::model::ops::Compute;
use crate::platform::{self, Clock};

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
    /// Passages that it was measured on.
    pub passages: usize,
    /// Predictions counted.
    pub tokens: usize,
    /// The model left alone.
    pub clean: f64,
    /// With x̂ in place of x.
    pub spliced: f64,
    /// With the mean of x over all measured positions in place of x.
    pub averaged: f64,
    /// With zero in place of x.
    pub zeroed: f64,
    /// What x̂ recovers of the loss to the mean: the harder floor, since it keeps what all positions
    /// have in common.
    pub from_mean: Recovered,
    /// What x̂ recovers of the loss to zero.
    pub from_zero: Recovered,
}

/// Settings of [`health`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthOptions {
    /// Positions whose residual norm is above this many times the layer's median are left out.
    pub outlier: f64,
    /// Passages for the cross-entropy, drawn at random; 0 leaves it out.
    pub ce_texts: usize,
    /// Seed of the draw and of the bootstrap.
    pub seed: u64,
}

/// What stands in for the residual stream.
#[derive(Clone, Copy)]
enum Splice<'a> {
    Reconstruction,
    Mean(&'a [f64]),
    Zero,
}

/// One layer of the first pass.
struct Layer {
    health: SaeHealth,
    /// median norm over all positions
    median: Option<f64>,
    /// mean of x over the measured positions
    mean: Vec<f64>,
}

/// How far the work is, in units of one block over one token.
struct Meter<'a> {
    observer: &'a dyn Observer,
    started: Clock,
    passages: usize,
    done: f64,
    total: f64,
}

impl Meter<'_> {
    fn add(&mut self, work: f64, layer: usize, layers: usize) -> Result<()> {
        self.done += work;
        report(
            self.observer,
            &Progress {
                before: 0,
                // sums of shares may end a hair below the whole
                samples_done: self.passages as f64 * (self.done / self.total + 1e-9).min(1.0),
                samples_total: self.passages,
                seconds: self.started.seconds(),
                layer,
                layers,
                bytes_read: 0,
                timings: Timings::default(),
            },
        )
    }
}

/// Blocks that take as long as the unembedding does.
fn unembedding_blocks(model: &Model) -> f64 {
    // a block of width d has about 12 d² weights
    (model.dims().vocab_size as f64 / (12.0 * model.dims().d_model as f64)).max(1.0)
}

fn token_count(texts: &[Vec<u32>]) -> f64 {
    texts.iter().map(Vec::len).sum::<usize>() as f64
}

/// Measures SAEs (through [`super::fit`]) on token sequences, and some of these, drawn at random, also
/// for cross-entropy. Positions whose residual norm is above `outlier` times the layer's median are left
/// out of the figures and keep their residual when the others are replaced; the prediction made from
/// a text's first position is not counted. Progress counts passages in shares of the whole work.
///
/// # Errors
/// Reading and device errors; texts without tokens; cancellation.
pub async fn health(
    model: &Model,
    compute: &Compute,
    saes: &[SaeAt],
    texts: &[Vec<u32>],
    options: &HealthOptions,
    observer: &dyn Observer,
) -> Result<Vec<SaeHealth>> {
    let HealthOptions { outlier, ce_texts, seed } = *options;
    if !(outlier.is_finite() && outlier > 0.0) {
        return Err(Error::usage(format!("outlier limit {outlier}"), "give a positive number of medians, such as 2"));
    }
    // a shorter text has no prediction that counts
    let long: Vec<usize> = (0..texts.len()).filter(|&i| texts[i].len() >= 3).collect();
    if long.is_empty() {
        return Err(Error::usage("no text has three tokens or more", "give longer passages"));
    }
    let drawn: Vec<Vec<u32>> = draw(long.len(), ce_texts, seed).into_iter().map(|i| texts[long[i]].clone()).collect();
    let deepest = saes.iter().map(|s| s.layer).max().unwrap_or_default();
    let passes = if drawn.is_empty() { 0.0 } else { 1.0 + 3.0 * saes.len() as f64 };
    let blocks = model.dims().n_layers as f64 + unembedding_blocks(model);
    let mut meter = Meter {
        observer,
        started: Clock::start(),
        passages: texts.len(),
        done: 0.0,
        total: (deepest + 1) as f64 * token_count(texts) + passes * blocks * token_count(&drawn),
    };
    let mut layers = figures_of_all(model, compute, saes, texts, outlier, &mut meter).await?;
    if !drawn.is_empty() {
        let clean = Pass { model, compute, texts: &drawn, outlier, splice: None }.run(&mut meter).await?;
        for layer in &mut layers {
            let Some(at) = saes.iter().find(|s| s.layer == layer.health.layer) else { continue };
            let pass = |how| Pass { model, compute, texts: &drawn, outlier, splice: Some((at, how, layer.median)) };
            let spliced = pass(Splice::Reconstruction).run(&mut meter).await?;
            let averaged = pass(Splice::Mean(&layer.mean)).run(&mut meter).await?;
            let zeroed = pass(Splice::Zero).run(&mut meter).await?;
            layer.health.cross_entropy = Some(compare(&clean, &spliced, &averaged, &zeroed, seed));
        }
    }
    Ok(layers.into_iter().map(|layer| layer.health).collect())
}

/// Cross-entropies and what is recovered, from the passages' sums and counts.
fn compare(
    clean: &[(f64, usize)],
    spliced: &[(f64, usize)],
    averaged: &[(f64, usize)],
    zeroed: &[(f64, usize)],
    seed: u64,
) -> CrossEntropy {
    let tokens: usize = clean.iter().map(|(_, n)| n).sum();
    let mean = |sums: &[(f64, usize)]| sums.iter().map(|(sum, _)| sum).sum::<f64>() / tokens.max(1) as f64;
    let against = |floor: &[(f64, usize)]| {
        let passages: Vec<PassageLoss> = clean
            .iter()
            .zip(spliced)
            .zip(floor)
            .map(|((c, s), f)| PassageLoss { clean: c.0, spliced: s.0, floor: f.0 })
            .collect();
        recovered(&passages, seed)
    };
    CrossEntropy {
        passages: clean.len(),
        tokens,
        clean: mean(clean),
        spliced: mean(spliced),
        averaged: mean(averaged),
        zeroed: mean(zeroed),
        from_mean: against(averaged),
        from_zero: against(zeroed),
    }
}

/// The pass over all texts up to the deepest SAE.
async fn figures_of_all(
    model: &Model,
    compute: &Compute,
    saes: &[SaeAt],
    texts: &[Vec<u32>],
    outlier: f64,
    meter: &mut Meter<'_>,
) -> Result<Vec<Layer>> {
    let deepest = saes.iter().map(|s| s.layer).max().unwrap_or_default();
    let batches = batches(texts);
    let computes = std::slice::from_ref(compute);
    let mut timer = Timer::start(computes);
    let hooks = saes.iter().map(|s| (s.layer, s.sae.clone())).collect();
    let mut stream = Stream::start(model, computes, &batches, hooks, deepest, true, &mut timer).await?;
    let mut out = Vec::new();
    let d = model.dims().d_model;
    for layer in 0..=deepest {
        let encoder = stream.advance(None, Stage::Model, &mut timer).await?;
        if let (Some(at), Some(encoder)) = (saes.iter().find(|s| s.layer == layer), encoder) {
            let encoder = DeviceEncoder::new(encoder, compute);
            let rows = per_text(&stream.all_rows().await?, &batches, texts.len(), d);
            let all: Vec<&[f32]> = rows.iter().flat_map(|r| r.chunks(d)).collect();
            let norms: Vec<f64> = all.iter().map(|x| residual_norm(x)).collect();
            let median = median_norm(norms.iter().copied());
            let kept = |(_, norm): &(&&[f32], &f64)| !is_sink(**norm, median, outlier);
            let kept: Vec<&[f32]> = all.iter().zip(&norms).filter(kept).map(|(x, _)| *x).collect();
            if kept.is_empty() {
                return Err(Error::usage(
                    format!("no position of layer {layer} is below {outlier} times the median norm"),
                    "raise `--outlier`",
                ));
            }
            let mean = mean_of(&kept, d);
            let mut health = figures(at, &encoder, &kept, &mean).await?;
            health.outliers = all.len() - kept.len();
            out.push(Layer { health, median, mean });
        }
        meter.add(token_count(texts), layer, deepest + 1)?;
    }
    Ok(out)
}

fn mean_of(rows: &[&[f32]], d: usize) -> Vec<f64> {
    let mut mean = vec![0.0f64; d];
    for x in rows {
        mean.iter_mut().zip(*x).for_each(|(m, v)| *m += f64::from(*v));
    }
    mean.iter_mut().for_each(|m| *m /= rows.len().max(1) as f64);
    mean
}

fn batches(texts: &[Vec<u32>]) -> Vec<Batch> {
    let groups: Vec<Vec<&[u32]>> = texts.iter().map(|t| vec![t.as_slice()]).collect();
    pack(&groups, BatchLimit::Nodes(NODES))
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
    let features = |row: &Encoded| row.features.iter().map(|f| f.index).collect::<Vec<u32>>();
    let used = encoded.iter().flat_map(&features).map(|index| index as usize);
    let decoder = at.sae.distinct_decoder_rows(used).await?;
    platform::par_map(encoded.len(), |i| {
        let indices = features(&encoded[i]);
        let rows = decoder.gather(indices.iter().map(|&index| index as usize))?;
        Ok((indices, encoder.decode(&encoded[i], &rows.data)?))
    })
    .into_iter()
    .collect()
}

async fn figures(at: &SaeAt, encoder: &DeviceEncoder, rows: &[&[f32]], mean: &[f64]) -> Result<SaeHealth> {
    let (mut wrong, mut total, mut active) = (0.0, 0.0, 0usize);
    let mut fired = HashSet::new();
    for chunk in rows.chunks(4096) {
        for (x, (indices, x_hat)) in chunk.iter().zip(reconstruct(at, encoder, chunk).await?) {
            wrong += x.iter().zip(&x_hat).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
            total += x.iter().zip(mean).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
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

/// One run of the whole model over some passages.
struct Pass<'a> {
    model: &'a Model,
    compute: &'a Compute,
    texts: &'a [Vec<u32>],
    outlier: f64,
    /// What is put in place of the residual, where, and the layer's median norm.
    splice: Option<(&'a SaeAt, Splice<'a>, Option<f64>)>,
}

impl Pass<'_> {
    /// Per passage the sum of −ln p over its predictions but that from its first position, and how many
    /// they are.
    async fn run(&self, meter: &mut Meter<'_>) -> Result<Vec<(f64, usize)>> {
        let Self { model, compute, texts, .. } = *self;
        let batches = batches(texts);
        let computes = std::slice::from_ref(compute);
        let last = model.dims().n_layers - 1;
        let tokens = token_count(texts);
        let mut timer = Timer::start(computes);
        let hooks = self.splice.iter().map(|(at, ..)| (at.layer, at.sae.clone())).collect();
        let mut stream = Stream::start(model, computes, &batches, hooks, last, true, &mut timer).await?;
        for layer in 0..=last {
            if let Some(encoder) = stream.advance(None, Stage::Model, &mut timer).await? {
                let encoder = DeviceEncoder::new(encoder, compute);
                let mut rows = stream.all_rows().await?;
                self.replace(&encoder, &batches, &mut rows).await?;
                stream.replace(rows);
            }
            meter.add(tokens, layer, last + 1)?;
        }
        let mut out = vec![(0.0, 0); texts.len()];
        for (batch, x) in batches.iter().zip(stream.into_streams()) {
            let mut questions = vec![Question::default(); batch.trie.len()];
            let mut asked: Vec<(usize, usize, usize)> = Vec::new();
            for slot in &batch.texts {
                // each token from the third on, asked of the one before it
                for (node, &target) in slot.path.iter().zip(&texts[slot.group][1..]).skip(1) {
                    let node = *node as usize;
                    asked.push((slot.group, node, questions[node].targets.len()));
                    questions[node].targets.push(target);
                }
            }
            let answers = next_token_logprobs(model, x, &questions, compute).await?;
            for (text, node, target) in asked {
                out[text].0 -= answers[node].targets[target];
                out[text].1 += 1;
            }
            let share = batch.trie.len() as f64 / batches.iter().map(|b| b.trie.len()).sum::<usize>().max(1) as f64;
            meter.add(share * tokens * unembedding_blocks(model), last, last + 1)?;
        }
        Ok(out)
    }

    /// Puts the stand-in into rows, per micro-batch `[nodes, d]`; first positions and outliers keep
    /// their residual.
    async fn replace(&self, encoder: &DeviceEncoder, batches: &[Batch], rows: &mut [Vec<f32>]) -> Result<()> {
        let Some((at, how, median)) = self.splice else { return Ok(()) };
        let d = self.model.dims().d_model;
        for (batch, rows) in batches.iter().zip(rows) {
            let outlier = |n: usize| is_sink(residual_norm(&rows[n * d..(n + 1) * d]), median, self.outlier);
            let nodes: Vec<usize> =
                (0..batch.trie.len()).filter(|&n| batch.trie.depths[n] > 0 && !outlier(n)).collect();
            let replaced: Vec<Vec<f64>> = match how {
                Splice::Zero => vec![vec![0.0; d]; nodes.len()],
                Splice::Mean(mean) => vec![mean.to_vec(); nodes.len()],
                Splice::Reconstruction => {
                    let kept: Vec<&[f32]> = nodes.iter().map(|&n| &rows[n * d..(n + 1) * d]).collect();
                    reconstruct(at, encoder, &kept).await?.into_iter().map(|(_, x_hat)| x_hat).collect()
                }
            };
            for (&n, stand_in) in nodes.iter().zip(&replaced) {
                rows[n * d..(n + 1) * d].iter_mut().zip(stand_in).for_each(|(x, v)| *x = *v as f32);
            }
        }
        Ok(())
    }
}
