// Written from crate/protocol/ by its tests (see crate/protocol/typescript.rs): do not edit.

/** The result of a request, by the request's type. */
export type Answer = { type: "hello", result: Hello }
  | { type: "models", result: Array<ModelInfo> }
  | { type: "dataset", result: DatasetInfo }
  | { type: "plan", result: Plan }
  | { type: "analyze", result: RunFiles }
  | { type: "measure", result: Bytes }
  | { type: "hand", result: null }
  | { type: "unfinished", result: Array<UnfinishedRun> }
  | { type: "discard", result: null }
  | { type: "cancel", result: null }
  | { type: "explore", result: Explore }
  | { type: "tokens", result: Array<Tokens> }
  | { type: "cloud", result: Cloud }
  | { type: "promotes", result: Array<Array<string>> }
  | { type: "calibrate", result: string }
  | { type: "labels", result: Array<LabelledDictionary> }
  | { type: "fetch", result: Array<StoredItem> }
  | { type: "storage", result: StorageInfo }
  | { type: "delete", result: StorageInfo };

/** A file's bytes: a `Uint8Array` on the page. */
export type Bytes = Uint8Array;

/** What a finished run was made with, to measure texts beside its own. */
export type CalibrateWith = {
  /** Its model and SAEs. */
  subject: Subject,
  /** Its data; absent where they are not at hand. */
  data?: DataChoice,
  /** Where to compute. */
  device: DeviceChoice,
};

/** Active features on the principal axes of their weighted cloud. */
export type Cloud = {
  /** Per feature its coordinates on the three leading axes, [n × 3] row-major, from the weighted centroid. */
  points: Floats,
  /** √λ of the three axes (0 where there is none): semi-axes of the ellipsoid. */
  semi_axes: [number,
  number,
  number],
  /** Share of the total variance on the three axes. */
  explained: number,
  /** All eigenvalues λ of the covariance, descending. */
  eigenvalues: Array<number>,
};

/** Where the data come from. */
export type DataChoice = { kind: "builtin" }
  | {
    kind: "bytes",
    /** Name of the file. */
    name: string,
    /** Its contents. */
    bytes: Bytes,
    /** Domain of all its samples; absent where it has a column of them. */
    domain?: string,
  };

/** A data set as it was read. */
export type DatasetInfo = {
  /** Name of the file, or `builtin`. */
  name: string,
  /** The samples, in file order. */
  samples: Array<Sample>,
  /** Rows that cannot be used. */
  rejected: Array<Rejected>,
  /** Domain and its number of samples, in order of appearance. */
  domains: Array<[string,
  number]>,
};

/** What computes. */
export type Device = "webgpu" | "cpu";

/** Where the user wants it computed. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** How far a download is. */
export type Download = {
  /** Name of the file. */
  file: string,
  /** Bytes of it that are here. */
  done: number,
  /** All its bytes. */
  total: number,
  /** Bytes of all this request's downloads so far. */
  received: number,
};

/** A failed request, in words for a researcher. */
export type EngineError = {
  /** What went wrong, for programs. */
  kind: ErrorKind,
  /** Lower-case, specific: names the file or field, expected against found. */
  message: string,
  /** What to do about it. */
  hint?: string,
};

/** What a request says before its end. */
export type EngineEvent = {
  type: "download",
  /** How far that is. */
  download: Download,
}
  | {
    type: "progress",
    /** How far it is. */
    progress: Progress,
  }
  | {
    type: "partial",
    /** All that are, so far. */
    partial: PartialRun,
  }
  | {
    type: "swaps",
    /** How often so far. */
    done: number,
    /** How often in all. */
    total: number,
  }
  | {
    type: "note",
    /** In words. */
    note: string,
  }
  | {
    type: "shares",
    /** What each of them gets. */
    shares: Shares,
  };

/** What went wrong. The last three kinds are those of workers that cannot speak for themselves any more: their
 * scripts say them. */
export type ErrorKind = "io" | "network" | "truncated" | "quota" | "malformed" | "missing" | "unsupported" | "mismatch" | "device" | "usage" | "cancelled" | "device-lost" | "out-of-memory" | "crashed";

/** The features of a text. */
export type Explore = {
  /** What each token stands for. */
  tokens: Array<string>,
  /** One entry per SAE. */
  layers: Array<LayerOfText>,
  /** That the call took. */
  seconds: number,
  /** Whether the weights were resident before this call. */
  resident: boolean,
  /** In use at the end. */
  memory: Memory,
};

/** A list of numbers for the page, where it is a `Float32Array`. */
export type Floats = Float32Array;

