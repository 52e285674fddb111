//! Settings of an analysis.

use crate::metrics::Noise;

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
    /// Draws of each null of the geometry ([`crate::metrics::Nulls`]); 0 for none.
    pub nulls: usize,
    /// Samples per pass through the model, where not as many as memory allows: their numbers are
    /// there ([`super::Analysis::next`]) before the next pass, which reads the weights again.
    pub pass: Option<usize>,
    /// How often micro-batches and the residual streams of a pass are halved, from what suits the device:
    /// where memory is short. The numbers do not depend on it.
    pub halvings: u32,
    /// Whether a block's weights are read while the one before it computes. Off only to measure what that is worth.
    pub read_ahead: bool,
    /// What stands between prompt and completion; [`crate::dataset::DEFAULT_JOIN`] as a rule.
    pub join: String,
}
