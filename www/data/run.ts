// A run as the page holds it, and the ways to open one: from the engine, from a run in progress, from
// a folder on the web, from the user's files.

import { asEngineError, EngineFailure, failure } from "../engine/failure";
import { listed, shown } from "../foreign";
import { askData } from "./ask";
import type { SampleFeatures } from "./features";
import type { Presence } from "./presence";
import { unlike } from "./integrity";
import { checkVersion, manifestText, readManifest, type Manifest } from "./manifest";
import { layersOf } from "./metrics";
import { Table } from "./table";

export type { Manifest } from "./manifest";
export type { LayerFeatures, SampleFeatures, TextKind } from "./features";
export type { Presence } from "./presence";

/** The files of a run; earlier ones have no stats_features.parquet. */
export const FILES = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json"] as const;
export type FileName = (typeof FILES)[number];

export interface Run {
  /** Unique among the runs opened on this page. */
  readonly key: string;
  /** Where it came from, in words. */
  readonly origin: string;
  /** Null for a run in progress, and where only the tables were opened. */
  readonly manifest: Manifest | null;
  readonly metrics: Table;
  readonly stats: Table | null;
  /** SAE layers, first to last as the manifest orders them. */
  readonly layers: number[];
  /** Domains in order of appearance. */
  readonly domains: string[];
  /** The rows' `sample_id` and `domain`. */
  readonly sampleIds: string[];
  readonly sampleDomains: string[];
  /** More samples are to come. */
  readonly partial: boolean;
  /** What does not add up between the files, in words; empty is good. */
  readonly notes: string[];
  /** Whether there is a features.parquet (it may not have been fetched yet). */
  readonly hasFeatures: boolean;
  /** Whether there is a stats_features.parquet (it may not have been fetched yet). */
  readonly hasFeatureStats: boolean;
  /** The row of a sample; undefined where it has none. */
  rowOf(sampleId: string): number | undefined;
  /** Active features of a sample; null where the run has none of it. The first call reads the file. */
  features(sampleId: string): Promise<SampleFeatures | null>;
  /** Comparisons by feature; null where the run has none. The first call reads the file. */
  featureStats(): Promise<Table | null>;
  /** How often each feature is active in facts and in hallucinations; null without features.parquet. */
  presence(): Promise<Presence[] | null>;
  /** The text of its calibration.json; null where it has none. The first call looks for it. */
  calibration(): Promise<string | null>;
  /** Takes a calibration that was made here in the place of one that it had. */
  keepCalibration(text: string): void;
  /** The bytes of a file as they were opened; null where the run lacks it. */
  file(name: FileName): Promise<Blob | null>;
  /** Frees what the data worker holds of it. */
  close(): void;
}

interface Parts {
  metrics: Blob;
  stats?: Blob | undefined;
  features?: (() => Promise<Blob>) | undefined;
  featureStats?: (() => Promise<Blob>) | undefined;
  manifest?: string | object | undefined;
  /** Null where it turns out that there is none. */
  calibration?: (() => Promise<Blob | null>) | undefined;
  origin: string;
  partial: boolean;
}

/** What `saescope calibrate` writes beside a run's files. */
export const CALIBRATION = "calibration.json";
/** Longer than any: one names every metric a few times. */
const MOST_CALIBRATION = 8e6;

/** More than any model has. */
const MOST_LAYERS = 256;

let opened = 0;

/** Opens the files that the engine wrote. */
export function openRun(
  files: { metrics: Uint8Array; stats?: Uint8Array; features?: Uint8Array; stats_features?: Uint8Array; manifest: string | object },
  origin: string,
): Promise<Run> {
  const { features, stats_features: featureStats } = files;
  return assemble({
    metrics: blob(files.metrics),
    stats: files.stats && blob(files.stats),
    features: features && (() => Promise.resolve(blob(features))),
    featureStats: featureStats && (() => Promise.resolve(blob(featureStats))),
    manifest: files.manifest,
    origin,
    partial: false,
  });
}

