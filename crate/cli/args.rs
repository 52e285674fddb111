//! Arguments of every command.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::dataset::{Columns, DEFAULT_JOIN};
use crate::metrics::{Noise, SINK_MEDIANS};
use crate::model::registry;
use crate::run::Shard;

/// Spectrum and geometry of sparse-autoencoder features, measured with their controls.
#[derive(Debug, Parser)]
#[command(
    name = "saescope",
    version,
    about,
    arg_required_else_help = true,
    after_help = "\
Examples:
  saescope analyze                                the default model on the built-in 200 triples
  saescope analyze --model gemma-2-2b --dataset triples.json --out results
  saescope inspect \"The Eiffel Tower is in\"
  saescope models                                 what is known, what is in the cache"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a model and its SAEs over triples and write metrics.parquet, features.parquet,
    /// stats.parquet and manifest.json.
    #[command(after_help = "\
Examples:
  saescope analyze
  saescope analyze --model gemma-2-2b --dataset entity=people.csv --dataset dates.jsonl
  saescope analyze --model ./llama --sae 6=./sae_l6 --sae 14=./sae_l14 --dataset t.json --out run1
  saescope analyze --model model.gguf --sae 20=params.npz --dataset t.parquet --device cpu --logprob
  saescope analyze --resume runs/20260101_120000  go on with a run that was broken
  saescope analyze --dry-run                      what would be done, read and needed")]
    Analyze(Analyze),
    /// Join the parts of a run that were measured apart; equal to the run in one go.
    #[command(after_help = "\
Examples:
  saescope analyze --shard 1/2 --run-id mine --out part1
  saescope analyze --shard 2/2 --run-id mine --out part2
  saescope merge part1 part2 --out whole")]
    Merge(Merge),
    /// Compare two finished runs: active features by layer, the largest difference per metric, verdicts.
    #[command(after_help = "\
Examples:
  saescope compare f32 bf16
  saescope compare before after --tolerance 1e-6       exit status 1 where a metric differs by more
  saescope compare f32 bf16 --jaccard 0.98             or where fewer features are the same")]
    Compare(Compare),
    /// Compare one text at a time with batches: the largest difference per metric.
    #[command(after_help = "\
Examples:
  saescope verify
  saescope verify --model gemma-2-2b --dataset triples.json --batch-size 8 --tolerance 1e-6")]
    Verify(Verify),
    /// Time a sweep of batch sizes; print the table and write it as Parquet.
    #[command(after_help = "\
Examples:
  saescope bench
  saescope bench --batch-sizes 1,8,32 --out bench
  saescope bench --ablation --device cpu              what each optimisation is worth
  saescope bench --growth                             with samples, tokens, blocks, SAE width
  saescope bench --gemm                               GFLOP/s of matrix products
  saescope bench --make-model /tmp/gemma-shape --shape gemma-2-2b     a random model of that shape")]
    Bench(Bench),
    /// Show one text: its tokens, the top features per layer, and the likeliest next tokens.
    #[command(after_help = "\
Examples:
  saescope inspect \"The Eiffel Tower is in\"
  saescope inspect \"The capital of France is\" --logprob --top 5
  saescope inspect --model gemma-2-2b \"Water boils at\"")]
    Inspect(Inspect),
    /// Measure SAEs on text: L0, variance unexplained, dead features, cross-entropy recovered.
    #[command(after_help = "\
Examples:
  saescope health --text models/smollm2-135m-instruct/held_out.jsonl
  saescope health --model gemma-2-2b --text sample.jsonl --ce-texts 20")]
    Health(Health),
    /// Fetch a known model and its SAEs into the cache: resumable, checked by sha256.
    #[command(after_help = "\
Examples:
  saescope fetch smollm2-135m-instruct
  HF_TOKEN=... saescope fetch gemma-2-2b")]
    Fetch(Fetch),
    /// List the known models, their SAEs, and what is in the cache.
    Models,
    /// Serve the page on this machine alone, with the cached models and finished runs beside it.
    #[command(after_help = "\
Examples:
  saescope serve                                  then open the address that it prints
  saescope serve --open runs/20260101_120000      that run, in the browser
  saescope serve --runs ~/experiments --port 8080")]
    Serve(Serve),
    /// Lay models and finished runs beside a built page, to be shared on any static host.
    #[command(after_help = "\
Examples:
  saescope pack dist --model smollm2-135m-instruct --run runs/20260101_120000")]
    Pack(Pack),
    /// Print shell completions.
    #[command(after_help = "\
Examples:
  saescope completions bash > ~/.local/share/bash-completion/completions/saescope")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether it may ask which graphics adapters there are.
    pub fn looks_for_adapters(&self) -> bool {
        let device = match self {
            Self::Analyze(args) => &args.device,
            Self::Verify(args) => &args.device,
            Self::Bench(args) => &args.device,
            Self::Inspect(args) => &args.device,
            Self::Health(args) => &args.device,
            Self::Fetch(_)
            | Self::Merge(_)
            | Self::Compare(_)
            | Self::Models
            | Self::Serve(_)
            | Self::Pack(_)
            | Self::Completions { .. } => return false,
        };
        device.device != DeviceArg::Cpu
    }
}

