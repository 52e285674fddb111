//! A run, from what was asked for to samples in its spool: what the command line and the page have in
//! common.

use std::borrow::Cow;
use std::future::Future;

use super::Loaded;
use super::fingerprint::same;
use super::several;
use super::shard::Shard;
use super::sources::{as_pinned, unchanged};
use super::spool::{Base, Spool};
use crate::dataset::{Dataset, Sample};
use crate::engine::{Analysis, Inputs, MOST_HALVINGS, Observer, Options, Outcome, Work};
use crate::error::{Error, Result};
use crate::model::ops::Compute;
use crate::platform::{self, BoxFuture};

/// What is run, and on what.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Model and SAEs.
    pub loaded: &'a Loaded,
    /// Devices of one kind; passes are dealt out among them.
    pub computes: &'a [Compute],
    /// All of the data, or a part's own.
    pub data: &'a Dataset,
    /// Settings.
    pub options: &'a Options,
    /// The part of the data that is measured, where it is one.
    pub shard: Option<Shard>,
    /// Whether a run may go on on another kind of device than it began on: its numbers then agree to that
    /// device's tolerance only, and the manifest says so.
    pub any_device: bool,
    /// Opens the devices anew once one had no memory left: a run goes on there with half as much at once.
    pub reopen: Option<&'a Reopen>,
}

/// See [`Request::reopen`].
pub type Reopen = dyn Fn(Vec<Compute>) -> BoxFuture<'static, Result<Vec<Compute>>> + Send + Sync;

impl<'a> Request<'a> {
    /// Its samples.
    pub fn samples(&self) -> impl Iterator<Item = &'a Sample> {
        let shard = self.shard;
        self.data.samples.iter().filter(move |s| shard.is_none_or(|shard| shard.takes(&s.id)))
    }

    /// Those that a spool does not have yet.
    pub fn remaining(&self, spool: &Spool) -> Cow<'a, [Sample]> {
        let done = spool.done();
        if done.is_empty() && self.shard.is_none() {
            Cow::Borrowed(&self.data.samples)
        } else {
            self.samples().filter(|s| !done.contains(s.id.as_str())).cloned().collect()
        }
    }

    /// What the engine is given for these samples.
    pub fn inputs<'s>(&self, samples: &'s [Sample]) -> Inputs<'s>
    where
        'a: 's,
    {
        let Self { loaded, computes, options, .. } = *self;
        Inputs { model: &loaded.model, computes, saes: &loaded.saes, samples, options }
    }
}

/// Measures what the spool does not have yet, pass by pass, as [`keep`] does with passes that are measured
/// elsewhere.
///
/// Where a device has no memory left, what is not kept yet is measured with micro-batches of half the size
/// ([`Request::reopen`]); `observer` is told, and the manifest says so.
///
/// # Errors
/// As [`keep`].
pub async fn execute(
    request: Request<'_>,
    spool: &mut Spool,
    base: impl Future<Output = Result<Base>>,
    observer: &dyn Observer,
    on_pass: &mut dyn FnMut(&Spool, &Outcome),
) -> Result<()> {
    let mut options = request.options.clone();
    let mut computes = Cow::Borrowed(request.computes);
    let mut keeper = Keeper::new(request, spool, base, on_pass);
    keeper.check().await?;
    loop {
        let before = keeper.spool.done().len();
        let samples = request.remaining(keeper.spool);
        let Loaded { model, saes, .. } = request.loaded;
        let inputs = Inputs { model, computes: &computes, saes, samples: &samples, options: &options };
        let measured = if computes.len() > 1 {
            several::measure(inputs, before, observer, &mut keeper).await
        } else {
            alone(inputs, before, observer, &mut keeper).await
        };
        let short = match (measured, request.reopen) {
            (Err(short @ Error::OutOfMemory { .. }), Some(_)) if options.halvings < MOST_HALVINGS => short,
            (measured, _) => return measured,
        };
        let Some(reopen) = request.reopen else { return Err(short) };
        let most = |work: Work| (work.largest_pass, work.largest_batch);
        let halved = Options { halvings: options.halvings + 1, ..options.clone() };
        let smaller = most(Inputs { options: &halved, ..inputs }.schedule().work()) < most(inputs.schedule().work());
        // once, something else may have had the memory
        if !smaller && keeper.shortages > 0 {
            return Err(short);
        }
        options = halved;
        keeper.shortages += 1;
        let less = if smaller { ", for half as much at once" } else { "" };
        observer.note(&format!("{}; the device is opened anew{less}", short.message()));
        computes = Cow::Owned(reopen(computes.into_owned()).await?);
    }
}