/** Opens the samples finished so far of a run in progress. */
export function openPartial(metrics: Uint8Array): Promise<Run> {
  return assemble({ metrics: blob(metrics), origin: "run in progress", partial: true });
}

/** The folder of a run by its address, which may be that of one of its files. */
export function runFolder(url: string): URL {
  if (!URL.canParse(url, document.baseURI)) throw failure("usage", `${shown(url)}: expected the address of a run, found none`);
  const folder = new URL(url, document.baseURI);
  folder.pathname = folder.pathname.replace(/(manifest\.json|calibration\.json|(metrics|stats|features|stats_features)\.parquet)$/, "");
  if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  return folder;
}

/** The address of a run's file. */
export function runFile(folder: URL, name: FileName | typeof CALIBRATION): URL {
  const address = new URL(name, folder);
  address.search = folder.search;
  return address;
}

/** Opens a run's folder on the web. What is large is fetched when it is first needed. `calibrated` says whether
 *  calibration.json is there, null where it has to be looked for: no manifest names it. */
export async function fetchRun(url: string, calibrated: () => Promise<boolean | null> = async () => null): Promise<Run> {
  const folder = runFolder(url);
  const at = (name: FileName | typeof CALIBRATION) => runFile(folder, name);
  const [manifest, metrics, stats] = await Promise.all([
    fetchFile(at("manifest.json")),
    fetchFile(at("metrics.parquet")),
    fetchFile(at("stats.parquet"), true),
  ]);
  return assemble({
    metrics: metrics as Blob,
    stats: stats ?? undefined,
    features: async () => (await fetchFile(at("features.parquet"))) as Blob,
    featureStats: async () => (await fetchFile(at("stats_features.parquet"))) as Blob,
    manifest: await manifestText(manifest as Blob),
    calibration: async () => ((await calibrated()) === false ? null : fetchFile(at(CALIBRATION), true)),
    origin: folder.origin === location.origin ? folder.pathname : folder.href,
    partial: false,
  });
}

/** Opens files of one run that the user picked or dropped; metrics.parquet is enough. */
export async function openFiles(files: File[]): Promise<Run> {
  // `stats_features` has the names of two others in it
  const isFeatureStats = (name: string) => /stats_features.*\.parquet$/i.test(name);
  const find = (part: string, suffix: string) =>
    files.find(({ name }) => name.toLowerCase().includes(part) && name.toLowerCase().endsWith(suffix) && !isFeatureStats(name));
  const parquet = files.filter((file) => file.name.toLowerCase().endsWith(".parquet"));
  const metrics = find("metrics", ".parquet") ?? (parquet.length === 1 && !/features|stats/i.test(parquet[0]!.name) ? parquet[0] : undefined);
  if (metrics === undefined) {
    const names = files.map((file) => file.name);
    throw new EngineFailure({
      kind: "missing",
      message: `expected metrics.parquet among the files, found ${listed(names, 5) || "no file"}`,
      hint: "choose metrics.parquet together with manifest.json, stats.parquet and features.parquet of the same run",
    });
  }
  const features = find("features", ".parquet");
  const featureStats = files.find(({ name }) => isFeatureStats(name));
  const manifest = find("manifest", ".json");
  const calibration = find("calibration", ".json");
  return assemble({
    metrics,
    stats: find("stats", ".parquet"),
    features: features && (() => Promise.resolve(features)),
    featureStats: featureStats && (() => Promise.resolve(featureStats)),
    manifest: manifest && (await manifestText(manifest)),
    calibration: calibration && (() => Promise.resolve(calibration)),
    origin: manifest === undefined ? `file ${metrics.name}` : `files ${metrics.name}, ${manifest.name}`,
    partial: false,
  });
}

async function assemble(parts: Parts): Promise<Run> {
  try {
    return await build(parts);
  } catch (reason) {
    throw reason instanceof EngineFailure ? reason : new EngineFailure(asEngineError(reason, "malformed"));
  }
}