/** The engine, and what it can compute on. */
export type Hello = {
  /** Of the package. */
  version: string,
  /** That it was built from, or `unknown`. */
  commit: string,
  /** What is known of WebGPU here. */
  webgpu: WebGpu,
  /** Largest relative difference of the CPU path from the known numbers. */
  cpu_self_test: number,
  /** What multiplies on the CPU path: `SIMD128`, or `relaxed SIMD` where the browser has it. */
  cpu_product: string,
  /** What `auto` stands for here. */
  device: Device,
};

/** What features of one dictionary stand for, in somebody's words. */
export type LabelledDictionary = {
  /** Its name on Neuronpedia: model and source. */
  name: string,
  /** The number that its source's name begins with: the layer, as it counts. */
  layer?: number,
  /** Address of its features' pages, without the number at its end; absent where the name cannot stand in one. */
  url?: string,
  /** The labelled features, ascending. */
  features: Array<number>,
  /** Their labels. */
  labels: Array<string>,
};

/** The features of a text at one layer. */
export type LayerOfText = {
  /** Block number. */
  layer: number,
  /** L0 per token. */
  l0: Array<number>,
  /** The features with the largest activations over the tokens after the first. */
  features: Array<number>,
  /** Their activations, [features × tokens] row-major. */
  activations: Floats,
};

/** Memory in use, in bytes. */
export type Memory = {
  /** In GPU buffers now, counted at createBuffer and destroy; 0 on the CPU. */
  gpu: number,
  /** In GPU buffers at most. */
  gpu_peak: number,
  /** The largest GPU buffer. */
  gpu_largest: number,
  /** Size of the WASM memory; it only grows. */
  wasm: number,
};

/** Where a model comes from. */
export type ModelChoice = {
  kind: "known",
  /** Its name there. */
  name: string,
}
  | {
    kind: "hub",
    /** `owner/name`. */
    repo: string,
    /** Branch, tag or commit; absent for `main`. */
    revision?: string,
  }
  | {
    kind: "url",
    /** Its address. */
    url: string,
  }
  | {
    kind: "files",
    /** The files. */
    files: Array<PickedFile>,
  };

/** A model that the page can get. */
export type ModelInfo = {
  /** Name in the registry or in the host's catalog. */
  name: string,
  /** One line for people. */
  summary: string,
  /** Name of its licence. */
  licence: string,
  /** Where that can be read. */
  licence_url?: string,
  /** Whether this page's own host has its files; otherwise the hub is asked. */
  hosted: boolean,
  /** The hub wants a token of an account that accepted the licence. */
  gated: boolean,
  /** In words: `this page's host`, `hub google/gemma-2-2b at c5ebcd40d208`. */
  source: string,
  /** Bytes of all its files and its SAEs', where known without asking. */
  bytes?: number,
  /** Bytes of it in the browser's storage. */
  stored_bytes: number,
  /** The SAEs that it brings. */
  saes: Array<ModelSae>,
  /** Whether it is the one to begin with. */
  default: boolean,
};

/** An SAE that a known model brings. */
export type ModelSae = {
  /** Block that it reads. */
  layer: number,
  /** L0 that its name or config declares. */
  declared_l0?: number,
  /** Its name on Neuronpedia. */
  neuronpedia?: string,
};

/** The finished samples of a run that goes on. */
export type PartialRun = {
  /** Finished samples. */
  samples_done: number,
  /** Samples in all. */
  samples_total: number,
  /** metrics.parquet of the finished samples. */
  metrics: Bytes,
};

/** A file that the user picked: a `File` on the page. Its bytes are no plain data: the border keeps a handle. */
export type PickedFile = File;

/** What a run would cost, from headers alone. */
export type Plan = {
  /** Name of the model. */
  model: string,
  /** Its family. */
  architecture: string,
  /** Width of the residual stream. */
  d_model: number,
  /** Blocks. */
  n_layers: number,
  /** SAE layers. */
  layers: Array<number>,
  /** What would compute. */
  device: Device,
  /** How many workers would, side by side. */
  workers: number,
  /** Samples. */
  samples: number,
  /** Texts of them. */
  texts: number,
  /** Tokens of all texts. */
  tokens: number,
  /** Distinct prefixes that are computed. */
  tokens_computed: number,
  /** Bytes that a run reads of the model and the SAEs. */
  needed_bytes: number,
  /** Of these, what is here already. */
  stored_bytes: number,
  /** Free space of the browser's storage, where it tells. */
  free_bytes?: number,
  /** Most that the run holds at once on the device; 0 on the CPU. */
  device_bytes: number,
  /** Most that it holds at once in each worker's memory. */
  worker_bytes: number,
  /** Anything to know before starting. */
  warnings: Array<string>,
};

