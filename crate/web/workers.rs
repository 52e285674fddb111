//! A run on the CPU that several workers measure side by side: this worker has the run and its spool, asks the
//! page for others, and keeps what they hand in.

use std::collections::VecDeque;

use futures::StreamExt;

use super::plan::Reads;
use super::settings::{self, SHARE};
use super::subject::{Opened, Subjects};
use super::task::{Handed, Reporter, Task, memory};
use crate::engine::{self, Inputs, Needs, Options, Outcome, Schedule};
use crate::error::{Error, Result};
use crate::model::ops::Compute;
use crate::platform::{self, Clock};
use crate::protocol::{Bytes, Event, Setup, Share, Shares};
use crate::run::{self, Base, Machine, Portion, Portions, Request, Spool};

/// What this machine has.
pub(super) fn machine() -> Machine {
    Machine { cores: platform::cores(), memory: platform::device_memory() }
}

/// How many workers measure this many samples, where each takes `bytes` of memory.
pub(super) fn count(setup: &Setup, samples: usize, bytes: u64, reads: Reads) -> usize {
    // each would fetch all weights for itself
    let asked = setup.workers.or(reads.meanwhile.then_some(1));
    machine().workers(asked, samples, bytes)
}

/// What is left of a run, cut into shares.
pub(super) struct Deal {
    pub(super) workers: usize,
    shares: Vec<Share>,
    samples: usize,
}

impl Deal {
    /// Cuts what the spool does not have yet.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks.
    pub(super) fn new(setup: &Setup, opened: &Opened, request: &Request<'_>, spool: &Spool) -> Result<Self> {
        let samples = request.remaining(spool);
        let Request { loaded, options, .. } = *request;
        let mut out = Self { workers: 1, shares: Vec::new(), samples: samples.len() };
        if setup.workers == Some(1) || (setup.workers.is_none() && machine().cores == 1) {
            return Ok(out);
        }
        // a share is one pass
        let options = &Options { pass: Some(SHARE), ..options.clone() };
        let schedule = Schedule::new(&loaded.model, &samples, options, true);
        let needs = Needs::of(&loaded.model, &loaded.saes, options.logprob, &schedule.work(), false, false)?;
        out.workers = count(setup, samples.len(), needs.host, Reads::of(opened, needs.weights));
        if out.workers > 1 {
            let mut sizes = schedule.sizes();
            if let Some(first) = sizes.iter_mut().find(|size| **size > 0) {
                // comes with the first share
                *first += engine::ordinary_texts(&loaded.model).iter().map(Vec::len).sum::<usize>();
            }
            for share in run::shares(&sizes, out.workers, SHARE) {
                let samples = &samples[share];
                out.shares.push(Share { samples: samples.len(), packed: Bytes(run::pack_samples(samples)?) });
            }
        }
        Ok(out)
    }

    /// Asks the page for workers, and keeps what they measure.
    ///
    /// # Errors
    /// As [`run::keep`].
    pub(super) async fn keep(
        self,
        task: &Task,
        opened: &Opened,
        request: Request<'_>,
        spool: &mut Spool,
        base: impl Future<Output = Result<Base>>,
        on_pass: &mut dyn FnMut(&Spool, &Outcome),
    ) -> Result<()> {
        let Self { workers, shares, samples: mut left } = self;
        let mut handed = task.handed();
        let shares = Shares { workers, shares, before: spool.done().len(), files: opened.files_id(), memory: memory() };
        task.event(&Event::Shares { shares });
        let (clock, mut told) = (Clock::start(), 0.0);
        let mut portions = Portions::default();
        let mut complete: VecDeque<Outcome> = VecDeque::new();
        let mut most = None;
        let next = async || {
            while complete.is_empty() {
                if left == 0 {
                    return Ok(None);
                }
                let Handed { portion, memory } = handed.next().await.ok_or(Error::Cancelled)?;
                most = most.max(Some(memory));
                complete.extend(portions.take(Portion::unpack(&portion.0)?));
            }
            let Some(mut pass) = complete.pop_front() else { return Ok(None) };
            left = left.saturating_sub(pass.samples.len() + pass.failed.len());
            // the workers' own seconds went by at the same time
            pass.counters.seconds = clock.seconds() - told;
            told += pass.counters.seconds;
            Ok(Some((pass, most)))
        };
        run::keep(request, spool, base, next, on_pass).await
    }
}

/// Measures a share, in a worker that the page started for it.
///
/// # Errors
/// [`Error::Mismatch`] where a host's files are not those that the run was begun with; those of measuring.
pub(super) async fn measure(
    subjects: &Subjects,
    task: &Task,
    setup: &Setup,
    share: &Bytes,
    ordinary: bool,
    files: &str,
    worker: usize,
) -> Result<Bytes> {
    let samples = run::unpack_samples(&share.0)?;
    let options = settings::options(setup)?;
    let opened = subjects.open(task, &setup.subject).await?;
    task.check()?;
    if opened.files_id() != files {
        return Err(Error::mismatch(
            "files of the model and its SAEs",
            "those that the run was begun with",
            "others: the host has changed them meanwhile",
            "begin the run anew",
        ));
    }
    // with no pass of a length of its own: a share is one
    let (computes, options) = ([Compute::cpu()], &options);
    let loaded = &opened.loaded;
    let inputs = Inputs { model: &loaded.model, computes: &computes, saes: &loaded.saes, samples: &samples, options };
    Ok(Bytes(Portion::measure(inputs, ordinary, worker, &Reporter { task }).await?.pack()?))
}
