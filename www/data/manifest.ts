// manifest.json as the page reads it; the writer is crate/output/manifest.rs.

import { failure } from "./errors";

/** The version of the files' format that this page reads. */
export const SCHEMA_VERSION = 3;

export interface FileInfo {
  path: string;
  bytes: number;
  sha256: string | null;
}

export interface LayerHealth {
  layer: number;
  texts: number;
  mean_l0: number | null;
  declared_l0: number | null;
  fvu: number | null;
  dead_share: number | null;
  /** Texts that were left out since they are read at an attention sink; absent in earlier runs. */
  sinks?: number;
  warnings: string[];
}

export interface SaeInfo {
  layer: number;
  id: string;
  architecture: string;
  format: string;
  d_sae: number;
  declared_l0: number | null;
}

export interface Manifest {
  schema_version: number;
  run_id: string;
  started_at: string;
  program: { name: string; version: string; git_commit: string };
  model: {
    name: string;
    architecture: string;
    source: string;
    revision: string | null;
    d_model: number;
    n_layers: number;
    quantization: string;
    files: FileInfo[];
    /** Fields of its config that nobody read; absent in earlier runs. */
    ignored_config_fields?: { name: string; value: string; asked: boolean }[];
  };
  tokenizer: { file: FileInfo; bos_rule: string };
  layers: number[];
  saes: SaeInfo[];
  dataset: { files: FileInfo[]; samples: number; limit: number | null; skipped_rows: string[] };
  noise: { rule: string; seed: number };
  compute: {
    precision: string;
    device: string;
    adapter: string | null;
    backend: string;
    threads: number;
    weights: string;
  };
  batch: { batch_size: number; batches: number; texts: number; tokens: number; tokens_computed: number };
  timings: {
    stages: { stage: string; seconds: number }[];
    total_seconds: number;
    samples_per_second: number;
    peak_memory_bytes: number | null;
  };
  sae_health: LayerHealth[];
  warnings: string[];
  failed_samples: { sample_id: string; reason: string }[];
}

const FILE = "manifest.json";
const LISTS = ["layers", "saes", "sae_health", "warnings", "failed_samples"] as const;
const OBJECTS = ["program", "model", "tokenizer", "dataset", "noise", "compute", "batch", "timings"] as const;

/** Reads a manifest, or says what is wrong with it. */
export function readManifest(source: string | object): Manifest {
  const value = typeof source === "string" ? parse(source) : source;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw failure("malformed", `${FILE}: expected an object, found ${Array.isArray(value) ? "a list" : typeof value}`);
  }
  const fields = value as Record<string, unknown>;
  if (typeof fields.schema_version !== "number") {
    throw failure(
      "mismatch",
      `${FILE}: expected a field schema_version, found a JSON file without it`,
      "choose the manifest.json that saescope wrote beside metrics.parquet",
    );
  }
  checkVersion(FILE, fields.schema_version);
  const missing = [
    ...LISTS.filter((name) => !Array.isArray(fields[name])),
    ...OBJECTS.filter((name) => typeof fields[name] !== "object" || fields[name] === null),
  ];
  if (missing.length > 0) {
    throw failure(
      "malformed",
      `${FILE}: expected the fields ${missing.join(", ")}, found none of that form`,
      "the file was changed or damaged: take the run's own",
    );
  }
  return value as Manifest;
}

/**
 * The oldest version that this page still reads. Version 2 added columns and fields, tests an only domain
 * once, and has another length control: the results say so of runs whose verdicts come from the earlier one.
 * Version 3 added run_id to metrics.parquet.
 */
const OLDEST_VERSION: number = 1;

/** Refuses files of a version of the format that this page does not know. */
export function checkVersion(file: string, version: number | null): void {
  if (version === null || (version >= OLDEST_VERSION && version <= SCHEMA_VERSION)) return;
  const known = OLDEST_VERSION === SCHEMA_VERSION ? `${SCHEMA_VERSION}` : `${OLDEST_VERSION} to ${SCHEMA_VERSION}`;
  throw failure(
    "unsupported",
    `${file}: expected schema_version ${known}, found ${version}`,
    version > SCHEMA_VERSION
      ? "a newer saescope wrote this run: open it with that version's page"
      : "an older saescope wrote this run: run it again, or open it with that version's page",
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (reason) {
    const web = text.trimStart().startsWith("<");
    throw failure(
      "malformed",
      `${FILE}: expected JSON, found ${web ? "a web page" : `something else (${reason instanceof Error ? reason.message : String(reason)})`}`,
      web ? "check the address: it must be the folder of a run" : "download or copy it again",
    );
  }
}
