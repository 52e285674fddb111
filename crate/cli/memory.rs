//! How much memory a run may take, before anything of it is taken.

use super::args::Bytes;
use super::setup::Devices;
use super::{megabytes, say};
use crate::dataset::Sample;
use crate::engine::{Inputs, Needs, Options, Schedule, Work};
use crate::error::{Error, Result};
use crate::model::ops::Compute;
use crate::output::Precision;
use crate::platform::{self, Adapter};
use crate::run::Request;

/// Samples that the need is told from, where there are more.
const ENOUGH: usize = 1000;

/// The work of a run: told from a thousand samples where there are more.
fn schedule(request: Request<'_>, options: &Options) -> Schedule {
    let all: Vec<&Sample> = request.samples().collect();
    // a pass of them is as large as one of all
    let enough = options.pass.map_or(all.len(), |pass| pass.max(ENOUGH)).max(1);
    let every = (all.len() / enough).max(1);
    let some: Vec<Sample> = all.into_iter().step_by(every).cloned().collect();
    Inputs { options, ..request.inputs(&some) }.schedule()
}

/// What a run takes with these settings for work that is known: upper bounds.
///
/// # Errors
/// A tensor that the checkpoint lacks.
pub fn needs_of(request: Request<'_>, devices: &Devices, options: &Options, work: &Work) -> Result<Needs> {
    let gpu = !devices.adapters.is_empty();
    let half = devices.info().precision != Precision::F32;
    let one = Needs::of(&request.loaded.model, &request.loaded.saes, options.logprob, work, gpu, half)?;
    // each device has blocks of its own, and one that is named twice holds both
    let named = |adapter: &Adapter| devices.adapters.iter().filter(|other| *other == adapter).count();
    let most = devices.adapters.iter().map(named).max().unwrap_or(1) as u64;
    let devices = devices.computes.len().max(1) as u64;
    Ok(Needs { host: one.host * devices, device: one.device * most, ..one })
}

/// How often micro-batches are halved for the run to stay within `budget`, or within what is free.
///
/// # Errors
/// [`Error::OutOfMemory`] where the smallest ones take more than what was asked for.
pub fn halvings(request: Request<'_>, devices: &Devices, budget: Option<Bytes>) -> Result<u32> {
    let asked = budget.map(|Bytes(bytes)| bytes);
    // what a graphics device has left, its interface does not tell
    let free = if devices.adapters.is_empty() { platform::free_memory() } else { None };
    let Some(budget) = asked.or(free) else { return Ok(0) };
    // the texts have the same tokens however often batches are halved
    let mut schedule = schedule(request, request.options);
    let on_host = request.computes.iter().all(Compute::on_host);
    let of = |halvings| {
        let options = Options { halvings, ..request.options.clone() };
        schedule.arrange(&request.loaded.model, &options, on_host);
        needs_of(request, devices, &options, &schedule.work())
    };
    let (halvings, needs) = Needs::within(budget, of)?;
    if needs.most() > budget {
        let what = format!("the run takes up to {} with the smallest batches", megabytes(needs.most()));
        if asked.is_some() {
            let over = format!("{what}, the budget is {}", megabytes(budget));
            let hint = "give more with `--memory-budget`, or take fewer layers or a smaller model";
            return Err(Error::out_of_memory(over, hint));
        }
        say(&format!("WARNING: {what}, {} are free", megabytes(budget)));
    } else if halvings > 0 {
        let parts = 1 << halvings;
        say(&format!("memory: at most {} with batches of 1/{parts} of the usual size", megabytes(needs.most())));
    }
    Ok(halvings)
}