/** Number format of weights and matmuls. */
export type Precision = "f32" | "f16" | "bf16";

/** How far a run is. */
export type Progress = {
  /** Shares of samples: half the layers of 200 samples are 100. */
  samples_done: number,
  /** Samples in all. */
  samples_total: number,
  /** Since the start. */
  seconds: number,
  /** Samples a second. */
  rate: number,
  /** Seconds to the end, once that can be told. */
  eta?: number,
  /** Block at work. */
  layer: number,
  /** Blocks that are run. */
  layers: number,
  /** Bytes of weights read. */
  bytes_read: number,
  /** Seconds per stage so far: tokenize, weights, model, sae, geometry, nulls, logprob. */
  stages: Array<[string,
  number]>,
  /** In use now. */
  memory: Memory,
};

/** A row that stays out of a data set, and why. */
export type Rejected = {
  /** File that holds the row. */
  file: string,
  /** Number of the row among the file's rows, from 1 (a header is no row). */
  row: number,
  /** Line that the row starts on, from 1; none in Parquet. */
  line: number | null,
  /** Its id, where it has a readable one. */
  id: string | null,
  /** Everything that is wrong with it. */
  reason: string,
};

/** A request. */
export type Request = { type: "hello" }
  | { type: "models" }
  | {
    type: "dataset",
    /** The data set. */
    data: DataChoice,
  }
  | {
    type: "plan",
    /** The run. */
    setup: Setup,
  }
  | {
    type: "analyze",
    /** What is run, and how. */
    setup: Setup,
    /** Its name. */
    run_id: string,
    /** What the page needs to ask for it again when it is opened anew; the engine only keeps it. */
    asked: string,
  }
  | {
    type: "measure",
    /** The run's. Its data are not looked at. */
    setup: Setup,
    /** The share, as [`super::Shares`] has it. */
    share: Bytes,
    /** Whether ordinary text is run too: by one worker of a run. */
    ordinary: boolean,
    /** What the model's files have to be: see [`super::Shares`]. */
    files: string,
    /** Number of the worker that measures it, from 0: its timeline is its own. */
    worker: number,
  }
  | {
    type: "hand",
    /** Id of the request for the run. */
    target: number,
    /** What a worker measured. */
    portion: Bytes,
    /** Most memory that all workers took together so far. */
    memory: number,
  }
  | { type: "unfinished" }
  | {
    type: "discard",
    /** Its name. */
    run_id: string,
  }
  | {
    type: "cancel",
    /** Its id. */
    target: number,
  }
  | {
    type: "explore",
    /** Model and SAEs. */
    subject: Subject,
    /** Where to compute. */
    device: DeviceChoice,
    /** The text. */
    text: string,
    /** Features shown of each layer. */
    top: number,
  }
  | {
    type: "tokens",
    /** The model. */
    subject: Subject,
    /** The texts. */
    texts: Array<string>,
  }
  | {
    type: "cloud",
    /** Model and SAEs. */
    subject: Subject,
    /** Layer of the SAE. */
    layer: number,
    /** The features, shape \[n\]. */
    features: Array<number>,
    /** Their activations, shape \[n\]. */
    activations: Array<number>,
  }
  | {
    type: "promotes",
    /** Model and SAEs. */
    subject: Subject,
    /** Layer of the SAE. */
    layer: number,
    /** The features. */
    features: Array<number>,
    /** Tokens of each. */
    top: number,
  }
  | {
    type: "calibrate",
    /** The run's metrics.parquet. */
    metrics: Bytes,
    /** Its manifest.json. */
    manifest: string,
    /** Of everything that is drawn. */
    seed: number,
    /** How often fact and hallucination are swapped; 200 where it is absent. */
    swaps?: number,
    /** What measures the parts that need the model; absent where they are left out. */
    with?: CalibrateWith,
  }
  | {
    type: "labels",
    /** The file. */
    file: PickedFile,
  }
  | {
    type: "fetch",
    /** Model and SAEs. */
    subject: Subject,
  }
  | { type: "storage" }
  | {
    type: "delete",
    /** Which; absent for all. */
    key?: string,
  };

/** A finished run's files. */
export type RunFiles = {
  /** metrics.parquet. */
  metrics: Bytes,
  /** features.parquet. */
  features: Bytes,
  /** stats.parquet. */
  stats: Bytes,
  /** stats_features.parquet. */
  stats_features: Bytes,
  /** manifest.json as written. */
  manifest: string,
  /** In use at the end. */
  memory: Memory,
};

/** An SAE and the layer that it reads. */
export type SaeAt = {
  /** Block whose `resid_post` it reads. */
  layer: number,
  /** Where it comes from. */
  sae: SaeChoice,
};

