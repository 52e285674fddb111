//! When the engine did what: seconds per stage, and the spans that they are sums of.

use super::progress::{Stage, Timings};
use crate::platform::Clock;

/// Who did it: what is on two lanes may happen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The run itself; its spans follow each other.
    Compute,
    /// Reading ahead what the next block needs.
    Reader,
}

impl Lane {
    /// Name in a timeline.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Reader => "reader",
        }
    }
}

/// A piece of work; seconds count from the analysis' beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Who did it.
    pub lane: Lane,
    /// What for.
    pub stage: Stage,
    /// The block, where it belongs to one.
    pub layer: Option<usize>,
    /// When it began.
    pub start: f64,
    /// When it ended.
    pub end: f64,
}

/// Writes down what is done.
#[derive(Debug, Clone)]
pub(super) struct Timer {
    /// Since the analysis began.
    origin: Clock,
    pub(super) timings: Timings,
    pub(super) spans: Vec<Span>,
}

impl Timer {
    /// For an analysis that begins now.
    pub(super) fn start() -> Self {
        Self { origin: Clock::start(), timings: Timings::default(), spans: Vec::new() }
    }

    /// Adds the time since `clock` and restarts it.
    pub(super) fn lap(&mut self, stage: Stage, layer: Option<usize>, clock: &mut Clock) {
        let (end, seconds) = (self.origin.seconds(), clock.seconds());
        *clock = Clock::start();
        self.timings.add(stage, seconds);
        self.spans.push(Span { lane: Lane::Compute, stage, layer, start: (end - seconds).max(0.0), end });
    }

    /// A clock for another lane: [`Timer::add`] takes what it showed.
    pub(super) fn origin(&self) -> Clock {
        self.origin
    }

    /// Adds a span of another lane, which is in no sum of seconds.
    pub(super) fn add(&mut self, span: Span) {
        self.spans.push(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_follow_each_other_and_add_up() {
        let mut timer = Timer::start();
        let mut clock = Clock::start();
        timer.lap(Stage::Weights, Some(0), &mut clock);
        timer.lap(Stage::Model, Some(0), &mut clock);
        timer.lap(Stage::Model, Some(1), &mut clock);
        let spans = &timer.spans;
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].end && pair[0].start <= pair[1].start));
        let model: f64 = spans.iter().filter(|s| s.stage == Stage::Model).map(|s| s.end - s.start).sum();
        assert!((model - timer.timings.get(Stage::Model)).abs() < 1e-3);
    }
}
