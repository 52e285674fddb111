// Written from crate/output/manifest.rs by its tests (see crate/protocol/typescript.rs): do not edit.

/** The version of the files' format that this program writes. */
export const SCHEMA_VERSION = 4;

/** The tensor library's back end, and where it computes. */
export type Backend = "flex" | "flex (wasm simd)" | "wgpu (vulkan)" | "wgpu (metal)" | "wgpu (dx12)" | "wgpu (webgpu)";

/** How texts were packed. */
export type BatchInfo = {
  /** Samples per micro-batch. */
  batch_size: number,
  /** Micro-batches. */
  batches: number,
  /** Texts analysed. */
  texts: number,
  /** Tokens of all texts. */
  tokens: number,
  /** Distinct prefixes that were computed. */
  tokens_computed: number,
};

/** A classifier of hallucination against fact: a logistic regression with an L1 penalty, of the residual stream a ridge
 * regression; each text scored by a fit to others. */
export type ClassifierInfo = {
  /** What it reads: `features`, `l0`, `n_tokens`, `logprob`, `residual`. */
  reads: string,
  /** The SAE layer; null for what has none. */
  layer: number | null,
  /** Triples. */
  samples: number,
  /** Columns that it may use. */
  columns: number,
  /** Columns that a fit uses, on average. */
  kept: number,
  /** Area under the ROC curve of the scores; null where there is none. */
  auroc: number | null,
  /** Its 95 % interval, by clusters. */
  auroc_interval: [number,
  number] | null,
  /** Triples in closed chains of equal length. */
  samples_at_equal_length: number,
  /** The area of the same scores among those, where length tells nothing. */
  auroc_at_equal_length: number | null,
  /** Its 95 % interval. */
  auroc_at_equal_length_interval: [number,
  number] | null,
  /** Mean area of the same with labels swapped at random. */
  swapped_auroc: number | null,
  /** Share of those areas, the own one among them, that are at least the own one. */
  swapped_p: number | null,
  /** The same for the largest area over all layers under the same swaps; absent in earlier runs. */
  swapped_p_over_layers?: number | null,
};

/** Where and how numbers were computed. */
export type ComputeInfo = {
  /** Number format of weights and matmuls. */
  precision: Precision,
  /** `cpu`, `gpu` (a browser's), `gpu:1`, `all`. */
  device: string,
  /** Name of the adapter, where there is one. */
  adapter: string | null,
  /** What computed. */
  backend: Backend,
  /** Threads of the host side; in a browser, workers that computed side by side. */
  threads: number,
  /** Where the weights were. */
  weights: Weights,
};

/** The data set. */
export type DatasetInfo = {
  /** The files, or `builtin`. */
  files: Array<FileInfo>,
  /** Samples run, failed ones included. */
  samples: number,
  /** Only so many were asked for: drawn from each domain in proportion, by the seed. */
  limit: number | null,
  /** Only this part was run, as on the command line: `1/3`; absent in earlier runs. */
  shard?: string | null,
  /** What stands between prompt and completion; absent in runs of version 1, where it is a space. */
  join?: string,
  /** Columns that are called otherwise, as on the command line: `prompt=question,fact=correct`; absent in
   * runs of version 1. */
  columns?: string | null,
  /** Whether ids were made from row numbers, since a file has none; absent in runs of version 1. */
  made_ids?: boolean,
  /** Rows that could not be used and were skipped on request, each with its place and reason. */
  skipped_rows: Array<string>,
};

/** How positions come of the rows of `W_dec`. */
export type DecoderRows = "as stored, unfolded";

/** A sample without a row. */
export type FailedSample = {
  /** The data set's id. */
  sample_id: string,
  /** What went wrong. */
  reason: string,
};

/** A file that numbers depend on. */
export type FileInfo = {
  /** Path or URL, as it was read. */
  path: string,
  /** Size in bytes. */
  bytes: number,
  /** SHA-256 of the whole file, lower-case hex; none where it was not read in full (a byte range
   * over the network cannot be hashed). */
  sha256: string | null,
};

/** A field of a model's config that nobody read. */
export type IgnoredField = {
  /** Its name. */
  name: string,
  /** Its value, as JSON. */
  value: string,
  /** Whether the user asked for it; else it is a private field, which no forward pass reads. */
  asked: boolean,
};

/** How long a lane was at work. */
export type LaneTime = {
  /** `reader` (reading ahead), `compute` (the run itself, on the host), `device` (graphics devices). */
  lane: string,
  /** Seconds in which it was at work, or of a device: in which it may have been. */
  busy_seconds: number,
  /** Share of the part's seconds in which it was idle for certain; what is idle within a piece of work is not in
   * it. A lower bound. */
  idle_at_least: number,
};

