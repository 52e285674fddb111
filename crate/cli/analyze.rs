//! `saescope analyze`: the full run.

use std::path::Path;
use std::process::ExitCode;

use super::args::{Analyze, MeasureArgs};
use super::catalog::RUN_FILES;
use super::hash::hash_files;
use super::interrupt::Interrupts;
use super::progress::{Shown, screen};
use super::verdicts::{Screen, verdicts};
use super::{print, say, serve, setup, talk};
use crate::engine::{self, Batching, Options, Outcome};
use crate::error::{Error, Result};
use crate::output::{self, Manifest};
use crate::platform;
use crate::run::{Finished, Parts, finish};
use crate::stats::Comparison;

/// Lines that the verdicts get at least, however many warnings there are.
const LEAST_LINES: usize = 8;

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
    keep_older_run(args.out.as_deref(), args.force)?;
    let interrupts = Interrupts::watch()?;
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
    let (out, run_id) = match &args.out {
        Some(out) => {
            platform::check_writable(out)?;
            (out.clone(), stamp)
        }
        None => {
            let out = interrupts.claim(|| platform::claim_folder(Path::new("runs"), &stamp))?;
            let name = out.file_name().map(|name| name.to_string_lossy().into_owned());
            (out, name.unwrap_or(stamp))
        }
    };
    let run_id = args.run_id.clone().unwrap_or(run_id);
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
    let hashes = hashes.await.unwrap_or_else(|| Err(Error::device("hashing the weight files stopped", "run again")))?;
    let Finished { comparisons, metrics, features, stats, manifest, .. } = finish(Parts {
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
    let files = [
        (output::METRICS_FILE, metrics),
        (output::FEATURES_FILE, features),
        (output::STATS_FILE, stats),
        (output::MANIFEST_FILE, output::manifest_json(&manifest)?),
    ];
    interrupts.writing(&out, || platform::write_run(&out, &files))?;
    say(&closing(&Closing {
        out: &out,
        manifest: &manifest,
        outcome: &outcome,
        comparisons: &comparisons,
        total: data.samples.len(),
        told: &doubts,
        screen: screen(),
    }));
    match print(&format!("{}\n", out.display())) {
        // the run is there all the same, and its status is the run's
        Err(error) if talk::reader_gone(&error) => {}
        result => result?,
    }
    Ok(if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// An `--out` that holds a run's files is left alone unless `--force` says otherwise: they may have cost
/// hours.
fn keep_older_run(out: Option<&Path>, force: bool) -> Result<()> {
    let Some(out) = out.filter(|_| !force) else { return Ok(()) };
    let there: Vec<&str> = RUN_FILES.into_iter().filter(|file| out.join(file).exists()).collect();
    if there.is_empty() {
        return Ok(());
    }
    Err(Error::usage(
        format!("{} holds a run already ({})", out.display(), there.join(", ")),
        "choose another folder, or replace that run with `--force`",
    ))
}

/// The end of a run on stderr: what went wrong, what was done, what was found, where it is. All but
/// failed samples fits a screen.
fn closing(run: &Closing<'_>) -> String {
    let Closing { out, manifest, outcome, comparisons, total, told, screen } = run;
    let failed = outcome.failed.iter().map(|f| format!("failed: {}: {}", f.sample_id, f.reason)).collect::<Vec<_>>();
    let mut work = vec![
        format!(
            "{} of {total} samples on {} in {:.1} s: {:.1} samples/s; {} tokens in {} texts, {} computed",
            outcome.samples.len(),
            manifest.compute.device,
            outcome.seconds,
            outcome.samples.len() as f64 / outcome.seconds.max(1e-9),
            outcome.tokens,
            outcome.texts,
            outcome.nodes,
        ),
        stage_line(&manifest.timings.stages),
    ];
    let untold = manifest.warnings.iter().filter(|warning| !told.contains(warning));
    work.extend(untold.map(|warning| format!("WARNING: {warning}")));
    let next = next(out, serve::has_page());
    let height =
        |lines: &[String]| lines.iter().map(|l| l.chars().count().div_ceil(screen.columns).max(1)).sum::<usize>();
    // two empty lines, the folder's own line on stdout, and the prompt after it
    let used = height(&work) + height(&next) + 4;
    let table = verdicts(comparisons, Screen { lines: screen.lines.saturating_sub(used).max(LEAST_LINES), ..*screen });
    let parts = [failed, work, vec![String::new(), table, String::new()], next];
    parts.concat().join("\n")
}

/// What [`closing`] speaks of.
struct Closing<'a> {
    out: &'a Path,
    manifest: &'a Manifest,
    outcome: &'a Outcome,
    comparisons: &'a [Comparison],
    /// Samples of the data set.
    total: usize,
    /// Warnings that were given before the work.
    told: &'a [String],
    screen: Screen,
}

/// Where to look next.
fn next(out: &Path, has_page: bool) -> Vec<String> {
    let folder = out.display();
    let page = match has_page {
        true => format!("to see it: saescope serve --open {}", quoted(out)),
        false => "to see it: `saescope serve` has the page once `cargo xtask web` built it in a checkout".to_owned(),
    };
    vec![page, format!("every comparison: {folder}/{}; every sample: {}", output::STATS_FILE, output::METRICS_FILE)]
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b'\\');
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The stages that took the most time, in a line.
fn stage_line(stages: &[output::StageTiming]) -> String {
    let mut longest: Vec<&output::StageTiming> = stages.iter().filter(|s| s.seconds >= 0.05).collect();
    longest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let shown: Vec<String> = longest.iter().take(6).map(|s| format!("{} {:.1} s", s.stage, s.seconds)).collect();
    if shown.is_empty() { "no stage took 0.05 s".to_owned() } else { format!("time: {}", shown.join(", ")) }
}

/// Seconds and shares of the stages.
pub fn stage_table(stages: &[output::StageTiming], total: f64) -> String {
    let mut out = String::from("stage        seconds   share");
    for s in stages {
        out.push_str(&format!("\n{:<10} {:>9.3} {:>6.1}%", s.stage, s.seconds, 100.0 * s.seconds / total.max(1e-9)));
    }
    out
}
