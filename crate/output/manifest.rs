//! `manifest.json`: what was run, on what, how, and how it went.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::layout::Rows;
use super::timeline::Timeline;
use crate::error::{Error, Result};
use crate::metrics::LayerHealth;
use crate::sae;

/// Version of the files' format; any change of docs/METRICS.md that a reader has to know raises it.
pub const SCHEMA_VERSION: u32 = 4;

/// Name of the file in a run's folder.
pub(super) const FILE: &str = "manifest.json";

/// Everything that is needed to judge a run and to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Manifest {
    /// [`SCHEMA_VERSION`] of the program that wrote the run.
    pub schema_version: u32,
    /// Unique name of the run.
    pub run_id: String,
    /// Start of the run, UTC, RFC 3339.
    #[cfg_attr(test, ts(type = "string"))]
    pub started_at: jiff::Timestamp,
    /// What wrote it.
    pub program: ProgramInfo,
    /// The language model.
    pub model: ModelInfo,
    /// Its tokenizer.
    pub tokenizer: TokenizerInfo,
    /// SAE layers in the order that "first", "second" and "third" refer to.
    pub layers: Vec<usize>,
    /// One entry per layer.
    pub saes: Vec<SaeInfo>,
    /// What was analysed.
    pub dataset: DatasetInfo,
    /// Noise behind `stability`.
    pub noise: NoiseInfo,
    /// Nulls of the geometry; absent where none were drawn.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub nulls: Option<NullsInfo>,
    /// What `stats.parquet` was made with; absent in earlier runs, and in parts whose comparisons are left to
    /// `merge`.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub statistics: Option<StatisticsInfo>,
    /// Where and how numbers were computed.
    pub compute: ComputeInfo,
    /// How texts were packed.
    pub batch: BatchInfo,
    /// How long it took.
    pub timings: Timings,
    /// When it did what; absent in earlier runs.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub timeline: Option<Timeline>,
    /// Whether the SAEs fit the model.
    pub sae_health: Vec<LayerHealth>,
    /// Everything that a reader of the results has to know first; empty is good.
    pub warnings: Vec<String>,
    /// Samples without a row, with the reason; none is dropped in silence.
    pub failed_samples: Vec<FailedSample>,
    /// The run's other files, as they were written; absent in earlier runs.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<_>", optional))]
    pub files: Vec<FileInfo>,
}

/// Program version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ProgramInfo {
    /// `saescope`.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub git_commit: String,
}

impl ProgramInfo {
    /// This build.
    pub fn this() -> Self {
        Self {
            name: "saescope".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            git_commit: env!("SAESCOPE_GIT_COMMIT").into(),
        }
    }
}

/// A file that numbers depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FileInfo {
    /// Path or URL, as it was read.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file, lower-case hex; none where it was not read in full (a byte range
    /// over the network cannot be hashed).
    pub sha256: Option<String>,
}

/// The language model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModelInfo {
    /// Name in the registry, or of the folder or file.
    pub name: String,
    /// Family as this program calls it.
    pub architecture: String,
    /// Hub id, package or path.
    pub source: String,
    /// Revision of the source, where it has one.
    pub revision: Option<String>,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Blocks that the model has.
    pub n_layers: usize,
    /// Storage types of the weights, such as `BF16` or `Q4_K`.
    pub quantization: String,
    /// What the weights were quantised to as they were read, as on the command line: `q8`, `q4`; none where they
    /// were taken as they are stored, absent in earlier runs.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub quantized: Option<String>,
    /// Weight and config files.
    pub files: Vec<FileInfo>,
    /// Fields of the config that were passed over, since they are private or on request; absent in runs of
    /// version 1.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<_>", optional))]
    pub ignored_config_fields: Vec<IgnoredField>,
}

/// A field of a model's config that nobody read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct IgnoredField {
    /// Its name.
    pub name: String,
    /// Its value, as JSON.
    pub value: String,
    /// Whether the user asked for it; else it is a private field, which no forward pass reads.
    pub asked: bool,
}

/// The tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TokenizerInfo {
    /// The file it came from.
    pub file: FileInfo,
    /// Which rule put or left out the BOS, in words.
    pub bos_rule: String,
}

