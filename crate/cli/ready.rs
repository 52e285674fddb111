//! What a run needs, opened from its arguments.

use super::args::{Analyze, MeasureArgs};
use super::setup::Devices;
use super::{memory, say, setup};
use crate::dataset::Dataset;
use crate::engine::{Batching, Options, SaeAt};
use crate::error::Result;
use crate::model::ops::Compute;
use crate::platform;
use crate::run::{Excerpt, Loaded, Reopen, Request, Shard};

/// Samples per pass where `--pass` does not say: few enough that little is lost with the process and that
/// their numbers take little memory, many enough that reading the weights again costs little.
const PASS: usize = 1000;

/// Batch shape of `--batch-size`.
pub fn batching(size: Option<u64>) -> Batching {
    match size {
        Some(n) => Batching::Triples(usize::try_from(n).unwrap_or(usize::MAX)),
        None => Batching::Auto,
    }
}

/// Engine settings of the common arguments.
pub fn options(measure: &MeasureArgs, batching: Batching, join: &str) -> Options {
    let MeasureArgs { noise, seed, logprob, .. } = *measure;
    let join = join.to_owned();
    Options { batching, noise, seed, logprob, nulls: 0, pass: None, halvings: 0, read_ahead: true, join }
}

/// Engine settings of `analyze`.
pub fn settings(args: &Analyze) -> Options {
    let pass = args.pass.map_or(PASS, |n| usize::try_from(n).unwrap_or(usize::MAX));
    Options {
        pass: Some(pass),
        nulls: args.nulls.0,
        ..options(&args.measure, batching(args.batch_size), &args.data.join)
    }
}

/// Everything that a run needs, opened.
pub struct Ready {
    pub(super) data: Dataset,
    /// What the texts alone tell; it was said before the work.
    pub(super) doubts: Vec<String>,
    pub(super) devices: Devices,
    pub(super) loaded: Loaded,
    pub(super) options: Options,
    pub(super) shard: Option<Shard>,
    /// What the data are a part of, where they are not all.
    pub(super) excerpt: Option<Excerpt>,
    reopen: Box<Reopen>,
}

impl Ready {
    /// What the arguments name, for `data`.
    ///
    /// # Errors
    /// Whatever is missing or does not fit.
    pub async fn of(args: &Analyze, data: Dataset) -> Result<Self> {
        let mut ready = Self::on(args, data).await?;
        ready.fit(args)?;
        Ok(ready)
    }

    /// The same on `data`, before anything is fitted to it.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub async fn on(args: &Analyze, data: Dataset) -> Result<Self> {
        let doubts = data.warnings(&args.data.join);
        doubts.iter().for_each(|doubt| say(&format!("WARNING: {doubt}")));
        let mut devices = setup::devices(&args.device).await?;
        if args.profile {
            devices.computes = devices.computes.into_iter().map(Compute::metered).collect();
        }
        let loaded = setup::load(&args.model, true).await?;
        let reopen = Box::new(devices.reopening());
        let (options, shard) = (settings(args), args.shard);
        Ok(Self { data, doubts, devices, loaded, options, shard, excerpt: None, reopen })
    }

    /// Makes batches as small as the memory for them.
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`] where the smallest do not fit.
    pub fn fit(&mut self, args: &Analyze) -> Result<()> {
        self.options.halvings = memory::halvings(self.request(), &self.devices, args.memory_budget)?;
        Ok(())
    }

    /// What is about to run, in a line.
    pub fn heading(&self, samples: usize) -> String {
        format!(
            "{} on {}: {samples} samples, SAEs at layers {}",
            self.loaded.name,
            self.devices.name().unwrap_or_else(|| format!("the CPU ({} threads)", platform::threads())),
            self.loaded.saes.iter().map(|s| s.layer.to_string()).collect::<Vec<_>>().join(", ")
        )
    }

    /// Bytes that so many samples take on the disk, at least: per text and layer the residual and the features
    /// that the SAE declares, or a few.
    pub fn bytes_on_disk(&self, samples: usize) -> u64 {
        const FEATURES: f64 = 32.0;
        const FEATURE: f64 = 8.0;
        let layer = |at: &SaeAt| at.sae.d_in as f64 * 4.0 + at.sae.declared_l0.unwrap_or(FEATURES) * FEATURE;
        let texts = 2.0;
        (samples as f64 * texts * self.loaded.saes.iter().map(layer).sum::<f64>()) as u64
    }

    /// The run.
    pub fn request(&self) -> Request<'_> {
        let Self { data, devices, loaded, options, shard, reopen, .. } = self;
        let (computes, shard, reopen) = (&devices.computes, *shard, Some(reopen.as_ref()));
        Request { loaded, computes, data, options, shard, any_device: false, reopen }
    }
}