/// Pass by pass on one device.
async fn alone<B: Future<Output = Result<Base>>>(
    inputs: Inputs<'_>,
    before: usize,
    observer: &dyn Observer,
    keeper: &mut Keeper<'_, B>,
) -> Result<()> {
    let mut analysis = Analysis::new(inputs, before, observer);
    while let Some(pass) = analysis.next().await? {
        keeper.keep(pass, platform::peak_memory()).await?;
    }
    Ok(())
}

/// Appends the passes that `next` gives to the run's spool, each on the disk before the next is asked for;
/// with each comes the most memory that was taken by then. `base` is awaited before anything is written, and
/// where the spool has one already, before a pass is asked for: both must be of one run. A pass is kept only if
/// no file has changed since it was opened. `on_pass` is told of every pass that is kept.
///
/// # Errors
/// What ends a run; [`crate::error::Error::Mismatch`] where something that the numbers depend on has
/// changed since the run began, by its name, or is not what the registry says. What the spool has stays.
pub async fn keep(
    request: Request<'_>,
    spool: &mut Spool,
    base: impl Future<Output = Result<Base>>,
    mut next: impl AsyncFnMut() -> Result<Option<(Outcome, Option<u64>)>>,
    on_pass: &mut dyn FnMut(&Spool, &Outcome),
) -> Result<()> {
    let mut keeper = Keeper::new(request, spool, base, on_pass);
    keeper.check().await?;
    while let Some((pass, peak_memory)) = next().await? {
        keeper.keep(pass, peak_memory).await?;
    }
    Ok(())
}

/// Puts passes into the spool.
pub(super) struct Keeper<'a, B> {
    request: Request<'a>,
    spool: &'a mut Spool,
    /// What stands before the passes, until it is there.
    coming: Option<B>,
    /// What measures, as the manifest names it.
    device: String,
    /// How often memory has run out.
    shortages: u32,
    on_pass: &'a mut dyn FnMut(&Spool, &Outcome),
}

impl<'a, B: Future<Output = Result<Base>>> Keeper<'a, B> {
    fn new(request: Request<'a>, spool: &'a mut Spool, base: B, on_pass: &'a mut dyn FnMut(&Spool, &Outcome)) -> Self {
        Self { request, spool, coming: Some(base), device: String::new(), shortages: 0, on_pass }
    }

    /// What the spool has is of this run.
    async fn check(&mut self) -> Result<()> {
        if let Some(there) = self.spool.base()
            && let Some(base) = self.coming.take()
        {
            let base = base.await?;
            let hint = "put back what was there, or begin a new run";
            same("changed since the run began", there, &base, self.request.any_device, hint)?;
            self.device = base.manifest.compute.device;
        }
        Ok(())
    }

    /// The pass is on the disk when this returns.
    pub(super) async fn keep(&mut self, mut pass: Outcome, peak_memory: Option<u64>) -> Result<()> {
        pass.shortages = self.shortages;
        if let Some(base) = self.coming.take() {
            let base = base.await?;
            as_pinned(self.request.loaded, &base.manifest)?;
            self.device = base.manifest.compute.device.clone();
            self.spool.begin(base)?;
        }
        if let Some(base) = self.spool.base() {
            unchanged(self.request.loaded, &base.manifest).await?;
        }
        self.spool.append(&pass, &self.device, peak_memory)?;
        (self.on_pass)(self.spool, &pass);
        Ok(())
    }
}