/// One SAE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SaeInfo {
    /// Block whose `resid_post` it reads.
    pub layer: usize,
    /// Name in the registry, or of the folder or file.
    pub id: String,
    /// The encoder's nonlinearity.
    pub architecture: sae::Architecture,
    /// How it lies on disk.
    pub format: sae::Format,
    /// Width of the dictionary.
    pub d_sae: usize,
    /// L0 that its name or config declares, where it does.
    pub declared_l0: Option<f64>,
    /// Hook that it was trained on, as its config names it.
    pub hook: Option<String>,
    /// Whether its training texts began with BOS, where its config says.
    pub prepend_bos: Option<bool>,
    /// Whether b_dec is subtracted from the input.
    pub apply_b_dec_to_input: bool,
    /// What is done to each input row.
    pub normalize_activations: sae::NormalizeActivations,
    /// Factor of `expected_average_only_in`.
    pub norm_scaling_factor: Option<f64>,
    /// Whether each input row's mean is subtracted.
    pub center_input: bool,
    /// Whether pre-activations are scaled by their decoder row's norm.
    pub rescale_acts_by_decoder_norm: bool,
    /// How positions come of the rows of `W_dec`.
    pub decoder_rows: DecoderRows,
    /// Its files.
    pub files: Vec<FileInfo>,
}

/// How positions come of the rows of `W_dec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum DecoderRows {
    /// As the file holds them; a norm that training kept apart is not folded in.
    #[serde(rename = "as stored, unfolded")]
    AsStored,
}

/// The data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DatasetInfo {
    /// The files, or `builtin`.
    pub files: Vec<FileInfo>,
    /// Samples run, failed ones included.
    pub samples: usize,
    /// Only so many were asked for: drawn from each domain in proportion, by the seed.
    pub limit: Option<usize>,
    /// Only this part was run, as on the command line: `1/3`; absent in earlier runs.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub shard: Option<String>,
    /// What stands between prompt and completion; absent in runs of version 1, where it is a space.
    #[serde(default = "space")]
    #[cfg_attr(test, ts(as = "Option<_>", optional))]
    pub join: String,
    /// Columns that are called otherwise, as on the command line: `prompt=question,fact=correct`; absent in
    /// runs of version 1.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub columns: Option<String>,
    /// Whether ids were made from row numbers, since a file has none; absent in runs of version 1.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<_>", optional))]
    pub made_ids: bool,
    /// Rows that could not be used and were skipped on request, each with its place and reason.
    pub skipped_rows: Vec<String>,
}

/// What stood between prompt and completion before one could choose.
fn space() -> String {
    " ".to_owned()
}

/// Noise rule and seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NoiseInfo {
    /// As on the command line: `relative:0.1`.
    pub rule: String,
    /// Seed of the noise, and of the resampling in `stats.parquet`.
    pub seed: u64,
}

/// How the nulls of the geometry were drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NullsInfo {
    /// Draws of each null.
    pub draws: usize,
    /// Their seed.
    pub seed: u64,
    /// Decoder rows, and random directions, that they are drawn from.
    pub pool_rows: usize,
    /// Active features up to which a text has nulls.
    pub most_features: usize,
}

/// What the statistics depend on beside the samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StatisticsInfo {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Resamples behind an interval.
    pub resamples: usize,
    /// |d_z| that equivalence is tested against.
    pub equivalence_bound: f64,
    /// Whether samples of one cluster were taken together.
    pub clusters: bool,
    /// How well features tell hallucinations from facts, what has nothing to do with features, and the residual stream;
    /// absent in earlier runs, and where there are too few samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(as = "Option<_>", optional))]
    pub classifiers: Vec<ClassifierInfo>,
}

/// A classifier of hallucination against fact: a logistic regression with an L1 penalty, of the residual stream a ridge
/// regression; each text scored by a fit to others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ClassifierInfo {
    /// What it reads: `features`, `l0`, `n_tokens`, `logprob`, `residual`.
    pub reads: String,
    /// The SAE layer; null for what has none.
    pub layer: Option<usize>,
    /// Triples.
    pub samples: usize,
    /// Columns that it may use.
    pub columns: usize,
    /// Columns that a fit uses, on average.
    pub kept: f64,
    /// Area under the ROC curve of the scores; null where there is none.
    pub auroc: Option<f64>,
    /// Its 95 % interval, by clusters.
    pub auroc_interval: Option<(f64, f64)>,
    /// Triples in closed chains of equal length.
    pub samples_at_equal_length: usize,
    /// The area of the same scores among those, where length tells nothing.
    pub auroc_at_equal_length: Option<f64>,
    /// Its 95 % interval.
    pub auroc_at_equal_length_interval: Option<(f64, f64)>,
    /// Mean area of the same with labels swapped at random.
    pub swapped_auroc: Option<f64>,
    /// Share of those areas, the own one among them, that are at least the own one.
    pub swapped_p: Option<f64>,
    /// The same for the largest area over all layers under the same swaps; absent in earlier runs.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub swapped_p_over_layers: Option<f64>,
}

