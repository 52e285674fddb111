//! `saescope analyze`: the full run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use super::args::{Analyze, MeasureArgs};
use super::hash::hash_files;
use super::progress::Shown;
use super::setup::{self, Devices};
use super::{print, say};
use crate::dataset::Dataset;
use crate::engine::{self, Batching, Options, Outcome};
use crate::error::{Error, Result};
use crate::metrics::Table;
use crate::output;
use crate::platform;
use crate::run::{Finished, Loaded, Parts, finish};

/// Key of the summary's last row; no domain can be empty.
const TOTAL: &str = "";

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
    Options { batching, noise, seed, logprob, pass: None, join: join.to_owned() }
}

/// Runs the command.
///
/// # Errors
/// Whatever ends the run. Failed samples do not: they give exit status 1 after the files are
/// written.
pub async fn run(args: &Analyze) -> Result<ExitCode> {
    let started_at = jiff::Timestamp::now();
    let local = started_at.to_zoned(jiff::tz::TimeZone::UTC);
    let stamp = local.strftime("%Y%m%d_%H%M%S").to_string();
    let data = setup::data(&args.data, args.measure.seed)?;
    // what the texts alone tell is better known before the work
    let doubts = data.warnings(&args.data.join);
    doubts.iter().for_each(|doubt| say(&format!("WARNING: {doubt}")));
    let devices = setup::devices(&args.device).await?;
    let loaded = setup::load(&args.model, true).await?;
    // an unwritable folder is better found before the work than after it
    let (out, claim) = match &args.out {
        Some(out) => {
            platform::check_writable(out)?;
            (out.clone(), None)
        }
        None => {
            let claim = platform::claim_folder(&PathBuf::from("runs"), &stamp)?;
            (claim.path().to_owned(), Some(claim))
        }
    };
    let run_id = match (&claim, out.file_name()) {
        (Some(_), Some(name)) => name.to_string_lossy().into_owned(),
        _ => stamp,
    };
    say(&format!(
        "{} on {}: {} samples, SAEs at layers {}",
        loaded.name,
        devices.name().unwrap_or_else(|| format!("the CPU ({} threads)", platform::threads())),
        data.samples.len(),
        loaded.saes.iter().map(|s| s.layer.to_string()).collect::<Vec<_>>().join(", ")
    ));

    // hashing runs beside the computing
    let weights = loaded.weight_files.clone();
    let sae_files: Vec<Vec<platform::Source>> = loaded.saes.iter().map(|s| s.sae.sources().to_vec()).collect();
    let hashes = platform::spawn(async move {
        let weights = hash_files(weights).await?;
        let mut saes = Vec::new();
        for files in sae_files {
            saes.push(hash_files(files).await?);
        }
        Ok::<_, Error>((weights, saes))
    });

    let shown = Shown::new(data.samples.len());
    let options = options(&args.measure, batching(args.batch_size), &args.data.join);
    let outcome =
        engine::analyze(&loaded.model, &devices.computes, &loaded.saes, &data.samples, &options, &shown).await;
    shown.finish();
    let outcome = outcome?;
    let layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    let hashes = hashes.await.unwrap_or_else(|| Err(Error::device("hashing the weight files stopped", "run again")))?;
    let Finished { table, metrics, features, stats, manifest, seconds } = finish(Parts {
        run_id,
        started_at,
        loaded: &loaded,
        compute: devices.info(),
        data: &data,
        data_files: setup::data_files(&args.data).await?,
        limit: args.data.limit,
        options: &options,
        outcome: &outcome,
        peak_gpu_buffer_bytes: None,
        hashes,
    })?;
    platform::write_run(
        &out,
        &[
            (output::METRICS_FILE, metrics),
            (output::FEATURES_FILE, features),
            (output::STATS_FILE, stats),
            (output::MANIFEST_FILE, output::manifest_json(&manifest)?),
        ],
    )?;
    if let Some(claim) = claim {
        claim.keep();
    }
    print_summary(&table, &layers, &loaded, &outcome, &data, &devices);
    say(&stage_table(&manifest.timings.stages, outcome.seconds + seconds));
    for warning in manifest.warnings.iter().filter(|w| !doubts.contains(w)) {
        say(&format!("WARNING: {warning}"));
    }
    for failed in &outcome.failed {
        say(&format!("failed: {}: {}", failed.sample_id, failed.reason));
    }
    print(&format!("{}\n", out.display()))?;
    Ok(if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Means by domain, fact against hallucination, on stderr: a first look, not a result.
fn print_summary(
    table: &Table,
    layers: &[usize],
    loaded: &Loaded,
    outcome: &Outcome,
    data: &Dataset,
    devices: &Devices,
) {
    let last = layers.last().copied().unwrap_or_default();
    let columns = [
        ("tokens", "n_tokens_fact".to_owned(), "n_tokens_hall".to_owned()),
        ("L0", format!("l{last}_fact_l0_norm"), format!("l{last}_hall_l0_norm")),
        ("error", format!("l{last}_fact_reconstruction_error"), format!("l{last}_hall_reconstruction_error")),
        ("sphericity", format!("l{last}_fact_sphericity"), format!("l{last}_hall_sphericity")),
        ("drift°", "centroid_drift_fact".to_owned(), "centroid_drift_hall".to_owned()),
        ("entropy", "entropy_fact".to_owned(), "entropy_hall".to_owned()),
    ];
    let mut sums: BTreeMap<String, (usize, Vec<[f64; 2]>)> = BTreeMap::new();
    for (row, sample) in outcome.samples.iter().enumerate() {
        // a data set may name a domain "all" itself
        for domain in [sample.domain.as_str(), TOTAL] {
            let (n, values) = sums.entry(domain.to_owned()).or_insert_with(|| (0, vec![[0.0; 2]; columns.len()]));
            *n += 1;
            for (slot, (_, fact, hall)) in values.iter_mut().zip(&columns) {
                for (sum, name) in slot.iter_mut().zip([fact, hall]) {
                    *sum += table.cell(row, name).and_then(|c| c.number()).unwrap_or_default();
                }
            }
        }
    }
    let mut out =
        format!("\nmeans, fact / hallucination (layer {last} where a layer is meant):\n{:<14}{:>4}", "domain", "n");
    for (name, ..) in &columns {
        out.push_str(&format!("{name:>18}"));
    }
    let all = sums.remove(TOTAL).map(|s| ("(all)".to_owned(), s));
    for (domain, (n, values)) in sums.into_iter().chain(all) {
        out.push_str(&format!("\n{domain:<14}{n:>4}"));
        for [fact, hall] in values {
            let cell = format!("{:.2} / {:.2}", fact / n as f64, hall / n as f64);
            out.push_str(&format!("{cell:>18}"));
        }
    }
    say(&out);
    say(&format!(
        "\n{} of {} samples on {} in {:.1} s: {:.1} samples/s; {} tokens in {} texts, {} computed; {}",
        outcome.samples.len(),
        data.samples.len(),
        devices.kind(),
        outcome.seconds,
        outcome.samples.len() as f64 / outcome.seconds.max(1e-9),
        outcome.tokens,
        outcome.texts,
        outcome.nodes,
        loaded.name,
    ));
}

/// Seconds and shares of the stages.
pub fn stage_table(stages: &[output::StageTiming], total: f64) -> String {
    let mut out = String::from("stage        seconds   share");
    for s in stages {
        out.push_str(&format!("\n{:<10} {:>9.3} {:>6.1}%", s.stage, s.seconds, 100.0 * s.seconds / total.max(1e-9)));
    }
    out
}
