//! Weights that stay on the device, for one text after another.

use super::fit::SaeAt;
use super::progress::{Observer, Progress, Timings, report};
use super::sae_pass::DeviceEncoder;
use crate::batch::{BatchLimit, pack};
use crate::error::{Error, Result};
use crate::model::ops::Compute;
use crate::model::{BatchContext, Block, Model};
use crate::platform::{self, Clock};
use crate::sae::Feature;

/// A model up to its deepest SAE, and the SAEs' encoders, on one device.
pub struct Resident {
    model: Model,
    compute: Compute,
    blocks: Vec<Box<dyn Block>>,
    /// by layer, ascending
    encoders: Vec<(usize, DeviceEncoder)>,
}

impl Resident {
    /// Whether the device that it lies on can still be computed on.
    pub fn works(&self) -> bool {
        platform::check_device(&self.compute.device).is_ok()
    }

    /// Reads the blocks up to the deepest SAE and the SAEs (through [`super::fit`]).
    ///
    /// # Errors
    /// Reading and device errors, cancellation.
    pub async fn load(model: &Model, compute: &Compute, saes: &[SaeAt], observer: &dyn Observer) -> Result<Self> {
        let started = Clock::start();
        let last = saes
            .iter()
            .map(|s| s.layer)
            .max()
            .ok_or_else(|| Error::usage("no SAE was given", "there is nothing to show of a text without one"))?;
        let mut blocks = Vec::with_capacity(last + 1);
        let mut encoders = Vec::with_capacity(saes.len());
        let mut bytes_read = 0;
        for layer in 0..=last {
            let weights = model.read_layer(layer).await?;
            blocks.push(model.architecture.block(layer, weights, compute)?);
            bytes_read += model.layer_bytes(layer);
            if let Some(at) = saes.iter().find(|s| s.layer == layer) {
                encoders.push((layer, DeviceEncoder::new(at.sae.load_encoder().await?, compute)));
            }
            // uploads must not pile up behind a device that is slower than the reading
            compute.read_back(compute.tensor1(vec![0.0])).await?;
            let share = (layer + 1) as f64 / (last + 1) as f64;
            let progress = Progress {
                before: 0,
                samples_done: share,
                samples_total: 1,
                seconds: started.seconds(),
                layer,
                layers: last + 1,
                bytes_read,
                timings: Timings::default(),
            };
            report(observer, &progress)?;
            platform::yield_now().await;
        }
        Ok(Self { model: model.clone(), compute: compute.clone(), blocks, encoders })
    }

    /// Active features of every token of one text, per SAE layer: `(layer, [tokens])`.
    ///
    /// # Errors
    /// Reading and device errors; ids past the embedding; a row that an SAE cannot take.
    pub async fn features(&self, tokens: &[u32]) -> Result<Vec<(usize, Vec<Vec<Feature>>)>> {
        let batches = pack(&[vec![tokens]], BatchLimit::Groups(1));
        let Some(batch) = batches.first() else {
            return Ok(Vec::new());
        };
        let context = BatchContext::new(&batch.trie, self.model.architecture.as_ref(), &self.compute);
        let embedded = self.model.embed(&batch.trie.tokens, &batch.trie.depths).await?;
        let (n, d) = (batch.trie.tokens.len(), self.model.dims().d_model);
        let mut x = self.compute.tensor2(embedded.data, n, d);
        let mut out = Vec::with_capacity(self.encoders.len());
        for (layer, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, None, &context, &self.compute);
            if let Some((_, encoder)) = self.encoders.iter().find(|(l, _)| *l == layer) {
                let values = self.compute.read_back(x.clone()).await?;
                // one text alone in a trie: its nodes lie in its own order
                let rows: Vec<&[f32]> = values.chunks_exact(d).collect();
                let encoded = encoder.encode(&rows).await?;
                let features = encoded.into_iter().map(|e| e.map(|e| e.features)).collect::<Result<_>>()?;
                out.push((layer, features));
            }
            platform::yield_now().await;
        }
        Ok(out)
    }
}