/** Health of one SAE over a run's fact and hallucination texts (prompts are a part of both, and
 * would count the shared positions a third time), those that are read at attention sinks left out:
 * no SAE is trained on such positions. */
export type LayerHealth = {
  /** Block number. */
  layer: number,
  /** Texts that were looked at. */
  texts: number,
  /** Texts that were left out, since they are read at an attention sink; absent in runs of version 1. */
  sinks?: number,
  /** Median residual norm of ordinary text at this layer; a norm above twice that is a sink's. Absent in
   * runs of version 1. */
  median_norm?: number | null,
  /** Mean number of active features per text; none without texts. */
  mean_l0: number | null,
  /** The L0 that the SAE's name or config declares, where it does. */
  declared_l0: number | null,
  /** Pooled fraction of variance unexplained, Σ‖x − x̂‖² / Σ‖x − μ‖² with μ the mean of x over
   * the texts looked at; none where the residuals do not vary. */
  fvu: number | null,
  /** Share of texts without any active feature; none without texts. */
  dead_share: number | null,
  /** What to be loud about; empty where the SAE fits. */
  warnings: Array<string>,
};

/** Everything that is needed to judge a run and to repeat it. */
export type Manifest = {
  /** [`SCHEMA_VERSION`] of the program that wrote the run. */
  schema_version: number,
  /** Unique name of the run. */
  run_id: string,
  /** Start of the run, UTC, RFC 3339. */
  started_at: string,
  /** What wrote it. */
  program: ProgramInfo,
  /** The language model. */
  model: ModelInfo,
  /** Its tokenizer. */
  tokenizer: TokenizerInfo,
  /** SAE layers in the order that "first", "second" and "third" refer to. */
  layers: Array<number>,
  /** One entry per layer. */
  saes: Array<SaeInfo>,
  /** What was analysed. */
  dataset: DatasetInfo,
  /** Noise behind `stability`. */
  noise: NoiseInfo,
  /** Nulls of the geometry; absent where none were drawn. */
  nulls?: NullsInfo | null,
  /** What `stats.parquet` was made with; absent in earlier runs, and in parts whose comparisons are left to
   * `merge`. */
  statistics?: StatisticsInfo | null,
  /** Where and how numbers were computed. */
  compute: ComputeInfo,
  /** How texts were packed. */
  batch: BatchInfo,
  /** How long it took. */
  timings: Timings,
  /** When it did what; absent in earlier runs. */
  timeline?: Timeline | null,
  /** Whether the SAEs fit the model. */
  sae_health: Array<LayerHealth>,
  /** Everything that a reader of the results has to know first; empty is good. */
  warnings: Array<string>,
  /** Samples without a row, with the reason; none is dropped in silence. */
  failed_samples: Array<FailedSample>,
  /** The run's other files, as they were written; absent in earlier runs. */
  files?: Array<FileInfo>,
};

/** The language model. */
export type ModelInfo = {
  /** Name in the registry, or of the folder or file. */
  name: string,
  /** Family as this program calls it. */
  architecture: string,
  /** Hub id, package or path. */
  source: string,
  /** Revision of the source, where it has one. */
  revision: string | null,
  /** Width of the residual stream. */
  d_model: number,
  /** Blocks that the model has. */
  n_layers: number,
  /** Storage types of the weights, such as `BF16` or `Q4_K`. */
  quantization: string,
  /** What the weights were quantised to as they were read, as on the command line: `q8`, `q4`; none where they
   * were taken as they are stored, absent in earlier runs. */
  quantized?: string | null,
  /** Weight and config files. */
  files: Array<FileInfo>,
  /** Fields of the config that were passed over, since they are private or on request; absent in runs of
   * version 1. */
  ignored_config_fields?: Array<IgnoredField>,
};

/** Traffic between the host and graphics devices. */
export type MovedInfo = {
  /** Bytes of weights, indices and activations that devices were given. */
  uploaded_bytes: number,
  /** Bytes that were read back. */
  read_back_bytes: number,
  /** How often the host waited for that. */
  waits: number,
};

/** Noise rule and seed. */
export type NoiseInfo = {
  /** As on the command line: `relative:0.1`. */
  rule: string,
  /** Seed of the noise, and of the resampling in `stats.parquet`. */
  seed: number,
};

/** A [`Normalization`] without its factor, under the name that SAELens gives it. */
export type NormalizeActivations = "none" | "expected_average_only_in" | "constant_norm_rescale" | "layer_norm";

/** How the nulls of the geometry were drawn. */
export type NullsInfo = {
  /** Draws of each null. */
  draws: number,
  /** Their seed. */
  seed: number,
  /** Decoder rows, and random directions, that they are drawn from. */
  pool_rows: number,
  /** Active features up to which a text has nulls. */
  most_features: number,
};

