//! One pass of some samples through the model: blocks, SAEs at their layers, log-probabilities.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::counters::Counters;
use super::fit::SaeAt;
use super::inputs::Inputs;
use super::logprob::{Question, next_token_logprobs};
use super::nulls::Pools;
use super::ordinary::{ordinary_batch, ordinary_norm};
use super::progress::{Stage, Timings};
use super::sae_pass::{DeviceEncoder, Row, measure_rows};
use super::schedule::Schedule;
use super::stream::Stream;
use super::timeline::Timer;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::metrics::{Keep, LayerMeasure, SampleMeasure, TextKind, TextMeasure, TokenNull, noisy, token_null, unit};
use crate::platform::{self, Clock};
use crate::sae::Encoder;

/// A pass under way.
pub(super) struct PassRun<'a> {
    pub(super) inputs: Inputs<'a>,
    /// Median residual norm of ordinary text, per SAE; measured in an analysis' first pass.
    pub(super) medians: &'a mut Vec<Option<f64>>,
    /// How common the last tokens are.
    pub(super) ranks: &'a HashMap<u32, u32>,
    /// What nulls are drawn from.
    pub(super) pools: &'a mut Pools,
    /// Samples of this pass that failed, by their index in the data set.
    pub(super) failures: HashMap<usize, String>,
    pub(super) counters: Counters,
    pub(super) timer: &'a mut Timer,
}

/// Where a pass is.
pub(super) struct Step {
    /// The block just finished, and how many there will be.
    pub(super) layer: usize,
    pub(super) layers: usize,
    /// Bytes of weights that the pass has read.
    pub(super) bytes_read: u64,
}

/// What is read of the residual streams at an SAE's layer.
struct Read<'a> {
    /// Rows that are there, per micro-batch; none where all are.
    kept: Option<&'a [Vec<usize>]>,
    batches: &'a [Batch],
    /// The last of them, where it holds ordinary texts instead of the run's.
    ordinary: Option<&'a Batch>,
}

/// One text of a pass.
struct Text<'t> {
    sample: usize,
    kind: TextKind,
    tokens: &'t [u32],
    /// tokens shared with the prompt
    common: usize,
    /// where it lies: micro-batch and its nodes, root first
    batch: usize,
    path: Vec<u32>,
    layers: Vec<LayerMeasure>,
    noisy: Option<(Vec<u32>, Vec<f32>)>,
    logprob: Option<f64>,
    /// how many tokens that is the sum over
    scored: usize,
}

impl Text<'_> {
    /// The node of its last token.
    fn last_node(&self) -> Result<usize> {
        self.path.last().map(|&node| node as usize).ok_or_else(|| lost("a text's last token"))
    }
}

/// Position of a node among the rows that are kept, ascending.
fn place(kept: &[usize], node: usize) -> Result<usize> {
    kept.binary_search(&node).map_err(|_| lost("a row that was asked for"))
}

/// An index of the engine's own that leads nowhere: another row's numbers must not stand in.
fn lost(what: &str) -> Error {
    Error::mismatch(format!("residual streams: {what}"), "a place in its micro-batch", "none", "please report this")
}

impl<'a> PassRun<'a> {
    fn fail(&mut self, sample: usize, reason: impl Into<String>) {
        self.failures.entry(sample).or_insert_with(|| reason.into());
    }

