//! The default model in the precisions that save time and memory, beside f32: how much of its active features stays.

use std::fs;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::report::Outcome;
use crate::run::{in_ci, must, native, program, succeeds};

/// The default model.
const MODEL: &str = "smollm2-135m-instruct";

/// What is asked for, and the lowest Jaccard index of a layer's active features that it must have. The model is stored in
/// four bits, so that eight are a second error.
const ASKED: [(&str, &[&str], &str); 2] =
    [("bf16", &["--precision", "bf16"], "0.98"), ("q8", &["--quantize", "q8", "--allow-requantize"], "0.95")];

/// Of the built-in triples: without instructions for bf16 a processor takes seconds for each.
const SAMPLES: &str = "24";

/// Runs built-in triples in each, and compares; fetches the model where it is not there.
pub fn step(paths: &Paths) -> Result<Outcome> {
    native(paths)?;
    if !succeeds(program(paths, "fetch").arg(MODEL))? && !in_ci() {
        return Ok(Outcome::Ignored(format!("{MODEL} cannot be fetched")));
    }
    let folder = paths.target.join("precisions");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let analyze = |out: &str, more: &[&str]| {
        let mut command = program(paths, "analyze");
        must(
            command
                .args(["--device", "cpu", "--nulls", "off", "--limit", SAMPLES, "--out"])
                .arg(folder.join(out))
                .args(more),
        )
    };
    analyze("f32", &[])?;
    let (mut passed, mut failed) = (0, 0);
    for (name, more, least) in ASKED {
        analyze(name, more)?;
        let mut command = program(paths, "compare");
        let near = succeeds(command.arg(folder.join("f32")).arg(folder.join(name)).args(["--jaccard", least]))?;
        *(if near { &mut passed } else { &mut failed }) += 1;
    }
    Ok(Outcome::Tests { passed, failed, whole: true })
}