/// `--sae LAYER=PATH`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaeArg {
    /// Block, 0-based.
    pub layer: usize,
    /// Its files.
    pub path: PathBuf,
}

impl FromStr for SaeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (layer, path) = text.split_once('=').ok_or("expected LAYER=PATH, for example 5=layer_5/params.npz")?;
        let layer = layer.trim().parse().map_err(|_| format!("the layer is a whole number, found {layer:?}"))?;
        if path.is_empty() {
            return Err("the path is empty".into());
        }
        Ok(Self { layer, path: path.into() })
    }
}

/// `--dataset [DOMAIN=]FILE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetArg {
    /// Sets the domain column.
    pub domain: Option<String>,
    /// JSON, JSONL, CSV or Parquet.
    pub path: PathBuf,
}

impl FromStr for DatasetArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // a file whose own name holds an equals sign wins over a domain
        match text.split_once('=') {
            Some((domain, path)) if !PathBuf::from(text).exists() => {
                Ok(Self { domain: Some(domain.to_owned()), path: path.into() })
            }
            _ => Ok(Self { domain: None, path: text.into() }),
        }
    }
}

/// `--device auto|cpu|gpu|gpu:N|all`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceArg {
    /// The first real GPU, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The first real GPU.
    FirstGpu,
    /// Adapter N; software rasterisers count too.
    Gpu(usize),
    /// All real GPUs, micro-batches dealt out among them.
    All,
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::FirstGpu),
            "all" => Ok(Self::All),
            other => other
                .strip_prefix("gpu:")
                .and_then(|n| n.parse().ok())
                .map(Self::Gpu)
                .ok_or_else(|| format!("expected auto, cpu, gpu, gpu:N or all, found {other:?}")),
        }
    }
}

/// `--precision f32|f16|bf16`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// 32-bit throughout.
    F32,
    /// Weights of at most 16 bits on a GPU: half the memory; sums stay in 32 bits.
    F16,
    /// Weights and inputs of products in bf16 on the CPU: several times as fast where the processor multiplies bf16.
    Bf16,
}

/// Which model and SAEs.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A known name, a Hugging Face folder, or a .gguf file.
    #[arg(long, value_name = "NAME|DIR|FILE.gguf", default_value = registry::DEFAULT)]
    pub model: String,
    /// An SAE and the layer it reads: Gemma Scope params.npz, SAELens folder, Gemma Scope 2 folder.
    /// Repeat for more layers. A known model brings its own.
    #[arg(long = "sae", value_name = "LAYER=PATH")]
    pub saes: Vec<SaeArg>,
    /// A tokenizer.json instead of the model's own.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Pass over a field of the model's config that is not known, on your word that it does not change
    /// the numbers; the manifest records it. Repeat for more.
    #[arg(long = "ignore-config-field", value_name = "NAME")]
    pub ignored_fields: Vec<String>,
}

/// Which device, and how.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// auto takes a GPU only if it is a real one.
    #[arg(long, value_name = "auto|cpu|gpu|gpu:N|all", default_value = "auto")]
    pub device: DeviceArg,
    /// Number format of weights and matmuls.
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionArg,
}

/// Which triples.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// JSON, JSONL, CSV or Parquet; DOMAIN= sets the domain column. Repeat for more files.
    /// Without it: the built-in 200 triples.
    #[arg(long = "dataset", value_name = "[DOMAIN=]FILE")]
    pub datasets: Vec<DatasetArg>,
    /// Go on without rows that cannot be used, after listing them.
    #[arg(long)]
    pub skip_invalid: bool,
    /// Only N samples: from each domain in proportion, drawn by the seed.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Columns or keys that are called otherwise: prompt=question,fact=correct,hallucination=wrong (also
    /// id, domain, complexity). Without ids, rows are called row-000001 and so on.
    #[arg(long, value_name = "FIELD=COLUMN,…", default_value = "", hide_default_value = true, value_parser = columns)]
    pub columns: Columns,
    /// What stands between prompt and completion: one space, unless told otherwise. `--join ""` joins
    /// them as they are.
    #[arg(long, value_name = "TEXT", default_value = DEFAULT_JOIN, hide_default_value = true)]
    pub join: String,
}

/// `--columns`; nothing where it is not given.
fn columns(text: &str) -> Result<Columns, String> {
    if text.is_empty() { Ok(Columns::default()) } else { text.parse() }
}

/// What the numbers depend on besides model, SAEs and data.
#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// Noise of the stability metric: relative to each residual's norm, or one σ for all.
    #[arg(long, value_name = "relative:0.1|absolute:S", default_value = "relative:0.1")]
    pub noise: Noise,
    /// Seed of the noise, of resampling, and of the draw of --limit.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Also measure the completions' log-probabilities (runs the whole model).
    #[arg(long)]
    pub logprob: bool,
}

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
    /// Hash the weight files anew; else the hash of a file that has not changed since is remembered.
    #[arg(long)]
    pub rehash: bool,
    /// Say where the time went, and write timeline.json beside the run's files: trace events, for Perfetto.
    #[arg(long)]
    pub profile: bool,
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