    /// Runs a pass of the schedule; `told` after every block, and may end it.
    pub(super) async fn run(
        &mut self,
        schedule: &Schedule,
        pass: usize,
        told: &mut impl FnMut(Step, &Timings) -> Result<()>,
    ) -> Result<Vec<SampleMeasure>> {
        let mut clock = Clock::start();
        let Inputs { model, computes, saes, options, .. } = self.inputs;
        let mut batches = schedule.pack(pass);
        let mut texts = texts(schedule, pass, &batches);
        self.counters.texts += texts.len();
        self.counters.tokens += texts.iter().map(|t| t.tokens.len()).sum::<usize>();
        self.counters.nodes += batches.iter().map(|b| b.trie.len()).sum::<usize>();
        self.counters.batches += batches.len();
        let ordinary = if self.medians.is_empty() { ordinary_batch(model) } else { None };
        batches.extend(ordinary.clone());
        let ordinary = ordinary.as_ref();
        self.timer.lap(Stage::Tokenize, None, &mut clock);

        let tokens = self.fact_tokens(&texts).await?;

        let deepest_sae = saes.iter().map(|s| s.layer).max().unwrap_or_default();
        let last = if options.logprob { model.dims().n_layers - 1 } else { deepest_sae };
        let hooks = saes.iter().map(|s| (s.layer, s.sae.clone())).collect();
        let mut stream = Stream::start(model, computes, &batches, hooks, last, options.read_ahead, self.timer).await?;
        for layer in 0..=last {
            // past the attention, the deepest block is only computed where it is read
            let kept = (layer == last).then(|| self.kept_rows(&texts, &batches, ordinary, last == deepest_sae));
            // what lies past the deepest SAE serves log-probabilities only
            let stage = if layer > deepest_sae { Stage::Logprob } else { Stage::Model };
            let encoder = stream.advance(kept.as_deref(), stage, self.timer).await?;
            if let (Some(at), Some(encoder)) = (saes.iter().position(|s| s.layer == layer), encoder) {
                let read = Read { kept: kept.as_deref(), batches: &batches, ordinary };
                self.measure(at, encoder, &mut texts, &tokens, &stream, read).await?;
            }
            told(Step { layer, layers: last + 1, bytes_read: stream.bytes_read }, &self.timer.timings)?;
        }
        self.counters.bytes_read += stream.bytes_read;
        if options.logprob {
            let mut clock = Clock::start();
            let kept = self.kept_rows(&texts, &batches, ordinary, last == deepest_sae);
            self.timer.hands(Stage::Logprob, None);
            self.logprobs(&mut texts, &kept, stream).await?;
            self.timer.drained();
            self.timer.lap(Stage::Logprob, None, &mut clock);
        }
        Ok(self.join(texts))
    }

