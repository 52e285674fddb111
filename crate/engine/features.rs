//! Active features of texts, without measures: what a probe or a steering experiment begins with.

use std::ops::Range;

use super::fit::SaeAt;
use super::progress::{Observer, Progress, Stage, report};
use super::sae_pass::DeviceEncoder;
use super::schedule::{STREAM_BYTES, Schedule};
use super::stream::Stream;
use super::timeline::Timer;
use crate::batch::{Batch, BatchLimit, pack};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::ops::Compute;
use crate::platform::Clock;
use crate::sae::Feature;

/// Which tokens of a text are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// The last one, as an analysis does.
    Last,
    /// All, the BOS among them where the tokenizer adds one.
    All,
}

/// Active features of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFeatures {
    /// By SAE, in the order given, then by the position read: `[SAEs][positions][active features]`, features in
    /// ascending order.
    pub layers: Vec<Vec<Vec<Feature>>>,
}

/// Active features of tokenised texts at every SAE, in the order of the texts. The model is streamed, once for
/// each 256 MB of residual streams; of those, nothing but the features stays.
///
/// # Errors
/// [`Error::Usage`] for a text without tokens; reading and device errors; [`Error::Mismatch`] for a row that an SAE
/// cannot take; [`Error::Cancelled`].
pub async fn features(
    model: &Model,
    computes: &[Compute],
    saes: &[SaeAt],
    texts: &[Vec<u32>],
    positions: Positions,
    observer: &dyn Observer,
) -> Result<Vec<TextFeatures>> {
    if let Some(empty) = texts.iter().position(Vec::is_empty) {
        return Err(Error::usage(format!("text {empty} has no tokens"), "leave out texts that are empty"));
    }
    let mut out = Vec::with_capacity(texts.len());
    let started = Clock::start();
    let mut bytes_read = 0;
    for pass in passes(texts, model.dims().d_model) {
        let mut told = |layer: usize, layers: usize, bytes: u64, timer: &Timer| {
            let share = (layer + 1) as f64 / layers as f64;
            let progress = Progress {
                before: 0,
                samples_done: pass.start as f64 + share * pass.len() as f64,
                samples_total: texts.len(),
                seconds: started.seconds(),
                layer,
                layers,
                bytes_read: bytes_read + bytes,
                timings: timer.timings,
            };
            report(observer, &progress)
        };
        let (measured, bytes) = one_pass(model, computes, saes, &texts[pass.clone()], positions, &mut told).await?;
        bytes_read += bytes;
        out.extend(measured);
    }
    Ok(out)
}

/// Texts whose residual streams fit into memory together, at least one.
fn passes(texts: &[Vec<u32>], d_model: usize) -> Vec<Range<usize>> {
    let most = STREAM_BYTES / 4 / d_model.max(1);
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (i, text) in texts.iter().enumerate() {
        match out.last_mut() {
            Some(pass) if tokens + text.len() <= most => {
                pass.end = i + 1;
                tokens += text.len();
            }
            _ => {
                out.push(i..i + 1);
                tokens = text.len();
            }
        }
    }
    out
}

/// The texts of one pass, and the bytes of weights that it read.
async fn one_pass(
    model: &Model,
    computes: &[Compute],
    saes: &[SaeAt],
    texts: &[Vec<u32>],
    positions: Positions,
    told: &mut impl FnMut(usize, usize, u64, &Timer) -> Result<()>,
) -> Result<(Vec<TextFeatures>, u64)> {
    let groups: Vec<Vec<&[u32]>> = texts.iter().map(|text| vec![text.as_slice()]).collect();
    let on_host = computes.iter().all(Compute::on_host);
    let batches = pack(&groups, BatchLimit::Nodes(Schedule::usual_nodes(on_host)));
    let nodes: Vec<Vec<usize>> = batches.iter().map(|batch| read_nodes(batch, positions)).collect();
    let mut out = vec![TextFeatures { layers: vec![Vec::new(); saes.len()] }; texts.len()];
    let (Some(last), Some(compute)) = (saes.iter().map(|at| at.layer).max(), computes.first()) else {
        return Ok((out, 0));
    };
    let mut timer = Timer::start(computes);
    let hooks = saes.iter().map(|at| (at.layer, at.sae.clone())).collect();
    let mut stream = Stream::start(model, computes, &batches, hooks, last, true, &mut timer).await?;
    for layer in 0..=last {
        // past the attention, the deepest block is only computed where it is read
        let kept = (layer == last).then_some(&nodes[..]);
        let encoder = stream.advance(kept, Stage::Model, &mut timer).await?;
        if let (Some(at), Some(encoder)) = (saes.iter().position(|at| at.layer == layer), encoder) {
            let rows = if kept.is_some() { stream.all_rows().await? } else { stream.rows(&nodes).await? };
            let encoder = DeviceEncoder::new(encoder, compute);
            let xs: Vec<&[f32]> = rows.iter().flat_map(|rows| rows.chunks_exact(saes[at].sae.d_in)).collect();
            let encoded = encoder.encode(&xs).await?;
            let mut encoded = encoded.into_iter();
            for (batch, nodes) in batches.iter().zip(&nodes) {
                let of_nodes = encoded.by_ref().take(nodes.len()).map(|row| row.map(|row| row.features));
                let of_nodes = of_nodes.collect::<Result<Vec<_>>>()?;
                for slot in &batch.texts {
                    let place = |node: &u32| nodes.binary_search(&(*node as usize)).ok();
                    let read = match positions {
                        Positions::Last => &slot.path[slot.path.len() - 1..],
                        Positions::All => &slot.path[..],
                    };
                    let features = read.iter().filter_map(place).map(|i| of_nodes[i].clone());
                    out[slot.group].layers[at] = features.collect();
                }
            }
        }
        told(layer, last + 1, stream.bytes_read, &timer)?;
    }
    Ok((out, stream.bytes_read))
}

/// The nodes of a trie that are read, ascending.
fn read_nodes(batch: &Batch, positions: Positions) -> Vec<usize> {
    let mut nodes: Vec<usize> = match positions {
        Positions::All => return (0..batch.trie.len()).collect(),
        Positions::Last => batch.texts.iter().map(|slot| slot.end() as usize).collect(),
    };
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_into_passes_by_their_tokens() {
        let most = STREAM_BYTES / 4 / 1024;
        let texts = |lengths: &[usize]| lengths.iter().map(|&n| vec![0; n]).collect::<Vec<_>>();
        assert_eq!(passes(&texts(&[most, 1, 2]), 1024), [0..1, 1..3]);
        assert_eq!(passes(&texts(&[1, most - 1, 1]), 1024), [0..2, 2..3]);
        assert_eq!(passes(&texts(&[most + 5, most + 5]), 1024), [0..1, 1..2]);
        assert!(passes(&[], 1024).is_empty());
    }
}
