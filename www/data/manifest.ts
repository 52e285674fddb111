// Reads manifest.json. Its shape is that of crate/output/manifest.rs, from which it is written; what an
// earlier version did not have is optional there.

import { SCHEMA_VERSION, type ClassifierInfo, type FailedSample, type FileInfo, type IgnoredField, type LaneTime, type LayerHealth, type Manifest, type NullsInfo, type SaeInfo, type StageTiming, type StatisticsInfo, type Timeline, type TimelinePart } from "../generated/manifest";
import { failure, wordsOf } from "../engine/failure";
import { flag, list, maybe, number, object, text, tuple, whole } from "./shape";

export type { LayerHealth, Manifest } from "../generated/manifest";

const FILE = "manifest.json";
/** Larger than that of any run whose failures anybody could read; it is parsed in one task of the page. */
const MOST_BYTES = 32e6;

const file = object<FileInfo>({ path: text, bytes: number, sha256: maybe(text) });
const MANIFEST = object<Manifest>({
  run_id: text,
  started_at: text,
  program: object<Manifest["program"]>({ name: text, version: text, git_commit: text }),
  model: object<Manifest["model"]>({
    name: text,
    architecture: text,
    source: text,
    revision: maybe(text),
    d_model: number,
    n_layers: number,
    quantization: text,
    files: list(file),
    ignored_config_fields: maybe(list(object<IgnoredField>({ name: text, value: text }))),
  }),
  tokenizer: object<Manifest["tokenizer"]>({ file, bos_rule: text }),
  layers: list(whole),
  saes: list(object<SaeInfo>({ layer: whole, id: text, architecture: text, d_sae: number, declared_l0: maybe(number) })),
  dataset: object<Manifest["dataset"]>({ files: list(file), samples: number, limit: maybe(number), skipped_rows: list(text) }),
  noise: object<Manifest["noise"]>({ rule: text, seed: number }),
  nulls: maybe(object<NullsInfo>({ draws: number, seed: number, pool_rows: number, most_features: number })),
  statistics: maybe(
    object<StatisticsInfo>({
      seed: number,
      resamples: number,
      equivalence_bound: number,
      clusters: flag,
      classifiers: maybe(
        list(
          object<ClassifierInfo>({
            reads: text,
            layer: maybe(whole),
            samples: whole,
            columns: whole,
            kept: number,
            auroc: maybe(number),
            auroc_interval: maybe(tuple(number, number)),
            samples_at_equal_length: whole,
            auroc_at_equal_length: maybe(number),
            auroc_at_equal_length_interval: maybe(tuple(number, number)),
            swapped_auroc: maybe(number),
            swapped_p: maybe(number),
            swapped_p_over_layers: maybe(number),
          }),
        ),
      ),
    }),
  ),
  compute: object<Manifest["compute"]>({ precision: text, device: text, adapter: maybe(text), backend: text, weights: text, threads: maybe(number) }),
  batch: object<Manifest["batch"]>({ texts: number, tokens: number, tokens_computed: number }),
  timings: object<Manifest["timings"]>({
    stages: list(object<StageTiming>({ stage: text, seconds: number })),
    total_seconds: number,
    samples_per_second: number,
    parts: maybe(whole),
    peak_memory_bytes: maybe(number),
  }),
  timeline: maybe(
    object<Timeline>({
      parts: list(
        object<TimelinePart>({
          process: whole,
          device: text,
          seconds: number,
          passes: whole,
          lanes: list(object<LaneTime>({ lane: text, busy_seconds: number, idle_at_least: number })),
          spans: list(tuple(text, text, maybe(whole), flag, number, number)),
          spans_left_out: whole,
        }),
      ),
    }),
  ),
  sae_health: list(
    object<LayerHealth>({
      layer: whole,
      texts: number,
      sinks: maybe(number),
      mean_l0: maybe(number),
      declared_l0: maybe(number),
      fvu: maybe(number),
      dead_share: maybe(number),
      warnings: list(text),
    }),
  ),
  warnings: list(text),
  failed_samples: list(object<FailedSample>({ sample_id: text, reason: text })),
  files: maybe(list(file)),
});

/** The text of a manifest that was fetched or picked. */
export async function manifestText(blob: Blob): Promise<string> {
  if (blob.size <= MOST_BYTES) return blob.text();
  throw failure(
    "unsupported",
    `${FILE}: expected at most ${MOST_BYTES.toLocaleString("en")} bytes, found ${blob.size.toLocaleString("en")}`,
    "open the run without it: the tables are enough",
  );
}

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
  try {
    MANIFEST(value, "");
  } catch (reason) {
    throw failure("malformed", `${FILE}: ${(reason as Error).message}`, "the file was changed or damaged: take the run's own");
  }
  return value as Manifest;
}

/**
 * The oldest version that this page still reads. Version 2 added columns and fields, tests an only domain
 * once, and has another length control: the results say so of runs whose verdicts come from the earlier one.
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
      `${FILE}: expected JSON, found ${web ? "a web page" : `something else (${wordsOf(reason)})`}`,
      web ? "check the address: it must be the folder of a run" : "download or copy it again",
    );
  }
}
