//! Time and work of an analysis.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::progress::Timings;
use crate::model::ops::Moved;

/// Time and work; those of the parts of a run add up to the run's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
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
    /// What went to graphics devices and came back.
    pub moved: Moved,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        let Self { timings, seconds, texts, tokens, nodes, batches, bytes_read, moved } = other;
        self.timings += timings;
        self.seconds += seconds;
        self.texts += texts;
        self.tokens += tokens;
        self.nodes += nodes;
        self.batches += batches;
        self.bytes_read += bytes_read;
        self.moved += moved;
    }
}
