//! What an analysis does, before it does it: texts → tokens → passes → tries → micro-batches.
//!
//! Built once and executed as it is by [`super::Analysis`]; `analyze --dry-run` and the page's plan
//! show it.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::options::{Batching, Options};
use crate::batch::{Batch, BatchLimit, Trie, pack};
use crate::dataset::Sample;
use crate::error::{Error, Result};
use crate::metrics::TextKind;
use crate::model::Model;

/// Trie nodes per micro-batch when none is asked for. Attention walks ancestors, so a large batch costs no
/// time, only memory for what is between the residual streams.
const CPU_NODES: usize = 1024;
/// The same on a graphics device.
const GPU_NODES: usize = 2048;
/// Micro-batches of fewer trie nodes save no memory that a block of weights does not take.
const FEWEST_NODES: usize = 64;
/// Bytes of residual streams that one pass through the model may hold.
pub(super) const STREAM_BYTES: usize = 256 << 20;
/// As often a schedule can be halved: by then a device's micro-batches are the smallest that save memory.
pub const MOST_HALVINGS: u32 = (GPU_NODES / FEWEST_NODES).ilog2();

/// A sample's three token sequences.
#[derive(Debug, Clone)]
pub(super) struct Tokenized {
    /// Index into the data set.
    pub(super) index: usize,
    /// Prompt, fact, hallucination.
    pub(super) texts: [Vec<u32>; 3],
}

/// The work of an analysis, in order.
#[derive(Debug, Clone)]
pub struct Schedule {
    tokenized: Vec<Tokenized>,
    /// Samples that no pass takes, with the reason.
    pub(super) unfit: HashMap<usize, String>,
    /// Ranges of `tokenized`.
    passes: Vec<Range<usize>>,
    limit: BatchLimit,
    per_group: usize,
}

/// How much work a [`Schedule`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Samples that will be run.
    pub samples: usize,
    /// Samples that will fail, since a text of theirs is empty or longer than the model's context.
    pub unfit: usize,
    /// Passes through the model: each reads the weights.
    pub passes: usize,
    /// Micro-batches, all passes together.
    pub batches: usize,
    /// Trie nodes of the largest pass.
    pub largest_pass: usize,
    /// Trie nodes of the largest micro-batch.
    pub largest_batch: usize,
    /// Texts.
    pub texts: usize,
    /// Their tokens, counted one text at a time.
    pub tokens: usize,
    /// Trie nodes: the tokens that are computed.
    pub nodes: usize,
}

impl Schedule {
    /// Tokenises all texts and cuts the data set into passes. `on_host`: whether the CPU computes.
    ///
    /// A sample that cannot be tokenised, or is too long, is set aside with the reason.
    pub fn new(model: &Model, samples: &[Sample], options: &Options, on_host: bool) -> Self {
        let mut unfit = HashMap::new();
        let mut tokenized = Vec::with_capacity(samples.len());
        for (index, sample) in samples.iter().enumerate() {
            match tokenize(model, sample, &options.join) {
                Ok(texts) => tokenized.push(Tokenized { index, texts }),
                Err(e) => {
                    unfit.insert(index, e.to_string());
                }
            }
        }
        let mut schedule =
            Self { tokenized, unfit, passes: Vec::new(), limit: BatchLimit::Groups(1), per_group: TextKind::ALL.len() };
        schedule.arrange(model, options, on_host);
        schedule
    }

    /// Cuts the same texts into passes and micro-batches anew, for other `options` with the same joining of texts.
    pub fn arrange(&mut self, model: &Model, options: &Options, on_host: bool) {
        let stream_bytes = STREAM_BYTES >> options.halvings.min(MOST_HALVINGS);
        self.passes = passes(&self.tokenized, model.dims().d_model, stream_bytes, options.pass);
        let halved = |n: usize, least: usize| (n >> options.halvings.min(MOST_HALVINGS)).max(least);
        self.limit = match options.batching {
            Batching::Auto => BatchLimit::Nodes(halved(Self::usual_nodes(on_host), FEWEST_NODES)),
            Batching::Triples(n) => BatchLimit::Groups(halved(n, 1)),
            Batching::OneText => BatchLimit::Groups(1),
        };
        self.per_group = if options.batching == Batching::OneText { 1 } else { TextKind::ALL.len() };
    }

