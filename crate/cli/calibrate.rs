//! `saescope calibrate`: does the instrument work on this run's model, SAEs and data?

pub(super) mod find;
mod words;

use std::process::ExitCode;

use super::args::Calibrate;
use super::progress::{Shown, screen};
use super::{print, say, siblings, stats};
use crate::calibrate::{OfMetrics, OfModel, Subject, of_metrics, of_model};
use crate::error::{Error, Result};
use crate::output::{self, Calibration, FileInfo, LeftOut, Manifest, ProgramInfo};
use crate::platform::{self, Clock, ReadLimits};
use crate::stats::Samples;
use crate::{dataset, hash};
use find::Found;

/// Parts that need the model.
const OF_MODEL: &str = "positive_controls";
/// Parts that need the run's texts as well.
const OF_DATA: [&str; 2] = ["length_trap", "ceiling"];

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
    let (samples, _) = stats::samples(&place, &manifest)?;
    let clusters = manifest.statistics.as_ref().is_none_or(|s| s.clusters);
    let clock = Clock::start();
    let OfMetrics { swaps, false_alarms, planted } = of_metrics(&samples, args.swaps, args.seed, clusters)?;
    let of_metrics_seconds = clock.seconds();
    let clock = Clock::start();
    let (of_model, left_out) = with_model(args, &manifest, &samples).await?;
    let of_model_seconds = clock.seconds();
    let OfModel { length_trap, positive_controls, ceiling, failed } = of_model;
    failed.iter().for_each(|line| say(&format!("failed: {line}")));
    let calibration = Calibration {
        calibration_version: output::CALIBRATION_VERSION,
        program: ProgramInfo::this(),
        run_id: manifest.run_id,
        metrics,
        seed: args.seed,
        swaps,
        false_alarms,
        planted,
        length_trap,
        positive_controls,
        ceiling,
        left_out,
    };
    let out = folder.join(output::CALIBRATION_FILE);
    platform::write_atomic(&out, &output::calibration_json(&calibration)?)?;
    say(&words::table(&calibration, screen()));
    say(&format!("time: swaps {of_metrics_seconds:.1} s, model {of_model_seconds:.1} s"));
    print(&format!("{}\n", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What needs the model, and what was left out of it.
async fn with_model(args: &Calibrate, manifest: &Manifest, metrics: &Samples) -> Result<(OfModel, Vec<LeftOut>)> {
    let nothing = OfModel { length_trap: None, positive_controls: Vec::new(), ceiling: None, failed: Vec::new() };
    let left_out = |parts: &[&str], reason: &str| -> Vec<LeftOut> {
        parts.iter().map(|part| LeftOut { part: (*part).to_owned(), reason: reason.to_owned() }).collect()
    };
    let all = [OF_DATA[0], OF_MODEL, OF_DATA[1]];
    if args.no_model {
        return Ok((nothing, left_out(&all, "asked for with --no-model")));
    }
    let (loaded, devices) = match find::model(args, manifest).await? {
        Found::There(there) => *there,
        Found::Not { reason, hint } => {
            say(&format!("note: without the run's model: {reason}\n  hint: {hint}"));
            return Ok((nothing, left_out(&all, &reason)));
        }
    };
    let (own, mut missing) = match find::data(args, manifest)? {
        Found::There(data) => (data.samples, Vec::new()),
        Found::Not { reason, hint } => {
            say(&format!("note: without the run's data: {reason}\n  hint: {hint}"));
            (Vec::new(), left_out(&OF_DATA, &reason))
        }
    };
    let options = find::options(manifest)?;
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
        let none = |part: &str, there: bool| {
            if there { Vec::new() } else { left_out(&[part], "no sample of the run could be measured") }
        };
        missing.extend(none(OF_DATA[0], measured.length_trap.is_some()));
        missing.extend(none(OF_DATA[1], measured.ceiling.is_some()));
    }
    Ok((measured, missing))
}
