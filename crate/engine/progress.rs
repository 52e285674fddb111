//! What the engine tells while it works, and how it is told to stop.

use std::ops::{AddAssign, ControlFlow};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::platform::{MaybeSend, MaybeSync};

/// The stages of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Texts to tokens, tokens to tries.
    Tokenize,
    /// Reading embedding rows, waiting for weights, and moving them to the device.
    Weights,
    /// Transformer blocks.
    Model,
    /// SAE encoding and decoding.
    Sae,
    /// Spectra, angles and everything else per text.
    Geometry,
    /// Draws of the nulls of the geometry.
    Nulls,
    /// The rest of the model and the unembedding, for log-probabilities.
    Logprob,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 7] =
        [Self::Tokenize, Self::Weights, Self::Model, Self::Sae, Self::Geometry, Self::Nulls, Self::Logprob];

    /// Name in the manifest and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokenize => "tokenize",
            Self::Weights => "weights",
            Self::Model => "model",
            Self::Sae => "sae",
            Self::Geometry => "geometry",
            Self::Nulls => "nulls",
            Self::Logprob => "logprob",
        }
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Samples that an earlier part of a continued run finished.
    pub before: usize,
    /// Samples whose work is done, those among them, counted in shares of the whole: a run goes through
    /// the layers with all samples at once, so half the layers of 200 samples is 100 samples' worth.
    pub samples_done: f64,
    /// Samples in the run.
    pub samples_total: usize,
    /// Seconds since the start.
    pub seconds: f64,
    /// The block just finished.
    pub layer: usize,
    /// Blocks that will be run.
    pub layers: usize,
    /// Bytes of weights read so far.
    pub bytes_read: u64,
    /// Where the time went so far.
    pub timings: Timings,
}

impl Progress {
    /// Samples per second, of those that this part of the run did.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { (self.samples_done - self.before as f64) / self.seconds } else { 0.0 }
    }

    /// Seconds left at the rate so far; none before there is a rate.
    pub fn eta(&self) -> Option<f64> {
        let rate = self.rate();
        (rate > 0.0).then(|| (self.samples_total as f64 - self.samples_done).max(0.0) / rate)
    }
}

/// Told of progress; may ask for the end.
pub trait Observer: MaybeSend + MaybeSync {
    /// Called after every block. [`ControlFlow::Break`] cancels the run.
    fn progress(&self, progress: &Progress) -> ControlFlow<()>;

    /// Something that the user should know, in a sentence: the run goes on otherwise than it began.
    fn note(&self, _text: &str) {}
}

/// Nobody listening.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn progress(&self, _progress: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Seconds per stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    seconds: [f64; Stage::ALL.len()],
}

impl Timings {
    /// Adds to a stage.
    pub fn add(&mut self, stage: Stage, seconds: f64) {
        self.seconds[stage as usize] += seconds;
    }

    /// Seconds of a stage.
    pub fn get(&self, stage: Stage) -> f64 {
        self.seconds[stage as usize]
    }

    /// Stage names and seconds, in order.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        Stage::ALL.iter().map(|s| (s.as_str(), self.get(*s))).collect()
    }

    /// Seconds of all stages.
    pub fn total(&self) -> f64 {
        self.seconds.iter().sum()
    }
}

impl AddAssign for Timings {
    fn add_assign(&mut self, other: Self) {
        self.seconds.iter_mut().zip(other.seconds).for_each(|(mine, more)| *mine += more);
    }
}

/// Reports through `observer` and turns a break into [`Error::Cancelled`].
pub(super) fn report(observer: &dyn Observer, progress: &Progress) -> Result<()> {
    match observer.progress(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
