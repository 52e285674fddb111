//! `saescope bench`: a sweep of batch sizes, beside a reference program if one is named; matrix products; what
//! each optimisation is worth; how time grows.

use std::process::Command;

use super::args::Bench;
use super::progress::Shown;
use super::{closing, fetch, print, random_model, say, setup};
use crate::dataset::Dataset;
use crate::engine::{self, Batching, Inputs, Options, Outcome, SaeAt, Stage};
use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Noise, Table};
use crate::model::ops::Compute;
use crate::model::registry;
use crate::run::Loaded;
use crate::{output, platform};

mod ablation;
mod chart;
mod growth;
mod products;

/// One row of the table.
struct Row {
    what: String,
    batch_size: i64,
    /// of every run of this size
    seconds: Vec<f64>,
    /// at the median of the seconds
    texts_per_s: f64,
    tokens_computed: i64,
    geometry_share: f64,
    peak_memory: Option<u64>,
}

/// Runs the sweep; the table goes to stdout.
///
/// # Errors
/// Whatever ends a run, or the reference program failing.
pub async fn run(args: &Bench) -> Result<()> {
    if let Some(folder) = &args.make_model {
        // the default model's tokenizer serves: a random model only needs one that fits its vocabulary
        let known = fetch::known(&registry::find(registry::DEFAULT)?, false)?;
        let loaded = setup::load(
            &super::args::ModelArgs {
                model: known_path(&known)?,
                saes: Vec::new(),
                layers: Vec::new(),
                tokenizer: None,
                ignored_fields: Vec::new(),
                quantize: super::args::QuantizeArgs::default(),
            },
            false,
        )
        .await?;
        let tokenizer = &loaded.model.tokenizer;
        random_model::write(folder, args.shape, &loaded.model.tokenizer_json, tokenizer.vocab_size()).await?;
        print(&format!("{}\n", folder.display()))?;
        return Ok(());
    }
    if args.gemm {
        let devices = setup::devices(&args.device).await?;
        let products = match devices.computes.as_slice() {
            [device, ..] if !device.on_host() => {
                let software = devices.adapters.first().is_some_and(|adapter| adapter.software);
                products::time_on_device(args.repeat, device, software).await?
            }
            _ => products::time(args.repeat),
        };
        print(&products::text(&products))?;
        if let [device, ..] = devices.computes.as_slice()
            && !device.on_host()
        {
            print(&products::uploads(args.repeat, device).await?)?;
        }
        return write(args, "gemm.parquet", &products::table(&products)?);
    }
    let data = setup::data(&args.data, args.seed)?;
    let devices = setup::devices(&args.device).await?;
    let loaded = setup::load(&args.model, true).await?;
    if args.ablation {
        let variants = ablation::run(args, &loaded, &devices, &data).await?;
        print(&ablation::text(&variants))?;
        return write(args, "ablation.parquet", &ablation::table(&variants));
    }
    if args.growth {
        let sweeps = growth::run(args, &loaded, &devices, &data).await?;
        print(&growth::text(&sweeps))?;
        write(args, "growth.parquet", &growth::table(&sweeps))?;
        return write_bytes(args, "growth.svg", growth::chart(&sweeps).svg().as_bytes());
    }
    let texts = data.samples.len() * 3;
    let mut rows = Vec::new();
    // smallest first: peak memory of a process only ever grows, and it grows with the batch
    let mut sizes = args.batch_sizes.clone();
    sizes.sort_unstable();
    for size in sizes {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut runs = Vec::new();
        for _ in 0..args.repeat {
            let options = Options { batching: Batching::Triples(size), ..options(args) };
            runs.push(one_run(&loaded, &loaded.saes, &devices.computes, &data, &options).await?);
        }
        rows.extend(summary(&runs, size, texts));
    }
    if let Some(command) = &args.against {
        rows.push(reference(command, texts)?);
    }
    print(&text(&rows))?;
    write(args, "bench.parquet", &table(&rows))
}

/// Writes a table into the folder of `--out`, if there is one.
fn write(args: &Bench, file: &str, table: &Table) -> Result<()> {
    let mut bytes = Vec::new();
    output::write_table(file, table, &mut bytes)?;
    write_bytes(args, file, &bytes)
}

