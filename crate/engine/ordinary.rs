//! What a residual of ordinary text is like: the yardstick that tells attention sinks.
//!
//! The median is over the positions of a few built-in prompts, the same in every run, so that it
//! depends neither on the data set (which may be all sinks) nor on how it is cut into batches.

use crate::batch::{Batch, BatchLimit, pack};
use crate::dataset;
use crate::metrics::{median_norm, residual_norm};
use crate::model::Model;

/// Prompts that are taken, evenly spread over the built-in set.
const TEXTS: usize = 8;
/// Tokens of each, at most.
const TOKENS: usize = 16;

/// Tokens of a few ordinary texts, BOS as the model has it: eight of the built-in prompts, their
/// first 16 tokens each. What the tokenizer cannot take is left out.
pub fn ordinary_texts(model: &Model) -> Vec<Vec<u32>> {
    let Ok(data) = dataset::builtin() else { return Vec::new() };
    let step = (data.samples.len() / TEXTS).max(1);
    let most = TOKENS.min(model.dims().max_positions);
    data.samples
        .iter()
        .step_by(step)
        .take(TEXTS)
        .filter_map(|sample| model.tokenizer.encode(&sample.prompt).ok())
        .map(|mut tokens| {
            tokens.truncate(most);
            tokens
        })
        .filter(|tokens| !tokens.is_empty() && model.check_ids(tokens).is_ok())
        .collect()
}

/// [`ordinary_texts`] as a micro-batch of their own; none where there is no such text.
pub(super) fn ordinary_batch(model: &Model) -> Option<Batch> {
    let texts = ordinary_texts(model);
    if texts.is_empty() {
        return None;
    }
    pack(&[texts.iter().map(Vec::as_slice).collect()], BatchLimit::Groups(1)).pop()
}

/// Median norm over the positions of a batch's texts; `rows` `[nodes, d]` row-major.
pub(super) fn ordinary_norm(batch: &Batch, rows: &[f32], d: usize) -> Option<f64> {
    let positions = batch.texts.iter().flat_map(|slot| &slot.path);
    median_norm(positions.filter_map(|&n| rows.get(n as usize * d..(n as usize + 1) * d)).map(residual_norm))
}
