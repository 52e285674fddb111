//! Arguments of every command.

mod calibrate;
mod convert;
mod parts;
mod runs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use calibrate::Calibrate;
pub use convert::{Convert, QuantizeArg, QuantizeArgs};
pub use parts::{Bytes, DataArgs, DatasetArg, DeviceArg, DeviceArgs, MeasureArgs, ModelArgs, PrecisionArg, SaeArg};
pub use runs::{Analyze, Compare, Merge, NullsArg, Report, Stats, Verify};

use crate::metrics::{NULL_DRAWS, SINK_MEDIANS};

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
    /// Make a finished run's stats.parquet again from its metrics.parquet, with the same or other settings.
    #[command(after_help = "\
Examples:
  saescope stats runs/20260101_120000                  the run's own, byte for byte
  saescope stats runs/20260101_120000 --bound 0.2      what is ruled out at |d_z| 0.2
  saescope stats runs/20260101_120000 --independent    every sample for itself, whatever it shares")]
    Stats(Stats),
    /// Does the instrument work on a run's model, SAEs and data: false alarms, a length trap, planted effects,
    /// positive controls, and what a linear probe of the residual stream can tell. Writes calibration.json.
    #[command(after_help = "\
Examples:
  saescope calibrate runs/20260101_120000
  saescope calibrate runs/20260101_120000 --no-model    from metrics.parquet alone
  saescope calibrate run1 --model ./llama --sae 6=./sae_l6 --dataset t.json    where they lie elsewhere now")]
    Calibrate(Calibrate),
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
  HF_TOKEN=... saescope fetch gemma-2-2b
  saescope fetch gemma-2-2b --labels              what its SAEs' features stand for, by Neuronpedia
  saescope fetch gpt2-small/3-res-jb --labels     the same of one dictionary")]
    Fetch(Fetch),
    /// Quantise a model and write it as a GGUF file, which every command reads like any other.
    #[command(after_help = "\
Examples:
  saescope convert gemma-2-2b --quantize q8 --out quantised
  saescope convert ./llama --quantize q4 --out llama-q4.gguf
  saescope analyze --model llama-q4.gguf --sae 6=./sae_l6      or without a file: --model ./llama --quantize q4")]
    Convert(Convert),
    /// List the known models, their SAEs, and what is in the cache.
    Models,
    /// Write a finished run as one document: figures, effects beside their controls, provenance, and the run
    /// itself. It opens in any browser, from a disk and without a network, and prints.
    #[command(after_help = "\
Examples:
  saescope report runs/20260101_120000            writes report.html into that folder
  saescope report runs/20260101_120000 --out paper/supplement.html
  saescope report runs/20260101_120000 --force    anew")]
    Report(Report),
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
            Self::Calibrate(args) if !args.no_model => &args.device,
            Self::Fetch(_)
            | Self::Convert(_)
            | Self::Merge(_)
            | Self::Compare(_)
            | Self::Stats(_)
            | Self::Calibrate(_)
            | Self::Models
            | Self::Report(_)
            | Self::Serve(_)
            | Self::Pack(_)
            | Self::Completions { .. } => return false,
        };
        device.device != DeviceArg::Cpu
    }
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
        conflicts_with_all = ["make_model", "gemm", "ablation", "growth"],
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub batch_sizes: Vec<u64>,
    /// Draws of each null of the geometry.
    #[arg(long, value_name = "N|off", default_value_t = NullsArg(NULL_DRAWS), conflicts_with_all = ["make_model", "gemm"])]
    pub nulls: NullsArg,
    /// Runs of each size: the table shows their median and the fastest and slowest.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Seed of the draw of --limit.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder for bench.parquet (gemm.parquet, ablation.parquet, growth.parquet and its chart growth.svg).
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Time matrix products instead: every form that this processor, or the graphics device, can run.
    #[arg(long, conflicts_with_all = ["make_model", "ablation", "against"])]
    pub gemm: bool,
    /// Time the run as it is and with one optimisation left out at a time instead.
    #[arg(long, conflicts_with_all = ["make_model", "against"])]
    pub ablation: bool,
    /// Time how a run grows with samples, tokens, SAEs, blocks and SAE width instead; fit the exponents.
    #[arg(long, conflicts_with_all = ["make_model", "against", "gemm", "ablation"])]
    pub growth: bool,
    /// Samples of each step of --growth, without it an eighth to all of them. More than there are stand several times
    /// over, each time behind another number, so that they share no beginning.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "N,N,…",
        requires = "growth",
        conflicts_with_all = ["make_model", "against", "gemm", "ablation"],
        value_parser = clap::value_parser!(u64).range(1..=1 << 24)
    )]
    pub samples: Vec<u64>,
    /// Features of the random SAEs of --growth.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "N,N,…",
        default_value = "16384,65536,262144",
        requires = "growth",
        conflicts_with_all = ["make_model", "against", "gemm", "ablation"],
        value_parser = clap::value_parser!(u64).range(16..=1 << 24)
    )]
    pub sae_widths: Vec<u64>,
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
    /// What features stand for: an export of explanations from Neuronpedia (JSON Lines, plain or gzipped); without it
    /// what `saescope fetch NAME --labels` has fetched.
    #[arg(long, value_name = "FILE")]
    pub labels: Vec<PathBuf>,
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
    /// A name that `saescope models` lists; with --labels a dictionary's name on Neuronpedia, too.
    pub name: String,
    /// Fetch what Neuronpedia says of its SAEs' features in place of the model: `inspect` and `report` show it then.
    #[arg(long)]
    pub labels: bool,
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
        assert_eq!("gpu:2".parse(), Ok(DeviceArg::Gpus(vec![2])));
        assert!("tpu".parse::<DeviceArg>().is_err() && "gpu:x".parse::<DeviceArg>().is_err());
        assert_eq!(
            "entity=people.csv".parse(),
            Ok(DatasetArg { domain: Some("entity".into()), path: "people.csv".into() })
        );
        assert_eq!("people.csv".parse(), Ok(DatasetArg { domain: None, path: "people.csv".into() }));
    }
}
