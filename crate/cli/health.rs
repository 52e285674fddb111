//! `saescope health`: the figures of a model card, measured again.

use super::args::Health;
use super::progress::Shown;
use super::{print, say, setup};
use crate::engine::{self, HealthOptions, SaeHealth};
use crate::error::{Error, Result};
use crate::metrics::Recovered;
use crate::model::ops::Compute;
use crate::platform::{self, ReadLimits};

/// Prints the tables on stdout.
///
/// # Errors
/// Unreadable text; whatever the engine says.
pub async fn run(args: &Health) -> Result<()> {
    let name = args.text.display().to_string();
    let text = String::from_utf8(platform::read_all(&args.text, ReadLimits::default())?).map_err(|e| {
        let hint = "`--text` takes JSON lines with a `text` field, or plain text";
        Error::malformed(&name, "encoding", "UTF-8 text", e.utf8_error().to_string(), hint)
    })?;
    let passages = passages(&name, &text)?;
    let devices = setup::devices(&args.device).await?;
    let compute = devices.computes.first().cloned().unwrap_or_else(Compute::cpu);
    let loaded = setup::load(&args.model, true).await?;
    let longest = loaded.model.dims().max_positions;
    let mut tokens = Vec::new();
    for passage in &passages {
        let mut ids = loaded.model.tokenizer.encode(passage)?;
        ids.truncate(longest);
        tokens.push(ids);
    }
    let count: usize = tokens.iter().map(Vec::len).sum();
    say(&format!("{name}: {} passages, {count} tokens", passages.len()));
    let options = HealthOptions { outlier: args.outlier, ce_texts: args.ce_texts, seed: args.seed };
    let shown = Shown::of(passages.len(), "passages");
    let figures = engine::health(&loaded.model, &compute, &loaded.saes, &tokens, &options, &shown).await;
    shown.finish();
    let figures = figures?;
    print(&fit_table(&figures))?;
    print(&cross_entropy_table(&figures, passages.len(), args.seed))
}

/// How well the SAEs reconstruct.
fn fit_table(figures: &[SaeHealth]) -> String {
    let mut out =
        format!("{:>5} {:>10} {:>9} {:>8} {:>8} {:>8}\n", "layer", "positions", "outliers", "L0", "FVU", "dead");
    for f in figures {
        out.push_str(&format!(
            "{:>5} {:>10} {:>9} {:>8.2} {:>8.4} {:>7.2}%\n",
            f.layer,
            f.positions,
            f.outliers,
            f.l0,
            f.fvu,
            f.dead * 100.0
        ));
    }
    out
}

/// What the model still predicts with the reconstruction in place, against two floors; empty where it
/// was not measured.
fn cross_entropy_table(figures: &[SaeHealth], passages: usize, seed: u64) -> String {
    let Some(first) = figures.iter().find_map(|f| f.cross_entropy) else { return String::new() };
    let mut out = format!(
        "\ncross-entropy in nats over {} predictions in {} of {passages} passages, drawn at random (seed {seed});\n\
         recovered = (floor - spliced) / (floor - clean), with its 95 % interval over passages\n\
         {:>5} {:>8} {:>8} {:>8} {:>8} {:>32} {:>32}\n",
        first.tokens,
        first.passages,
        "layer",
        "clean",
        "spliced",
        "mean",
        "zero",
        "recovered from mean",
        "recovered from zero"
    );
    for f in figures {
        let Some(ce) = f.cross_entropy else { continue };
        out.push_str(&format!(
            "{:>5} {:>8.4} {:>8.4} {:>8.4} {:>8.4} {:>32} {:>32}\n",
            f.layer,
            ce.clean,
            ce.spliced,
            ce.averaged,
            ce.zeroed,
            percent(ce.from_mean),
            percent(ce.from_zero)
        ));
    }
    out
}

/// `98.71 % [97.90, 99.43]`
fn percent(recovered: Recovered) -> String {
    let share = recovered.share * 100.0;
    match recovered.interval {
        Some((low, high)) => format!("{share:.2} % [{:.2}, {:.2}]", low * 100.0, high * 100.0),
        None => format!("{share:.2} % [one passage]"),
    }
}

/// One passage a line: the `text` field of a JSON object, or the line itself.
fn passages(name: &str, text: &str) -> Result<Vec<String>> {
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(i, line)| {
            if !line.trim_start().starts_with('{') {
                return Ok(line.to_owned());
            }
            let value: serde_json::Value = serde_json::from_str(line).map_err(|e| {
                Error::malformed(
                    name,
                    format!("line {}, column {}", i + 1, e.column()),
                    "json",
                    e.to_string(),
                    "check the file",
                )
            })?;
            value.get("text").and_then(serde_json::Value::as_str).map(str::to_owned).ok_or_else(|| {
                Error::malformed(
                    name,
                    format!("line {}: text", i + 1),
                    "a string",
                    "nothing",
                    "each line is {\"text\": …}",
                )
            })
        })
        .collect()
}
