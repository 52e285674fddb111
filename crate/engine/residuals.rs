//! Residual streams of token sequences, without SAEs: for inspection and for checks against the
//! reference.

use std::collections::BTreeMap;

use super::progress::Stage;
use super::stream::Stream;
use super::timeline::Timer;
use crate::batch::{BatchLimit, pack};
use crate::error::Result;
use crate::model::Model;
use crate::model::ops::Compute;

/// `resid_post` of every token of every text at the given layers: per layer, per text, row-major
/// `[tokens, d_model]`.
///
/// # Errors
/// Reading and device errors; ids past the embedding.
pub async fn residuals(
    model: &Model,
    compute: &Compute,
    texts: &[Vec<u32>],
    layers: &[usize],
) -> Result<BTreeMap<usize, Vec<Vec<f32>>>> {
    let groups: Vec<Vec<&[u32]>> = texts.iter().map(|t| vec![t.as_slice()]).collect();
    let batches = pack(&groups, BatchLimit::Nodes(1024));
    let mut out = BTreeMap::new();
    let Some(&last) = layers.iter().max() else {
        return Ok(out);
    };
    let computes = std::slice::from_ref(compute);
    let mut timer = Timer::start(computes);
    let mut stream = Stream::start(model, computes, &batches, Vec::new(), last, true, &mut timer).await?;
    let d = model.dims().d_model;
    for layer in 0..=last {
        stream.advance(None, Stage::Model, &mut timer).await?;
        if layers.contains(&layer) {
            let rows = stream.all_rows().await?;
            let mut of_texts = vec![Vec::new(); texts.len()];
            for (batch, rows) in batches.iter().zip(&rows) {
                for slot in &batch.texts {
                    of_texts[slot.group] =
                        slot.path.iter().flat_map(|&n| &rows[n as usize * d..(n as usize + 1) * d]).copied().collect();
                }
            }
            out.insert(layer, of_texts);
        }
    }
    Ok(out)
}
