// Reads manifest.json. Its shape is that of crate/output/manifest.rs, from which it is written; what an
// earlier version did not have is optional there.

import { SCHEMA_VERSION, type Manifest } from "../generated/manifest";
import { failure } from "../engine/failure";

export type { LayerHealth, Manifest } from "../generated/manifest";

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
