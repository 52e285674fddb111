//! From a run's spool to its files.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use super::hashed::Hashed;
use super::manifest::{Results, complete, statistics};
use super::spool::{Base, Spool};
use super::timeline::timeline;
use crate::engine::{Counters, FailedSample};
use crate::error::{Error, Result, shown};
use crate::metrics::{Extras, FirstPass, HealthPass, Rows, SinkPass, TextKind};
use crate::output::{self, FeaturesWriter, Manifest, TableWriter};
use crate::platform::{self, Clock, FileSink};
use crate::stats::{self, Active, Comparison, FeatureSource, Features, Samples, Settings};

/// Whether a run's comparisons are made with its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparisons {
    /// `stats.parquet` and `stats_features.parquet` are there.
    Made,
    /// They are not: of a part, [`super::merged`] makes those of the whole anew, and the manifest has none.
    LeftToMerge,
}

/// What a finished run amounts to; its files are in the sink.
#[derive(Debug)]
pub struct Finished {
    /// `stats.parquet` before it was encoded, and `stats_features.parquet` with classifiers by features; none where
    /// they are [`Comparisons::LeftToMerge`].
    pub compared: Option<(Vec<Comparison>, Features)>,
    /// `manifest.json`
    pub manifest: Manifest,
    /// Samples measured.
    pub measured: usize,
    /// The others.
    pub failed: Vec<FailedSample>,
    /// Time and work.
    pub counters: Counters,
    /// Seconds that tables, statistics and files took.
    pub seconds: f64,
}

/// Writes the files of a run that is measured in full, the manifest last, sample by sample: what depends
/// on all of them is gathered first. `spools` are its parts; the files do not depend on how it is cut into
/// them.
///
/// # Errors
/// [`Error::Mismatch`] where no sample was measured, with the first reasons, or where a sample is in no
/// part or in two; [`Error::Io`].
pub fn finish(
    base: Base,
    spools: &[&Spool],
    comparisons: Comparisons,
    peak_gpu_buffer: Option<u64>,
    sink: &mut dyn FileSink,
) -> Result<Finished> {
    let mut sink = Hashed::new(sink);
    let Order { samples, failed } = order(&base, spools)?;
    if samples.is_empty() {
        // the first lines: what to do about each is too much, about the first is the best guess for all
        let line = |f: &FailedSample| f.reason.lines().next().unwrap_or_default().to_owned();
        let reasons: Vec<String> =
            failed.iter().take(5).map(|f| format!("{}: {}", shown(&f.sample_id), line(f))).collect();
        let hint = failed.first().and_then(|f| f.reason.lines().find_map(|l| l.trim().strip_prefix("hint: ")));
        return Err(Error::mismatch(
            "samples",
            "at least one that can be measured",
            format!("none of {}", failed.len()),
            format!("nothing was written; {}", hint.unwrap_or("look at the first reasons")),
        )
        .with_lines(&reasons));
    }
    let mut clock = Clock::start();
    let Base { manifest, logprob, nulls, .. } = base;
    let layers = &manifest.layers;
    let declared: Vec<Option<f64>> = manifest.saes.iter().map(|s| s.declared_l0).collect();
    let sample = |&(spool, i): &(usize, usize)| spools[spool].sample(i);
    let mut first = FirstPass::new(layers);
    for place in &samples {
        first.add(&sample(place)?)?;
    }
    let pooled = first.finish();
    let mut health = HealthPass::new(layers, &declared, &pooled)?;
    let mut sinks = SinkPass::default();
    let rows = Rows::new(layers, Extras { logprob, nulls: nulls > 0 }, &manifest.run_id, pooled)?;
    let mut numbers = match comparisons {
        Comparisons::Made => Some(Samples::new(rows.columns(), sink.scratch()?)?),
        Comparisons::LeftToMerge => None,
    };
    let mut writer = TableWriter::new(output::METRICS_FILE, rows.columns(), sink.create(output::METRICS_FILE)?)?;
    for place in &samples {
        let sample = sample(place)?;
        health.add(&sample)?;
        sinks.add(&sample);
        let row = rows.row(&sample)?;
        numbers.as_mut().map_or(Ok(()), |numbers| numbers.push(&row))?;
        writer.push(row)?;
    }
    writer.close()?;
    let settings = Settings::from(manifest.noise.seed);
    let mut stages = Vec::new();
    let mut stage = |name, clock: &mut Clock| stages.push((name, std::mem::replace(clock, Clock::start()).seconds()));
    let mut compared = None;
    if let Some(numbers) = numbers {
        let comparisons = stats::compare_samples(&numbers, settings)?;
        stage("stats", &mut clock);
        let features = stats::compare_features(&numbers, layers, &Measured { spools, samples: &samples }, settings)?;
        stage("features", &mut clock);
        compared = Some((comparisons, features));
    }
    let mut sorted: Vec<(&str, (usize, usize))> = samples.iter().map(|&at| (spools[at.0].id(at.1), at)).collect();
    sorted.sort_unstable();
    let mut writer = FeaturesWriter::new(sink.create(output::FEATURES_FILE)?)?;
    for (_, at) in &sorted {
        writer.add(&sample(at)?)?;
    }
    writer.close()?;
    if let Some((comparisons, features)) = &compared {
        write(&mut sink, output::STATS_FILE, &output::stats_parquet(&stats::stats_table(comparisons))?)?;
        let rows = features.rows.iter().map(stats::feature_cells);
        let to = sink.create(output::STATS_FEATURES_FILE)?;
        output::write_rows(output::STATS_FEATURES_FILE, &stats::feature_columns(), rows, to)?;
    }
    stage("encode", &mut clock);
    let seconds = stages.iter().map(|(_, seconds)| seconds).sum();
    let mut counters = Counters::default();
    spools.iter().for_each(|s| counters += s.counters());
    let manifest = complete(
        manifest,
        Results {
            measured: samples.len(),
            failed: failed.clone(),
            counters,
            parts: spools.iter().map(|s| s.parts()).sum(),
            timeline: timeline(spools.iter().map(|s| s.times())),
            more_stages: stages,
            // this process' own, tables and statistics included, and those of earlier parts
            peak_memory: spools.iter().map(|s| s.peak_memory()).max().flatten().max(platform::peak_memory()),
            peak_gpu_buffer,
            shortages: spools.iter().map(|s| s.shortages()).max().unwrap_or_default(),
            health: health.finish(),
            sink_warnings: sinks.finish(),
            devices: spools.iter().flat_map(|s| s.devices().iter().cloned()).collect::<BTreeSet<_>>(),
            statistics: compared.as_ref().map(|(_, features)| statistics(settings, &features.classifiers)),
            files: sink.written(),
        },
    );
    write(&mut sink, output::MANIFEST_FILE, &output::manifest_json(&manifest)?)?;
    Ok(Finished { compared, manifest, measured: samples.len(), failed, counters, seconds })
}

