//! `saescope bench --growth`: how a run's time grows with what it is given.

use super::{median, one_run, spread};
use crate::cli::args::Bench;
use crate::cli::setup::Devices;
use crate::cli::{inputs, random_model};
use crate::dataset::{Dataset, Sample};
use crate::engine::{self, Batching, Outcome, SaeAt};
use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Table};
use crate::model::ops::Compute;
use crate::platform;
use crate::run::Loaded;
use crate::sae::Sae;

/// Parts of the data that are run.
const PARTS: [usize; 4] = [8, 4, 2, 1];
/// How many times over a prompt stands in its text.
const REPEATS: [usize; 4] = [1, 2, 4, 8];
/// Features of random SAEs.
const WIDTHS: [usize; 3] = [4_096, 16_384, 65_536];
/// The part of the data that the other sweeps run.
const PART: usize = 4;

/// What grows, how large it is at each step, and how long that took.
pub(super) struct Sweep {
    what: &'static str,
    steps: Vec<Step>,
}

struct Step {
    size: usize,
    seconds: Vec<f64>,
    tokens: usize,
}

impl Sweep {
    /// The slope of log seconds over log size, by least squares; none of fewer than two sizes.
    fn exponent(&self) -> Option<f64> {
        let points: Vec<(f64, f64)> =
            self.steps.iter().map(|step| ((step.size as f64).ln(), median(&step.seconds).ln())).collect();
        let n = points.len() as f64;
        let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
        let square: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
        (square > 0.0).then(|| points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / square)
    }
}

/// Runs every sweep, `--repeat` times each step.
///
/// # Errors
/// Whatever ends a run; [`Error::Io`] where the random SAEs cannot be written.
pub(super) async fn run(args: &Bench, loaded: &Loaded, devices: &Devices, data: &Dataset) -> Result<Vec<Sweep>> {
    let computes = devices.computes.as_slice();
    let time = async |size: usize, data: &Dataset, saes: &[SaeAt]| -> Result<Step> {
        let mut step = Step { size, seconds: Vec::new(), tokens: 0 };
        for _ in 0..args.repeat {
            let Outcome { counters, .. } = one_run(args, loaded, saes, computes, data, Batching::Auto).await?;
            step.seconds.push(counters.seconds);
            step.tokens = counters.nodes;
        }
        Ok(step)
    };
    let mut samples = Sweep { what: "samples", steps: Vec::new() };
    for every in PARTS {
        let part = part(data, every, |sample| sample.clone());
        samples.steps.push(time(part.samples.len(), &part, &loaded.saes).await?);
    }
    let mut tokens = Sweep { what: "tokens run", steps: Vec::new() };
    for times in REPEATS {
        let long = part(data, PART, |sample| Sample {
            prompt: vec![sample.prompt.as_str(); times].join(" "),
            ..sample.clone()
        });
        let step = time(0, &long, &loaded.saes).await?;
        tokens.steps.push(Step { size: step.tokens, ..step });
    }
    let some = part(data, PART, Sample::clone);
    let mut blocks = Sweep { what: "blocks", steps: Vec::new() };
    for n in 1..=loaded.saes.len() {
        let saes = &loaded.saes[..n];
        let deepest = saes.last().map_or(0, |sae| sae.layer + 1);
        blocks.steps.push(time(deepest, &some, saes).await?);
    }
    let mut features = Sweep { what: "SAE features", steps: Vec::new() };
    let layer = loaded.saes.first().map_or(0, |sae| sae.layer);
    let norm = norm(loaded, layer, &some).await?;
    for width in WIDTHS {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a temporary folder", "make", e, "free some space"))?;
        random_model::write_random_sae(folder.path(), loaded.model.dims().d_model, width, layer, norm)?;
        let sae = Sae::open(inputs::sae_files(folder.path())?).await?;
        features.steps.push(time(width, &some, &[SaeAt { layer, sae }]).await?);
    }
    Ok(vec![samples, tokens, blocks, features])
}