/// The same of any file.
fn write_bytes(args: &Bench, file: &str, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = &args.out {
        let path = folder.join(file);
        platform::write_atomic(&path, bytes)?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// How a run is made where nothing else is asked for.
fn options(args: &Bench) -> Options {
    Options {
        batching: Batching::Auto,
        noise: Noise::Relative(0.1),
        seed: 0,
        logprob: false,
        nulls: args.nulls.0,
        pass: None,
        halvings: 0,
        read_ahead: true,
        join: args.data.join.clone(),
    }
}

/// One run; its stages go to stderr.
async fn one_run(
    loaded: &Loaded,
    saes: &[SaeAt],
    computes: &[Compute],
    data: &Dataset,
    options: &Options,
) -> Result<Outcome> {
    let shown = Shown::new(data.samples.len());
    let inputs = Inputs { model: &loaded.model, computes, saes, samples: &data.samples, options };
    let outcome = engine::analyze(inputs, &shown).await;
    shown.finish();
    let outcome = outcome?;
    if let Some(failed) = outcome.failed.first() {
        return Err(Error::mismatch(
            "samples",
            "all to be measured",
            format!("{}: {}", failed.sample_id, failed.reason),
            "bench a data set that runs",
        ));
    }
    say(&closing::stage_table(
        &outcome
            .counters
            .timings
            .named()
            .into_iter()
            .map(|(stage, seconds)| output::StageTiming { stage: stage.to_owned(), seconds })
            .collect::<Vec<_>>(),
        outcome.counters.seconds,
    ));
    Ok(outcome)
}

/// The runs of one size as a row.
fn summary(runs: &[Outcome], size: usize, texts: usize) -> Option<Row> {
    let seconds: Vec<f64> = runs.iter().map(|r| r.counters.seconds).collect();
    let geometry: Vec<f64> =
        runs.iter().map(|r| r.counters.timings.get(Stage::Geometry) / r.counters.seconds).collect();
    Some(Row {
        what: "saescope".to_owned(),
        batch_size: i64::try_from(size).unwrap_or(i64::MAX),
        texts_per_s: texts as f64 / median(&seconds),
        seconds,
        tokens_computed: runs.first()?.counters.nodes as i64,
        geometry_share: median(&geometry),
        peak_memory: platform::peak_memory(),
    })
}

/// The middle value, or the mean of the two middle ones; 0 of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// The fastest and the slowest.
fn spread(seconds: &[f64]) -> (f64, f64) {
    seconds.iter().fold((f64::INFINITY, 0.0), |(least, most), &s| (s.min(least), s.max(most)))
}

fn known_path(known: &fetch::KnownFiles) -> Result<String> {
    let first = known
        .model
        .files
        .first()
        .ok_or_else(|| Error::missing("files of the default model", "run `saescope fetch`"))?;
    let gguf = first.extension().is_some_and(|e| e == "gguf");
    let path = if gguf { first.as_path() } else { first.parent().unwrap_or(first) };
    Ok(path.display().to_string())
}

/// Runs the reference program and reads `texts_per_s`, `seconds` and `peak_rss` from the JSON object at the end of its
/// output.
fn reference(command: &str, texts: usize) -> Result<Row> {
    say(&format!("running {command}"));
    let failed = |found: String| {
        Error::malformed(command, "output", "a JSON line with seconds or texts_per_s", found, "run the command by hand")
    };
    let (shell, flag) = crate::platform::SHELL;
    let out = Command::new(shell).args([flag, command]).output().map_err(|e| failed(e.to_string()))?;
    if !out.status.success() {
        return Err(failed(format!("{}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim())));
    }
    let stdout = String::from_utf8_lossy(&out.stdout);
    let value: serde_json::Value = stdout
        .find('{')
        .and_then(|at| serde_json::from_str(stdout[at..].trim()).ok())
        .ok_or_else(|| failed(stdout.trim().to_owned()))?;
    let number = |name: &str| value.get(name).and_then(serde_json::Value::as_f64);
    let rate = number("texts_per_s").ok_or_else(|| failed(value.to_string()))?;
    Ok(Row {
        what: "reference".to_owned(),
        batch_size: number("batch").unwrap_or(0.0) as i64,
        seconds: vec![number("seconds").unwrap_or(texts as f64 / rate)],
        texts_per_s: rate,
        tokens_computed: number("tokens_computed").or(number("padded_tokens")).unwrap_or(0.0) as i64,
        geometry_share: 0.0,
        peak_memory: number("peak_rss").map(|b| b as u64),
    })
}

/// The table for a terminal: medians over the runs of a size, with the fastest and the slowest. Speed-ups
/// are against the first row (the smallest batch), and against the reference program where there is one.
fn text(rows: &[Row]) -> String {
    let first = rows.first().map_or(1.0, |r| r.texts_per_s);
    let reference = rows.iter().find(|r| r.what == "reference").map(|r| r.texts_per_s);
    let mut out = format!(
        "{:<10} {:>6} {:>5} {:>9} {:>17} {:>10} {:>9} {:>9} {:>12} {:>11} {:>9}\n",
        "program",
        "batch",
        "runs",
        "seconds",
        "fastest-slowest",
        "samples/s",
        "texts/s",
        "speed-up",
        "vs reference",
        "tokens run",
        "peak MB"
    );
    for r in rows {
        let versus = reference.map_or_else(|| "-".to_owned(), |x| format!("{:.2}", r.texts_per_s / x));
        let peak = r.peak_memory.map_or_else(|| "-".to_owned(), |b| format!("{:.0}", b as f64 / 1e6));
        let (fastest, slowest) = spread(&r.seconds);
        let spread = format!("{fastest:.2}-{slowest:.2}");
        out.push_str(&format!(
            "{:<10} {:>6} {:>5} {:>9.2} {spread:>17} {:>10.2} {:>9.2} {:>9.2} {versus:>12} {:>11} {peak:>9}\n",
            r.what,
            r.batch_size,
            r.seconds.len(),
            median(&r.seconds),
            r.texts_per_s / 3.0,
            r.texts_per_s,
            r.texts_per_s / first,
            r.tokens_computed,
        ));
    }
    let share = rows.iter().filter(|r| r.what == "saescope").map(|r| r.geometry_share).fold(0.0f64, f64::max);
    out.push_str(&format!("geometry: at most {:.2} % of a run\n", share * 100.0));
    out
}

/// `bench.parquet`: `seconds` is the median of `runs`.
fn table(rows: &[Row]) -> Table {
    let first = rows.first().map_or(1.0, |r| r.texts_per_s);
    Table {
        columns: vec![
            Column::new("program", Kind::Utf8),
            Column::new("batch_size", Kind::Int64),
            Column::new("runs", Kind::Int64),
            Column::new("seconds", Kind::Float64),
            Column::new("seconds_fastest", Kind::Float64),
            Column::new("seconds_slowest", Kind::Float64),
            Column::new("samples_per_s", Kind::Float64),
            Column::new("texts_per_s", Kind::Float64),
            Column::new("speed_up", Kind::Float64),
            Column::new("tokens_computed", Kind::Int64),
            Column::nullable("peak_memory_bytes", Kind::Int64),
        ],
        rows: rows
            .iter()
            .map(|r| {
                vec![
                    Cell::Text(r.what.clone()),
                    Cell::Int(r.batch_size),
                    Cell::Int(r.seconds.len() as i64),
                    Cell::Float(median(&r.seconds)),
                    Cell::Float(spread(&r.seconds).0),
                    Cell::Float(spread(&r.seconds).1),
                    Cell::Float(r.texts_per_s / 3.0),
                    Cell::Float(r.texts_per_s),
                    Cell::Float(r.texts_per_s / first),
                    Cell::Int(r.tokens_computed),
                    r.peak_memory.map_or(Cell::Null, |b| Cell::Int(b as i64)),
                ]
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_shown_by_the_median_of_its_runs_with_their_spread() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0]), median(&[])), (2.0, 2.5, 0.0));
        let row = Row {
            what: "saescope".to_owned(),
            batch_size: 8,
            seconds: vec![4.0, 1.0, 2.0],
            texts_per_s: 30.0,
            tokens_computed: 100,
            geometry_share: 0.01,
            peak_memory: None,
        };
        let text = text(std::slice::from_ref(&row));
        assert!(text.contains("     3      2.00         1.00-4.00      10.00"), "{text}");
        let table = table(&[row]);
        for (name, value) in [("seconds", 2.0), ("seconds_fastest", 1.0), ("seconds_slowest", 4.0), ("runs", 3.0)] {
            assert_eq!(table.cell(0, name).and_then(Cell::number), Some(value), "{name}");
        }
    }
}
