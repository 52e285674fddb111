// Written from crate/output/calibration.rs by its tests (see crate/protocol/typescript.rs): do not edit.

/** The version of calibration.json that this program writes. */
export const CALIBRATION_VERSION = 1;

/** How often fact and hallucination are swapped. */
export const SWAPS = 200;

/** Samples of the run, at most, that the length trap and the ceiling are made of. */
export const LIMIT = 100;

/** Built-in pairs of the positive controls. */
export const CONTROL_PAIRS = 229;

/** What the instrument says where the truth is known. */
export type Calibration = {
  /** [`CALIBRATION_VERSION`] of the program that wrote it. */
  calibration_version: number,
  /** What wrote it. */
  program: ProgramInfo,
  /** The run. */
  run_id: string,
  /** Its `metrics.parquet`: a calibration speaks of a run with this file alone. */
  metrics: FileInfo,
  /** Seed of everything that is drawn. */
  seed: number,
  /** What was swapped. */
  swaps: SwapInfo,
  /** Fact and hallucination swapped at random: what survives is a false alarm. By family of tests. */
  false_alarms: Array<FalseAlarms>,
  /** Effects of known size in swapped data, one metric at a time. */
  planted: Array<Planted>,
  /** Fact and neutral words against fact and more of them; absent where it was left out. */
  length_trap?: LengthTrap | null,
  /** Built-in pairs that differ in what the model represents; empty where they were left out. */
  positive_controls: Array<PositiveControl>,
  /** What the run's own residuals tell; absent where it was left out. */
  ceiling?: Ceiling | null,
  /** Parts that were left out, and why. */
  left_out: Array<LeftOut>,
};

/** What the run's own texts tell, whatever the metrics say. */
export type Ceiling = {
  /** Pairs of fact and hallucination that were measured again. */
  pairs: number,
  /** Their clusters, which no fold divides. */
  clusters: number,
  /** The probes, by layer; they have no length control. */
  layers: Array<ProbedLayer>,
  /** The metric of the run that tells facts from hallucinations best, of all. */
  best_metric: MetricArea | null,
  /** Token counts alone. */
  length: MetricArea | null,
};

