//! Weights stream, activations stay: all micro-batches go through a block together, its weights
//! are read while the block before computes, used once, and dropped. A graphics device computes a block
//! while the next one's weights are made ready.

use burn::tensor::Tensor;

use super::progress::Stage;
use super::timeline::{Lane, Span, Timer};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::model::ops::Compute;
use crate::model::{BatchContext, LayerWeights, Model};
use crate::platform::{self, BoxFuture, Clock};
use crate::sae::{Encoder, Sae};

/// What is read ahead for one block: its weights and, where an SAE hangs on it, the encoder; and when.
type Prefetched = Result<(LayerWeights, Option<Encoder>, Span)>;

/// The residual streams of all micro-batches on their way through the model.
pub(super) struct Stream<'a> {
    model: &'a Model,
    computes: &'a [Compute],
    contexts: Vec<BatchContext>,
    /// residual stream per micro-batch, `[nodes, d_model]`
    x: Vec<Tensor<2>>,
    next_layer: usize,
    last_layer: usize,
    saes: Vec<(usize, Sae)>,
    ahead: Option<BoxFuture<'static, Option<Prefetched>>>,
    /// whether a block is read while the one before it computes
    reads_ahead: bool,
    /// the block that a device may still be computing, and what it is for
    computing: Option<(usize, Stage)>,
    /// bytes of f32 weights read so far
    pub(super) bytes_read: u64,
}

impl<'a> Stream<'a> {
    /// Embeds every trie node and starts reading block 0. `saes` are the SAEs by the block they
    /// hang on; `last_layer` is the deepest block that will be run. Without `reads_ahead` a block is read when it is
    /// wanted.
    pub(super) async fn start(
        model: &'a Model,
        computes: &'a [Compute],
        batches: &[Batch],
        saes: Vec<(usize, Sae)>,
        last_layer: usize,
        reads_ahead: bool,
        timer: &mut Timer,
    ) -> Result<Self> {
        let mut clock = Clock::start();
        let mut x = Vec::with_capacity(batches.len());
        let mut contexts = Vec::with_capacity(batches.len());
        let mut stream_bytes = 0;
        for (i, batch) in batches.iter().enumerate() {
            let compute = &computes[i % computes.len()];
            let embedded = model.embed(&batch.trie.tokens, &batch.trie.depths).await?;
            timer.hands(Stage::Weights, None);
            stream_bytes += embedded.data.len() as u64 * 4;
            x.push(compute.tensor2(embedded.data, embedded.shape[0], embedded.shape[1]));
            contexts.push(BatchContext::new(&batch.trie, model.architecture.as_ref(), compute));
        }
        timer.lap(Stage::Weights, None, &mut clock);
        let mut stream = Self {
            model,
            computes,
            contexts,
            x,
            next_layer: 0,
            last_layer,
            saes,
            ahead: None,
            reads_ahead,
            computing: None,
            bytes_read: stream_bytes,
        };
        if reads_ahead {
            stream.read(timer);
        }
        Ok(stream)
    }

    /// Starts reading and converting the next block's weights in the background.
    fn read(&mut self, timer: &Timer) {
        let layer = self.next_layer;
        if layer > self.last_layer {
            return;
        }
        let model = self.model.clone();
        let sae = self.saes.iter().find(|(l, _)| *l == layer).map(|(_, sae)| sae.clone());
        let clock = timer.origin();
        self.ahead = Some(Box::pin(platform::spawn(async move {
            let start = clock.seconds();
            let weights = model.read_layer(layer).await?;
            let encoder = match sae {
                Some(sae) => Some(sae.load_encoder().await?),
                None => None,
            };
            let (lane, stage, end) = (Lane::Reader, Stage::Weights, clock.seconds());
            Ok((weights, encoder, Span { lane, stage, layer: Some(layer), waits: false, start, end }))
        })));
    }

