// What page and engine worker say to each other. The Rust side of every shape here is in
// crate/web/; a name that differs there is a bug. Sizes are bytes, times seconds, angles degrees.
//
// Every request carries an id. It is answered by any number of events of that id and exactly one
// terminal message: `done` or `error`. Calls may overlap; the id tells them apart.

// ---------------------------------------------------------------------------------------------
// What is asked for

/** Where a model comes from. `files` are picked by the user and never leave the machine. */
export type ModelChoice =
  | { kind: "known"; name: string }
  | { kind: "hub"; repo: string; revision?: string }
  | { kind: "url"; url: string }
  | { kind: "files"; files: File[] };

/** Where one SAE comes from. A hub `path` is a `.npz` file or a folder in the repository. */
export type SaeChoice =
  | { kind: "hub"; repo: string; revision?: string; path: string }
  | { kind: "urls"; urls: string[] }
  | { kind: "files"; files: File[] };

export interface SaeAt {
  layer: number;
  sae: SaeChoice;
}

/** A model with its SAEs. Without `saes` a known model brings its own. */
export interface Subject {
  model: ModelChoice;
  saes: SaeAt[];
  /** Hugging Face token, typed by the user: kept in memory, sent to the hub alone. */
  token?: string;
  /** Keep what is downloaded in the browser's private file system. */
  store: boolean;
}

export type DataChoice =
  | { kind: "builtin" }
  /** A file's bytes (JSON, JSONL, CSV, Parquet, told by name and content) or a pasted text. */
  | { kind: "bytes"; name: string; bytes: Uint8Array; domain?: string };

export type DeviceChoice = "auto" | "webgpu" | "cpu";
export type Precision = "f32" | "f16";

export interface Setup {
  subject: Subject;
  data: DataChoice;
  /** Only so many samples, drawn from each domain in proportion by the seed. */
  limit?: number;
  device: DeviceChoice;
  precision: Precision;
  /** `relative:0.1` or `absolute:S`. */
  noise: string;
  seed: number;
  logprob: boolean;
  /** Triples per micro-batch; the numbers do not depend on it. Absent: the device decides. */
  batch_size?: number;
}

export type Request =
  /** Which device there is, and whether it computes right (a short self-test). → Hello */
  | { type: "hello" }
  /** Known models, those of this page's host first. → ModelInfo[] */
  | { type: "models" }
  /** Reads a data set and lists the rows that cannot be used. → DatasetInfo */
  | { type: "dataset"; data: DataChoice }
  /** Opens headers only; what a run would download and hold. → Plan */
  | { type: "plan"; setup: Setup }
  /** The whole run. Events: `download`, `progress`, `partial`. `finished` are the `finished`
   *  buffers of an earlier, broken attempt at the same set-up. → RunFiles */
  | { type: "analyze"; setup: Setup; run_id: string; finished: ArrayBuffer[] }
  /** Asks request `target` to stop; that one then ends with an error of kind `cancelled`. → null */
  | { type: "cancel"; target: number }
  /** Features of every token of a text, weights resident after the first call. Events: `download`,
   *  `progress` on the first call. → Explore */
  | { type: "explore"; subject: Subject; device: DeviceChoice; text: string; top: number }
  /** Tokens of texts as the model sees them. Reads the tokenizer only. → Tokens[] */
  | { type: "tokens"; subject: Subject; texts: string[] }
  /** Active features as a cloud on its principal axes. Reads their rows of W_dec only. → Cloud */
  | { type: "cloud"; subject: Subject; layer: number; features: number[]; activations: number[] }
  /** What features promote: decoder rows through final norm and unembedding (logit lens).
   *  Reads the unembedding once. → string[][], likeliest token first, per feature */
  | { type: "promotes"; subject: Subject; layer: number; features: number[]; top: number }
  /** Downloads a model and its SAEs into the browser's storage. Event: `download`. → StoredItem[] */
  | { type: "fetch"; subject: Subject }
  /** What is stored. → StorageInfo */
  | { type: "storage" }
  /** Deletes a stored item, or all of them without a key. → StorageInfo */
  | { type: "delete"; key?: string };