/// Every so many of the samples, changed.
fn part(data: &Dataset, every: usize, change: impl Fn(&Sample) -> Sample) -> Dataset {
    Dataset { samples: data.samples.iter().step_by(every).map(change).collect(), ..data.clone() }
}

/// Mean norm of the residual stream after a block at the ends of a few prompts.
async fn norm(loaded: &Loaded, layer: usize, data: &Dataset) -> Result<f64> {
    let texts = data.samples.iter().take(8).map(|sample| loaded.model.tokenizer.encode(&sample.prompt));
    let tokens = texts.collect::<Result<Vec<_>>>()?;
    let rows = engine::residuals(&loaded.model, &Compute::cpu(), &tokens, &[layer]).await?;
    let d = loaded.model.dims().d_model;
    let norms: Vec<f64> = rows
        .values()
        .flatten()
        .map(|row| row[row.len() - d..].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt())
        .collect();
    Ok(norms.iter().sum::<f64>() / norms.len().max(1) as f64)
}

/// For a terminal: each step's median with its spread, and each sweep's exponent.
pub(super) fn text(sweeps: &[Sweep]) -> String {
    let mut out = format!(
        "{:<14} {:>9} {:>5} {:>9} {:>17} {:>11}   ({} threads)\n",
        "grows",
        "size",
        "runs",
        "seconds",
        "fastest-slowest",
        "tokens run",
        platform::threads()
    );
    for sweep in sweeps {
        for Step { size, seconds, tokens } in &sweep.steps {
            let (fastest, slowest) = spread(seconds);
            out.push_str(&format!(
                "{:<14} {size:>9} {:>5} {:>9.3} {:>17} {tokens:>11}\n",
                sweep.what,
                seconds.len(),
                median(seconds),
                format!("{fastest:.3}-{slowest:.3}"),
            ));
        }
        if let Some(exponent) = sweep.exponent() {
            out.push_str(&format!("{:<14} seconds grow as size to the power of {exponent:.2}\n", ""));
        }
    }
    out
}

/// `growth.parquet`.
pub(super) fn table(sweeps: &[Sweep]) -> Table {
    let count = |n: usize| i64::try_from(n).map_or(Cell::Null, Cell::Int);
    let rows = sweeps.iter().flat_map(|sweep| {
        sweep.steps.iter().map(move |step| {
            vec![
                Cell::Text(sweep.what.to_owned()),
                count(step.size),
                count(step.seconds.len()),
                Cell::Float(median(&step.seconds)),
                Cell::Float(spread(&step.seconds).0),
                Cell::Float(spread(&step.seconds).1),
                count(step.tokens),
                sweep.exponent().map_or(Cell::Null, Cell::Float),
            ]
        })
    });
    Table {
        columns: vec![
            Column::new("grows", Kind::Utf8),
            Column::new("size", Kind::Int64),
            Column::new("runs", Kind::Int64),
            Column::new("seconds", Kind::Float64),
            Column::new("seconds_fastest", Kind::Float64),
            Column::new("seconds_slowest", Kind::Float64),
            Column::new("tokens_computed", Kind::Int64),
            Column::nullable("exponent", Kind::Float64),
        ],
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_the_power_that_seconds_grow_with() {
        let sweep = |seconds: fn(f64) -> f64| Sweep {
            what: "samples",
            steps: [10usize, 20, 40]
                .map(|size| Step { size, seconds: vec![seconds(size as f64)], tokens: size })
                .into(),
        };
        for (seconds, power) in [((|n| 3.0 * n) as fn(f64) -> f64, 1.0), (|n| 0.1 * n * n, 2.0), (|_| 4.0, 0.0)] {
            assert!((sweep(seconds).exponent().unwrap() - power).abs() < 1e-9);
        }
        let single = Sweep { what: "blocks", steps: vec![Step { size: 3, seconds: vec![1.0], tokens: 1 }] };
        assert_eq!(single.exponent(), None);
        assert!(text(&[sweep(|n| n)]).contains("to the power of 1.00"));
        let table = table(&[sweep(|n| n), single]);
        assert_eq!((table.rows.len(), table.cell(3, "exponent").and_then(Cell::number)), (4, None));
    }
}
