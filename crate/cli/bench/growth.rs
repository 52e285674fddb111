//! `saescope bench --growth`: how a run's time grows with what it is given.

use std::collections::BTreeMap;
use std::path::Path;

use super::chart::{Chart, Line};
use super::{median, one_run, options, spread};
use crate::cli::args::Bench;
use crate::cli::setup::Devices;
use crate::cli::{inputs, random_model};
use crate::dataset::{Dataset, Sample};
use crate::engine::{self, Counters, SaeAt};
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
/// Parts of the model's blocks that are run.
const DEPTHS: [usize; 4] = [8, 4, 2, 1];
/// Features of the random SAE after a part of the blocks.
const NARROW: usize = 1_024;
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
    let options = options(args);
    let time = async |size: usize, data: &Dataset, saes: &[SaeAt]| -> Result<Step> {
        let mut step = Step { size, seconds: Vec::new(), tokens: 0 };
        for _ in 0..args.repeat {
            let Counters { seconds, nodes, .. } = one_run(loaded, saes, computes, data, &options).await?.counters;
            step.seconds.push(seconds);
            step.tokens = nodes;
        }
        Ok(step)
    };
    let mut samples = Sweep { what: "samples", steps: Vec::new() };
    let counts = match &args.samples[..] {
        [] => PARTS.iter().map(|every| data.samples.len().div_ceil(*every)).collect(),
        asked => asked.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect::<Vec<_>>(),
    };
    for count in counts {
        let these = so_many(data, count);
        samples.steps.push(time(these.samples.len(), &these, &loaded.saes).await?);
    }
    let mut tokens = Sweep { what: "tokens run", steps: Vec::new() };
    let mut some_short = part(data, PART, Sample::clone);
    // those that fit the model's context at every step, so that all steps run the same
    let most = REPEATS[REPEATS.len() - 1];
    some_short.samples.retain(|sample| fits(loaded, &times_over(sample, most), &args.data.join));
    for times in REPEATS {
        if some_short.samples.is_empty() {
            break;
        }
        let long = part(&some_short, 1, |sample| times_over(sample, times));
        let step = time(0, &long, &loaded.saes).await?;
        tokens.steps.push(Step { size: step.tokens, ..step });
    }
    let some = part(data, PART, Sample::clone);
    let mut saes = Sweep { what: "SAE layers", steps: Vec::new() };
    for n in 1..=loaded.saes.len() {
        // those of the deepest layers, so that as many blocks are run each time
        saes.steps.push(time(n, &some, &loaded.saes[loaded.saes.len() - n..]).await?);
    }
    let depth = loaded.model.dims().n_layers;
    let mut depths: Vec<usize> = DEPTHS.iter().map(|part| depth.div_ceil(*part)).collect();
    depths.dedup();
    let shallow = depths.first().map_or(0, |blocks| blocks - 1);
    let norms = norms(loaded, depths.iter().map(|blocks| blocks - 1), &some).await?;
    let random = async |layer: usize, width: usize| -> Result<(tempfile::TempDir, SaeAt)> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a temporary folder", "make", e, "free some space"))?;
        let d_model = loaded.model.dims().d_model;
        roomy(folder.path(), d_model, width)?;
        let norm = norms.get(&layer).copied().unwrap_or(1.0);
        random_model::write_random_sae(folder.path(), d_model, width, layer, norm)?;
        let sae = Sae::open(inputs::sae_files(folder.path())?).await?;
        Ok((folder, SaeAt { layer, sae }))
    };
    let mut blocks = Sweep { what: "blocks", steps: Vec::new() };
    for n in depths {
        let (_folder, sae) = random(n - 1, NARROW).await?;
        blocks.steps.push(time(n, &some, &[sae]).await?);
    }
    let mut features = Sweep { what: "SAE features", steps: Vec::new() };
    for &width in &args.sae_widths {
        let (_folder, sae) = random(shallow, usize::try_from(width).unwrap_or(usize::MAX)).await?;
        features.steps.push(time(sae.sae.d_sae, &some, &[sae]).await?);
    }
    Ok(vec![samples, tokens, saes, blocks, features])
}

/// There is room for a random SAE in a temporary folder, and for its encoder in memory: as it is read, and as it is
/// multiplied with.
fn roomy(folder: &Path, d_model: usize, width: usize) -> Result<()> {
    let matrix = (d_model as u64).saturating_mul(width as u64).saturating_mul(4);
    let wanted = matrix.saturating_mul(2);
    for (what, free) in [("disk", platform::free_space(folder)), ("memory", platform::free_memory())] {
        if let Some(free) = free.filter(|free| *free < wanted) {
            return Err(Error::mismatch(
                format!("{what} for a random SAE of {width} features"),
                format!("{wanted} bytes"),
                format!("{free} bytes free"),
                "name narrower ones with `--sae-widths`",
            ));
        }
    }
    Ok(())
}