export type ToWorker = Request & { id: number };

// ---------------------------------------------------------------------------------------------
// What comes back

export type FromWorker =
  | { id: number; type: "download"; download: Download }
  | { id: number; type: "progress"; progress: Progress }
  | { id: number; type: "partial"; partial: Partial_ }
  | { id: number; type: "done"; result: unknown }
  | { id: number; type: "error"; error: EngineError }
  /** Not of a request: the WASM instance is gone. Every open request has got its `error` before;
   *  the page makes a new worker. */
  | { id: 0; type: "crashed"; error: EngineError }
  /** The worker's script runs and its WASM is compiled (`bytes` of it). */
  | { id: 0; type: "ready"; bytes: number };

/** What a request's `done` holds. */
export interface Results {
  hello: Hello;
  models: ModelInfo[];
  dataset: DatasetInfo;
  plan: Plan;
  analyze: RunFiles;
  cancel: null;
  explore: Explore;
  tokens: Tokens[];
  cloud: Cloud;
  promotes: string[][];
  fetch: StoredItem[];
  storage: StorageInfo;
  delete: StorageInfo;
}

/** Everything that can go wrong, in words for a researcher. */
export interface EngineError {
  kind:
    | "io" // a file or URL could not be read
    | "network" // no answer, or no connection
    | "truncated" // fewer bytes than announced
    | "quota" // the browser's storage is full
    | "malformed" // a file is not what its format says
    | "missing"
    | "unsupported"
    | "mismatch" // inputs that do not fit each other
    | "device" // the device failed or cannot hold it
    | "device-lost"
    | "out-of-memory"
    | "usage"
    | "cancelled"
    | "crashed";
  /** Lower-case, specific: names the file or field, expected against found. */
  message: string;
  hint?: string;
}

export interface Hello {
  version: string;
  commit: string;
  webgpu: {
    /** `ok`; `software`: right but a rasteriser on the CPU, slower than the CPU path; `none`: no
     *  adapter; `wrong`: it computes wrong values; `failed`: it could not be opened. */
    state: "ok" | "software" | "none" | "wrong" | "failed";
    adapter?: string;
    /** In words, where the state is not `ok`. */
    reason?: string;
    /** Largest relative difference from the known numbers. */
    self_test?: number;
    /** Largest storage buffer that a kernel may bind. */
    max_buffer?: number;
    f16: boolean;
  };
  /** Largest relative difference of the CPU path from the known numbers. */
  cpu_self_test: number;
  /** What `auto` stands for here. */
  device: "webgpu" | "cpu";
}

export interface ModelInfo {
  name: string;
  summary: string;
  licence: string;
  licence_url?: string;
  /** Whether this page's own host has its files; otherwise the hub is asked. */
  hosted: boolean;
  /** The hub wants a token of an account that accepted the licence. */
  gated: boolean;
  /** In words: `this page's host`, `hub google/gemma-2-2b at c5ebcd40d208`. */
  source: string;
  /** Bytes of all its files and its SAEs', where known without asking. */
  bytes?: number;
  stored_bytes: number;
  saes: { layer: number; declared_l0?: number; neuronpedia?: string }[];
  default: boolean;
}

export interface Rejected {
  row: number;
  line?: number;
  id?: string;
  reason: string;
}

export interface DatasetInfo {
  name: string;
  samples: SampleText[];
  rejected: Rejected[];
  /** Domain → samples, in order of appearance. */
  domains: [string, number][];
}

export interface SampleText {
  id: string;
  domain: string;
  complexity: number;
  prompt: string;
  fact: string;
  hallucination: string;
}

