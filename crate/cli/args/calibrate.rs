//! Arguments of `calibrate`.

use std::path::PathBuf;

use clap::Args;

use super::{DatasetArg, DeviceArgs, SaeArg};

/// `calibrate`
#[derive(Debug, Args)]
pub struct Calibrate {
    /// Folder of a finished run; calibration.json is written into it.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The run's model, where it is not found by the name or the path in its manifest.
    #[arg(long, value_name = "NAME|DIR|FILE.gguf", conflicts_with = "no_model")]
    pub model: Option<String>,
    /// The run's SAEs, likewise. Repeat for more layers.
    #[arg(long = "sae", value_name = "LAYER=PATH", conflicts_with = "no_model")]
    pub saes: Vec<SaeArg>,
    /// A tokenizer.json instead of the model's own, where the run had one.
    #[arg(long, value_name = "FILE", conflicts_with = "no_model")]
    pub tokenizer: Option<PathBuf>,
    /// The run's data, where they are not found by the path in its manifest. Repeat for more files.
    #[arg(long = "dataset", value_name = "[DOMAIN=]FILE", conflicts_with = "no_model")]
    pub datasets: Vec<DatasetArg>,
    /// Leave out what needs the model: the length trap, the positive controls and the ceiling.
    #[arg(long)]
    pub no_model: bool,
    /// How often fact and hallucination are swapped at random.
    #[arg(long = "seeds", value_name = "N", default_value_t = 200, value_parser = swaps)]
    pub swaps: usize,
    /// Samples of the run that the length trap and the ceiling are made of, at most; drawn by the seed.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = limit)]
    pub limit: usize,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub device: DeviceArgs,
}

/// `--seeds`
fn swaps(text: &str) -> Result<usize, String> {
    let wrong = || format!("expected a number from 20 to 10000, found {text:?}");
    text.trim().parse().ok().filter(|n| (20..=10_000).contains(n)).ok_or_else(wrong)
}

/// `--limit`: a probe's kernel has the square of twice as many numbers.
fn limit(text: &str) -> Result<usize, String> {
    let wrong = || format!("expected a number from 20 to 1000, found {text:?}");
    text.trim().parse().ok().filter(|n| (20..=1000).contains(n)).ok_or_else(wrong)
}