/** What the verdict says of swapped data. */
export type FalseAlarms = {
  /** Which metrics. */
  family: TestFamily,
  /** How many of them could be tested. */
  metrics: number,
  /** Share of the swaps in which any of them survives its length control. Where nothing differs, every discovery
   * is a false one, so that a false-discovery rate of 5 % is this share: it must not exceed `nominal`. */
  runs_survive: Share,
  /** Share of all their rows that survive; its interval is that of as many trials as there are swaps, since
   * metrics of one swap are not independent. */
  rows_survive: Share,
  /** Share of the swaps in which any has a raw q ≤ 0.05. */
  runs_found: Share,
  /** Share of all their rows that have. */
  rows_found: Share,
  /** What `runs_survive` and `runs_found` must not exceed. */
  nominal: number,
  /** Whether the interval of `runs_survive` reaches down to it. */
  holds: boolean,
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

/** A part that was left out. */
export type LeftOut = {
  /** `length_trap`, `positive_controls`, `ceiling`. */
  part: string,
  /** Why. */
  reason: string,
};

/** Facts with a few neutral words against the same with more of them. */
export type LengthTrap = {
  /** Pairs measured. */
  pairs: number,
  /** Of these, pairs whose hallucination is the longer one; in the others the fact is, so that chains close. */
  longer_hallucinations: number,
  /** Metrics tested. */
  metrics: number,
  /** Those with a raw q ≤ 0.05: what the trap catches. */
  found: number,
  /** Those that survive the length control: it did not see through the trap. */
  survive: number,
  /** Those that length explains. */
  explained: number,
  /** Those for which there is no control: no failure, but no answer. */
  no_control: number,
  /** Triples in closed chains. */
  matched: number,
  /** Names of those that survive. */
  survivors: Array<string>,
  /** Whether something was found and nothing survived. */
  holds: boolean,
};

/** A metric's area under the ROC curve. */
export type MetricArea = {
  /** Name with its layer. */
  metric: string,
  /** The area, above one half whichever way the metric points. */
  auroc: number,
  /** Lower end of its 95 % interval; none where it is 1. */
  low: number | null,
  /** Its upper end. */
  high: number | null,
};

/** An effect in one metric of swapped data. */
export type Planted = {
  /** Which metrics; the others of the family are tested with it and have no effect. */
  family: TestFamily,
  /** The effect, in standard deviations of the metric's differences. */
  dz: number,
  /** How often it survives, over metrics. */
  survive: Spread,
  /** How often it is found before the length control, over metrics. */
  found: Spread,
  /** By metric. */
  metrics: Array<PlantedMetric>,
};

/** An effect in one metric. */
export type PlantedMetric = {
  /** Name with its layer. */
  metric: string,
  /** How often it survives. */
  survive: Share,
  /** How often it is found before the length control. */
  found: Share,
};

/** Pairs that differ in what the model represents. */
export type PositiveControl = {
  /** `truth`, `language`, `register`. */
  name: string,
  /** What they differ in, in words. */
  what: string,
  /** Pairs measured. */
  pairs: number,
  /** Of these, pairs whose texts have equally many tokens. */
  equal_length: number,
  /** Metrics tested. */
  metrics: number,
  /** Those with a raw q ≤ 0.05. */
  found: number,
  /** Those that survive the length control. */
  survive: number,
  /** Those that survive, the strongest first, ten at most. */
  survivors: Array<Seen>,
  /** The metric that tells the two best, of all: the best of so many is better than it will be again. */
  best_metric: MetricArea | null,
  /** The probes, by layer. */
  layers: Array<ProbedLayer>,
  /** At least one metric survives. */
  seen_by_metrics: boolean,
  /** A probe on features of some layer tells them apart (p ≤ 0.05 over the layers). */
  seen_by_features: boolean,
  /** A probe on the residual stream of some layer does. */
  seen_by_probe: boolean,
};

/** How well a linear probe tells the two texts of a pair apart, on pairs that it was not fitted to. */
export type Probed = {
  /** Area under the ROC curve of its scores. */
  auroc: number,
  /** Lower end of its 95 % interval (paired and by clusters); none where it is 0 or 1. */
  low: number | null,
  /** Its upper end. */
  high: number | null,
  /** The same with labels swapped at random within clusters: its 95th percentile. */
  floor: number,
  /** Share of such labels (and the true ones) that reach the area. */
  p: number,
  /** Share of such labels (and the true ones) with which the best layer's probe reaches it: corrected over the layers. */
  p_corrected: number,
};

/** The probes of one layer. */
export type ProbedLayer = {
  /** Block number. */
  layer: number,
  /** On the residual stream: what is there. */
  residual: Probed | null,
  /** On the SAE's active features: what the dictionary keeps of it. */
  features: Probed | null,
};

/** Program version. */
export type ProgramInfo = {
  /** `saescope`. */
  name: string,
  /** Version of the package. */
  version: string,
  /** Commit it was built from, or `unknown`. */
  git_commit: string,
};

/** A metric that finds a positive control. */
export type Seen = {
  /** Name with its layer. */
  metric: string,
  /** Paired Cohen's d. */
  dz: number | null,
  /** q at equal length. */
  q: number | null,
};

/** A share of trials. */
export type Share = {
  /** The share. */
  share: number,
  /** Lower end of its 95 % interval (Wilson's). */
  low: number,
  /** Its upper end. */
  high: number,
};

/** Shares over metrics. */
export type Spread = {
  /** Of the metric that is found least often. */
  min: Share,
  /** Its name. */
  min_metric: string,
  /** The median metric's. */
  median: Share,
  /** Of the metric that is found most often. */
  max: Share,
};

/** What was swapped. */
export type SwapInfo = {
  /** How often the data were swapped. */
  swaps: number,
  /** Samples in each. */
  samples: number,
  /** Their clusters: what is swapped together. */
  clusters: number,
  /** Median number of closed chains: what the length control has to go by. */
  median_chains: number,
  /** Whether clusters counted as one, as in the run's comparisons; else every sample was one. */
  clustered: boolean,
};

/** Families of tests that are corrected together. */
export type TestFamily = "metrics" | "nulls";
