//! The whole analysis: triples in, measured samples out.

use std::collections::HashMap;

use super::fit::SaeAt;
use super::logprob::{Question, next_token_logprobs};
use super::ordinary::{ordinary_batch, ordinary_norm};
use super::progress::{Observer, Progress, Stage, Timings, report};
use super::sae_pass::{DeviceEncoder, Row, measure_rows};
use super::stream::Stream;
use crate::batch::{Batch, BatchLimit, pack};
use crate::dataset::Sample;
use crate::error::{Error, Result};
use crate::metrics::{Keep, LayerMeasure, Noise, SampleMeasure, TextKind, TextMeasure, noisy};
use crate::model::Model;
use crate::model::ops::Compute;
use crate::platform::Clock;
use crate::sae::Encoder;

/// Trie nodes per micro-batch when none is asked for. The CPU's attention walks ancestors, so a
/// large batch costs nothing; dense masks grow with the square.
const CPU_NODES: usize = 4096;
const GPU_NODES: usize = 1024;
/// Bytes of residual streams that one pass through the model may hold.
const STREAM_BYTES: usize = 256 << 20;

/// How texts are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// As many triples in a trie as suit the device.
    Auto,
    /// This many triples in a trie.
    Triples(usize),
    /// Every text on its own: the reference that batches are checked against.
    OneText,
}

/// Settings of a run that its numbers depend on, or its speed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Batch shape.
    pub batching: Batching,
    /// Noise of the stability metric.
    pub noise: Noise,
    /// Seed of the noise.
    pub seed: u64,
    /// Also measure the completions' log-probabilities.
    pub logprob: bool,
    /// Samples per pass through the model, where not as many as memory allows: their numbers are
    /// there ([`Observer::measured`]) before the next pass, which reads the weights again.
    pub pass: Option<usize>,
    /// What stands between prompt and completion; [`crate::dataset::DEFAULT_JOIN`] as a rule.
    pub join: String,
}

/// A sample that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedSample {
    /// Its id.
    pub sample_id: String,
    /// Why, in one line or with a hint.
    pub reason: String,
}

/// What a run gives.
#[derive(Debug)]
pub struct Outcome {
    /// Measured samples, in the data set's order.
    pub samples: Vec<SampleMeasure>,
    /// The others.
    pub failed: Vec<FailedSample>,
    /// Where the time went.
    pub timings: Timings,
    /// Seconds in all.
    pub seconds: f64,
    /// Texts run.
    pub texts: usize,
    /// Their tokens, counted one text at a time.
    pub tokens: usize,
    /// Trie nodes: the tokens that were computed.
    pub nodes: usize,
    /// Micro-batches.
    pub batches: usize,
    /// Bytes of weights read, as f32.
    pub bytes_read: u64,
}

/// A sample's three token sequences.
struct Tokenized {
    /// index into the data set
    index: usize,
    texts: [Vec<u32>; 3],
}

/// Runs the model and its SAEs over all samples and measures them.
///
/// The SAEs must have gone through [`super::fit()`]. Samples that fail are listed; the run goes on.
///
/// # Errors
/// What ends the whole run: unreadable weights, a lost device, cancellation.
pub async fn analyze(
    model: &Model,
    computes: &[Compute],
    saes: &[SaeAt],
    samples: &[Sample],
    options: &Options,
    observer: &dyn Observer,
) -> Result<Outcome> {
    let started = Clock::start();
    let mut run = Run {
        model,
        computes,
        saes,
        samples,
        options,
        observer,
        started,
        timings: Timings::default(),
        texts: 0,
        tokens: 0,
        nodes: 0,
        batches: 0,
        bytes_read: 0,
        done: 0,
        medians: Vec::new(),
        failures: HashMap::new(),
    };
    let tokenized = run.tokenize();
    let mut measured: Vec<Option<SampleMeasure>> = samples.iter().map(|_| None).collect();
    for wave in waves(&tokenized, model.dims().d_model, options.pass) {
        let (indices, finished): (Vec<usize>, Vec<SampleMeasure>) = run.wave(wave).await?.into_iter().unzip();
        observer.measured(&finished);
        for (index, sample) in indices.into_iter().zip(finished) {
            measured[index] = Some(sample);
        }
        run.done += wave.len();
    }
    let mut failed = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        if let Some(reason) = run.failures.remove(&i) {
            measured[i] = None;
            failed.push(FailedSample { sample_id: sample.id.clone(), reason });
        }
    }
    Ok(Outcome {
        samples: measured.into_iter().flatten().collect(),
        failed,
        timings: run.timings,
        seconds: started.seconds(),
        texts: run.texts,
        tokens: run.tokens,
        nodes: run.nodes,
        batches: run.batches,
        bytes_read: run.bytes_read,
    })
}

