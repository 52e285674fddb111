//! When the engine did what: seconds per stage, and the spans that they are sums of.

use serde::{Deserialize, Serialize};

use super::progress::{Stage, Timings};
use crate::model::ops::Compute;
use crate::platform::Clock;

/// Who did it: what is on two lanes may happen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// The run itself, on the host; its spans follow each other.
    Compute,
    /// Reading ahead what the next block needs.
    Reader,
    /// The graphics devices, from the moment that work is handed to any of them until all that was handed over
    /// is known to be done. Between two spans they are idle for certain; within one they may be, too.
    Device,
}

impl Lane {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Compute, Self::Device];

    /// Name in a timeline.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Reader => "reader",
            Self::Device => "device",
        }
    }
}

/// A piece of work, or of waiting; seconds count from the analysis' beginning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Who did it.
    pub lane: Lane,
    /// What for.
    pub stage: Stage,
    /// The block, where it belongs to one.
    pub layer: Option<usize>,
    /// Whether nothing was done but to wait for another lane: for weights that are still read, or for a device.
    pub waits: bool,
    /// When it began.
    pub start: f64,
    /// When it ended.
    pub end: f64,
}

impl Span {
    /// How long it took.
    pub fn seconds(&self) -> f64 {
        self.end - self.start
    }

    /// Its name in a timeline: `model 3`.
    pub fn name(&self) -> String {
        let stage = self.stage.as_str();
        self.layer.map_or_else(|| stage.to_owned(), |layer| format!("{stage} {layer}"))
    }
}

/// Seconds that each lane was at work, of those that did anything; the spans of one lane do not overlap.
pub fn busy(spans: &[Span]) -> Vec<(Lane, f64)> {
    let of = |lane: Lane| {
        let mut spans = spans.iter().filter(|span| span.lane == lane).peekable();
        spans.peek()?;
        Some((lane, spans.filter(|span| !span.waits).fold(0.0, |sum, span| sum + span.seconds())))
    };
    Lane::ALL.into_iter().filter_map(of).collect()
}

/// Writes down what is done.
#[derive(Debug, Clone)]
pub(super) struct Timer {
    /// Since the analysis began.
    origin: Clock,
    pub(super) timings: Timings,
    pub(super) spans: Vec<Span>,
    /// Whether a graphics device computes: the host's own tensors are done when a call returns.
    graphics: bool,
    /// What the devices were handed and may not have done: stage, block, and since when.
    handed: Option<(Stage, Option<usize>, f64)>,
    /// Whether a device may have something that no read-back came after: then nothing is known of all of them.
    unsure: bool,
}

impl Timer {
    /// For an analysis that begins now.
    pub(super) fn start(computes: &[Compute]) -> Self {
        Self {
            origin: Clock::start(),
            timings: Timings::default(),
            spans: Vec::new(),
            graphics: computes.iter().any(|compute| !compute.on_host()),
            handed: None,
            unsure: false,
        }
    }

    /// Adds the time since `clock` and restarts it.
    pub(super) fn lap(&mut self, stage: Stage, layer: Option<usize>, clock: &mut Clock) {
        self.since(stage, layer, false, clock);
    }

    /// The same where nothing was done but to wait.
    pub(super) fn waited(&mut self, stage: Stage, layer: Option<usize>, clock: &mut Clock) {
        self.since(stage, layer, true, clock);
    }

    fn since(&mut self, stage: Stage, layer: Option<usize>, waits: bool, clock: &mut Clock) {
        let (end, seconds) = (self.origin.seconds(), clock.seconds());
        *clock = Clock::start();
        self.timings.add(stage, seconds);
        // two clocks are read, and time may pass between
        let before = self.spans.iter().rev().find(|span| span.lane == Lane::Compute).map_or(0.0, |span| span.end);
        let start = (end - seconds).clamp(before.min(end), end);
        self.spans.push(Span { lane: Lane::Compute, stage, layer, waits, start, end });
    }

    /// A clock for another lane: [`Timer::add`] takes what it showed.
    pub(super) fn origin(&self) -> Clock {
        self.origin
    }

    /// Adds a span of another lane, which is in no sum of seconds.
    pub(super) fn add(&mut self, span: Span) {
        self.spans.push(span);
    }

