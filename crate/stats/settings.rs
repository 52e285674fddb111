//! What comparisons are made with beside the data.

use super::resample::RESAMPLES;

/// The difference that equivalence is tested against unless something else is asked for, in |d_z|.
pub const EQUIVALENCE_BOUND: f64 = 0.3;

/// What the statistics depend on beside the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Of everything that is drawn.
    pub seed: u64,
    /// Resamples behind an interval; 0 for no intervals.
    pub resamples: usize,
    /// |d_z| that a difference is to be shown to be smaller than; positive.
    pub bound: f64,
    /// Whether samples of one cluster are resampled, and their signs flipped, together. Without, every sample
    /// counts as independent of the others.
    pub clusters: bool,
    /// Whether each domain has rows of its own, beside those of all samples.
    pub by_domain: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 0, resamples: RESAMPLES, bound: EQUIVALENCE_BOUND, clusters: true, by_domain: true }
    }
}

/// All else by default.
impl From<u64> for Settings {
    fn from(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}
