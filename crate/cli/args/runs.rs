//! Arguments of the commands that make runs, and join or compare them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::{Bytes, DataArgs, DeviceArgs, MeasureArgs, ModelArgs};
use crate::metrics::NULL_DRAWS;
use crate::run::Shard;

/// `analyze`
#[derive(Debug, Args)]
pub struct Analyze {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub device: DeviceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub measure: MeasureArgs,
    /// Draws of each null of the geometry: random rows of the decoder, permuted activations, a random dictionary.
    #[arg(long, value_name = "N|off", default_value_t = NullsArg(NULL_DRAWS))]
    pub nulls: NullsArg,
    /// Triples per batch. The numbers do not depend on it; without it the device decides.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch_size: Option<u64>,
    /// Folder for the run's files; without it runs/YYYYMMDD_HHMMSS.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace a run that --out already holds.
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Go on with a run that was broken, by its folder, as it was asked for.
    #[arg(long, value_name = "RUN", exclusive = true)]
    pub resume: Option<PathBuf>,
    /// Only part I of N, from 1: which samples these are depends on their ids alone. `saescope merge` joins
    /// the parts.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Leave a part's comparisons out: `saescope merge` makes those of the whole run, `saescope stats` the part's own.
    #[arg(long, requires = "shard")]
    pub no_stats: bool,
    /// The run's name, in every row of metrics.parquet; without it the time of its beginning. Parts of one
    /// run need one name.
    #[arg(long, value_name = "NAME", value_parser = run_id)]
    pub run_id: Option<String>,
    /// Say what would be done, read, fetched and needed; measure nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Samples per pass through the model, which reads the weights once: so many are lost at most when the
    /// run is broken. The numbers do not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub pass: Option<u64>,
    /// Take so much memory at most, of the device that computes (or of this machine, on the CPU): batches are
    /// made smaller until the run fits. Without it: what is free, where the system tells. The numbers do not
    /// depend on it.
    #[arg(long, value_name = "SIZE")]
    pub memory_budget: Option<Bytes>,
    /// Hash the weight files anew; else the hash of a file that has not changed since is remembered.
    #[arg(long)]
    pub rehash: bool,
    /// Say where the time went, by stage and by operation or kernel, and write timeline.json beside the run's
    /// files: trace events, for Perfetto.
    #[arg(long)]
    pub profile: bool,
}

/// `--nulls`: draws of each; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NullsArg(pub usize);

/// As it is typed.
impl fmt::Display for NullsArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("off") } else { self.0.fmt(f) }
    }
}

impl FromStr for NullsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // a spread needs some
        const LEAST: usize = 20;
        const MOST: usize = 100_000;
        match text.trim() {
            "off" | "0" => Ok(Self(0)),
            number => match number.parse() {
                Ok(n) if (LEAST..=MOST).contains(&n) => Ok(Self(n)),
                _ => Err(format!("expected off or a number from {LEAST} to {MOST}, found {text:?}")),
            },
        }
    }
}

/// `--run-id`
fn run_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("the name is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// `merge`
#[derive(Debug, Args)]
pub struct Merge {
    /// Folders of all parts of a run: of `analyze --shard 1/N` to `--shard N/N`.
    #[arg(value_name = "RUN", required = true)]
    pub parts: Vec<PathBuf>,
    /// Folder for the merged run's files.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace a run that --out already holds.
    #[arg(long)]
    pub force: bool,
    /// The merged run's name, where the parts do not share one.
    #[arg(long, value_name = "NAME", value_parser = run_id)]
    pub run_id: Option<String>,
}

/// `stats`
#[derive(Debug, Args)]
pub struct Stats {
    /// Folder of a finished run; its stats.parquet and stats_features.parquet are replaced, and its manifest says
    /// with what.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// |d_z| that a difference is to be shown to be smaller than; without it 0.3.
    #[arg(long, value_name = "X", value_parser = bound)]
    pub bound: Option<f64>,
    /// Resamples behind an interval; without it 10,000.
    #[arg(long, value_name = "N", value_parser = resamples)]
    pub resamples: Option<usize>,
    /// Seed of everything that is drawn; without it the one that the comparisons were made with.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Count every sample as independent of the others, whatever cluster it is in.
    #[arg(long)]
    pub independent: bool,
}

/// `--bound`
fn bound(text: &str) -> Result<f64, String> {
    let wrong = || format!("expected a number above 0 and at most 10, found {text:?}");
    text.trim().parse().ok().filter(|bound| *bound > 0.0 && *bound <= 10.0).ok_or_else(wrong)
}

/// `--resamples`
fn resamples(text: &str) -> Result<usize, String> {
    let wrong = || format!("expected a number from 100 to 1000000, found {text:?}");
    text.trim().parse().ok().filter(|n| (100..=1_000_000).contains(n)).ok_or_else(wrong)
}

/// `compare`
#[derive(Debug, Args)]
pub struct Compare {
    /// Folder of a finished run.
    #[arg(value_name = "RUN")]
    pub first: PathBuf,
    /// Folder of the run to compare it with.
    #[arg(value_name = "RUN")]
    pub second: PathBuf,
    /// Largest relative difference of a metric that passes.
    #[arg(long, value_name = "X")]
    pub tolerance: Option<f64>,
    /// Least mean Jaccard index of a layer's active features that passes.
    #[arg(long, value_name = "X")]
    pub jaccard: Option<f64>,
    /// List every metric, those without a difference too.
    #[arg(long)]
    pub all: bool,
}

/// `report`
#[derive(Debug, Args)]
pub struct Report {
    /// Folder of a finished run.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// What features stand for: an export of explanations from Neuronpedia (JSON Lines, plain or gzipped); without it
    /// what `saescope fetch NAME --labels` has fetched.
    #[arg(long, value_name = "FILE")]
    pub labels: Vec<PathBuf>,
    /// Also show which tokens the features in its tables promote: reads the run's model, which is the one that
    /// --model and --sae name.
    #[arg(long)]
    pub promoted: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    /// File to write; without it report.html in the run's folder.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace a file that is there already.
    #[arg(long)]
    pub force: bool,
}

/// `verify`
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub device: DeviceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub measure: MeasureArgs,
    /// Triples per batch of the batched run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch_size: Option<u64>,
    /// Largest relative difference that passes; by default 1e-6 on the CPU, 1e-3 on a GPU.
    #[arg(long, value_name = "X")]
    pub tolerance: Option<f64>,
    /// Show metrics without a difference too.
    #[arg(long)]
    pub all: bool,
}
