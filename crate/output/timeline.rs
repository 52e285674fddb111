//! When a run did what, as its manifest has it: sums over all passes, and the spans of the first one.

use serde::{Deserialize, Serialize};

/// Most spans of one part; the shortest are left out first.
const MOST_OF_A_PART: usize = 400;
/// Most spans of all parts together, so that a run merged of many stays small.
const MOST: usize = 800;

/// When a run did what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Timeline {
    /// One for each process that measured, and each device where several shared its passes; each has a clock of
    /// its own. Processes of versions that wrote no timeline are not there: `timings.parts` counts them all.
    pub parts: Vec<TimelinePart>,
}

/// What one process did on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TimelinePart {
    /// Which process, from 0.
    pub process: usize,
    /// `cpu`, `gpu` (a browser's), `gpu:1`, `all, number 2`.
    pub device: String,
    /// Wall-clock seconds of its passes.
    pub seconds: f64,
    /// How many passes it ran.
    pub passes: usize,
    /// What did the work, over all passes.
    pub lanes: Vec<LaneTime>,
    /// Its first pass.
    pub spans: Vec<TimelineSpan>,
    /// Spans of that pass that are not there, the shortest: the sums of the lanes have them.
    pub spans_left_out: usize,
}

/// How long a lane was at work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LaneTime {
    /// `reader` (reading ahead), `compute` (the run itself, on the host), `device` (graphics devices).
    pub lane: String,
    /// Seconds in which it was at work, or of a device: in which it may have been.
    pub busy_seconds: f64,
    /// Share of the part's seconds in which it was idle for certain; what is idle within a piece of work is not in
    /// it. A lower bound.
    pub idle_at_least: f64,
}

/// A piece of work of the first pass, or of waiting: lane, stage, block, whether it only waited, start and end
/// in seconds since the part began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TimelineSpan(pub String, pub String, pub Option<usize>, pub bool, pub f64, pub f64);

impl TimelineSpan {
    fn seconds(&self) -> f64 {
        self.5 - self.4
    }
}

impl Timeline {
    /// With no more spans than a manifest should hold.
    pub fn cut(mut self) -> Self {
        let mut room = MOST;
        for part in &mut self.parts {
            part.cut(room.min(MOST_OF_A_PART));
            room -= part.spans.len();
        }
        self
    }
}

impl TimelinePart {
    /// What is known of a part, its times in microseconds: no clock here tells less apart.
    pub fn new(
        process: usize,
        device: String,
        seconds: f64,
        passes: usize,
        busy: &[(&str, f64)],
        spans: Vec<TimelineSpan>,
    ) -> Self {
        let lane = |&(lane, busy): &(&str, f64)| LaneTime {
            lane: lane.to_owned(),
            busy_seconds: micros(busy),
            idle_at_least: ((1.0 - busy / seconds.max(1e-9)).clamp(0.0, 1.0) * 1e4).round() / 1e4,
        };
        let span = |span: TimelineSpan| TimelineSpan(span.0, span.1, span.2, span.3, micros(span.4), micros(span.5));
        Self {
            process,
            device,
            seconds: micros(seconds),
            passes,
            lanes: busy.iter().map(lane).collect(),
            spans: spans.into_iter().map(span).collect(),
            spans_left_out: 0,
        }
    }

    fn cut(&mut self, most: usize) {
        if self.spans.len() <= most {
            return;
        }
        let mut by_length: Vec<usize> = (0..self.spans.len()).collect();
        by_length.sort_by(|&a, &b| self.spans[b].seconds().total_cmp(&self.spans[a].seconds()));
        by_length.truncate(most);
        by_length.sort_unstable();
        self.spans_left_out += self.spans.len() - most;
        self.spans = by_length.into_iter().map(|i| self.spans[i].clone()).collect();
    }
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(spans: usize) -> TimelinePart {
        let span = |i: usize| {
            let start = i as f64;
            TimelineSpan("compute".into(), "model".into(), Some(i), false, start, start + 0.1 + (i % 7) as f64 / 10.0)
        };
        TimelinePart::new(
            0,
            "cpu".into(),
            10.0,
            2,
            &[("compute", 9.0), ("reader", 12.0)],
            (0..spans).map(span).collect(),
        )
    }

    #[test]
    fn idle_is_what_is_left_and_never_below_nothing() {
        let part = part(1);
        let idle: Vec<f64> = part.lanes.iter().map(|lane| lane.idle_at_least).collect();
        assert_eq!(idle, [0.1, 0.0]);
    }

    #[test]
    fn what_is_cut_is_the_shortest_and_said() {
        let timeline = Timeline { parts: vec![part(700), part(10), part(700), part(700)] }.cut();
        let sizes: Vec<(usize, usize)> = timeline.parts.iter().map(|p| (p.spans.len(), p.spans_left_out)).collect();
        assert_eq!(sizes, [(400, 300), (10, 0), (390, 310), (0, 700)]);
        let first = &timeline.parts[0];
        assert!(first.spans.is_sorted_by(|a, b| a.4 <= b.4), "in their order");
        // 100 of each length: the three shortest kinds are gone
        assert!(first.spans.iter().all(|span| span.seconds() > 0.35));
        assert_eq!(first.lanes, part(700).lanes, "the sums know nothing of it");
    }
}
