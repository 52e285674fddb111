// A run as one document, made on the page: the program's template with the run's files in it, as
// crate/cli/report.rs puts them.

import { failure } from "../engine/failure";
import { FILES, type FileName, type Run } from "../data/run";
import template from "../../crate/cli/report/template.html?url";

/** Where the run goes. */
const PLACE = "<!--run-->";
/** More than this browsers take long to open; a larger features.parquet is left out. */
const MOST_BYTES = 64e6;
const MOST_FEATURES = 32e6;

/** The document. */
export async function reportOf(run: Run): Promise<Blob> {
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
    // names are the known ones, and base64 has no letter that means anything to HTML
    blocks.push(`<script type="application/octet-stream;base64" data-file="${name}" data-writer="saescope ${__VERSION__}, commit ${__COMMIT__}">${await base64(blob)}</script>\n`);
  }
  return new Blob([parts[0] as string, ...blocks, parts[1] as string], { type: "text/html" });
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
