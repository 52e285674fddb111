//! `analyze --profile`: where the time went, as a table and as a timeline for a trace viewer.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::megabytes;
use crate::engine::{Lane, Outcome, Span, Stage, busy};
use crate::error::{Error, Result};
use crate::model::ops::{Compute, KernelTime, Launches, Moved, OpTime};
use crate::platform;

/// Name of the timeline in a run's folder.
pub const FILE: &str = "timeline.json";

/// Most kernels that are told.
const MOST_KERNELS: usize = 16;

/// Collects the spans of a run's passes, and what its operations took.
#[derive(Debug, Default)]
pub struct Profile {
    /// by their clocks: each device has its own, and a new one where it was opened anew
    parts: BTreeMap<(u32, usize), Vec<Span>>,
    watching: Option<Launches>,
    ops: Vec<OpTime>,
    kernels: Vec<KernelTime>,
    moved: Moved,
}

impl Profile {
    /// Of a run that begins now; with `asked`, kernels on graphics devices are timed.
    pub fn begin(asked: bool, computes: &[Compute]) -> Self {
        let devices = computes.iter().any(|compute| !compute.on_host());
        Self { watching: (asked && devices).then(Launches::watch), ..Self::default() }
    }

    /// Takes what the devices computed with [`Compute::metered`] tell, and ends the watching of kernels.
    pub async fn finish(&mut self, computes: &[Compute]) {
        self.ops = computes.iter().flat_map(Compute::times).collect();
        if let Some(watching) = self.watching.take() {
            self.kernels = watching.finish().await;
        }
    }

    /// Adds those of a pass.
    pub fn add(&mut self, Outcome { spans, device, shortages, counters, .. }: &Outcome) {
        self.moved += counters.moved;
        if let Some(watching) = &self.watching {
            watching.collect();
        }
        self.parts.entry((*shortages, *device)).or_default().extend_from_slice(spans);
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
        let lane = |lane: Lane| Lane::ALL.iter().position(|of| *of == lane).map_or(0, |i| i + 1);
        let name = |pid: usize, tid: usize, of: &str, name: &str| json!({"ph": "M", "name": of, "pid": pid, "tid": tid, "args": {"name": name}});
        let mut events = Vec::new();
        for (i, ((shortages, device), spans)) in self.parts.iter().enumerate() {
            let anew = if *shortages > 0 { format!(", opened anew {shortages} times") } else { String::new() };
            events.push(name(i + 1, 0, "process_name", &format!("device {}{anew}", device + 1)));
            let there = Lane::ALL.into_iter().filter(|of| spans.iter().any(|span| span.lane == *of));
            events.extend(there.map(|of| name(i + 1, lane(of), "thread_name", of.as_str())));
        }
        let micros = |seconds: f64| (seconds * 1e6).round();
        let numbered =
            self.parts.values().enumerate().flat_map(|(i, spans)| spans.iter().map(move |span| (i + 1, span)));
        let spans = numbered.map(|(pid, span)| {
            let name = if span.waits { format!("wait: {}", span.name()) } else { span.name() };
            let kind = if span.waits { "wait" } else { span.stage.as_str() };
            let (start, end) = (micros(span.start), micros(span.end));
            let tid = lane(span.lane);
            json!({"ph": "X", "name": name, "cat": kind, "pid": pid, "tid": tid, "ts": start, "dur": end - start})
        });
        json!({"traceEvents": events.into_iter().chain(spans).collect::<Vec<_>>(), "displayTimeUnit": "ms"})
    }

    /// Of the passes, until the last one ended; of devices beside each other, all of theirs.
    fn seconds(&self) -> f64 {
        let last = |spans: &Vec<Span>| spans.iter().fold(0.0, |last: f64, span| last.max(span.end));
        self.parts.values().map(last).fold(0.0, |sum, seconds| sum + seconds)
    }

