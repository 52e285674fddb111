//! The whole analysis: triples in, measured samples out, pass by pass.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::inputs::Inputs;
use super::nulls::Pools;
use super::pass::{PassRun, Step};
use super::progress::{Observer, Progress, Stage, Timings, report};
use super::schedule::Schedule;
use super::timeline::{Span, Timer};
use crate::error::Result;
use crate::metrics::SampleMeasure;
use crate::platform::Clock;

/// A sample that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedSample {
    /// Its id.
    pub sample_id: String,
    /// Why, in one line or with a hint.
    pub reason: String,
}

/// What an analysis gives.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Measured samples, in the data set's order.
    pub samples: Vec<SampleMeasure>,
    /// The others, in the data set's order.
    pub failed: Vec<FailedSample>,
    /// Time and work.
    pub counters: Counters,
    /// When what was done, by the clock of the analysis.
    pub spans: Vec<Span>,
    /// Number of the device that measured it, among those that share the run's passes.
    pub device: usize,
    /// How long that device was at it; of passes beside each other, `counters` have the run's time.
    pub seconds: f64,
    /// How often a device had run out of memory before.
    pub shortages: u32,
}

/// Which pass is next: analyses that share it, of the same samples on one device each, share the passes.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<AtomicUsize>);

impl Turns {
    /// Far beyond the passes of any schedule, and far from where the count would begin again.
    const OVER: usize = usize::MAX / 2;

    /// The number of a pass that nobody has taken, from 0.
    fn take(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// No pass is begun any more.
    pub fn end(&self) {
        self.0.store(Self::OVER, Ordering::Relaxed);
    }
}

/// An analysis under way: [`Self::next`] runs a pass and hands out what it measured, so that nobody
/// has to keep all of it.
pub struct Analysis<'a> {
    inputs: Inputs<'a>,
    schedule: Schedule,
    observer: &'a dyn Observer,
    turns: Turns,
    /// Samples that an earlier part of the run finished.
    before: usize,
    /// Samples whose passes are done.
    done: usize,
    started: Clock,
    /// What has been handed out.
    total: Counters,
    /// Of the pass to come: tokenising, before the first one.
    timer: Timer,
    medians: Vec<Option<f64>>,
    /// How common the texts' last tokens are, by token.
    ranks: HashMap<u32, u32>,
    pools: Pools,
    /// Samples that no pass takes, until they are handed out.
    unfit: HashMap<usize, String>,
}

impl<'a> Analysis<'a> {
    /// Tokenises and plans. `before`: samples that an earlier part of the run finished; progress counts
    /// them.
    pub fn new(inputs: Inputs<'a>, before: usize, observer: &'a dyn Observer) -> Self {
        Self::sharing(inputs, before, observer, Turns::default())
    }

    /// [`Self::new`], of whose passes others take theirs.
    pub fn sharing(inputs: Inputs<'a>, before: usize, observer: &'a dyn Observer, turns: Turns) -> Self {
        let started = Clock::start();
        let mut clock = Clock::start();
        let mut timer = Timer::start(inputs.computes);
        let mut schedule = inputs.schedule();
        let unfit = std::mem::take(&mut schedule.unfit);
        let ranks = inputs.model.tokenizer.ranks(&inputs.model.tokenizer_json, schedule.last_tokens());
        timer.lap(Stage::Tokenize, None, &mut clock);
        Self {
            inputs,
            schedule,
            observer,
            turns,
            before,
            done: 0,
            started,
            total: Counters::default(),
            timer,
            medians: Vec::new(),
            ranks,
            pools: Pools::default(),
            unfit,
        }
    }

    /// Leaves ordinary text to another analysis with the same model, SAEs and devices, whose [`Self::medians`]
    /// are this one's: samples are measured without.
    #[must_use]
    pub fn without_ordinary(mut self) -> Self {
        self.medians = vec![None; self.inputs.saes.len()];
        self
    }

    /// Median residual norm of ordinary text, per SAE; there once the first pass is.
    pub fn medians(&self) -> &[Option<f64>] {
        &self.medians
    }

    /// Runs all passes that are left and puts together what they measured.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn all(&mut self) -> Result<Outcome> {
        let mut all = Outcome::default();
        while let Some(pass) = self.next().await? {
            let Outcome { samples, failed, counters, spans, device: _, seconds, shortages } = pass;
            all.spans.extend(spans);
            all.seconds += seconds;
            all.samples.extend(samples);
            all.failed.extend(failed);
            all.counters += counters;
            all.shortages = all.shortages.max(shortages);
        }
        let samples = self.inputs.samples.iter().enumerate();
        let place: HashMap<&str, usize> = samples.map(|(i, s)| (s.id.as_str(), i)).collect();
        all.failed.sort_by_key(|f| place.get(f.sample_id.as_str()).copied());
        Ok(all)
    }

    /// Runs the next pass; none where all is done. Samples that fail are listed, and the run goes on.
    /// Those that no pass takes come with the first one.
    ///
    /// # Errors
    /// What ends the whole run: unreadable weights, a lost device, cancellation.
    pub async fn next(&mut self) -> Result<Option<Outcome>> {
        let pass = self.turns.take();
        // with the first pass alone, or where there is none
        let mut failures = if pass == 0 { std::mem::take(&mut self.unfit) } else { HashMap::new() };
        if pass >= self.schedule.passes() && failures.is_empty() {
            return Ok(None);
        }
        let mut counters = Counters::default();
        let mut samples = Vec::new();
        if pass < self.schedule.passes() {
            let size = self.schedule.samples(pass).len();
            let (medians, pools, timer) = (&mut self.medians, &mut self.pools, &mut self.timer);
            let (inputs, ranks, failed) = (self.inputs, &self.ranks, HashMap::new());
            let mut run = PassRun { inputs, medians, ranks, pools, failures: failed, counters, timer };
            let (observer, started, total) = (self.observer, self.started, self.total);
            let (done, before, all) = (self.done, self.before, self.inputs.samples.len());
            let mut told = |step: Step, so_far: &Timings| {
                let share = (step.layer + 1) as f64 / step.layers as f64;
                let mut timings = total.timings;
                timings += *so_far;
                report(
                    observer,
                    &Progress {
                        before,
                        samples_done: (before + done) as f64 + share * size as f64,
                        samples_total: before + all,
                        seconds: started.seconds(),
                        layer: step.layer,
                        layers: step.layers,
                        bytes_read: total.bytes_read + step.bytes_read,
                        timings,
                    },
                )
            };
            samples = run.run(&self.schedule, pass, &mut told).await?;
            counters = run.counters;
            failures.extend(run.failures);
            self.done += size;
        }
        let (timings, spans) = self.timer.take();
        counters.timings = timings;
        self.inputs.computes.iter().for_each(|compute| counters.moved += compute.moved());
        counters.seconds = self.started.seconds() - self.total.seconds;
        self.total += counters;
        let mut failed: Vec<(usize, String)> = failures.into_iter().collect();
        failed.sort_by_key(|(index, _)| *index);
        let failed = failed
            .into_iter()
            .map(|(index, reason)| FailedSample { sample_id: self.inputs.samples[index].id.clone(), reason })
            .collect();
        let seconds = counters.seconds;
        Ok(Some(Outcome { samples, failed, counters, spans, device: 0, seconds, shortages: 0 }))
    }
}

/// Runs the model and its SAEs over all samples and measures them, all in memory.
///
/// # Errors
/// As [`Analysis::next`].
pub async fn analyze(inputs: Inputs<'_>, observer: &dyn Observer) -> Result<Outcome> {
    Analysis::new(inputs, 0, observer).all().await
}
