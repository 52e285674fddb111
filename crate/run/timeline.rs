//! When a run did what: from the engine's spans, pass by pass through the spool, to the manifest's timeline.

use serde::{Deserialize, Serialize};

use crate::engine::{Lane, Outcome, Span, busy};
use crate::output::{Timeline, TimelinePart, TimelineSpan};

/// What a pass tells of its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PassTime {
    /// Seconds that each lane was at work.
    busy: Vec<(Lane, f64)>,
    /// When what was done, of a process' first pass.
    spans: Vec<Span>,
}

impl PassTime {
    /// Of a pass; with its spans, where it is a process' first.
    pub(super) fn of(pass: &Outcome, first: bool) -> Self {
        Self { busy: busy(&pass.spans), spans: if first { pass.spans.clone() } else { Vec::new() } }
    }
}

/// What the passes of one process tell.
#[derive(Debug)]
pub(super) struct PartTime {
    /// The process' number.
    part: usize,
    device: String,
    seconds: f64,
    passes: usize,
    busy: Vec<(Lane, f64)>,
    spans: Vec<Span>,
}

impl PartTime {
    /// Of the passes of all processes so far, with one more of the process `part`; nothing, where the version
    /// that measured it tells nothing.
    pub(super) fn count(all: &mut Vec<Self>, part: usize, device: &str, seconds: f64, time: Option<PassTime>) {
        let Some(PassTime { busy, spans }) = time else { return };
        if all.last().is_none_or(|last| last.part != part) {
            let (device, busy, spans) = (device.to_owned(), Vec::new(), Vec::new());
            all.push(Self { part, device, seconds: 0.0, passes: 0, busy, spans });
        }
        let Some(last) = all.last_mut() else { return };
        last.seconds += seconds;
        last.passes += 1;
        last.spans.extend(spans);
        for (lane, more) in busy {
            match last.busy.iter_mut().find(|(there, _)| *there == lane) {
                Some((_, seconds)) => *seconds += more,
                None => last.busy.push((lane, more)),
            }
        }
    }

    fn shown(&self) -> TimelinePart {
        let busy: Vec<(&str, f64)> = self.busy.iter().map(|(lane, seconds)| (lane.as_str(), *seconds)).collect();
        let span = |span: &Span| {
            let Span { lane, stage, layer, waits, start, end } = *span;
            TimelineSpan(lane.as_str().to_owned(), stage.as_str().to_owned(), layer, waits, start, end)
        };
        let spans = self.spans.iter().map(span).collect();
        TimelinePart::new(self.device.clone(), self.seconds, self.passes, &busy, spans)
    }
}

/// The timeline of a run; none where no part of it tells its time.
pub(super) fn timeline<'a>(parts: impl Iterator<Item = &'a PartTime>) -> Option<Timeline> {
    let parts: Vec<TimelinePart> = parts.map(PartTime::shown).collect();
    (!parts.is_empty()).then(|| Timeline { parts }.cut())
}
