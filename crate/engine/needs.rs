//! What an analysis reads and holds, from headers and shapes alone.

use super::fit::SaeAt;
use super::schedule::{MOST_HALVINGS, Work};
use crate::error::Result;
use crate::model::Model;

/// Bytes read and held: upper bounds; a run's manifest has what it really took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Of the model's weights, as stored, that a pass reads.
    pub weights: u64,
    /// At once on the graphics device; 0 where there is none.
    pub device: u64,
    /// At once in the program's own memory, besides the data set.
    pub host: u64,
}

/// What the program itself takes.
const PROGRAM: u64 = 64 << 20;
/// Scores of attention, and pre-activations of an SAE, that are held at once.
const SCRATCH: u64 = 128 << 20;
/// Numbers of a row's queries, keys, values, norms and the MLP's two halves, in widths of the residual.
const WIDTHS: u64 = 24;

impl Needs {
    /// At once, of the memory that is short as a rule: the device's where there is one.
    pub fn most(&self) -> u64 {
        if self.device > 0 { self.device } else { self.host }
    }

    /// How often micro-batches have to be halved for a run to take at most `budget` bytes, and what it takes
    /// then; `of` gives what it takes with so many halvings. Where no number of them suffices, the last one's.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn within(budget: u64, mut of: impl FnMut(u32) -> Result<Self>) -> Result<(u32, Self)> {
        let mut halvings = 0;
        loop {
            let needs = of(halvings)?;
            if needs.most() <= budget || halvings == MOST_HALVINGS {
                return Ok((halvings, needs));
            }
            halvings += 1;
        }
    }

    /// For this much work. `gpu`: whether a graphics device computes; `half`: in 16 bits.
    ///
    /// A block in use and the next one, an SAE's encoder, the residual streams, and the intermediate
    /// results of a micro-batch.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks.
    pub fn of(model: &Model, saes: &[SaeAt], logprob: bool, work: &Work, gpu: bool, half: bool) -> Result<Self> {
        let deepest = saes.iter().map(|s| s.layer).max().unwrap_or_default();
        let last = if logprob { model.dims().n_layers.saturating_sub(1) } else { deepest };
        let weights = model.bytes_up_to(last, logprob)?;
        let block = model.layer_bytes(0);
        let d = model.dims().d_model as u64;
        let sae = saes.iter().map(|s| s.sae.d_in as u64 * s.sae.d_sae as u64 * 4).max().unwrap_or_default();
        let nodes = work.largest_pass as u64;
        let streams = nodes * d * 4;
        let batch = work.largest_batch as u64 * d * 4 * WIDTHS + SCRATCH;
        let (device, host) = if gpu {
            // a block that is computed with and the next one, which is uploaded meanwhile
            let on_device = 2 * model.layer_bytes_on_device(0, half)? + if half { sae / 2 } else { sae };
            (on_device + streams + batch, PROGRAM + 2 * block + 2 * sae)
        } else {
            (0, PROGRAM + 2 * block + 2 * sae + streams * 4 + batch)
        };
        Ok(Self { weights, device, host })
    }
}
