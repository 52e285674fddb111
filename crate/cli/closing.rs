//! The end of a run on stderr: what was done, what was found, where it is.

use std::path::Path;

use super::serve;
use super::verdicts::{Screen, verdicts};
use crate::output;
use crate::run::Finished;

/// Lines that the verdicts get at least, however many warnings there are.
const LEAST_LINES: usize = 8;

/// The end of a run on stderr: what went wrong, what was done, what was found, where it is. All but
/// failed samples fits a screen.
pub fn closing(out: &Path, finished: &Finished, told: &[String], screen: Screen) -> String {
    let Finished { compared, manifest, measured, failed, counters, .. } = finished;
    let mut work = vec![
        format!(
            "{measured} of {} samples on {} in {:.1} s: {:.1} samples/s; {} tokens in {} texts, {} computed",
            measured + failed.len(),
            manifest.compute.device,
            counters.seconds,
            manifest.timings.samples_per_second,
            counters.tokens,
            counters.texts,
            counters.nodes,
        ),
        stage_line(&manifest.timings.stages),
    ];
    let failed = failed.iter().map(|f| format!("failed: {}: {}", f.sample_id, f.reason)).collect::<Vec<_>>();
    let untold = manifest.warnings.iter().filter(|warning| !told.contains(warning));
    work.extend(untold.map(|warning| format!("WARNING: {warning}")));
    let next = if compared.is_some() { next(out, serve::has_page()) } else { next_of_part(out) };
    let height =
        |lines: &[String]| lines.iter().map(|l| l.chars().count().div_ceil(screen.columns).max(1)).sum::<usize>();
    // two empty lines, the folder's own line on stdout, and the prompt after it
    let used = height(&work) + height(&next) + 4;
    let lines = screen.lines.saturating_sub(used).max(LEAST_LINES);
    let table = match compared {
        Some((comparisons, features)) => verdicts(comparisons, features, Screen { lines, ..screen }),
        None => "no comparisons: those of the whole run come with the merge".to_owned(),
    };
    let parts = [failed, work, vec![String::new(), table, String::new()], next];
    parts.concat().join("\n")
}

/// Where to look next.
fn next(out: &Path, has_page: bool) -> Vec<String> {
    let folder = out.display();
    let page = match has_page {
        true => format!("to see it: saescope serve --open {}", quoted(out)),
        false => "to see it: `saescope serve` has the page once `cargo xtask web` built it in a checkout".to_owned(),
    };
    vec![
        page,
        format!(
            "comparisons: {folder}/{}; features: {}; samples: {}",
            output::STATS_FILE,
            output::STATS_FEATURES_FILE,
            output::METRICS_FILE
        ),
    ]
}

/// The same of a part without comparisons.
fn next_of_part(out: &Path) -> Vec<String> {
    let path = quoted(out);
    vec![
        format!(
            "joined with the others: saescope merge {path} … --out DIR; its own comparisons: saescope stats {path}"
        ),
        format!("samples: {}/{}", out.display(), output::METRICS_FILE),
    ]
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
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
