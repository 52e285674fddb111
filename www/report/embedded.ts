// The run in the document: each file as base64 in a block that no browser takes for a script.

import { failure } from "../engine/failure";
import { openRun, FILES, type FileName, type Run } from "../data/run";
import type { FeatureWords } from "../data/words";

/** Bytes from base64. */
export function decode(text: string): Uint8Array {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function file(name: FileName): Uint8Array | undefined {
  return block(name);
}

function block(name: FileName | "labels.json" | "calibration.json"): Uint8Array | undefined {
  const block = document.querySelector(`script[type="application/octet-stream;base64"][data-file="${name}"]`);
  if (block === null) return undefined;
  const bytes = decode(block.textContent ?? "");
  // its text is as long as the file and a third: one of both is enough
  block.textContent = "";
  return bytes;
}

/** Opens the run that this document holds. */
export async function embeddedRun(): Promise<Run> {
  const [metrics, features, stats, statsFeatures, manifest] = FILES.map(file);
  if (metrics === undefined || manifest === undefined) {
    throw failure("missing", "this document holds no run", "write the report anew: saescope report RUN");
  }
  return openRun({ metrics, manifest: new TextDecoder().decode(manifest), ...(stats && { stats }), ...(features && { features }), ...(statsFeatures && { stats_features: statsFeatures }) }, "this report");
}

/** What was given to the report beside the run, by `layer feature`. */
export function embeddedLabels(): Map<string, FeatureWords> {
  const found = new Map<string, FeatureWords>();
  const bytes = block("labels.json");
  if (bytes === undefined) return found;
  const list: unknown = JSON.parse(new TextDecoder().decode(bytes));
  for (const one of Array.isArray(list) ? (list as Record<string, unknown>[]) : []) {
    // the words and the name in the address are somebody else's
    const url = typeof one.url === "string" && one.url.startsWith("https://www.neuronpedia.org/") ? one.url : null;
    found.set(`${String(one.layer)} ${String(one.feature)}`, {
      label: typeof one.label === "string" ? one.label : null,
      url,
      promotes: Array.isArray(one.promotes) ? one.promotes.map(String) : [],
    });
  }
  return found;
}

/** What the document holds of the run's calibration; undefined where that is nothing. */
export function embeddedCalibration(): string | undefined {
  const bytes = block("calibration.json");
  return bytes && new TextDecoder().decode(bytes);
}

/** Which program wrote the report, in its own words. */
export function writer(): string {
  return document.querySelector<HTMLElement>("script[data-writer]")?.dataset.writer ?? "saescope";
}
