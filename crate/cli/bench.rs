//! `saescope bench`: a sweep of batch sizes, beside a reference program if one is named.

use std::process::Command;

use super::args::Bench;
use super::progress::Shown;
use super::{analyze, fetch, print, random_model, say, setup};
use crate::engine::{self, Batching, Options, Stage};
use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Noise, Table};
use crate::model::registry;
use crate::{output, platform};

/// One row of the table.
struct Row {
    what: String,
    batch_size: i64,
    seconds: f64,
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
            &super::args::ModelArgs { model: known_path(&known)?, saes: Vec::new(), tokenizer: None },
            false,
        )
        .await?;
        let tokenizer = &loaded.model.tokenizer;
        random_model::write(folder, args.shape, &loaded.model.tokenizer_json, tokenizer.vocab_size()).await?;
        print(&format!("{}\n", folder.display()))?;
        return Ok(());
    }
    let data = setup::data(&args.data)?;
    let devices = setup::devices(&args.device).await?;
    let loaded = setup::load(&args.model, true).await?;
    let texts = data.samples.len() * 3;
    let mut rows = Vec::new();
    // smallest first: peak memory of a process only ever grows, and it grows with the batch
    let mut sizes = args.batch_sizes.clone();
    sizes.sort_unstable();
    for size in &sizes {
        let size = &usize::try_from(*size).unwrap_or(usize::MAX);
        let options = Options {
            batching: Batching::Triples(*size),
            noise: Noise::Relative(0.1),
            seed: 0,
            logprob: false,
            pass: None,
        };
        let shown = Shown::new(data.samples.len());
        let outcome =
            engine::analyze(&loaded.model, &devices.computes, &loaded.saes, &data.samples, &options, &shown).await;
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
        say(&analyze::stage_table(
            &outcome
                .timings
                .named()
                .into_iter()
                .map(|(stage, seconds)| output::StageTiming { stage: stage.to_owned(), seconds })
                .collect::<Vec<_>>(),
            outcome.seconds,
        ));
        rows.push(Row {
            what: "saescope".to_owned(),
            batch_size: *size as i64,
            seconds: outcome.seconds,
            texts_per_s: texts as f64 / outcome.seconds,
            tokens_computed: outcome.nodes as i64,
            geometry_share: outcome.timings.get(Stage::Geometry) / outcome.seconds,
            peak_memory: platform::peak_memory(),
        });
    }
    if let Some(command) = &args.against {
        rows.push(reference(command, texts)?);
    }
    print(&text(&rows))?;
    if let Some(folder) = &args.out {
        let path = folder.join("bench.parquet");
        let mut bytes = Vec::new();
        output::write_table("bench.parquet", &table(&rows), &mut bytes)?;
        platform::write_atomic(&path, &bytes)?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
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
        seconds: number("seconds").unwrap_or(texts as f64 / rate),
        texts_per_s: rate,
        tokens_computed: number("tokens_computed").or(number("padded_tokens")).unwrap_or(0.0) as i64,
        geometry_share: 0.0,
        peak_memory: number("peak_rss").map(|b| b as u64),
    })
}

/// The table for a terminal. Speed-ups are against the first row (the smallest batch), and against
/// the reference program where there is one.
fn text(rows: &[Row]) -> String {
    let first = rows.first().map_or(1.0, |r| r.texts_per_s);
    let reference = rows.iter().find(|r| r.what == "reference").map(|r| r.texts_per_s);
    let mut out = format!(
        "{:<10} {:>6} {:>9} {:>10} {:>9} {:>9} {:>12} {:>11} {:>9}\n",
        "program", "batch", "seconds", "samples/s", "texts/s", "speed-up", "vs reference", "tokens run", "peak MB"
    );
    for r in rows {
        let versus = reference.map_or_else(|| "-".to_owned(), |x| format!("{:.2}", r.texts_per_s / x));
        let peak = r.peak_memory.map_or_else(|| "-".to_owned(), |b| format!("{:.0}", b as f64 / 1e6));
        out.push_str(&format!(
            "{:<10} {:>6} {:>9.2} {:>10.2} {:>9.2} {:>9.2} {versus:>12} {:>11} {peak:>9}\n",
            r.what,
            r.batch_size,
            r.seconds,
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

fn table(rows: &[Row]) -> Table {
    let first = rows.first().map_or(1.0, |r| r.texts_per_s);
    Table {
        columns: vec![
            Column::new("program", Kind::Utf8),
            Column::new("batch_size", Kind::Int64),
            Column::new("seconds", Kind::Float64),
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
                    Cell::Float(r.seconds),
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