/// Splits a large data set so that the residual streams of one pass stay within bounds, and into
/// passes of at most `samples` where that is asked for.
fn waves(tokenized: &[Tokenized], d_model: usize, samples: Option<usize>) -> Vec<&[Tokenized]> {
    let most = STREAM_BYTES / 4 / d_model.max(1);
    let most_samples = samples.unwrap_or(usize::MAX).max(1);
    let mut out = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (i, t) in tokenized.iter().enumerate() {
        let adds: usize = t.texts.iter().map(Vec::len).sum();
        if i > start && (tokens + adds > most || i - start >= most_samples) {
            out.push(&tokenized[start..i]);
            (start, tokens) = (i, 0);
        }
        tokens += adds;
    }
    if start < tokenized.len() {
        out.push(&tokenized[start..]);
    }
    out
}

struct Run<'a> {
    model: &'a Model,
    computes: &'a [Compute],
    saes: &'a [SaeAt],
    samples: &'a [Sample],
    options: &'a Options,
    observer: &'a dyn Observer,
    started: Clock,
    timings: Timings,
    texts: usize,
    tokens: usize,
    nodes: usize,
    batches: usize,
    bytes_read: u64,
    /// samples of finished waves
    done: usize,
    /// median residual norm of ordinary text, per SAE; measured in the first wave
    medians: Vec<Option<f64>>,
    failures: HashMap<usize, String>,
}

/// What is read of the residual streams at an SAE's layer.
struct Read<'a> {
    /// Rows that are there, per micro-batch; none where all are.
    kept: Option<&'a [Vec<usize>]>,
    batches: &'a [Batch],
    /// The last of them, where it holds ordinary texts instead of the run's.
    ordinary: Option<&'a Batch>,
}

/// One text of a wave.
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
}

