//! A run, from what was asked for to samples in its spool: what the command line and the page have in
//! common.

use std::borrow::Cow;
use std::future::Future;

use super::Loaded;
use super::fingerprint::same;
use super::shard::Shard;
use super::sources::{as_pinned, unchanged};
use super::spool::{Base, Spool};
use crate::dataset::{Dataset, Sample};
use crate::engine::{Analysis, Inputs, Observer, Options, Outcome};
use crate::error::Result;
use crate::model::ops::Compute;
use crate::platform;

/// What is run, and on what.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Model and SAEs.
    pub loaded: &'a Loaded,
    /// Devices.
    pub computes: &'a [Compute],
    /// All of the data.
    pub data: &'a Dataset,
    /// Settings.
    pub options: &'a Options,
    /// The part of the data that is measured, where it is one.
    pub shard: Option<Shard>,
    /// Whether a run may go on on another kind of device than it began on: its numbers then agree to that
    /// device's tolerance only, and the manifest says so.
    pub any_device: bool,
}

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
/// # Errors
/// As [`keep`].
pub async fn execute(
    request: Request<'_>,
    spool: &mut Spool,
    base: impl Future<Output = Result<Base>>,
    observer: &dyn Observer,
    on_pass: &mut dyn FnMut(&Spool, &Outcome),
) -> Result<()> {
    let before = spool.done().len();
    let remaining = request.remaining(spool);
    let mut analysis = None;
    let next = async || {
        let analysis = analysis.get_or_insert_with(|| Analysis::new(request.inputs(&remaining), before, observer));
        Ok(analysis.next().await?.map(|pass| (pass, platform::peak_memory())))
    };
    keep(request, spool, base, next, on_pass).await
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
    let mut coming = Some(base);
    let mut device = String::new();
    if let Some(there) = spool.base()
        && let Some(base) = coming.take()
    {
        let base = base.await?;
        let hint = "put back what was there, or begin a new run";
        same("changed since the run began", there, &base, request.any_device, hint)?;
        device = base.manifest.compute.device;
    }
    while let Some((pass, peak_memory)) = next().await? {
        if let Some(base) = coming.take() {
            let base = base.await?;
            as_pinned(request.loaded, &base.manifest)?;
            device = base.manifest.compute.device.clone();
            spool.begin(base)?;
        }
        if let Some(base) = spool.base() {
            unchanged(request.loaded, &base.manifest).await?;
        }
        spool.append(&pass, &device, peak_memory)?;
        on_pass(spool, &pass);
    }
    Ok(())
}