/// `bench`
#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub device: DeviceArgs,
    /// Triples per batch.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "N,N,…",
        default_value = "1,4,8,16,32,200",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub batch_sizes: Vec<u64>,
    /// Runs of each size: the table shows their median and the fastest and slowest.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Seed of the draw of --limit.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder for bench.parquet (gemm.parquet, ablation.parquet, growth.parquet).
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Time matrix products instead: every form that this processor, or the graphics device, can run.
    #[arg(long, conflicts_with_all = ["make_model", "ablation", "against"])]
    pub gemm: bool,
    /// Time the run as it is and with one optimisation left out at a time instead.
    #[arg(long, conflicts_with_all = ["make_model", "against"])]
    pub ablation: bool,
    /// Time how a run grows with samples, tokens, blocks and SAE width instead; fit the exponents.
    #[arg(long, conflicts_with_all = ["make_model", "against", "gemm", "ablation"])]
    pub growth: bool,
    /// Write a model with random weights and three SAEs of 16k features into this folder instead
    /// of timing anything.
    #[arg(long, value_name = "DIR")]
    pub make_model: Option<PathBuf>,
    /// Shape of the random model.
    #[arg(long, value_enum, default_value = "gemma-2-2b", requires = "make_model")]
    pub shape: ShapeArg,
    /// A reference program to time on the same triples, side by side (run through the shell; it
    /// prints a JSON line with `texts_per_s`).
    #[arg(long, value_name = "COMMAND")]
    pub against: Option<String>,
}

/// Shapes of random models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShapeArg {
    /// 26 layers, d_model 2304, SAEs at 5, 12, 20.
    #[value(name = "gemma-2-2b")]
    Gemma2_2b,
    /// 4 layers, d_model 64, SAEs at 1, 2, 3: for trying the command.
    Tiny,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// The text.
    pub text: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub device: DeviceArgs,
    /// Features shown per layer, and tokens per feature and for the continuation.
    #[arg(long, default_value_t = 8)]
    pub top: usize,
    /// Also show the likeliest next tokens (runs the whole model).
    #[arg(long)]
    pub logprob: bool,
}

/// `health`
#[derive(Debug, Args)]
pub struct Health {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub device: DeviceArgs,
    /// Text to measure on: a JSON object with a `text` field a line, or plain text, one passage a
    /// line.
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Leave out positions whose residual norm is above this many times the layer's median.
    #[arg(long, default_value_t = SINK_MEDIANS, value_name = "X")]
    pub outlier: f64,
    /// Passages for the cross-entropy, drawn at random; it runs the whole model three times per SAE.
    /// 0 leaves it out.
    #[arg(long, default_value_t = 40, value_name = "N")]
    pub ce_texts: usize,
    /// Seed of that draw and of the intervals.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// `fetch`
#[derive(Debug, Args)]
pub struct Fetch {
    /// A name that `saescope models` lists.
    pub name: String,
    /// Hash the files anew; else the hash of a file that has not changed since is remembered.
    #[arg(long)]
    pub rehash: bool,
}

/// `serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Folder of a finished run to show first; without it the page decides.
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Port on 127.0.0.1; 0 takes any free one. Without it 7878, or the next free one.
    #[arg(long)]
    pub port: Option<u16>,
    /// Also open the browser.
    #[arg(long)]
    pub open: bool,
    /// Folder of the built page; without it dist/ here, beside the program or in its checkout.
    #[arg(long, value_name = "DIR")]
    pub page: Option<PathBuf>,
    /// A finished run, or a folder of them, besides runs/ here. Repeat for more.
    #[arg(long, value_name = "DIR")]
    pub runs: Vec<PathBuf>,
}

/// `pack`
#[derive(Debug, Args)]
pub struct Pack {
    /// Folder of the built page.
    pub page: PathBuf,
    /// A name that `saescope models` lists. Repeat for more.
    #[arg(long = "model", value_name = "NAME")]
    pub models: Vec<String>,
    /// Folder of a finished run; the page opens the first by itself. Repeat for more.
    #[arg(long = "run", value_name = "DIR")]
    pub runs: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_parse_as_documented() {
        assert_eq!("5=a/b=c.npz".parse(), Ok(SaeArg { layer: 5, path: "a/b=c.npz".into() }));
        assert!("a/b.npz".parse::<SaeArg>().is_err() && "x=a".parse::<SaeArg>().is_err());
        assert_eq!("gpu:2".parse(), Ok(DeviceArg::Gpu(2)));
        assert!("tpu".parse::<DeviceArg>().is_err() && "gpu:x".parse::<DeviceArg>().is_err());
        assert_eq!(
            "entity=people.csv".parse(),
            Ok(DatasetArg { domain: Some("entity".into()), path: "people.csv".into() })
        );
        assert_eq!("people.csv".parse(), Ok(DatasetArg { domain: None, path: "people.csv".into() }));
    }
}
