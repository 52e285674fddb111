//! Whether a config belongs to the tensors that are there, from headers alone: a config's sizes reach the
//! engine only where the file has as much.

use std::collections::BTreeSet;

use super::architecture::Architecture;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result, shown};

const OTHERS: &str = "the config belongs to other weights";

/// Checks every size of a config against the shapes of the tensors below `prefix`.
///
/// # Errors
/// [`Error::Mismatch`] for another number of blocks or another shape, [`Error::Missing`] for a tensor that
/// is not there.
pub(super) fn check(
    config: &str,
    architecture: &dyn Architecture,
    checkpoint: &Checkpoint,
    prefix: &str,
) -> Result<()> {
    let dims = architecture.dims();
    for (what, size) in [("width", dims.d_model), ("vocabulary", dims.vocab_size), ("context", dims.max_positions)] {
        if size == 0 {
            return Err(Error::mismatch(
                format!("{config}: {what} of the model"),
                "at least 1",
                "0",
                "check the config",
            ));
        }
    }
    let embedding = architecture.embedding();
    shape(config, checkpoint, &format!("{prefix}{}", embedding.tokens), &[dims.vocab_size, dims.d_model])?;
    if let Some(positions) = embedding.positions {
        shape(config, checkpoint, &format!("{prefix}{positions}"), &[dims.max_positions, dims.d_model])?;
    }
    let blocks = format!("{prefix}{}.", architecture.family().blocks);
    count(config, checkpoint, &blocks, dims.n_layers)?;
    for layer in 0..dims.n_layers {
        for (name, wanted) in architecture.layer_tensors(layer) {
            shape(config, checkpoint, &format!("{blocks}{layer}.{name}"), &wanted)?;
        }
    }
    Ok(())
}

/// A tensor must be there in this shape.
pub(super) fn shape(config: &str, checkpoint: &Checkpoint, name: &str, wanted: &[usize]) -> Result<()> {
    let found = &checkpoint.info(name)?.shape;
    if found == wanted {
        return Ok(());
    }
    Err(Error::mismatch(
        format!("{config}: shape of {}", shown(name)),
        format!("{wanted:?} by the config"),
        format!("{found:?} in the weights"),
        OTHERS,
    ))
}

/// The weights must hold `n_layers` blocks, no more and no fewer. Within a block there may be tensors that
/// nobody reads: masks, rotary frequencies.
fn count(config: &str, checkpoint: &Checkpoint, blocks: &str, n_layers: usize) -> Result<()> {
    let mut held = BTreeSet::new();
    for name in checkpoint.names() {
        let Some(index) = name.strip_prefix(blocks).and_then(|rest| rest.split('.').next()) else { continue };
        if index.is_empty() || !index.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        // one that no number holds is past any last block
        let index = index.parse::<usize>().unwrap_or(usize::MAX);
        if index >= n_layers {
            return Err(Error::mismatch(
                format!("{config}: number of blocks"),
                format!("more than {index}, since the weights hold {}", shown(name)),
                n_layers.to_string(),
                "with fewer blocks than it was trained with, a model gives other numbers; take the weights' own config",
            ));
        }
        held.insert(index);
    }
    if held.len() == n_layers && n_layers > 0 {
        return Ok(());
    }
    Err(Error::mismatch(
        format!("{config}: number of blocks"),
        format!("{}, as many as the weights hold ({blocks}N)", held.len()),
        n_layers.to_string(),
        OTHERS,
    ))
}