impl Run<'_> {
    fn fail(&mut self, sample: usize, reason: impl Into<String>) {
        self.failures.entry(sample).or_insert_with(|| reason.into());
    }

    fn tokenize(&mut self) -> Vec<Tokenized> {
        let mut clock = Clock::start();
        let mut out = Vec::with_capacity(self.samples.len());
        for (index, sample) in self.samples.iter().enumerate() {
            let join = &self.options.join;
            let texts = [sample.prompt_text(), sample.fact_text(join), sample.hall_text(join)];
            match self.tokenize_one(&texts) {
                Ok(texts) => out.push(Tokenized { index, texts }),
                Err(e) => self.fail(index, e.to_string()),
            }
        }
        self.timings.lap(Stage::Tokenize, &mut clock);
        out
    }

    fn tokenize_one(&self, texts: &[String; 3]) -> Result<[Vec<u32>; 3]> {
        let mut out = [Vec::new(), Vec::new(), Vec::new()];
        for ((text, kind), out) in texts.iter().zip(TextKind::ALL).zip(&mut out) {
            let ids = self.model.tokenizer.encode(text)?;
            self.model.check_ids(&ids)?;
            if ids.is_empty() {
                return Err(Error::mismatch(
                    format!("{} text", kind.as_str()),
                    "at least one token",
                    "none",
                    "an empty text has no last token to read",
                ));
            }
            self.model.check_length(kind.as_str(), &ids)?;
            *out = ids;
        }
        Ok(out)
    }

    fn limit(&self) -> BatchLimit {
        let on_cpu = self.computes.iter().all(Compute::on_host);
        match self.options.batching {
            Batching::Auto => BatchLimit::Nodes(if on_cpu { CPU_NODES } else { GPU_NODES }),
            Batching::Triples(n) => BatchLimit::Groups(n),
            Batching::OneText => BatchLimit::Groups(1),
        }
    }

    /// One pass of some samples through the model.
    async fn wave(&mut self, wave: &[Tokenized]) -> Result<Vec<(usize, SampleMeasure)>> {
        let mut clock = Clock::start();
        let mut texts: Vec<Text> = wave
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
                })
            })
            .collect();
        let per_group = if self.options.batching == Batching::OneText { 1 } else { 3 };
        let groups: Vec<Vec<&[u32]>> = texts.chunks(per_group).map(|g| g.iter().map(|t| t.tokens).collect()).collect();
        let mut batches = pack(&groups, self.limit());
        for (b, batch) in batches.iter().enumerate() {
            for slot in &batch.texts {
                let text = &mut texts[slot.group * per_group + slot.text];
                (text.batch, text.path) = (b, slot.path.clone());
            }
        }
        self.texts += texts.len();
        self.tokens += texts.iter().map(|t| t.tokens.len()).sum::<usize>();
        self.nodes += batches.iter().map(|b| b.trie.len()).sum::<usize>();
        self.batches += batches.len();
        let ordinary = if self.medians.is_empty() { ordinary_batch(self.model) } else { None };
        batches.extend(ordinary.clone());
        let ordinary = ordinary.as_ref();
        self.timings.lap(Stage::Tokenize, &mut clock);

        let deepest_sae = self.saes.iter().map(|s| s.layer).max().unwrap_or_default();
        let last = if self.options.logprob { self.model.dims().n_layers - 1 } else { deepest_sae };
        let hooks = self.saes.iter().map(|s| (s.layer, s.sae.clone())).collect();
        let mut stream = Stream::start(self.model, self.computes, &batches, hooks, last, &mut self.timings).await?;
        for layer in 0..=last {
            // past the attention, the deepest block is only computed where it is read
            let kept = (layer == last).then(|| self.kept_rows(&texts, &batches, ordinary, last == deepest_sae));
            // what lies past the deepest SAE serves log-probabilities only
            let stage = if layer > deepest_sae { Stage::Logprob } else { Stage::Model };
            let encoder = stream.advance(kept.as_deref(), stage, &mut self.timings).await?;
            if let (Some(at), Some(encoder)) = (self.saes.iter().position(|s| s.layer == layer), encoder) {
                let read = Read { kept: kept.as_deref(), batches: &batches, ordinary };
                self.measure(at, encoder, &mut texts, &stream, read).await?;
            }
            let share = (layer + 1) as f64 / (last + 1) as f64;
            report(
                self.observer,
                &Progress {
                    samples_done: self.done as f64 + share * wave.len() as f64,
                    samples_total: self.samples.len(),
                    seconds: self.started.seconds(),
                    layer,
                    layers: last + 1,
                    bytes_read: self.bytes_read + stream.bytes_read,
                    timings: self.timings,
                },
            )?;
        }
        self.bytes_read += stream.bytes_read;
        if self.options.logprob {
            let mut clock = Clock::start();
            let kept = self.kept_rows(&texts, &batches, ordinary, last == deepest_sae);
            self.logprobs(&mut texts, &kept, stream).await?;
            self.timings.lap(Stage::Logprob, &mut clock);
        }
        Ok(self.join(texts))
    }

    /// The SAE at one layer, for every text whose sample is still good.
    async fn measure(
        &mut self,
        at: usize,
        encoder: Encoder,
        texts: &mut [Text<'_>],
        stream: &Stream<'_>,
        read: Read<'_>,
    ) -> Result<()> {
        let Read { kept, batches, ordinary } = read;
        let mut clock = Clock::start();
        let SaeAt { layer, sae } = &self.saes[at];
        let compute = &self.computes[0];
        let live: Vec<usize> = (0..texts.len()).filter(|&i| !self.failures.contains_key(&texts[i].sample)).collect();
        let mut wanted: Vec<Vec<usize>> = vec![Vec::new(); batches.len()];
        for &i in &live {
            let text = &texts[i];
            let node = text.path.last().copied().unwrap_or_default() as usize;
            wanted[text.batch].push(match kept {
                Some(kept) => kept[text.batch].binary_search(&node).unwrap_or_default(),
                None => node,
            });
        }
        if let (Some(batch), Some(all)) = (ordinary, wanted.last_mut()) {
            all.extend(0..batch.trie.len());
        }
        let rows = stream.rows(&wanted).await?;
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
        let encoder = DeviceEncoder::new(encoder, compute);
        self.timings.lap(Stage::Sae, &mut clock);

        let wanted: Vec<Row> =
            live.iter().zip(&xs).map(|(&i, x)| Row { x, keep: Keep::needed(at, texts[i].kind) }).collect();
        let measured = measure_rows(*layer, sae, &encoder, &wanted, median_norm, &mut self.timings).await?;
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
                    let id = &self.samples[texts[i].sample].id;
                    (i, noisy(x, self.options.noise, self.options.seed, id, texts[i].kind, *layer))
                })
                .collect();
            let xs: Vec<&[f32]> = noisy_texts.iter().map(|(_, x)| x.as_slice()).collect();
            for ((i, _), encoded) in noisy_texts.iter().zip(encoder.encode(&xs).await?) {
                match encoded {
                    Ok(row) => texts[*i].noisy = Some(row.features.iter().map(|f| (f.index, f.activation)).unzip()),
                    Err(e) => {
                        let reason = format!("{} text with noise: {e}", texts[*i].kind.as_str());
                        self.fail(texts[*i].sample, reason);
                    }
                }
            }
        }
        self.timings.lap(Stage::Sae, &mut clock);
        Ok(())
    }

    /// Σ log p of each completion's tokens given what comes before them.
    async fn logprobs(&mut self, texts: &mut [Text<'_>], kept: &[Vec<usize>], stream: Stream<'_>) -> Result<()> {
        for (b, x) in stream.into_streams().into_iter().enumerate() {
            // one question per predicting node; fact and hallucination may share one
            let mut questions: Vec<Question> = vec![Question::default(); kept[b].len()];
            let mut asked: Vec<(usize, usize, usize)> = Vec::new();
            for (i, text) in texts.iter().enumerate().filter(|(_, t)| t.batch == b) {
                for (node, target) in predictions(text) {
                    let row = kept[b].binary_search(&node).unwrap_or_default();
                    asked.push((i, row, questions[row].targets.len()));
                    questions[row].targets.push(target);
                }
            }
            if asked.is_empty() {
                continue;
            }
            let compute = &self.computes[b % self.computes.len()];
            let answers = next_token_logprobs(self.model, x, &questions, compute).await?;
            for (i, row, target) in asked {
                *texts[i].logprob.get_or_insert(0.0) += answers[row].targets[target];
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
            if self.options.logprob {
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
    fn join(&mut self, texts: Vec<Text<'_>>) -> Vec<(usize, SampleMeasure)> {
        let mut out = Vec::with_capacity(texts.len() / 3);
        let mut texts = texts.into_iter();
        while let (Some(prompt), Some(fact), Some(hall)) = (texts.next(), texts.next(), texts.next()) {
            let index = prompt.sample;
            if self.failures.contains_key(&index) {
                continue;
            }
            let sample = &self.samples[index];
            let text = |t: Text| TextMeasure {
                n_tokens: t.tokens.len(),
                layers: t.layers,
                noisy: t.noisy,
                logprob: t.logprob,
            };
            out.push((
                index,
                SampleMeasure {
                    sample_id: sample.id.clone(),
                    domain: sample.domain.clone(),
                    complexity: sample.complexity,
                    prompt: text(prompt),
                    fact: text(fact),
                    hall: text(hall),
                },
            ));
        }
        out
    }
}

/// Nodes that predict a completion's tokens, with the token each predicts. The first token of a
/// text that nothing stands before has no probability and is left out.
fn predictions<'t>(text: &'t Text<'_>) -> impl Iterator<Item = (usize, u32)> + 't {
    let completed = text.kind != TextKind::Prompt;
    (text.common.max(1)..text.tokens.len())
        .filter(move |_| completed)
        .map(|t| (text.path[t - 1] as usize, text.tokens[t]))
}
