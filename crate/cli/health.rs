//! `saescope health`: the figures of a model card, measured again.

use super::args::Health;
use super::{print, say, setup};
use crate::engine;
use crate::error::{Error, Result};
use crate::model::ops::Compute;

/// Prints the table on stdout.
///
/// # Errors
/// Unreadable text; whatever the engine says.
pub async fn run(args: &Health) -> Result<()> {
    let name = args.text.display().to_string();
    let text = std::fs::read_to_string(&args.text)
        .map_err(|e| Error::io(&name, "read", e, "`--text` takes JSON lines with a `text` field, or plain text"))?;
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
    let figures = engine::health(&loaded.model, &compute, &loaded.saes, &tokens, args.outlier, args.ce_texts).await?;
    print(&format!(
        "{:>5} {:>10} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>10}\n",
        "layer", "positions", "outliers", "L0", "FVU", "dead", "CE clean", "spliced", "zeroed", "recovered"
    ))?;
    for f in figures {
        print(&format!(
            "{:>5} {:>10} {:>9} {:>8.2} {:>8.4} {:>7.2}%",
            f.layer,
            f.positions,
            f.outliers,
            f.l0,
            f.fvu,
            f.dead * 100.0
        ))?;
        match f.cross_entropy {
            Some(ce) => print(&format!(
                " {:>9.4} {:>9.4} {:>9.4} {:>9.2}%\n",
                ce.clean,
                ce.spliced,
                ce.zeroed,
                ce.recovered() * 100.0
            ))?,
            None => print("\n")?,
        }
    }
    Ok(())
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
