//! When a run did what: from the engine's spans, pass by pass through the spool, to the manifest's timeline.

use serde::{Deserialize, Serialize};

use crate::engine::{Lane, Outcome, Span, busy};
use crate::output::{Timeline, TimelinePart, TimelineSpan};

/// What a pass tells of its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PassTime {
    /// Number of the device, among those that share the passes.
    device: usize,
    /// How long that was at it.
    seconds: f64,
    /// Seconds that each lane was at work.
    busy: Vec<(Lane, f64)>,
    /// When what was done, of the first pass of a process on this device.
    spans: Vec<Span>,
}

impl PassTime {
    /// Of a pass; with its spans, where it is a process' first on its device.
    pub(super) fn of(pass: &Outcome, first: bool) -> Self {
        let spans = if first { pass.spans.clone() } else { Vec::new() };
        Self { device: pass.device, seconds: pass.seconds, busy: busy(&pass.spans), spans }
    }
}

/// What the passes of one process on one device tell.
#[derive(Debug)]
pub(super) struct PartTime {
    /// The process' number.
    part: usize,
    /// The device's, and what it is called.
    number: usize,
    device: String,
    seconds: f64,
    passes: usize,
    busy: Vec<(Lane, f64)>,
    spans: Vec<Span>,
}

impl PartTime {
    /// Of the passes of all processes so far, with one more of the process `part`; nothing, where the version
    /// that measured it tells nothing.
    pub(super) fn count(all: &mut Vec<Self>, part: usize, named: &str, time: Option<PassTime>) {
        let Some(PassTime { device: number, seconds, busy, spans }) = time else { return };
        let Some(mine) = all.iter_mut().find(|time| time.is_of(part, number)) else {
            let device = device_name(named, number);
            all.push(Self { part, number, device, seconds, passes: 1, busy, spans });
            return;
        };
        mine.seconds += seconds;
        mine.passes += 1;
        mine.spans.extend(spans);
        for (lane, more) in busy {
            match mine.busy.iter_mut().find(|(there, _)| *there == lane) {
                Some((_, seconds)) => *seconds += more,
                None => mine.busy.push((lane, more)),
            }
        }
    }

    /// Whether it is of this process and device.
    pub(super) fn is_of(&self, part: usize, device: usize) -> bool {
        (self.part, self.number) == (part, device)
    }

    fn shown(&self, process: usize) -> TimelinePart {
        let busy: Vec<(&str, f64)> = self.busy.iter().map(|(lane, seconds)| (lane.as_str(), *seconds)).collect();
        let span = |span: &Span| {
            let Span { lane, stage, layer, waits, start, end } = *span;
            TimelineSpan(lane.as_str().to_owned(), stage.as_str().to_owned(), layer, waits, start, end)
        };
        let spans = self.spans.iter().map(span).collect();
        TimelinePart::new(process, self.device.clone(), self.seconds, self.passes, &busy, spans)
    }
}

/// One of the devices that a run is on, as the manifest calls it: `gpu:1` of `gpu:0,gpu:1`.
fn device_name(all: &str, number: usize) -> String {
    let mut names = all.split(',');
    match (all, names.clone().count()) {
        ("all", _) => format!("all, number {}", number + 1),
        // workers of a page, of which the first may be the only one
        (_, 1) if number > 0 => format!("{all}, number {}", number + 1),
        (_, 1) => all.to_owned(),
        _ => names.nth(number).unwrap_or(all).to_owned(),
    }
}

/// The timeline of a run in these spools; none where no part of it tells its time.
pub(super) fn timeline<'a>(spools: impl Iterator<Item = &'a [PartTime]>) -> Option<Timeline> {
    let mut parts: Vec<TimelinePart> = Vec::new();
    let (mut process, mut last) = (0, None);
    for (spool, times) in spools.enumerate() {
        for time in times {
            process += usize::from(last.is_some_and(|last| last != (spool, time.part)));
            last = Some((spool, time.part));
            parts.push(time.shown(process));
        }
    }
    (!parts.is_empty()).then(|| Timeline { parts }.cut())
}