async function build({ metrics: metricsBlob, stats: statsBlob, features, featureStats, manifest: source, calibration: loadCalibration, origin, partial }: Parts): Promise<Run> {
  const manifest = source === undefined ? null : readManifest(source);
  const table = async (name: string, bytes: Blob, needed: string[]) => {
    const read = new Table(await askData<"table">({ type: "table", name, blob: bytes, needed }));
    checkVersion(name, read.schemaVersion);
    return read;
  };
  const [metrics, stats] = await Promise.all([
    table("metrics.parquet", metricsBlob, ["sample_id", "domain", "n_tokens_fact", "n_tokens_hall"]),
    statsBlob === undefined
      ? null
      : table("stats.parquet", statsBlob, ["metric", "domain", "n", "mean_diff", "hedges_g", "q_value", "verdict"]),
  ]);
  const found = layersOf(metrics);
  if (found.length > MOST_LAYERS) {
    throw failure("unsupported", `metrics.parquet: expected columns of at most ${MOST_LAYERS} layers, found those of ${found.length}`);
  }
  const layers = manifest?.layers ?? found;
  const absent = layers.filter((layer) => !found.includes(layer));
  if (absent.length > 0) {
    throw failure(
      "mismatch",
      `metrics.parquet: expected columns of the layers ${listed(layers.map(String))} that manifest.json names, found the layers ${listed(found.map(String)) || "(none)"}`,
      "the two files are of different runs",
    );
  }
  const sampleIds = metrics.texts("sample_id") ?? [];
  const sampleDomains = metrics.texts("domain") ?? [];
  const rows = new Map<string, number>();
  sampleIds.forEach((id, row) => rows.has(id) || rows.set(id, row));

  const compared = [unlike("metrics.parquet", metricsBlob, manifest), statsBlob && unlike("stats.parquet", statsBlob, manifest)];
  const wrong = (await Promise.all(compared)).filter((text) => typeof text === "string");

  const key = `run-${++opened}`;
  let featuresBlob: Promise<Blob> | null = null;
  let index: Promise<null> | null = null;
  const checkedFeatures = async (load: () => Promise<Blob>): Promise<Blob> => {
    const blob = await load();
    const wrong = await unlike("features.parquet", blob, manifest);
    if (wrong !== null) throw failure("mismatch", wrong, "it is not the file that this run wrote; copy the run again");
    return blob;
  };
  // a folder's is there where its manifest knows of it
  const known = manifest === null || (manifest.files ?? []).some(({ path }) => path === "stats_features.parquet");
  let featureStatsBlob: Promise<Blob> | null = null;
  let featureTable: Promise<Table> | null = null;
  const checkedFeatureStats = async (load: () => Promise<Blob>): Promise<Blob> => {
    const blob = await load();
    const wrong = await unlike("stats_features.parquet", blob, manifest);
    if (wrong !== null) throw failure("mismatch", wrong, "it is not the file that this run wrote; copy the run again");
    return blob;
  };
  const loadFeatureStats =
    featureStats && known ? () => (featureStatsBlob ??= retryable(checkedFeatureStats(featureStats), () => (featureStatsBlob = null))) : null;
  const openFeatureTable = async (load: () => Promise<Blob>): Promise<Table> => {
    const [numbers, texts] = [["layer", "feature", "n_fact", "n_hall"], ["domain", "verdict"]];
    const read = await table("stats_features.parquet", await load(), [...numbers, ...texts]);
    for (const name of [...numbers, ...texts]) {
      const wanted = numbers.includes(name) ? "numbers" : "texts";
      const found = read.column(name)?.kind === "text" ? "texts" : "numbers";
      if (wanted !== found) throw failure("malformed", `stats_features.parquet: column ${name}: expected ${wanted}, found ${found}`, "open the files that saescope wrote for one run");
    }
    return read;
  };
  let calibrationText: Promise<string | null> | null = null;
  const openCalibration = async (): Promise<string | null> => {
    const blob = (await loadCalibration?.()) ?? null;
    if (blob !== null && blob.size > MOST_CALIBRATION) {
      throw failure("malformed", `${CALIBRATION}: expected at most ${MOST_CALIBRATION.toLocaleString("en")} bytes, found ${blob.size.toLocaleString("en")}`);
    }
    return blob && blob.text();
  };
  const loadFeatures = features && (() => (featuresBlob ??= retryable(checkedFeatures(features), () => (featuresBlob = null))));
  const openIndex = async (): Promise<null> =>
    askData<"open-features">({ type: "open-features", key, blob: await (loadFeatures as () => Promise<Blob>)() });

  return {
    key,
    origin,
    manifest,
    metrics,
    stats,
    layers,
    domains: [...new Set(sampleDomains)],
    sampleIds,
    sampleDomains,
    partial,
    notes: [...notesOf(manifest, metrics), ...wrong],
    hasFeatures: features !== undefined,
    hasFeatureStats: loadFeatureStats !== null,
    rowOf: (sampleId) => rows.get(sampleId),
    async features(sampleId) {
      if (loadFeatures === undefined) return null;
      await (index ??= retryable(openIndex(), () => (index = null)));
      return askData<"features">({ type: "features", key, sampleId });
    },
    async featureStats() {
      if (loadFeatureStats === null) return null;
      return (featureTable ??= retryable(openFeatureTable(loadFeatureStats), () => (featureTable = null)));
    },
    async presence() {
      if (loadFeatures === undefined) return null;
      await (index ??= retryable(openIndex(), () => (index = null)));
      return askData<"presence">({ type: "presence", key, sampleIds });
    },
    async calibration() {
      return (calibrationText ??= retryable(openCalibration(), () => (calibrationText = null)));
    },
    keepCalibration(text) {
      calibrationText = Promise.resolve(text);
    },
    async file(name) {
      switch (name) {
        case "metrics.parquet":
          return metricsBlob;
        case "stats.parquet":
          return statsBlob ?? null;
        case "features.parquet":
          return loadFeatures === undefined ? null : loadFeatures();
        case "stats_features.parquet":
          return loadFeatureStats === null ? null : loadFeatureStats();
        case "manifest.json":
          if (source === undefined) return null;
          return new Blob([typeof source === "string" ? source : `${JSON.stringify(source, null, 2)}\n`]);
      }
    },
    close() {
      if (index !== null) void askData<"close">({ type: "close", key });
      index = null;
    },
  };
}

