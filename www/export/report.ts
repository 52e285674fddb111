// A run as one document, made on the page: the program's template with the run's files in it, as
// crate/cli/report.rs puts them.

import { failure } from "../engine/failure";
import { readCalibration, shareable } from "../data/calibration";
import { CALIBRATION, FILES, type FileName, type Run } from "../data/run";
import type { FeatureWords } from "../data/words";
import template from "../../crate/cli/report/template.html?url";

/** Where the run goes. */
const PLACE = "<!--run-->";
/** More than this browsers take long to open; a larger features.parquet is left out. */
const MOST_BYTES = 64e6;
const MOST_FEATURES = 32e6;

/** Features that are spoken of at most: more than its tables can show. */
const MOST_WORDS = 50_000;

/** The document; `words` is what is known of the run's features, by layer and feature. */
export async function reportOf(run: Run, words: ReadonlyMap<string, FeatureWords>): Promise<Blob> {
  const answer = await fetch(template);
  const parts = answer.ok ? (await answer.text()).split(PLACE) : [];
  if (parts.length !== 2) throw failure("network", "the report's template could not be loaded", "reload the page, and try again");
  const blocks: string[] = [];
  let bytes = 0;
  const compared = (await run.file("stats_features.parquet")) !== null;
  for (const name of FILES) {
    // the tables are of the comparisons, and the active features, the largest of all files, would be for nothing
    if (name === "features.parquet" && compared) continue;
    const blob = await contents(run, name);
    if (blob === null || (name === "features.parquet" && blob.size > MOST_FEATURES)) continue;
    bytes += name === "features.parquet" ? 0 : blob.size;
    if (bytes > MOST_BYTES) throw failure("unsupported", "this run is too large for a report", "share its folder instead");
    blocks.push(await block(name, blob));
  }
  const calibration = await calibrationOf(run);
  if (calibration !== null) blocks.push(await block(CALIBRATION, calibration));
  if (words.size > 0) blocks.push(await block("labels.json", wordsBlob(words)));
  return new Blob([parts[0] as string, ...blocks, parts[1] as string], { type: "text/html" });
}

/** A file in the document: names are the known ones, and base64 has no letter that means anything to HTML. */
async function block(name: string, contents: Blob): Promise<string> {
  return `<script type="application/octet-stream;base64" data-file="${name}" data-writer="saescope ${__VERSION__}, commit ${__COMMIT__}">${await base64(contents)}</script>\n`;
}

/** The run's calibration as it may be given away; null where there is none that is the run's. */
async function calibrationOf(run: Run): Promise<Blob | null> {
  try {
    const text = await run.calibration();
    return text === null ? null : new Blob([JSON.stringify(shareable(readCalibration(text, run.manifest)))]);
  } catch {
    // the page says beside the run what is wrong with it
    return null;
  }
}

function wordsBlob(words: ReadonlyMap<string, FeatureWords>): Blob {
  const list = [...words].slice(0, MOST_WORDS).map(([key, { label, url, promotes }]) => {
    const [layer, feature] = key.split(" ").map(Number);
    return { layer, feature, label, url, promotes };
  });
  return new Blob([JSON.stringify(list)]);
}

async function contents(run: Run, name: FileName): Promise<Blob | null> {
  const blob = await run.file(name);
  if (blob === null || name !== "manifest.json") return blob;
  const manifest: unknown = JSON.parse(await blob.text());
  return new Blob([JSON.stringify(manifest, nameOnly, 2)]);
}

/** The last part of every `path`: folders of the machine that made a run are nobody else's business. */
function nameOnly(field: string, value: unknown): unknown {
  if (field !== "path" || typeof value !== "string" || value.includes("://")) return value;
  // `domain=/folder/file` is how a data set's path stands in a manifest
  const [, domain = "", path = ""] = /^([^=/\\]*=)?([^]*)$/.exec(value) ?? [];
  return domain + (path.split(/[/\\]/).at(-1) ?? path);
}

function base64(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,?/, ""));
    reader.onerror = () => reject(reader.error ?? new Error("the file could not be read"));
    reader.readAsDataURL(blob);
  });
}