/// A sample whose prompt stands so many times over in it.
fn times_over(sample: &Sample, times: usize) -> Sample {
    Sample { prompt: vec![sample.prompt.as_str(); times].join(" "), ..sample.clone() }
}

/// Whether none of a sample's texts is longer than the model's context.
fn fits(loaded: &Loaded, sample: &Sample, join: &str) -> bool {
    [&sample.fact, &sample.hallucination].into_iter().all(|completion| {
        let text = format!("{}{join}{completion}", sample.prompt);
        let tokens = loaded.model.tokenizer.encode(&text);
        tokens.and_then(|tokens| loaded.model.check_length("longest", &tokens)).is_ok()
    })
}

/// So many samples, evenly spread over the data; where there are fewer, several times over.
fn so_many(data: &Dataset, count: usize) -> Dataset {
    let there = data.samples.len();
    let sample = |i: usize| {
        if count <= there {
            return data.samples[i * there / count].clone();
        }
        let (sample, time) = (&data.samples[i % there], i / there);
        if time == 0 {
            return sample.clone();
        }
        Sample { id: format!("{} {time}", sample.id), prompt: format!("{time}: {}", sample.prompt), ..sample.clone() }
    };
    let samples = if there == 0 { Vec::new() } else { (0..count).map(sample).collect() };
    Dataset { samples, ..data.clone() }
}

/// Every so many of the samples, changed.
fn part(data: &Dataset, every: usize, change: impl Fn(&Sample) -> Sample) -> Dataset {
    Dataset { samples: data.samples.iter().step_by(every).map(change).collect(), ..data.clone() }
}

/// Mean norm of the residual stream after each of these blocks at the ends of a few prompts.
async fn norms(loaded: &Loaded, layers: impl Iterator<Item = usize>, data: &Dataset) -> Result<BTreeMap<usize, f64>> {
    let texts = data.samples.iter().take(8).map(|sample| loaded.model.tokenizer.encode(&sample.prompt));
    let tokens = texts.collect::<Result<Vec<_>>>()?;
    let layers: Vec<usize> = layers.collect();
    let rows = engine::residuals(&loaded.model, &Compute::cpu(), &tokens, &layers).await?;
    let d = loaded.model.dims().d_model;
    let norm = |row: &Vec<f32>| row[row.len() - d..].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let mean = |rows: &Vec<Vec<f32>>| rows.iter().map(norm).sum::<f64>() / rows.len().max(1) as f64;
    Ok(rows.iter().map(|(layer, rows)| (*layer, mean(rows))).collect())
}

/// A picture of all sweeps: seconds over size, each against its first step.
pub(super) fn chart(sweeps: &[Sweep]) -> Chart {
    let lines = sweeps.iter().filter_map(|sweep| {
        let first = sweep.steps.first()?;
        let power = sweep.exponent()?;
        let points = sweep
            .steps
            .iter()
            .map(|step| (step.size as f64 / first.size as f64, median(&step.seconds) / median(&first.seconds)));
        Some(Line { label: format!("{} (power {power:.2})", sweep.what), points: points.collect() })
    });
    Chart {
        title: format!("How a run grows ({} threads)", platform::threads()),
        across: "size, of the first step's".to_owned(),
        up: "seconds, of the first step's".to_owned(),
        lines: lines.collect(),
    }
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
    fn an_sae_that_no_disk_holds_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        roomy(folder.path(), 64, 64).unwrap();
        if platform::free_space(folder.path()).is_some() {
            let error = roomy(folder.path(), 1 << 20, 1 << 24).unwrap_err();
            assert!(error.to_string().contains("disk for a random SAE of 16777216 features"), "{error}");
        }
    }

    #[test]
    fn samples_are_spread_or_stand_several_times_over() {
        let data = crate::dataset::builtin().unwrap();
        let there = data.samples.len();
        let ids = |count: usize| -> Vec<String> { so_many(&data, count).samples.into_iter().map(|s| s.id).collect() };
        let all: Vec<String> = data.samples.iter().map(|s| s.id.clone()).collect();
        assert_eq!(ids(there), all);
        assert_eq!(ids(2), [all[0].clone(), all[there / 2].clone()]);
        let more = so_many(&data, 3 * there + 1);
        let different: std::collections::HashSet<&str> = more.samples.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(different.len(), 3 * there + 1);
        assert_eq!(more.samples[3 * there].prompt, format!("3: {}", data.samples[0].prompt));
    }

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
        // a single step has no line
        let chart = chart(&[sweep(|n| n * n), Sweep { what: "blocks", steps: Vec::new() }]);
        assert_eq!(chart.lines.len(), 1);
        assert_eq!(chart.lines[0].points, [(1.0, 1.0), (2.0, 4.0), (4.0, 16.0)]);
        assert!(chart.lines[0].label.contains("samples (power 2.00)"), "{}", chart.lines[0].label);
    }
}