    /// The next call may hand work to a device: said before it, so that no device is called idle too early.
    pub(super) fn hands(&mut self, stage: Stage, layer: Option<usize>) {
        if !self.graphics || self.handed.is_some_and(|(s, l, _)| (s, l) == (stage, layer)) {
            return;
        }
        let now = self.origin.seconds();
        // more of another kind: the devices have not paused
        self.close(now);
        self.handed = Some((stage, layer, now));
    }

    /// The same of what goes on beside the work that a device may have: an upload.
    pub(super) fn hands_beside(&mut self, stage: Stage, layer: Option<usize>) {
        if self.handed.is_none() {
            self.hands(stage, layer);
        }
    }

    /// All that was handed over since the last call is known to be done: said after that is known.
    pub(super) fn drained(&mut self) {
        if !self.unsure {
            self.close(self.origin.seconds());
        }
    }

    /// [`Self::drained`] of a read-back from every device, or not from all of those that were handed something:
    /// then they count as busy until there is one.
    pub(super) fn drained_all(&mut self, all: bool) {
        self.unsure = !all;
        self.drained();
    }

    /// What was written down since the last call; a device that may be busy goes on.
    pub(super) fn take(&mut self) -> (Timings, Vec<Span>) {
        if let Some((stage, layer, _)) = self.handed {
            let now = self.origin.seconds();
            self.close(now);
            self.handed = Some((stage, layer, now));
        }
        (std::mem::take(&mut self.timings), std::mem::take(&mut self.spans))
    }

    fn close(&mut self, end: f64) {
        if let Some((stage, layer, start)) = self.handed.take() {
            self.spans.push(Span { lane: Lane::Device, stage, layer, waits: false, start, end });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_follow_each_other_and_add_up() {
        let mut timer = Timer::start(&[]);
        let mut clock = Clock::start();
        timer.lap(Stage::Weights, Some(0), &mut clock);
        timer.lap(Stage::Model, Some(0), &mut clock);
        timer.waited(Stage::Model, Some(1), &mut clock);
        let spans = &timer.spans;
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].end && pair[0].start <= pair[1].start));
        let model: f64 = spans.iter().filter(|s| s.stage == Stage::Model).map(Span::seconds).sum();
        assert!((model - timer.timings.get(Stage::Model)).abs() < 1e-3);
        // waiting is in the stage's sum, and no work
        assert!((busy(spans)[0].1 - (spans[0].seconds() + spans[1].seconds())).abs() < 1e-9);
    }

    #[test]
    fn a_device_has_work_until_it_is_known_to_be_done() {
        let mut timer = Timer { graphics: true, ..Timer::start(&[]) };
        timer.hands_beside(Stage::Weights, Some(0));
        timer.hands(Stage::Model, Some(0));
        // what is uploaded beside a block does not end it
        timer.hands_beside(Stage::Weights, Some(1));
        timer.hands(Stage::Model, Some(0));
        timer.drained();
        timer.drained();
        timer.hands(Stage::Model, Some(1));
        timer.drained();
        let spans: Vec<(String, f64, f64)> = timer.spans.iter().map(|s| (s.name(), s.start, s.end)).collect();
        let names: Vec<&str> = spans.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["weights 0", "model 0", "model 1"]);
        assert!(spans[0].2 == spans[1].1 && spans[1].2 <= spans[2].1);
        assert_eq!(busy(&timer.spans).len(), 1);
    }

    #[test]
    fn a_device_that_was_not_asked_may_be_busy() {
        let mut timer = Timer { graphics: true, ..Timer::start(&[]) };
        timer.hands(Stage::Model, Some(0));
        timer.drained_all(false);
        timer.hands(Stage::Model, Some(1));
        // what one device says of itself is nothing of the others
        timer.drained();
        timer.drained_all(true);
        assert_eq!(timer.spans.len(), 2);
        assert_eq!(timer.spans[0].end, timer.spans[1].start, "no pause is known");
        timer.hands(Stage::Model, Some(2));
        timer.drained();
        assert_eq!(timer.spans.len(), 3);
        // a pass that ends before that is known has it in its own time
        timer.hands(Stage::Model, Some(3));
        assert_eq!(timer.take().1.len(), 4);
        timer.drained();
        assert_eq!(timer.take().1.len(), 1);
    }

    #[test]
    fn the_host_has_no_device_lane() {
        let mut timer = Timer::start(&[Compute::cpu()]);
        timer.hands(Stage::Model, Some(0));
        timer.drained();
        assert!(timer.spans.is_empty());
    }
}