    /// The SAE at one layer, for every text whose sample is still good.
    async fn measure(
        &mut self,
        at: usize,
        encoder: Encoder,
        texts: &mut [Text<'_>],
        tokens: &BTreeMap<u32, Vec<f32>>,
        stream: &Stream<'_>,
        read: Read<'_>,
    ) -> Result<()> {
        let Read { kept, batches, ordinary } = read;
        let mut clock = Clock::start();
        let SaeAt { layer, sae } = &self.inputs.saes[at];
        let compute = &self.inputs.computes[0];
        let live: Vec<usize> = (0..texts.len()).filter(|&i| !self.failures.contains_key(&texts[i].sample)).collect();
        let mut wanted: Vec<Vec<usize>> = vec![Vec::new(); batches.len()];
        for &i in &live {
            let text = &texts[i];
            let node = text.last_node()?;
            wanted[text.batch].push(match kept {
                Some(kept) => place(&kept[text.batch], node)?,
                None => node,
            });
        }
        if let (Some(batch), Some(all)) = (ordinary, wanted.last_mut()) {
            all.extend(0..batch.trie.len());
        }
        self.timer.hands(Stage::Sae, Some(*layer));
        let rows = stream.rows(&wanted).await?;
        self.timer.drained();
        let d = sae.d_in;
        if let (Some(batch), Some(rows)) = (ordinary, rows.last()) {
            self.medians.push(ordinary_norm(batch, rows, d));
        }
        let median_norm = self.medians.get(at).copied().flatten();
        let mut taken = vec![0; batches.len()];
        let xs: Vec<&[f32]> = live
            .iter()
            .map(|&i| {
                let b = texts[i].batch;
                taken[b] += 1;
                &rows[b][(taken[b] - 1) * d..taken[b] * d]
            })
            .collect();
        self.timer.hands(Stage::Sae, Some(*layer));
        let encoder = DeviceEncoder::new(encoder, compute);
        self.timer.lap(Stage::Sae, Some(*layer), &mut clock);

        let pools = self.pools.layer(*layer, sae, self.inputs.options).await?;
        let ids: Vec<&u32> = tokens.keys().collect();
        let of_tokens = platform::par_map(ids.len(), |i| Some(token_null(&pools.as_ref()?.units, tokens.get(ids[i])?)));
        let null_of: HashMap<u32, Option<TokenNull>> = ids.into_iter().copied().zip(of_tokens).collect();
        // the fact of a sample is the second of its texts
        let token_of = |i: usize| {
            let token = fact_of(texts, i)?;
            Some((tokens.get(&token)?.as_slice(), null_of.get(&token).copied().flatten()?))
        };
        let wanted: Vec<Row> = live
            .iter()
            .zip(&xs)
            .map(|(&i, x)| {
                let kind = texts[i].kind;
                let id = self.inputs.samples[texts[i].sample].id.as_str();
                let null = (kind != TextKind::Prompt).then_some((id, kind));
                Row { x, keep: Keep::needed(at, kind), null, token: token_of(i).filter(|_| null.is_some()) }
            })
            .collect();
        let measured = measure_rows(*layer, sae, &encoder, &wanted, median_norm, pools.as_ref(), self.timer).await?;
        let mut clock = Clock::start();
        for (&i, measured) in live.iter().zip(measured) {
            match measured {
                Ok(measure) => texts[i].layers.push(measure),
                Err(e) => {
                    let reason = format!("{} text: {e}", texts[i].kind.as_str());
                    self.fail(texts[i].sample, reason);
                }
            }
        }
        if at == 0 {
            let noisy_texts: Vec<(usize, Vec<f32>)> = live
                .iter()
                .zip(&xs)
                .filter(|(i, x)| texts[**i].kind != TextKind::Prompt && x.iter().all(|v| v.is_finite()))
                .map(|(&i, x)| {
                    let id = &self.inputs.samples[texts[i].sample].id;
                    (i, noisy(x, self.inputs.options.noise, self.inputs.options.seed, id, texts[i].kind, *layer))
                })
                .collect();
            let xs: Vec<&[f32]> = noisy_texts.iter().map(|(_, x)| x.as_slice()).collect();
            for ((i, _), encoded) in noisy_texts.iter().zip(encoder.encode_in(&xs, *layer, self.timer).await?) {
                match encoded {
                    Ok(row) => texts[*i].noisy = Some(row.features.iter().map(|f| (f.index, f.activation)).unzip()),
                    Err(e) => {
                        let reason = format!("{} text with noise: {e}", texts[*i].kind.as_str());
                        self.fail(texts[*i].sample, reason);
                    }
                }
            }
        }
        self.timer.lap(Stage::Sae, Some(*layer), &mut clock);
        Ok(())
    }

    /// Directions of the facts' last tokens, of norm 1, where nulls are drawn.
    async fn fact_tokens(&self, texts: &[Text<'_>]) -> Result<BTreeMap<u32, Vec<f32>>> {
        if self.inputs.options.nulls == 0 {
            return Ok(BTreeMap::new());
        }
        let tokens: BTreeSet<u32> = (0..texts.len()).filter_map(|i| fact_of(texts, i)).collect();
        let tokens: Vec<u32> = tokens.into_iter().collect();
        let rows = self.inputs.model.token_rows(&tokens).await?;
        let d = self.inputs.model.dims().d_model;
        Ok(tokens.into_iter().zip(rows.data.chunks_exact(d.max(1)).map(unit)).collect())
    }

    /// Σ log p of each completion's tokens given what comes before them.
    async fn logprobs(&mut self, texts: &mut [Text<'_>], kept: &[Vec<usize>], stream: Stream<'_>) -> Result<()> {
        for (b, x) in stream.into_streams().into_iter().enumerate() {
            // one question per predicting node; fact and hallucination may share one
            let mut questions: Vec<Question> = vec![Question::default(); kept[b].len()];
            let mut asked: Vec<(usize, usize, usize)> = Vec::new();
            for (i, text) in texts.iter().enumerate().filter(|(_, t)| t.batch == b) {
                for (node, target) in predictions(text) {
                    let row = place(&kept[b], node)?;
                    asked.push((i, row, questions[row].targets.len()));
                    questions[row].targets.push(target);
                }
            }
            if asked.is_empty() {
                continue;
            }
            let compute = &self.inputs.computes[b % self.inputs.computes.len()];
            let answers = next_token_logprobs(self.inputs.model, x, &questions, compute).await?;
            for (i, row, target) in asked {
                *texts[i].logprob.get_or_insert(0.0) += answers[row].targets[target];
                texts[i].scored += 1;
            }
        }
        for text in texts.iter_mut().filter(|t| t.kind != TextKind::Prompt) {
            // a completion without tokens is certain
            text.logprob.get_or_insert(0.0);
        }
        Ok(())
    }

    /// Per micro-batch, the nodes of the deepest block that anything is read from, ascending.
    fn kept_rows(
        &self,
        texts: &[Text<'_>],
        batches: &[Batch],
        ordinary: Option<&Batch>,
        sae_at_last: bool,
    ) -> Vec<Vec<usize>> {
        let mut kept: Vec<Vec<usize>> = vec![Vec::new(); batches.len()];
        if let (Some(batch), Some(rows)) = (ordinary, kept.last_mut()) {
            // past the SAEs nothing of it is read, but no block takes a batch without rows
            rows.extend(0..if sae_at_last { batch.trie.len() } else { 1 });
        }
        for text in texts {
            let rows = &mut kept[text.batch];
            if sae_at_last && let Some(&end) = text.path.last() {
                rows.push(end as usize);
            }
            if self.inputs.options.logprob {
                rows.extend(predictions(text).map(|(node, _)| node));
            }
        }
        for rows in &mut kept {
            rows.sort_unstable();
            rows.dedup();
        }
        kept
    }

    /// Puts the texts back together into samples.
    fn join(&self, texts: Vec<Text<'_>>) -> Vec<SampleMeasure> {
        let mut out = Vec::with_capacity(texts.len() / 3);
        let mut texts = texts.into_iter();
        while let (Some(prompt), Some(fact), Some(hall)) = (texts.next(), texts.next(), texts.next()) {
            let index = prompt.sample;
            if self.failures.contains_key(&index) {
                continue;
            }
            let sample = &self.inputs.samples[index];
            let text = |t: Text| TextMeasure {
                n_tokens: t.tokens.len(),
                last_token: t.tokens.last().copied().unwrap_or_default(),
                last_token_rank: t.tokens.last().and_then(|token| self.ranks.get(token)).copied(),
                layers: t.layers,
                noisy: t.noisy,
                logprob: t.logprob,
                scored_tokens: t.scored,
            };
            out.push(SampleMeasure {
                sample_id: sample.id.clone(),
                domain: sample.domain.clone(),
                complexity: sample.complexity,
                cluster: sample.cluster(),
                prompt: text(prompt),
                fact: text(fact),
                hall: text(hall),
            });
        }
        out
    }
}

/// The texts of a pass, three to a sample, with their places in its micro-batches.
fn texts<'t>(schedule: &'t Schedule, pass: usize, batches: &[Batch]) -> Vec<Text<'t>> {
    let mut texts: Vec<Text> = schedule
        .samples(pass)
        .iter()
        .flat_map(|t| {
            TextKind::ALL.iter().zip(&t.texts).map(|(&kind, tokens)| Text {
                sample: t.index,
                kind,
                tokens,
                common: t.texts[0].iter().zip(tokens).take_while(|(a, b)| a == b).count(),
                batch: 0,
                path: Vec::new(),
                layers: Vec::new(),
                noisy: None,
                logprob: None,
                scored: 0,
            })
        })
        .collect();
    for (b, batch) in batches.iter().enumerate() {
        for slot in &batch.texts {
            let text = &mut texts[slot.group * schedule.per_group() + slot.text];
            (text.batch, text.path) = (b, slot.path.clone());
        }
    }
    texts
}

/// The last token of the fact of a text's sample; texts stand three to a sample.
fn fact_of(texts: &[Text<'_>], i: usize) -> Option<u32> {
    texts.get(i - i % TextKind::ALL.len() + 1)?.tokens.last().copied()
}

/// Nodes that predict a completion's tokens, with the token each predicts. The first token of a
/// text that nothing stands before has no probability and is left out.
fn predictions<'t>(text: &'t Text<'_>) -> impl Iterator<Item = (usize, u32)> + 't {
    let completed = text.kind != TextKind::Prompt;
    (text.common.max(1)..text.tokens.len())
        .filter(move |_| completed)
        .map(|t| (text.path[t - 1] as usize, text.tokens[t]))
}