fn write(sink: &mut dyn FileSink, name: &str, bytes: &[u8]) -> Result<()> {
    let failed = |e| Error::io(name, "write", e, "check the free space and the permissions of the output folder");
    sink.create(name)?.write_all(bytes).map_err(failed)
}

/// The active features of a run's samples, as its spools hold them.
struct Measured<'a> {
    spools: &'a [&'a Spool],
    samples: &'a [(usize, usize)],
}

impl FeatureSource for Measured<'_> {
    fn each(&self, take: &mut dyn FnMut(Active<'_>)) -> Result<()> {
        for (sample, &(spool, i)) in self.samples.iter().enumerate() {
            let measured = self.spools[spool].sample(i)?;
            for text in TextKind::ALL {
                for of in &measured.text(text).layers {
                    let (layer, features, activations) = (of.layer, &of.indices, &of.activations);
                    take(Active { sample, text, layer, features, activations, x: of.x.as_deref() });
                }
            }
        }
        Ok(())
    }

    fn has_residual(&self) -> bool {
        true
    }
}

/// A run's samples in the data set's order.
struct Order {
    /// Spool, and place in it.
    samples: Vec<(usize, usize)>,
    failed: Vec<FailedSample>,
}

fn order(base: &Base, spools: &[&Spool]) -> Result<Order> {
    let mut places: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut reasons: HashMap<&str, &FailedSample> = HashMap::new();
    let twice = |id: &str| Error::mismatch(format!("sample {id}"), "in one part", "in two", "give each part once");
    for (s, spool) in spools.iter().enumerate() {
        for i in 0..spool.measured() {
            if places.insert(spool.id(i), (s, i)).is_some() {
                return Err(twice(spool.id(i)));
            }
        }
        for failed in spool.failed() {
            let id = failed.sample_id.as_str();
            if places.contains_key(id) || reasons.insert(id, failed).is_some() {
                return Err(twice(id));
            }
        }
    }
    let (mut samples, mut failed, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for id in base.wanted.ids() {
        match (places.get(id.as_str()), reasons.get(id.as_str())) {
            (Some(place), _) => samples.push(*place),
            (None, Some(reason)) => failed.push((*reason).clone()),
            (None, None) => missing.push(shown(id)),
        }
    }
    // a whole run's; of a part that is not here no id is known
    if base.shard.is_none() {
        missing.extend(base.wanted.others().map(|row| format!("the data set's sample {}", row + 1)));
    }
    if let Some(first) = missing.first() {
        let named = missing.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let dots = if missing.len() > 5 { ", …" } else { "" };
        return Err(Error::mismatch(
            "samples of the run",
            format!("{} of them, measured or failed", samples.len() + failed.len() + missing.len()),
            format!("{} are missing: {named}{dots}", missing.len()),
            format!("give every part of the run; {first} is in none of these"),
        ));
    }
    Ok(Order { samples, failed })
}