    /// For a terminal: seconds per stage with the slowest block, how long each lane was idle, and how much of the
    /// reading was hidden.
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
            let share = 100.0 * seconds / self.seconds().max(1e-9);
            out.push_str(&format!(
                "{:<10} {seconds:>9.3} {share:>6.1} % {:>7}  {slowest}\n",
                stage.as_str(),
                spans.len()
            ));
        }
        out.push_str(&self.lanes());
        let known: f64 = self.of(Lane::Compute).map(Span::seconds).sum();
        let unknown = (100.0 * (1.0 - known / self.seconds().max(1e-9))).max(0.0);
        let read: f64 = self.of(Lane::Reader).map(Span::seconds).sum();
        let hidden: f64 = self.parts.values().map(|spans| hidden(spans)).sum();
        out.push_str(&format!(
            "in all {:.3} s, {unknown:.1} % of it in no stage; {read:.3} s of reading ahead, {:.0} % of it beside other work\n",
            self.seconds(),
            100.0 * hidden / read.max(1e-9),
        ));
        if self.moved != Moved::default() {
            let Moved { uploaded, read_back, waits } = self.moved;
            let (up, down) = (megabytes(uploaded), megabytes(read_back));
            out.push_str(&format!("{up} given to devices, {down} read back, waiting {waits} times\n"));
        }
        out.push_str(&self.operations());
        out.push_str(&self.launches());
        out
    }

    /// What the operations took on the host.
    fn operations(&self) -> String {
        if self.ops.is_empty() {
            return String::new();
        }
        let mut ops = self.ops.clone();
        ops.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let mut out = format!("{:<12} {:>9} {:>8} {:>9}\n", "operation", "seconds", "share", "calls");
        for OpTime { op, calls, seconds } in ops {
            let share = 100.0 * seconds / self.seconds().max(1e-9);
            out.push_str(&format!("{:<12} {seconds:>9.3} {share:>6.1} % {calls:>9}\n", op.as_str()));
        }
        out
    }

    /// What the kernels took on graphics devices.
    fn launches(&self) -> String {
        if self.kernels.is_empty() {
            return String::new();
        }
        let sum = |of: fn(&KernelTime) -> usize| self.kernels.iter().map(of).sum::<usize>();
        let all: f64 = self.kernels.iter().map(|kernel| kernel.seconds).sum();
        let mut out = format!("{:<32} {:>9} {:>8} {:>9}\n", "kernel", "seconds", "share", "launches");
        for KernelTime { name, launches, seconds, .. } in self.kernels.iter().take(MOST_KERNELS) {
            let share = 100.0 * seconds / all.max(1e-9);
            out.push_str(&format!("{name:<32} {seconds:>9.3} {share:>6.1} % {launches:>9}\n"));
        }
        let (launches, timed, outside) = (sum(|k| k.launches), sum(|k| k.timed), sum(|k| k.from_outside));
        let others = self.kernels.len().saturating_sub(MOST_KERNELS);
        let more = if others > 0 { format!(" ({others} more kernels are not shown)") } else { String::new() };
        out.push_str(&format!("in all {all:.3} s in {launches} launches{more}"));
        if timed < launches {
            out.push_str(&format!(", {} of them not timed", launches - timed));
        }
        out.push_str(match outside {
            0 => {
                ", by the device's own clock. Each kernel is handed over alone to be timed, which takes the host longer:\n\
                 seconds and timeline of this run are not those of a run without --profile, whose manifest.json has its own\n"
            }
            _ => {
                ", timed from outside: the device has no clock for it. Kernels ran one at a time, each waited for:\n\
                 seconds and timeline of this run are not those of a run without --profile, whose manifest.json has its own\n"
            }
        });
        out
    }

    /// How long each lane was at work, and what share of the time it was idle for certain.
    fn lanes(&self) -> String {
        let mut out = format!("{:<10} {:>9} {:>13}\n", "lane", "seconds", "idle at least");
        let all: Vec<Span> = self.parts.values().flatten().copied().collect();
        for (lane, busy) in busy(&all) {
            let idle = (100.0 * (1.0 - busy / self.seconds().max(1e-9))).max(0.0);
            out.push_str(&format!("{:<10} {busy:>9.3} {idle:>11.1} %", lane.as_str()));
            if lane == Lane::Compute {
                let (mut weights, mut device) = (0.0, 0.0);
                for span in self.of(lane).filter(|span| span.waits) {
                    *(if span.stage == Stage::Weights { &mut weights } else { &mut device }) += span.seconds();
                }
                out.push_str(&format!("  (waited {weights:.3} s for weights, {device:.3} s for a device)"));
            }
            out.push('\n');
        }
        out
    }

    fn of(&self, lane: Lane) -> impl Iterator<Item = &Span> {
        self.parts.values().flatten().filter(move |span| span.lane == lane)
    }
}

/// Seconds of reading during which the host or the device did other work.
fn hidden(spans: &[Span]) -> f64 {
    let at_work = spans.iter().filter(|span| span.lane != Lane::Reader && !span.waits);
    let mut all: Vec<(f64, f64)> = at_work.map(|span| (span.start, span.end)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // intervals that do not touch, in their order
    let mut work: Vec<(f64, f64)> = Vec::new();
    for (start, end) in all {
        match work.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => work.push((start, end)),
        }
    }
    spans.iter().filter(|span| span.lane == Lane::Reader).map(|read| within(read, &work)).sum()
}

