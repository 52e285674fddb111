//! `saescope calibrate`: does the instrument work on this run's model, SAEs and data?

pub(super) mod find;
mod words;

use std::process::ExitCode;

use super::args::Calibrate;
use super::progress::{Shown, Swapping, screen};
use super::{print, say, siblings, stats};
use crate::calibrate::{OF_DATA, OF_MODEL, OfModel, Subject, left_out, of_metrics, of_model, whole};
use crate::error::{Error, Result};
use crate::output::{self, FileInfo, LeftOut, Manifest};
use crate::platform::{self, Clock, ReadLimits};
use crate::stats::Samples;
use crate::{dataset, hash, run};
use find::Found;

/// Runs the command.
///
/// # Errors
/// A folder that is no finished run of this version, damaged files, a model or data that were named and are not the
/// run's, writing errors. A model or data that are not found leave out what needs them.
pub async fn run(args: &Calibrate) -> Result<ExitCode> {
    let folder = &args.run;
    let manifest = stats::manifest(folder)?;
    let place = folder.join(output::METRICS_FILE);
    let value = serde_json::to_value(&manifest).unwrap_or_default();
    let changed = siblings::unlike(folder, &value, u64::MAX).into_iter();
    if let Some(line) = changed.into_iter().find(|line| line.starts_with(output::METRICS_FILE)) {
        return Err(Error::mismatch(
            folder.display().to_string(),
            "the metrics.parquet that its manifest was written with",
            line,
            "take the run's own file",
        ));
    }
    let bytes = platform::read_all(&place, ReadLimits::default())?;
    let metrics = FileInfo {
        path: output::METRICS_FILE.to_owned(),
        bytes: bytes.len() as u64,
        sha256: Some(hash::sha256(&bytes)),
    };
    let (samples, _) = run::numbers(&place.display().to_string(), &bytes, &manifest.layers)?;
    let clusters = manifest.statistics.as_ref().is_none_or(|s| s.clusters);
    let clock = Clock::start();
    let swapping = Swapping::new();
    let swapped = of_metrics(&samples, args.swaps, args.seed, clusters, &swapping);
    swapping.finish();
    let swapped = swapped?;
    let of_metrics_seconds = clock.seconds();
    let clock = Clock::start();
    let (measured, missing) = with_model(args, &manifest, &samples).await?;
    let of_model_seconds = clock.seconds();
    measured.failed.iter().for_each(|line| say(&format!("failed: {line}")));
    let calibration = whole(&manifest, metrics, args.seed, swapped, measured, missing);
    let out = folder.join(output::CALIBRATION_FILE);
    platform::write_atomic(&out, &output::calibration_json(&calibration)?)?;
    say(&words::table(&calibration, screen()));
    say(&format!("time: swaps {of_metrics_seconds:.1} s, model {of_model_seconds:.1} s"));
    print(&format!("{}\n", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What needs the model, and what was left out of it.
async fn with_model(args: &Calibrate, manifest: &Manifest, metrics: &Samples) -> Result<(OfModel, Vec<LeftOut>)> {
    if args.no_model {
        return Ok((OfModel::nothing(), left_out(&OF_MODEL, "asked for with --no-model")));
    }
    let (loaded, devices) = match find::model(args, manifest).await? {
        Found::There(there) => *there,
        Found::Not { reason, hint } => {
            say(&format!("note: without the run's model: {reason}\n  hint: {hint}"));
            return Ok((OfModel::nothing(), left_out(&OF_MODEL, &reason)));
        }
    };
    let (own, mut missing) = match find::data(args, manifest)? {
        Found::There(data) => (data.samples, Vec::new()),
        Found::Not { reason, hint } => {
            say(&format!("note: without the run's data: {reason}\n  hint: {hint}"));
            (Vec::new(), left_out(&OF_DATA, &reason))
        }
    };
    let options = run::options(manifest)?;
    let subject = Subject {
        model: &loaded.model,
        computes: &devices.computes,
        saes: &loaded.saes,
        options: &options,
        own: &own,
        metrics,
    };
    let controls: usize = dataset::positive_controls()?.iter().map(|control| control.pairs.samples.len()).sum();
    let shown = Shown::of(2 * args.limit.min(own.len()) + controls, "pairs");
    let measured = of_model(subject, args.limit, args.seed, &shown).await;
    shown.finish();
    let measured = measured?;
    if !own.is_empty() {
        missing.extend(measured.unmeasured());
    }
    Ok((measured, missing))
}
