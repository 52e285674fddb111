//! `saescope stats`: the comparisons of a finished run made again, from its metrics.parquet and, feature by
//! feature, its features.parquet.

use std::path::Path;
use std::process::ExitCode;

use super::active::ActiveFeatures;
use super::args::Stats;
use super::progress::screen;
use super::verdicts::verdicts;
use super::{catalog, print, say, siblings};
use crate::error::{Error, Result};
use crate::output::{self, Manifest};
use crate::platform::{self, ReadLimits};
use crate::run;
use crate::stats::{self, Features, Samples, Settings};

/// Runs the command.
///
/// # Errors
/// A folder that is no finished run of this version, damaged files, writing errors.
pub fn run(args: &Stats) -> Result<ExitCode> {
    let folder = &args.run;
    let mut manifest = manifest(folder)?;
    let place = folder.join(output::METRICS_FILE);
    let value = serde_json::to_value(&manifest).unwrap_or_default();
    // numbers that are not the run's own would get its name
    let no_features = folder.join(output::FEATURES_FILE).symlink_metadata().is_err();
    let read = |line: &String| {
        line.starts_with(output::METRICS_FILE) || (line.starts_with(output::FEATURES_FILE) && !no_features)
    };
    if let Some(line) = siblings::unlike(folder, &value, u64::MAX).into_iter().find(read) {
        return Err(Error::mismatch(
            folder.display().to_string(),
            "the files that its manifest was written with",
            line,
            "take the run's own file",
        ));
    }
    let (samples, ids) = samples(&place, &manifest)?;
    let made = manifest.statistics.as_ref();
    let settings = Settings {
        seed: args.seed.or(made.map(|m| m.seed)).unwrap_or(manifest.noise.seed),
        resamples: args.resamples.unwrap_or(stats::RESAMPLES),
        bound: args.bound.unwrap_or(stats::EQUIVALENCE_BOUND),
        clusters: !args.independent,
        by_domain: true,
    };
    let comparisons = stats::compare_samples(&samples, settings)?;
    let mut files = vec![(output::STATS_FILE, output::stats_parquet(&stats::stats_table(&comparisons))?)];
    let mut features = Features::default();
    if let Some(active) = ActiveFeatures::open(folder, ids.into_iter())? {
        features = stats::compare_features(&samples, &manifest.layers, &active, settings)?;
        let (name, mut bytes) = (output::STATS_FEATURES_FILE, Vec::new());
        let rows = features.rows.iter().map(stats::feature_cells);
        output::write_rows(name, &stats::feature_columns(), rows, &mut bytes)?;
        files.push((name, bytes));
    } else {
        // those that are here were compared with what the manifest now says no more
        let stale = folder.join(output::STATS_FEATURES_FILE);
        if stale.symlink_metadata().is_ok() {
            return Err(Error::missing(
                format!("{}: active features", folder.join(output::FEATURES_FILE).display()),
                format!("{} would be of other settings: put the file back, or delete that one", stale.display()),
            ));
        }
        manifest.files.retain(|file| file.path != output::STATS_FEATURES_FILE);
        say(&format!("note: no {} here: features are not compared again", output::FEATURES_FILE));
    }
    let named: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let residual = |manifest: &Manifest| {
        let made = manifest.statistics.as_ref();
        made.is_some_and(|made| made.classifiers.iter().any(|of| of.reads == stats::RESIDUAL))
    };
    let probed = residual(&manifest);
    let manifest = run::with_statistics(manifest, settings, &features.classifiers, &named);
    if probed && !residual(&manifest) {
        say(
            "note: what a probe of the residual stream found is left out: it was drawn by another seed, or other clusters, \
             and no file has the residual",
        );
    }
    // a reader in between finds a file that the manifest does not name, and is told so
    for (name, bytes) in &files {
        platform::write_atomic(folder.join(name), bytes)?;
    }
    platform::write_atomic(folder.join(output::MANIFEST_FILE), &output::manifest_json(&manifest)?)?;
    say(&verdicts(&comparisons, &features, screen()));
    print(&format!("{}\n", folder.join(output::STATS_FILE).display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The manifest of a finished run, whole.
pub(super) fn manifest(folder: &Path) -> Result<Manifest> {
    let Some(value) = catalog::manifest(folder) else {
        return Err(Error::missing(
            format!("{}: a finished run ({})", folder.display(), output::MANIFEST_FILE),
            "give a folder that `analyze` wrote",
        ));
    };
    let name = || folder.join(output::MANIFEST_FILE).display().to_string();
    if value["schema_version"] != output::SCHEMA_VERSION {
        return Err(Error::mismatch(
            name(),
            format!("schema_version {}", output::SCHEMA_VERSION),
            value["schema_version"].to_string(),
            "run it again with this version, or use the one that wrote it",
        ));
    }
    serde_json::from_value(value).map_err(|e| {
        Error::malformed(name(), "contents", "a manifest of this version", e.to_string(), "take the run's own")
    })
}

/// [`run::numbers`] of a file.
pub(super) fn samples(place: &Path, manifest: &Manifest) -> Result<(Samples, Vec<String>)> {
    let bytes = platform::read_all(place, ReadLimits::default())?;
    run::numbers(&place.display().to_string(), &bytes, &manifest.layers)
}