/// Seconds of a span that fall into any of these intervals.
fn within(span: &Span, intervals: &[(f64, f64)]) -> f64 {
    intervals.iter().map(|(start, end)| (end.min(span.end) - start.max(span.start)).max(0.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::Op;

    fn span(lane: Lane, stage: Stage, layer: usize, waits: bool, start: f64, end: f64) -> Span {
        Span { lane, stage, layer: Some(layer), waits, start, end }
    }

    fn pass(device: usize, spans: &[Span]) -> Outcome {
        Outcome { device, spans: spans.to_vec(), ..Outcome::default() }
    }

    fn profile() -> Profile {
        let mut profile = Profile::default();
        profile.add(&pass(
            0,
            &[
                span(Lane::Compute, Stage::Weights, 0, true, 0.0, 1.0),
                span(Lane::Reader, Stage::Weights, 0, false, 0.0, 1.0),
                span(Lane::Compute, Stage::Model, 0, false, 1.0, 3.0),
                span(Lane::Reader, Stage::Weights, 1, false, 1.0, 2.0),
                span(Lane::Compute, Stage::Model, 1, false, 3.0, 6.0),
            ],
        ));
        profile.add(&pass(0, &[span(Lane::Compute, Stage::Geometry, 1, false, 6.0, 8.0)]));
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
        // a second of waiting is no work
        assert!(row("compute").contains("7.000") && row("compute").contains("12.5 %"), "{text}");
        assert!(row("compute").contains("waited 1.000 s for weights, 0.000 s for a device"), "{text}");
        assert!(row("reader").contains("75.0 %"), "{text}");
        assert!(!text.contains("logprob") && !text.lines().any(|l| l.starts_with("device")), "{text}");
    }

    #[test]
    fn reading_beside_a_device_is_hidden_though_the_host_waits() {
        let mut profile = Profile::default();
        profile.add(&pass(
            0,
            &[
                span(Lane::Compute, Stage::Model, 0, false, 0.0, 1.0),
                span(Lane::Device, Stage::Model, 0, false, 0.5, 3.0),
                span(Lane::Reader, Stage::Weights, 1, false, 1.0, 4.0),
                // for the weights, which come at 4; the device was done at 3
                span(Lane::Compute, Stage::Weights, 1, true, 1.0, 4.0),
                // it uploads what was read while the next is read
                span(Lane::Compute, Stage::Weights, 1, false, 4.0, 5.0),
                span(Lane::Reader, Stage::Weights, 2, false, 4.0, 5.0),
            ],
        ));
        let text = profile.text();
        assert!(text.contains("4.000 s of reading ahead, 75 % of it beside other work"), "{text}");
        let device = text.lines().find(|l| l.starts_with("device")).unwrap();
        assert!(device.contains("2.500") && device.contains("50.0 %"), "{text}");
    }

    #[test]
    fn devices_beside_each_other_have_clocks_of_their_own() {
        let mut profile = Profile::default();
        for device in [0, 1] {
            profile.add(&pass(
                device,
                &[
                    span(Lane::Compute, Stage::Model, 0, device == 1, 0.0, 2.0),
                    span(Lane::Reader, Stage::Weights, 1, false, 0.0, 1.0),
                ],
            ));
        }
        let text = profile.text();
        // what hides the one's reading does not hide the other's
        assert!(text.contains("in all 4.000 s") && text.contains("2.000 s of reading ahead, 50 %"), "{text}");
        let events = profile.events();
        let of = |pid: u32| events["traceEvents"].as_array().unwrap().iter().filter(move |e| e["pid"] == pid).count();
        assert_eq!((of(1), of(2)), (5, 5));
    }

    #[test]
    fn operations_and_kernels_are_told() {
        let kernel = |name: &str, seconds: f64, from_outside: usize| KernelTime {
            name: name.to_owned(),
            launches: 10,
            timed: 9,
            seconds,
            from_outside,
        };
        let mut profile = profile();
        assert!(!profile.text().contains("kernel") && !profile.text().contains("operation"));
        profile.ops =
            vec![OpTime { op: Op::Norm, calls: 4, seconds: 1.0 }, OpTime { op: Op::Linear, calls: 14, seconds: 4.0 }];
        profile.kernels = (0..18).map(|i| kernel(&format!("kernel{i}"), 0.5, 0)).collect();
        let text = profile.text();
        let (linear, norm) = (text.find("\nlinear ").unwrap(), text.find("\nnorm ").unwrap());
        assert!(linear < norm && text[linear..].contains("4.000   50.0 %        14"), "the longest first: {text}");
        assert!(text.contains("kernel15 ") && !text.contains("kernel16"), "{text}");
        let last =
            "in all 9.000 s in 180 launches (2 more kernels are not shown), 18 of them not timed, by the device's own";
        assert!(text.contains(last), "{text}");
        profile.kernels[0].from_outside = 9;
        assert!(profile.text().contains("timed from outside"));
    }

    #[test]
    fn the_timeline_is_trace_events() {
        let events = profile().events();
        let events = events["traceEvents"].as_array().unwrap();
        assert_eq!(events.iter().filter(|e| e["name"] == "thread_name").count(), 2);
        let model = events.iter().find(|e| e["name"] == "model 1").unwrap();
        assert_eq!((&model["ts"], &model["dur"], &model["ph"]), (&json!(3e6), &json!(3e6), &json!("X")));
        let lane = |name: &str| {
            let named = |e: &&serde_json::Value| e["name"] == "thread_name" && e["args"]["name"] == name;
            events.iter().find(named).unwrap()["tid"].clone()
        };
        let lanes: Vec<_> = events.iter().filter(|e| e["name"] == "weights 1").map(|e| e["tid"].clone()).collect();
        assert_eq!(lanes, [lane("reader")]);
        let waits = events.iter().find(|e| e["name"] == "wait: weights 0").unwrap();
        assert_eq!((&waits["cat"], &waits["tid"]), (&json!("wait"), &lane("compute")));
    }
}