    /// Runs the next block on every micro-batch and returns its SAE's encoder, if it has one.
    ///
    /// With `rows` (per micro-batch, node numbers), only those rows are computed past the
    /// attention, and they are the residual stream from then on: for the deepest block.
    pub(super) async fn advance(
        &mut self,
        rows: Option<&[Vec<usize>]>,
        stage: Stage,
        timer: &mut Timer,
    ) -> Result<Option<Encoder>> {
        let mut clock = Clock::start();
        let layer = self.next_layer;
        if self.ahead.is_none() {
            self.read(timer);
        }
        let ahead = self.ahead.take().ok_or_else(stopped)?;
        let (weights, encoder, read) = ahead.await.unwrap_or_else(|| Err(stopped()))?;
        timer.waited(Stage::Weights, Some(layer), &mut clock);
        self.bytes_read += self.model.layer_bytes(layer);
        self.next_layer += 1;
        timer.add(read);
        if self.reads_ahead {
            self.read(timer);
        }
        timer.hands_beside(Stage::Weights, Some(layer));
        // one copy of the block per device; on the one CPU the weights move without a copy
        let mut blocks = Vec::with_capacity(self.computes.len());
        let (last, others) = self.computes.split_last().ok_or_else(stopped)?;
        for compute in others {
            blocks.push(self.model.architecture.block(layer, weights.clone(), compute)?);
        }
        blocks.push(self.model.architecture.block(layer, weights, last)?);
        timer.lap(Stage::Weights, Some(layer), &mut clock);
        // a device had all this time for the block before; with more queued, uploads would pile up
        self.finish(&mut clock, timer).await?;
        timer.hands(stage, Some(layer));
        for (i, x) in self.x.iter_mut().enumerate() {
            let which = i % self.computes.len();
            let compute = &self.computes[which];
            let kept = rows.map(|rows| compute.indices(&rows[i]));
            let before = std::mem::replace(x, Tensor::empty([0, 0], &compute.device));
            *x = blocks[which].forward(before, kept, &self.contexts[i], compute);
            platform::yield_now().await;
        }
        for compute in self.computes {
            compute.begin()?;
        }
        timer.lap(stage, Some(layer), &mut clock);
        self.computing = Some((layer, stage));
        // what is read next would wait, and count as something else's time
        if encoder.is_some() || layer == self.last_layer {
            self.finish(&mut clock, timer).await?;
        }
        Ok(encoder)
    }

    /// Waits until the devices have computed what they were given.
    async fn finish(&mut self, clock: &mut Clock, timer: &mut Timer) -> Result<()> {
        let Some((layer, stage)) = self.computing.take() else { return Ok(()) };
        let mut last = self.x.iter().rev().take(self.computes.len());
        let all = last.len() == self.computes.len() && last.all(|x| x.dims()[0] > 0);
        let there = self.x.iter().enumerate().rev().filter(|(_, x)| x.dims()[0] > 0);
        for (i, x) in there.take(self.computes.len()) {
            self.computes[i % self.computes.len()].read_back(x.clone().slice([0..1, 0..1])).await?;
        }
        // what was uploaded meanwhile was handed over before this was asked
        timer.drained_all(all);
        timer.waited(stage, Some(layer), clock);
        Ok(())
    }

    /// Reads rows of the residual streams back, per micro-batch: `[rows, d_model]` row-major.
    pub(super) async fn rows(&self, rows: &[Vec<usize>]) -> Result<Vec<Vec<f32>>> {
        let mut out = Vec::with_capacity(rows.len());
        for (i, (x, rows)) in self.x.iter().zip(rows).enumerate() {
            let compute = &self.computes[i % self.computes.len()];
            out.push(if rows.is_empty() {
                Vec::new()
            } else {
                compute.read_back(x.clone().select(0, compute.indices(rows))).await?
            });
        }
        Ok(out)
    }

    /// Reads all rows of the residual streams back, per micro-batch.
    pub(super) async fn all_rows(&self) -> Result<Vec<Vec<f32>>> {
        let mut out = Vec::with_capacity(self.x.len());
        for (i, x) in self.x.iter().enumerate() {
            out.push(self.computes[i % self.computes.len()].read_back(x.clone()).await?);
        }
        Ok(out)
    }

    /// Puts other residual streams in place of these, per micro-batch: `[nodes, d_model]` row-major.
    pub(super) fn replace(&mut self, rows: Vec<Vec<f32>>) {
        for (i, (x, rows)) in self.x.iter_mut().zip(rows).enumerate() {
            let [n, d] = x.dims();
            *x = self.computes[i % self.computes.len()].tensor2(rows, n, d);
        }
    }

    /// The streams themselves, for what comes after the last block.
    pub(super) fn into_streams(self) -> Vec<Tensor<2>> {
        self.x
    }
}

fn stopped() -> Error {
    Error::device("the background reader stopped without a result", "run again; please report it if it happens twice")
}
