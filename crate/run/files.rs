//! From measured samples to the bytes of a run's files.

use super::manifest::{Parts, manifest};
use crate::error::{Error, Result};
use crate::metrics;
use crate::output::{self, Manifest};
use crate::platform::Clock;
use crate::stats::{self, Comparison};

/// A run's files, and what they were made from.
#[derive(Debug)]
pub struct Finished {
    /// `stats.parquet` before it was encoded.
    pub comparisons: Vec<Comparison>,
    /// `metrics.parquet`
    pub metrics: Vec<u8>,
    /// `features.parquet`
    pub features: Vec<u8>,
    /// `stats.parquet`
    pub stats: Vec<u8>,
    /// `manifest.json`
    pub manifest: Manifest,
    /// Seconds that this took.
    pub seconds: f64,
}

/// Makes tables, statistics and manifest.
///
/// # Errors
/// [`Error::Mismatch`] where no sample was measured, with the first reasons.
pub fn finish(parts: Parts<'_>) -> Result<Finished> {
    let outcome = parts.outcome;
    if outcome.samples.is_empty() {
        let reasons: Vec<String> =
            outcome.failed.iter().take(5).map(|f| format!("{}: {}", f.sample_id, f.reason)).collect();
        return Err(Error::mismatch(
            "samples",
            "at least one that can be measured",
            format!("none of {}; {}", parts.data.samples.len(), reasons.join("; ")),
            "nothing was written; look at the first reasons",
        ));
    }
    let mut clock = Clock::start();
    let layers: Vec<usize> = parts.loaded.saes.iter().map(|s| s.layer).collect();
    let declared: Vec<Option<f64>> = parts.loaded.saes.iter().map(|s| s.sae.declared_l0).collect();
    let table = metrics::table(&outcome.samples, &layers, parts.options.logprob, &parts.run_id)?;
    let health = metrics::health(&outcome.samples, &layers, &declared)?;
    let comparisons = stats::compare(&table, parts.options.seed)?;
    let stats_seconds = clock.seconds();
    clock = Clock::start();
    let metrics = output::metrics_parquet(&table)?;
    let features = output::features_parquet(&outcome.samples)?;
    let stats = output::stats_parquet(&stats::stats_table(&comparisons))?;
    let encode_seconds = clock.seconds();
    let manifest = manifest(parts, health, &[("stats", stats_seconds), ("encode", encode_seconds)]);
    Ok(Finished { comparisons, metrics, features, stats, manifest, seconds: stats_seconds + encode_seconds })
}
