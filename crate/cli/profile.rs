//! `analyze --profile`: where the time went, as a table and as a timeline for a trace viewer.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::engine::{Lane, Span, Stage};
use crate::error::{Error, Result};
use crate::platform;

/// Name of the timeline in a run's folder.
pub const FILE: &str = "timeline.json";

/// Collects the spans of a run's passes.
#[derive(Debug, Default)]
pub struct Profile {
    spans: Vec<Span>,
    /// of the passes, when the last one ended
    seconds: f64,
}

impl Profile {
    /// Adds those of a pass.
    pub fn add(&mut self, spans: &[Span]) {
        self.spans.extend_from_slice(spans);
        self.seconds = spans.iter().fold(self.seconds, |last, span| last.max(span.end));
    }

    /// Writes the timeline into a run's folder, as trace events (the format of chrome://tracing, which
    /// Perfetto opens).
    ///
    /// # Errors
    /// Writing.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let bytes = serde_json::to_vec(&self.events())
            .map_err(|e| Error::io(path.display().to_string(), "write", e.into(), "report this as a bug"))?;
        platform::write_atomic(&path, &bytes)
    }

    fn events(&self) -> serde_json::Value {
        let lane = |lane: Lane| lane as u32 + 1;
        let names = [Lane::Compute, Lane::Reader].map(
            |of| json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": lane(of), "args": {"name": of.as_str()}}),
        );
        let micros = |seconds: f64| (seconds * 1e6).round();
        let spans = self.spans.iter().map(|span| {
            let name = match span.layer {
                Some(layer) => format!("{} {layer}", span.stage.as_str()),
                None => span.stage.as_str().to_owned(),
            };
            let (start, end) = (micros(span.start), micros(span.end));
            let (pid, tid) = (1, lane(span.lane));
            json!({"ph": "X", "name": name, "cat": span.stage.as_str(), "pid": pid, "tid": tid, "ts": start, "dur": end - start})
        });
        json!({"traceEvents": names.into_iter().chain(spans).collect::<Vec<_>>(), "displayTimeUnit": "ms"})
    }

    /// For a terminal: seconds per stage with the slowest block, and how much of the reading was hidden.
    pub fn text(&self) -> String {
        let mut out = format!("{:<10} {:>9} {:>8} {:>7}  slowest block\n", "stage", "seconds", "share", "spans");
        for stage in Stage::ALL {
            let spans: Vec<&Span> = self.of(Lane::Compute).filter(|span| span.stage == stage).collect();
            if spans.is_empty() {
                continue;
            }
            let seconds: f64 = spans.iter().map(|span| span.end - span.start).sum();
            let mut blocks: BTreeMap<usize, f64> = BTreeMap::new();
            for span in &spans {
                if let Some(layer) = span.layer {
                    *blocks.entry(layer).or_default() += span.end - span.start;
                }
            }
            let slowest = blocks.iter().max_by(|a, b| a.1.total_cmp(b.1));
            let slowest = slowest.map_or_else(|| "-".to_owned(), |(layer, s)| format!("{layer}: {s:.3} s"));
            let share = 100.0 * seconds / self.seconds.max(1e-9);
            out.push_str(&format!(
                "{:<10} {seconds:>9.3} {share:>6.1} % {:>7}  {slowest}\n",
                stage.as_str(),
                spans.len()
            ));
        }
        let length = |span: &Span| span.end - span.start;
        let busy: f64 = self.of(Lane::Compute).map(length).sum();
        let idle = (100.0 * (1.0 - busy / self.seconds.max(1e-9))).max(0.0);
        let read: f64 = self.of(Lane::Reader).map(length).sum();
        let hidden: f64 = self.of(Lane::Reader).map(|read| self.beside(read)).sum();
        out.push_str(&format!(
            "in all {:.3} s, {idle:.1} % of it in no stage; {read:.3} s of reading ahead, {:.0} % of it beside the computing\n",
            self.seconds,
            100.0 * hidden / read.max(1e-9),
        ));
        out
    }

    fn of(&self, lane: Lane) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.lane == lane)
    }

    /// Seconds of a span during which the computing was at something else than waiting for weights.
    fn beside(&self, read: &Span) -> f64 {
        let computing = self.of(Lane::Compute).filter(|span| span.stage != Stage::Weights);
        computing.map(|span| (span.end.min(read.end) - span.start.max(read.start)).max(0.0)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(lane: Lane, stage: Stage, layer: usize, start: f64, end: f64) -> Span {
        Span { lane, stage, layer: Some(layer), start, end }
    }

    fn profile() -> Profile {
        let mut profile = Profile::default();
        profile.add(&[
            span(Lane::Compute, Stage::Weights, 0, 0.0, 1.0),
            span(Lane::Reader, Stage::Weights, 0, 0.0, 1.0),
            span(Lane::Compute, Stage::Model, 0, 1.0, 3.0),
            span(Lane::Reader, Stage::Weights, 1, 1.0, 2.0),
            span(Lane::Compute, Stage::Model, 1, 3.0, 6.0),
        ]);
        profile.add(&[span(Lane::Compute, Stage::Geometry, 1, 6.0, 8.0)]);
        profile
    }

    #[test]
    fn stages_are_summed_and_reading_is_told_apart() {
        let text = profile().text();
        let row = |stage: &str| text.lines().find(|l| l.starts_with(stage)).unwrap().to_owned();
        assert!(
            row("model").contains("5.000") && row("model").contains("62.5 %") && row("model").contains("1: 3.000 s"),
            "{text}"
        );
        assert!(row("geometry").contains("25.0 %"), "{text}");
        assert!(
            row("in all 8.000").contains("0.0 % of it in no stage; 2.000 s of reading ahead, 50 % of it"),
            "{text}"
        );
        assert!(!text.contains("logprob"), "{text}");
    }

    #[test]
    fn the_timeline_is_trace_events() {
        let events = profile().events();
        let events = events["traceEvents"].as_array().unwrap();
        assert_eq!(events.iter().filter(|e| e["ph"] == "M").count(), 2);
        let model = events.iter().find(|e| e["name"] == "model 1").unwrap();
        assert_eq!((&model["ts"], &model["dur"], &model["ph"]), (&json!(3e6), &json!(3e6), &json!("X")));
        let lanes: Vec<_> = events.iter().filter(|e| e["name"] == "weights 1").map(|e| e["tid"].clone()).collect();
        assert_eq!(lanes, [json!(2)]);
    }
}
