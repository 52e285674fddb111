//! `saescope verify`: one text at a time against batches.

use std::process::ExitCode;

use super::args::Verify;
use super::progress::Shown;
use super::ready::{batching, options};
use super::{print, say, setup};
use crate::engine::{self, Batching, Inputs, Outcome};
use crate::error::{self, Result};
use crate::metrics::{self, Column, Form, Part, Table, TextKind};

/// The largest difference of one column.
struct Difference {
    column: String,
    relative: f64,
    sample: String,
}

/// Runs both and compares every cell; the summary and the metrics that differ go to stdout, all of
/// them where it fails or is asked for.
///
/// # Errors
/// Whatever ends either run.
pub async fn run(args: &Verify) -> Result<ExitCode> {
    let data = setup::data(&args.data, args.measure.seed)?;
    let devices = setup::devices(&args.device).await?;
    let loaded = setup::load(&args.model, true).await?;
    let layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    let mut runs = Vec::new();
    for (what, batching) in [("one text at a time", Batching::OneText), ("batched", batching(args.batch_size))] {
        let shown = Shown::new(data.samples.len());
        let options = options(&args.measure, batching, &args.data.join);
        let inputs = Inputs {
            model: &loaded.model,
            computes: &devices.computes,
            saes: &loaded.saes,
            samples: &data.samples,
            options: &options,
        };
        let outcome = engine::analyze(inputs, &shown).await;
        shown.finish();
        let outcome = outcome?;
        say(&format!(
            "{what}: {:.2} s, {} tokens computed in {} batches",
            outcome.counters.seconds, outcome.counters.nodes, outcome.counters.batches
        ));
        let table = metrics::table(&outcome.samples, &layers, args.measure.logprob, "")?;
        runs.push((outcome, table));
    }
    let tolerance = args.tolerance.unwrap_or(if devices.adapters.is_empty() { 1e-6 } else { 1e-3 });
    let [(one, one_table), (batched, batched_table)] = &runs[..] else {
        return Ok(ExitCode::from(1));
    };
    let mut same_failures = one.failed == batched.failed;
    if !same_failures {
        say("the two runs failed on different samples");
    }
    same_failures &= one_table.rows.len() == batched_table.rows.len();
    let differences = compare(one_table, batched_table, one);
    let worst = differences.iter().fold(0.0f64, |m, d| m.max(d.relative));
    let different = differences.iter().filter(|d| d.relative > 0.0).count();
    print(&format!(
        "largest difference {worst:.2e}, tolerance {tolerance:.0e}: {} metrics of {} samples, {different} of them \
         with a difference\n",
        differences.len(),
        one_table.rows.len(),
    ))?;
    let shown = |d: &&Difference| args.all || worst > tolerance || d.relative > 0.0;
    if differences.iter().any(|d| shown(&d)) {
        print(&format!("{:<44} {:>12}  worst sample\n", "metric", "difference"))?;
    }
    for d in differences.iter().filter(shown) {
        print(&format!("{:<44} {:>12.2e}  {}\n", d.column, d.relative, error::shown(&d.sample)))?;
    }
    for failed in &one.failed {
        say(&format!("failed, so not compared: {}: {}", failed.sample_id, failed.reason));
    }
    if one_table.rows.is_empty() {
        say("nothing was compared");
    }
    let good = same_failures && one.failed.is_empty() && !one_table.rows.is_empty() && worst <= tolerance;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Largest relative difference per metric column; a difference of text or of null counts as infinite.
/// Differences (`*_diff`) are relative to the size of what they subtract, not to themselves.
fn compare(a: &Table, b: &Table, outcome: &Outcome) -> Vec<Difference> {
    // what the data set gives, and the run's name, were not measured
    let all = metrics::GROUPS.iter().flat_map(|group| group.metrics);
    let given: Vec<&str> = all.filter(|metric| !metric.is_measured()).map(|metric| metric.name).collect();
    let mut out = Vec::new();
    for (c, column) in a.columns.iter().enumerate() {
        if given.contains(&column.name.as_str()) {
            continue;
        }
        let sides = subtracted(a, column);
        let mut worst = Difference { column: column.name.clone(), relative: 0.0, sample: "-".to_owned() };
        for (row, (x, y)) in a.rows.iter().zip(&b.rows).enumerate() {
            let scale = sides.iter().filter_map(|&i| x[i].number()).fold(0.0f64, |m, v| m.max(v.abs()));
            let relative = match (x[c].number(), y[c].number()) {
                (Some(x), Some(y)) if x == y => 0.0,
                (Some(x), Some(y)) => (x - y).abs() / x.abs().max(y.abs()).max(scale).max(1e-12),
                _ if x[c] == y[c] => 0.0,
                _ => f64::INFINITY,
            };
            if relative > worst.relative {
                worst.relative = relative;
                worst.sample = outcome.samples.get(row).map_or_else(|| row.to_string(), |s| s.sample_id.clone());
            }
        }
        out.push(worst);
    }
    out
}

/// The columns that a difference subtracts; none for any other column.
fn subtracted(table: &Table, column: &Column) -> Vec<usize> {
    let Some(Part { metric, form: Form::Difference(_), .. }) = &column.part else { return Vec::new() };
    let side = |other: &Column| {
        other
            .part
            .as_ref()
            .is_some_and(|p| p.metric == *metric && matches!(p.form, Form::Text(t) if t != TextKind::Prompt))
    };
    (0..table.columns.len()).filter(|&i| side(&table.columns[i])).collect()
}
