//! Arguments that several commands have in common.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::convert::QuantizeArgs;
use crate::dataset::{Columns, DEFAULT_JOIN};
use crate::metrics::Noise;
use crate::model::registry;

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

/// `--device auto|cpu|gpu|gpu:N|gpu:N,gpu:M|all`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceArg {
    /// The first real GPU, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The first real GPU.
    FirstGpu,
    /// These adapters, of one kind; software rasterisers count too.
    Gpus(Vec<usize>),
    /// All real GPUs that are like the first one.
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
            other => {
                let numbers = other.split(',').map(|one| one.trim().strip_prefix("gpu:")?.parse().ok());
                numbers.collect::<Option<_>>().map(Self::Gpus).ok_or_else(|| {
                    if other.split(',').any(|one| one.trim() == "cpu") {
                        // shown together with what was given
                        return "the CPU beside a graphics device: their numbers agree to 1e-3, and which sample \
                                went where would depend on the time that each took"
                            .to_owned();
                    }
                    format!("expected auto, cpu, gpu, gpu:N, gpu:N,gpu:M or all, found {other:?}")
                })
            }
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
    /// Weights and inputs of products in bf16 on the CPU: half the memory; much faster where the processor has matrix
    /// tiles (AMX), hardly otherwise.
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
    /// Only these of the SAEs: of a known model's own, or of those given.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub layers: Vec<usize>,
    /// A tokenizer.json instead of the model's own.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Pass over a field of the model's config that is not known, on your word that it does not change
    /// the numbers; the manifest records it. Repeat for more.
    #[arg(long = "ignore-config-field", value_name = "NAME")]
    pub ignored_fields: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub quantize: QuantizeArgs,
}

/// Which device, and how.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// auto takes a GPU only if it is a real one; several, such as gpu:0,gpu:1, must be of one kind.
    #[arg(long, value_name = "auto|cpu|gpu|gpu:N|all", default_value = "auto")]
    pub device: DeviceArg,
    /// Number format of weights and matmuls.
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionArg,
}

/// Bytes: `800MB`, `1.5 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a size such as 800MB or 1.5GiB, found {text:?}");
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit: f64 = match unit.trim().to_ascii_lowercase().as_str() {
            "mb" | "m" => 1e6,
            "gb" | "g" => 1e9,
            "mib" => f64::from(1 << 20),
            "gib" => f64::from(1 << 30),
            _ => return Err(wrong()),
        };
        let bytes = number.parse::<f64>().map_err(|_| wrong())? * unit;
        // beyond 2⁵³ no machine
        if (1.0..9e15).contains(&bytes) { Ok(Self(bytes as u64)) } else { Err(wrong()) }
    }
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