/** A promise that is forgotten when it fails, so that a later call tries again. */
function retryable<T>(promise: Promise<T>, forget: () => void): Promise<T> {
  promise.catch(forget);
  return promise;
}

function notesOf(manifest: Manifest | null, metrics: Table): string[] {
  const notes: string[] = [];
  if (manifest !== null) {
    const expected = manifest.dataset.samples - manifest.failed_samples.length;
    if (expected !== metrics.rows) {
      notes.push(
        `metrics.parquet has ${metrics.rows} rows where manifest.json announces ${expected} (samples less failed ones)`,
      );
    }
  }
  const distinct = new Set(metrics.texts("sample_id")).size;
  if (distinct < metrics.rows) notes.push(`${metrics.rows - distinct} rows repeat a sample_id; a link opens the first`);
  return notes;
}

function blob(bytes: Uint8Array): Blob {
  return new Blob([bytes as Uint8Array<ArrayBuffer>]);
}

/** A file over HTTP; null for an optional one that is not there. */
async function fetchFile(url: URL, optional = false): Promise<Blob | null> {
  const refuse = (kind: "network" | "missing" | "truncated", message: string, hint: string) =>
    new EngineFailure({ kind, message, hint });
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw refuse(
      "network",
      `${url.href}: no answer`,
      "check the address and the connection; a host other than this page's must allow reading (CORS)",
    );
  }
  // A static host may answer an unknown path with its start page.
  const page = response.headers.get("content-type")?.startsWith("text/html") ?? false;
  if (!response.ok || page) {
    if (optional && (response.status === 404 || page)) return null;
    throw refuse(
      "missing",
      `${url.href}: expected the file, found ${page ? "a web page" : `HTTP status ${response.status}`}`,
      "the address must be the folder of a run, with metrics.parquet and manifest.json in it",
    );
  }
  try {
    return await response.blob();
  } catch {
    throw refuse("truncated", `${url.href}: the connection ended before the whole file was here`, "try again");
  }
}