/// Where and how numbers were computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ComputeInfo {
    /// Number format of weights and matmuls.
    pub precision: Precision,
    /// `cpu`, `gpu` (a browser's), `gpu:1`, `all`.
    pub device: String,
    /// Name of the adapter, where there is one.
    pub adapter: Option<String>,
    /// What computed.
    pub backend: Backend,
    /// Threads of the host side; in a browser, workers that computed side by side.
    pub threads: usize,
    /// Where the weights were.
    pub weights: Weights,
}

/// Number format of weights and matmuls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Precision {
    /// 32-bit throughout.
    F32,
    /// 16-bit weights on a GPU; what is computed stays 32-bit.
    F16,
    /// The model's weights and matmul inputs rounded to bf16, on the CPU; the rest, and the SAEs, in 32 bits.
    Bf16,
}

/// The tensor library's back end, and where it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Backend {
    /// The CPU, natively.
    #[serde(rename = "flex")]
    Flex,
    /// The CPU, in a browser.
    #[serde(rename = "flex (wasm simd)")]
    FlexWasm,
    /// A graphics adapter, through Vulkan.
    #[serde(rename = "wgpu (vulkan)")]
    WgpuVulkan,
    /// A graphics adapter, through Metal.
    #[serde(rename = "wgpu (metal)")]
    WgpuMetal,
    /// A graphics adapter, through Direct3D 12.
    #[serde(rename = "wgpu (dx12)")]
    WgpuDx12,
    /// A graphics adapter, in a browser.
    #[serde(rename = "wgpu (webgpu)")]
    WgpuWebgpu,
}

/// Where the weights are while a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Weights {
    /// Read block by block, each used once and dropped.
    #[serde(alias = "streaming")]
    Streamed,
    /// Kept on the device.
    Resident,
}

/// How texts were packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BatchInfo {
    /// Samples per micro-batch.
    pub batch_size: usize,
    /// Micro-batches.
    pub batches: usize,
    /// Texts analysed.
    pub texts: usize,
    /// Tokens of all texts.
    pub tokens: usize,
    /// Distinct prefixes that were computed.
    pub tokens_computed: usize,
}

/// Seconds of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StageTiming {
    /// Name of the stage.
    pub stage: String,
    /// Seconds spent in it; stages may overlap.
    pub seconds: f64,
}

/// Time and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Timings {
    /// By stage.
    pub stages: Vec<StageTiming>,
    /// Wall-clock seconds of measuring.
    pub total_seconds: f64,
    /// Samples over total seconds.
    pub samples_per_second: f64,
    /// Processes that measured the run, whose seconds add up: more than one where it was continued after
    /// a break, or merged from parts; absent in earlier runs.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<_>", optional))]
    pub parts: usize,
    /// Peak memory of the process, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Most bytes in buffers of the graphics device at once, where they are counted (in a browser); absent in
    /// the earliest runs.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub peak_gpu_buffer_bytes: Option<u64>,
    /// What went to graphics devices and came back; absent where none computed, and in earlier runs.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub moved: Option<MovedInfo>,
}

/// Traffic between the host and graphics devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MovedInfo {
    /// Bytes of weights, indices and activations that devices were given.
    pub uploaded_bytes: u64,
    /// Bytes that were read back.
    pub read_back_bytes: u64,
    /// How often the host waited for that.
    pub waits: u64,
}

/// A sample without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FailedSample {
    /// The data set's id.
    pub sample_id: String,
    /// What went wrong.
    pub reason: String,
}

/// `manifest.json` as bytes: pretty-printed, keys in the order of the fields, a span of the timeline on a line.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn manifest_json(manifest: &Manifest) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::io(FILE, "write", e, "please report this");
    let mut bytes = Vec::new();
    let mut json = serde_json::Serializer::with_formatter(&mut bytes, Rows::default());
    manifest.serialize(&mut json).map_err(|e| failed(e.into()))?;
    bytes.write_all(b"\n").map_err(failed)?;
    Ok(bytes)
}