/** Where one SAE comes from. */
export type SaeChoice = {
  kind: "hub",
  /** `owner/name`. */
  repo: string,
  /** Branch, tag or commit; absent for `main`. */
  revision?: string,
  /** A `.npz` file or a folder in the repository. */
  path: string,
}
  | {
    kind: "urls",
    /** Their addresses. */
    urls: Array<string>,
  }
  | {
    kind: "files",
    /** The files. */
    files: Array<PickedFile>,
  };

/** One triple. */
export type Sample = {
  /** Unique name within the data set. */
  id: string,
  /** Group that results are compared within. */
  domain: string,
  /** Difficulty; 1 to 10 in the built-in set, any integer in others, 0 where none is given. */
  complexity: number,
  /** What it is not independent of: samples of one template or source. None where the data set does not say. */
  cluster?: string,
  /** Unfinished sentence. */
  prompt: string,
  /** True completion. */
  fact: string,
  /** False completion. */
  hallucination: string,
};

/** A run: what, on what, how. */
export type Setup = {
  /** Model and SAEs. */
  subject: Subject,
  /** Data set. */
  data: DataChoice,
  /** Only so many samples, drawn from each domain in proportion by the seed. */
  limit?: number,
  /** Where to compute. */
  device: DeviceChoice,
  /** In what. */
  precision: Precision,
  /** `relative:0.1` or `absolute:S`. */
  noise: string,
  /** Of the noise and of resampling. */
  seed: number,
  /** Whether log-probabilities are computed too. */
  logprob: boolean,
  /** Draws of each null of the geometry, 0 for none; 200 where it is absent. */
  nulls?: number,
  /** Triples per micro-batch; the numbers do not depend on it. Absent: the device decides. */
  batch_size?: number,
  /** Workers that compute side by side on the CPU; the numbers do not depend on it. Absent: as many as there are
   * processors, memory and work for. */
  workers?: number,
};

/** Samples for one worker. */
export type Share = {
  /** How many. */
  samples: number,
  /** They themselves: JavaScript's numbers do not hold every grade of complexity. */
  packed: Bytes,
};

/** A run as it is dealt out to workers. */
export type Shares = {
  /** Workers that are wanted. */
  workers: number,
  /** The samples that are left, cut in the data set's order: one share after the other for whoever is free. */
  shares: Array<Share>,
  /** Samples that an earlier attempt finished. */
  before: number,
  /** What tells the files of model and SAEs from others: every worker opens them itself. */
  files: string,
  /** In use by the worker that has the run. */
  memory: Memory,
};

/** What is in the browser's storage. */
export type StorageInfo = {
  /** The files. */
  items: Array<StoredItem>,
  /** Of all of them. */
  bytes: number,
  /** The browser's own figure of what this site has stored. */
  usage?: number,
  /** The browser's own figure of what it may store. */
  quota?: number,
  /** Why nothing can be stored (private window, old browser), where that is so. */
  unavailable?: string,
};

/** A file in the browser's storage, whole or in part. */
export type StoredItem = {
  /** What `delete` takes. */
  key: string,
  /** In words: file and where from. */
  name: string,
  /** Bytes here. */
  bytes: number,
  /** Bytes of the whole file. */
  total: number,
};

/** A model with its SAEs. */
export type Subject = {
  /** The model. */
  model: ModelChoice,
  /** Its SAEs; where there is none, a known model brings its own. */
  saes: Array<SaeAt>,
  /** Hugging Face token, typed by the user: kept in memory, sent to the hub alone. */
  token?: string,
  /** Keep what is downloaded in the browser's private file system. */
  store: boolean,
};

/** One text's tokens. */
export type Tokens = {
  /** Ids. */
  ids: Array<number>,
  /** What each stands for. */
  texts: Array<string>,
};

/** A run that was broken and can go on. */
export type UnfinishedRun = {
  /** Its name. */
  run_id: string,
  /** What the page had given to ask for it again. */
  asked: string,
  /** Samples that are done. */
  samples_done: number,
  /** Samples in all. */
  samples_total: number,
  /** What it takes in the browser's storage. */
  bytes: number,
};

/** What is known of WebGPU. */
export type WebGpu = {
  /** Whether it can be used. */
  state: WebGpuState,
  /** Its name. */
  adapter?: string,
  /** In words, where the state is not `ok`. */
  reason?: string,
  /** Largest relative difference from the known numbers. */
  self_test?: number,
  /** Largest storage buffer that a kernel may bind. */
  max_buffer?: number,
};

/** Whether WebGPU can be used. */
export type WebGpuState = "ok" | "software" | "none" | "wrong" | "failed";