    /// How much work it is; packs every pass to find out.
    pub fn work(&self) -> Work {
        let mut work = Work { unfit: self.unfit.len(), passes: self.passes.len(), ..Work::default() };
        for pass in 0..self.passes.len() {
            let samples = self.samples(pass);
            let batches = self.pack(pass);
            let nodes = batches.iter().map(|b| b.trie.len()).sum::<usize>();
            work.samples += samples.len();
            work.texts += samples.len() * TextKind::ALL.len();
            work.tokens += samples.iter().flat_map(|s| &s.texts).map(Vec::len).sum::<usize>();
            work.batches += batches.len();
            work.nodes += nodes;
            work.largest_pass = work.largest_pass.max(nodes);
            work.largest_batch = batches.iter().map(|b| b.trie.len()).fold(work.largest_batch, usize::max);
        }
        work
    }

    /// Number of passes.
    pub fn passes(&self) -> usize {
        self.passes.len()
    }

    /// What each sample of the data set is of the work, roughly: the tokens of its texts, each prefix once; 0 for
    /// one that will fail.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.tokenized.len() + self.unfit.len()];
        for Tokenized { index, texts } in &self.tokenized {
            let mut trie = Trie::new();
            texts.iter().for_each(|text| drop(trie.insert(text)));
            sizes[*index] = trie.len();
        }
        sizes
    }

    /// The last tokens of all texts, each once, ascending.
    pub(super) fn last_tokens(&self) -> BTreeSet<u32> {
        self.tokenized.iter().flat_map(|t| &t.texts).filter_map(|text| text.last().copied()).collect()
    }

    /// The samples of a pass.
    pub(super) fn samples(&self, pass: usize) -> &[Tokenized] {
        &self.tokenized[self.passes[pass].clone()]
    }

    /// Trie nodes of a micro-batch where nothing else is asked for.
    pub(super) fn usual_nodes(on_host: bool) -> usize {
        if on_host { CPU_NODES } else { GPU_NODES }
    }

    /// The micro-batches of a pass. Slot (group, text) is text `group · per_group + text` of the pass,
    /// three to a sample.
    pub(super) fn pack(&self, pass: usize) -> Vec<Batch> {
        let texts: Vec<&[u32]> = self.samples(pass).iter().flat_map(|s| s.texts.iter().map(Vec::as_slice)).collect();
        let groups: Vec<Vec<&[u32]>> = texts.chunks(self.per_group).map(<[&[u32]]>::to_vec).collect();
        pack(&groups, self.limit)
    }

    /// Texts that stand in a trie's group: three, or one where every text is on its own.
    pub(super) fn per_group(&self) -> usize {
        self.per_group
    }
}

/// The three texts of a sample as tokens.
fn tokenize(model: &Model, sample: &Sample, join: &str) -> Result<[Vec<u32>; 3]> {
    let texts = [sample.prompt_text(), sample.fact_text(join), sample.hall_text(join)];
    let mut out = [Vec::new(), Vec::new(), Vec::new()];
    for ((text, kind), out) in texts.iter().zip(TextKind::ALL).zip(&mut out) {
        let ids = model.tokenizer.encode(text)?;
        model.check_ids(&ids)?;
        if ids.is_empty() {
            return Err(Error::mismatch(
                format!("{} text", kind.as_str()),
                "at least one token",
                "none",
                "an empty text has no last token to read",
            ));
        }
        model.check_length(kind.as_str(), &ids)?;
        *out = ids;
    }
    Ok(out)
}

/// Splits a large data set so that the residual streams of one pass stay within bounds, and into
/// passes of at most `samples` where that is asked for.
fn passes(tokenized: &[Tokenized], d_model: usize, stream_bytes: usize, samples: Option<usize>) -> Vec<Range<usize>> {
    let most = stream_bytes / 4 / d_model.max(1);
    let most_samples = samples.unwrap_or(usize::MAX).max(1);
    let mut out = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (i, t) in tokenized.iter().enumerate() {
        let adds: usize = t.texts.iter().map(Vec::len).sum();
        if i > start && (tokens + adds > most || i - start >= most_samples) {
            out.push(start..i);
            (start, tokens) = (i, 0);
        }
        tokens += adds;
    }
    if start < tokenized.len() {
        out.push(start..tokenized.len());
    }
    out
}
