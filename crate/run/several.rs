//! A run on several devices of one kind: each takes the next pass when it has done one, on a thread of its own.
//!
//! A sample's numbers do not depend on the pass it is in, so they do not depend on which device takes which
//! pass, where all compute alike.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};

use super::execute::Keeper;
use super::spool::Base;
use crate::engine::{Analysis, Inputs, Observer, Outcome, Progress, Turns};
use crate::error::{Error, Result};
use crate::model::ops::Compute;
use crate::platform::{self, Clock};

/// What a device's thread tells; the number is the device's.
enum Told {
    At(usize, Progress),
    Measured(Outcome),
    Ended(Result<()>),
}

/// Tells the thread that keeps.
struct Reporter {
    device: usize,
    to: UnboundedSender<Told>,
    stop: Arc<AtomicBool>,
}

impl Observer for Reporter {
    fn progress(&self, progress: &Progress) -> ControlFlow<()> {
        // who does not listen any more has ended the run
        let told = self.to.unbounded_send(Told::At(self.device, *progress));
        if told.is_err() || self.stop.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Measures all samples on all devices.
///
/// # Errors
/// The first one; the other devices then end after the block they are in, and what they had is not kept.
pub(super) async fn measure<B: Future<Output = Result<Base>>>(
    inputs: Inputs<'_>,
    before: usize,
    observer: &dyn Observer,
    keeper: &mut Keeper<'_, B>,
) -> Result<()> {
    let mut options = inputs.options.clone();
    // so that each has one; with more samples than that, a pass ends as it would on one device
    let share = inputs.samples.len().div_ceil(inputs.computes.len().max(1)).max(1);
    options.pass = Some(options.pass.unwrap_or(usize::MAX).min(share));
    let (turns, stop) = (Turns::default(), Arc::new(AtomicBool::new(false)));
    let (to, mut told) = unbounded();
    for (device, compute) in inputs.computes.iter().enumerate() {
        let (model, saes, samples) = (inputs.model.clone(), inputs.saes.to_vec(), inputs.samples.to_vec());
        let (options, compute, turns) = (options.clone(), compute.clone(), turns.clone());
        let reporter = Reporter { device, to: to.clone(), stop: stop.clone() };
        // its end is told in the channel
        platform::spawn_from(move || async move {
            let computes: &[Compute] = std::slice::from_ref(&compute);
            let inputs = Inputs { model: &model, computes, saes: &saes, samples: &samples, options: &options };
            let mut analysis = Analysis::sharing(inputs, before, &reporter, turns);
            let ended = loop {
                match analysis.next().await {
                    Ok(Some(mut pass)) => {
                        pass.device = device;
                        if reporter.to.unbounded_send(Told::Measured(pass)).is_err() {
                            break Ok(());
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            // nobody listens where the run has ended
            let _ = reporter.to.unbounded_send(Told::Ended(ended));
        });
    }
    drop(to);
    let mut together = Together { at: vec![None; inputs.computes.len()], before };
    let (mut first, mut ended, clock, mut counted) = (None, 0, Clock::start(), 0.0);
    while let Some(told) = told.next().await {
        let went = match told {
            // the devices that are left are only waited for
            _ if first.is_some() && !matches!(told, Told::Ended(_)) => Ok(()),
            Told::At(device, progress) => match observer.progress(&together.with(device, progress)) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Cancelled),
            },
            Told::Measured(mut pass) => {
                // of the run's time, which passes beside each other share
                let now = clock.seconds();
                pass.counters.seconds = now - std::mem::replace(&mut counted, now);
                keeper.keep(pass, platform::peak_memory()).await
            }
            Told::Ended(went) => {
                ended += 1;
                went
            }
        };
        if let Err(error) = went {
            turns.end();
            stop.store(true, Ordering::Relaxed);
            first.get_or_insert(error);
        }
    }
    match first {
        Some(error) => Err(error),
        None if ended < inputs.computes.len() => {
            // what a driver said tells more
            for compute in inputs.computes {
                platform::check_device(&compute.device)?;
            }
            let hint = "run again; please report it if it happens twice";
            Err(Error::device("a device's thread stopped without a result", hint))
        }
        None => Ok(()),
    }
}

/// Where each device is, and the whole run.
struct Together {
    at: Vec<Option<Progress>>,
    before: usize,
}

impl Together {
    fn with(&mut self, device: usize, progress: Progress) -> Progress {
        self.at[device] = Some(progress);
        let before = self.before as f64;
        let mut all = Progress { samples_done: before, bytes_read: 0, timings: Default::default(), ..progress };
        for one in self.at.iter().flatten() {
            all.samples_done += one.samples_done - before;
            all.bytes_read += one.bytes_read;
            all.timings += one.timings;
            all.seconds = all.seconds.max(one.seconds);
        }
        all
    }
}