export interface Plan {
  model: string;
  architecture: string;
  d_model: number;
  n_layers: number;
  layers: number[];
  device: "webgpu" | "cpu";
  samples: number;
  texts: number;
  tokens: number;
  tokens_computed: number;
  /** Bytes that a run reads of the model and the SAEs. */
  needed_bytes: number;
  /** Of these, what is here already. */
  stored_bytes: number;
  /** Free space of the browser's storage, where it tells. */
  free_bytes?: number;
  /** Most that the run holds at once: on the device, and in the worker's memory. */
  device_bytes: number;
  worker_bytes: number;
  /** Anything to know before starting. */
  warnings: string[];
}

export interface Download {
  file: string;
  /** This file. */
  done: number;
  total: number;
  /** All downloads of this request so far. */
  received: number;
}

export interface Memory {
  /** Bytes in GPU buffers now and at most, counted at createBuffer and destroy. 0 on the CPU. */
  gpu: number;
  gpu_peak: number;
  gpu_largest: number;
  /** Size of the WASM memory; it only grows. */
  wasm: number;
}

export interface Progress {
  /** Shares of samples: half the layers of 200 samples are 100. */
  samples_done: number;
  samples_total: number;
  seconds: number;
  rate: number;
  eta?: number;
  layer: number;
  layers: number;
  bytes_read: number;
  /** Seconds per stage so far: tokenize, weights, model, sae, geometry, logprob. */
  stages: [string, number][];
  memory: Memory;
}

export interface Partial_ {
  samples_done: number;
  samples_total: number;
  /** metrics.parquet of the samples finished so far. */
  metrics: Uint8Array;
  /** Hand this back in `finished` to go on after a crash. */
  finished: ArrayBuffer;
}

export interface RunFiles {
  metrics: Uint8Array;
  features: Uint8Array;
  stats: Uint8Array;
  /** manifest.json as written; see crate/output/manifest.rs. */
  manifest: string;
  memory: Memory;
}

export interface Tokens {
  ids: number[];
  texts: string[];
}

export interface Explore {
  tokens: string[];
  layers: {
    layer: number;
    /** L0 per token. */
    l0: number[];
    /** The `top` features by largest activation over the tokens after the first. */
    features: number[];
    /** Activations, [features × tokens] row-major. */
    activations: Float32Array;
  }[];
  seconds: number;
  /** Whether the weights were resident before this call. */
  resident: boolean;
  memory: Memory;
}

export interface Cloud {
  /** Per feature its coordinates on the three leading principal axes, [n × 3] row-major, from the
   *  weighted centroid. */
  points: Float32Array;
  /** √λ of the three axes (0 where there is none): semi-axes of the ellipsoid. */
  semi_axes: [number, number, number];
  /** Share of the total variance on the three axes. */
  explained: number;
  eigenvalues: number[];
}

export interface StoredItem {
  key: string;
  /** In words: file and where from. */
  name: string;
  /** Bytes here, and of the whole file. */
  bytes: number;
  total: number;
}

export interface StorageInfo {
  items: StoredItem[];
  bytes: number;
  /** The browser's own figures for this site. */
  usage?: number;
  quota?: number;
  /** Why nothing can be stored (private window, old browser), where that is so. */
  unavailable?: string;
}

// ---------------------------------------------------------------------------------------------
// What the page's host offers: catalog.json beside index.html

export interface Catalog {
  version: 1;
  models: {
    name: string;
    summary?: string;
    /** Paths as the registry names them; `url` is relative to catalog.json. */
    model: HostedFile[];
    saes: { layer: number; files: HostedFile[] }[];
  }[];
  /** Finished runs: folders with the four files. */
  runs: { name: string; title: string; url: string; samples?: number; started_at?: string }[];
  /** The run that the page opens by itself. */
  default_run?: string;
}

export interface HostedFile {
  path: string;
  url: string;
  size: number;
  sha256?: string;
}
