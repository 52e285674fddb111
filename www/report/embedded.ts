// The run in the document: each file as base64 in a block that no browser takes for a script.

import { failure } from "../engine/failure";
import { openRun, FILES, type FileName, type Run } from "../data/run";

/** Bytes from base64. */
export function decode(text: string): Uint8Array {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function file(name: FileName | "calibration.json"): Uint8Array | undefined {
  const block = document.querySelector(`script[type="application/octet-stream;base64"][data-file="${name}"]`);
  if (block === null) return undefined;
  const bytes = decode(block.textContent ?? "");
  // its text is as long as the file and a third: one of both is enough
  block.textContent = "";
  return bytes;
}

/** Opens the run that this document holds. */
export async function embeddedRun(): Promise<Run> {
  const [metrics, features, stats, manifest] = FILES.map(file);
  if (metrics === undefined || manifest === undefined) {
    throw failure("missing", "this document holds no run", "write the report anew: saescope report RUN");
  }
  return openRun({ metrics, manifest: new TextDecoder().decode(manifest), ...(stats && { stats }), ...(features && { features }) }, "this report");
}

/** What the document holds of the run's calibration; undefined where that is nothing. */
export function embeddedCalibration(): string | undefined {
  const bytes = file("calibration.json");
  return bytes && new TextDecoder().decode(bytes);
}

/** Which program wrote the report, in its own words. */
export function writer(): string {
  return document.querySelector<HTMLElement>("script[data-writer]")?.dataset.writer ?? "saescope";
}