/** Number format of weights and matmuls. */
export type Precision = "f32" | "f16" | "bf16";

/** Program version. */
export type ProgramInfo = {
  /** `saescope`. */
  name: string,
  /** Version of the package. */
  version: string,
  /** Commit it was built from, or `unknown`. */
  git_commit: string,
};

/** The encoder's nonlinearity; in a manifest by the name that it has here. */
export type SaeArchitecture = "standard"
  | "jumprelu"
  | `topk (k = ${number})`
  | "batchtopk"
  | "gated";

/** How an SAE lies on disk. */
export type SaeFormat = "gemma-scope" | "gemma-scope-2" | "saelens";

/** One SAE. */
export type SaeInfo = {
  /** Block whose `resid_post` it reads. */
  layer: number,
  /** Name in the registry, or of the folder or file. */
  id: string,
  /** The encoder's nonlinearity. */
  architecture: SaeArchitecture,
  /** How it lies on disk. */
  format: SaeFormat,
  /** Width of the dictionary. */
  d_sae: number,
  /** L0 that its name or config declares, where it does. */
  declared_l0: number | null,
  /** Hook that it was trained on, as its config names it. */
  hook: string | null,
  /** Whether its training texts began with BOS, where its config says. */
  prepend_bos: boolean | null,
  /** Whether b_dec is subtracted from the input. */
  apply_b_dec_to_input: boolean,
  /** What is done to each input row. */
  normalize_activations: NormalizeActivations,
  /** Factor of `expected_average_only_in`. */
  norm_scaling_factor: number | null,
  /** Whether each input row's mean is subtracted. */
  center_input: boolean,
  /** Whether pre-activations are scaled by their decoder row's norm. */
  rescale_acts_by_decoder_norm: boolean,
  /** How positions come of the rows of `W_dec`. */
  decoder_rows: DecoderRows,
  /** Its files. */
  files: Array<FileInfo>,
};

/** Seconds of one stage. */
export type StageTiming = {
  /** Name of the stage. */
  stage: string,
  /** Seconds spent in it; stages may overlap. */
  seconds: number,
};

/** What the statistics depend on beside the samples. */
export type StatisticsInfo = {
  /** Seed of everything that is drawn. */
  seed: number,
  /** Resamples behind an interval. */
  resamples: number,
  /** |d_z| that equivalence is tested against. */
  equivalence_bound: number,
  /** Whether samples of one cluster were taken together. */
  clusters: boolean,
  /** How well features tell hallucinations from facts, what has nothing to do with features, and the residual stream;
   * absent in earlier runs, and where there are too few samples. */
  classifiers?: Array<ClassifierInfo>,
};

/** When a run did what. */
export type Timeline = {
  /** One for each process that measured, and each device where several shared its passes; each has a clock of
   * its own. Processes of versions that wrote no timeline are not there: `timings.parts` counts them all. */
  parts: Array<TimelinePart>,
};

/** What one process did on one device. */
export type TimelinePart = {
  /** Which process, from 0. */
  process: number,
  /** `cpu`, `gpu` (a browser's), `gpu:1`, `all, number 2`. */
  device: string,
  /** Wall-clock seconds of its passes. */
  seconds: number,
  /** How many passes it ran. */
  passes: number,
  /** What did the work, over all passes. */
  lanes: Array<LaneTime>,
  /** Its first pass. */
  spans: Array<TimelineSpan>,
  /** Spans of that pass that are not there, the shortest: the sums of the lanes have them. */
  spans_left_out: number,
};

/** A piece of work of the first pass, or of waiting: lane, stage, block, whether it only waited, start and end
 * in seconds since the part began. */
export type TimelineSpan = [string, string, number | null, boolean, number, number];

/** Time and memory. */
export type Timings = {
  /** By stage. */
  stages: Array<StageTiming>,
  /** Wall-clock seconds of measuring. */
  total_seconds: number,
  /** Samples over total seconds. */
  samples_per_second: number,
  /** Processes that measured the run, whose seconds add up: more than one where it was continued after
   * a break, or merged from parts; absent in earlier runs. */
  parts?: number,
  /** Peak memory of the process, where the system tells. */
  peak_memory_bytes: number | null,
  /** Most bytes in buffers of the graphics device at once, where they are counted (in a browser); absent in
   * the earliest runs. */
  peak_gpu_buffer_bytes?: number | null,
  /** What went to graphics devices and came back; absent where none computed, and in earlier runs. */
  moved?: MovedInfo | null,
};

/** The tokenizer. */
export type TokenizerInfo = {
  /** The file it came from. */
  file: FileInfo,
  /** Which rule put or left out the BOS, in words. */
  bos_rule: string,
};

/** Where the weights are while a run goes on. */
export type Weights = "streamed" | "resident";
