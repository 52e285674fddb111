// A run whose every text is hostile, and what must not come of it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { dist } from "./paths.mjs";
import { fits } from "./view.mjs";

/** What would be a script, an element or a handler where a text is taken for HTML. */
export const SCRIPT =
  `"><script>window.pwned=1</script><img src=x onerror="window.pwned=2"><svg onload="window.pwned=3">` +
  `<iframe srcdoc="<script>parent.pwned=4</script>"></iframe><a href="javascript:window.pwned=5">run</a>`;
export const LINK = "javascript:window.pwned=6//https://example.com/";
/** Turns what follows around, and begins embeddings that it does not end. */
export const TURNED = "invoice\u202e\u2067\u2066gpj.exe";
export const ARABIC = "مرحبا بالعالم 123";
/** Ends lines, rings, colours a terminal; half a character; marks that pile up. */
export const CONTROL = `a\u0000b\u0007c\u001b[31md\u009be\u2028f e${"\u0301".repeat(400)}`;
/** A megabyte without a place to break it. */
export const LONG = "M".repeat(1 << 20);
const KINDS = [SCRIPT, TURNED, CONTROL, ARABIC, LINK];

/** Hostile text number `n`, as a name that is there once. */
export const evil = (n) => `${KINDS[n % KINDS.length]} ${n}`;

const TYPES = { INT32: "INT32", INT64: "INT64", FLOAT: "FLOAT", DOUBLE: "DOUBLE", BOOLEAN: "BOOLEAN", BYTE_ARRAY: "STRING" };

/** A Parquet file of the host's own run, its rows changed. */
async function changed(name, change, more = []) {
  const bytes = new Uint8Array(readFileSync(join(dist, "runs/demo", name))).buffer;
  const metadata = parquetMetadata(bytes);
  const rows = change(await parquetReadObjects({ file: bytes }));
  const columns = metadata.schema.slice(1).map((column) => ({ name: column.name, type: TYPES[column.type], data: rows.map((row) => row[column.name]) }));
  return Buffer.from(parquetWriteBuffer({ columnData: [...columns, ...more], kvMetadata: metadata.key_value_metadata, codec: "SNAPPY" }));
}

/** Writes a run of so many samples, all of whose texts are hostile. */
export async function hostileRun(folder, samples) {
  mkdirSync(folder, { recursive: true });
  const ids = new Map();
  const id = (name) => ids.get(name) ?? ids.set(name, ids.size === 5 ? LONG : evil(ids.size)).get(name);
  const domains = new Map();
  const domain = (name) => domains.get(name) ?? domains.set(name, evil(domains.size)).get(name);
  const metrics = await changed(
    "metrics.parquet",
    (rows) => rows.slice(0, samples).map((row) => ({ ...row, run_id: TURNED, sample_id: id(row.sample_id), domain: domain(row.domain), l6_fact_shape_class: evil(ids.size) })),
    Array.from({ length: 6 }, (_, n) => ({ name: n === 5 ? LONG.slice(0, 70_000) : evil(n), type: "STRING", data: Array.from({ length: samples }, (_, row) => (row === 0 ? LONG : evil(row))) })),
  );
  const kept = new Set(ids.keys());
  const features = await changed("features.parquet", (rows) => rows.filter((row) => kept.has(row.sample_id)).map((row) => ({ ...row, sample_id: id(row.sample_id) })));
  const stats = await changed("stats.parquet", (rows) =>
    rows.map((row, n) => ({
      ...row,
      domain: row.domain === "all" ? "all" : domain(row.domain),
      metric: n % 9 === 8 ? evil(n) : row.metric,
      verdict: n % 7 === 6 ? evil(n) : row.verdict,
      direction: n % 5 === 4 ? evil(n) : row.direction,
    })),
  );
  let n = 0;
  const poison = (value) => {
    if (typeof value === "string") return evil(n++);
    if (Array.isArray(value)) return value.map(poison);
    return value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, poison(inner)])) : value;
  };
  const manifest = poison(JSON.parse(readFileSync(join(dist, "runs/demo/manifest.json"), "utf8")));
  manifest.model.name = LONG;
  manifest.saes[0].id = LONG;
  manifest.neuronpedia = LINK;
  manifest.warnings = [...KINDS, LONG];
  manifest.failed_samples = Array.from({ length: 400 }, (_, n) => ({ sample_id: n === 0 ? LONG : evil(n), reason: n === 1 ? LONG : evil(n + 1) }));
  manifest.dataset.skipped_rows = Array.from({ length: 400 }, (_, n) => evil(n));
  manifest.dataset.samples = samples + 400;
  const tables = { "metrics.parquet": metrics, "features.parquet": features, "stats.parquet": stats, "stats_features.parquet": await hostileFeatures(domain) };
  manifest.files = filesOf(tables);
  const files = { ...tables, "manifest.json": JSON.stringify(manifest), "calibration.json": JSON.stringify(hostileCalibration(metrics, manifest)) };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return { ids: [...ids.values()] };
}

/** What a manifest says of files. */
export const filesOf = (files) => Object.entries(files).map(([path, bytes]) => ({ path, bytes: bytes.length, sha256: sha256(bytes) }));
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Comparisons by feature whose every text is hostile, and their rows of single domains. */
function hostileFeatures(domain) {
  return changed("stats_features.parquet", (all) => {
    const tested = all.filter((row) => row.verdict).slice(0, 400);
    const known = new Set(tested.map(({ layer, feature }) => `${layer} ${feature}`));
    const domains = all.filter((row) => !row.verdict && known.has(`${row.layer} ${row.feature}`));
    return [
      ...tested.map((row, n) => ({ ...row, domain: n % 2 ? row.domain : domain(row.domain), verdict: n % 4 === 3 ? (n === 3 ? LONG : evil(n)) : row.verdict })),
      ...domains.map((row, n) => ({ ...row, domain: n === 0 ? LONG : domain(row.domain) })),
    ];
  });
}

/** A calibration of these metrics whose every text is hostile. */
function hostileCalibration(metrics, manifest) {
  const calibration = JSON.parse(readFileSync(join(dist, "runs/demo/calibration.json"), "utf8"));
  let n = 0;
  const poison = (value, field) => {
    if (typeof value === "string") return field === "family" ? value : n++ === 5 ? LONG : evil(n);
    if (Array.isArray(value)) return value.map((one) => poison(one, field));
    return value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, poison(inner, name)])) : value;
  };
  const planted = calibration.planted.map((of) => ({ ...of, metrics: of.metrics.slice(0, 20) }));
  const out = poison({ ...calibration, planted });
  out.metrics = { path: SCRIPT, bytes: metrics.length, sha256: sha256(metrics) };
  out.swaps.clustered = manifest.statistics?.clusters ?? true;
  out.length_trap = { ...out.length_trap, survive: 12, survivors: Array.from({ length: 12 }, (_, n) => evil(n)) };
  out.left_out = [...KINDS, LONG].map((text) => ({ part: text, reason: text }));
  return out;
}

/** A run of very many domains, metrics and verdicts. */
export async function crowdedRun(folder) {
  mkdirSync(folder, { recursive: true });
  const many = (rows, count, change) => Array.from({ length: count }, (_, n) => change({ ...rows[n % rows.length] }, n));
  const files = {
    "metrics.parquet": await changed("metrics.parquet", (rows) => many(rows, 4000, (row, n) => ({ ...row, sample_id: `sample ${n}`, domain: `domain ${n}` }))),
    "stats.parquet": await changed("stats.parquet", (rows) => many(rows, 20_000, (row, n) => ({ ...row, metric: `metric ${n}`, domain: "all", verdict: `verdict ${n}` }))),
    "manifest.json": readFileSync(join(dist, "runs/demo/manifest.json")),
  };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
}

/** Nothing that the data holds has become more than text, and the page is as wide as its window. Elements that
 *  fit the selector `besides` are left out. */
export async function harmless(page, what, besides = "never-there") {
  const wrong = await page.evaluate((besides) => {
    const found = [];
    if (window.pwned !== undefined) found.push(`a script of the data ran: ${window.pwned}`);
    const steers = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;
    const own = (element) => element.matches(besides) || (element.localName === "script" && element.src.startsWith(location.origin)) || (element.localName === "img" && element.src.endsWith("/icon.svg"));
    for (const element of document.querySelectorAll("*")) {
      if (element.matches("script, iframe, img, object, embed, base, form[action], meta[http-equiv=refresh]") && !own(element)) found.push(`an element ${element.outerHTML.slice(0, 100)}`);
      for (const { name, value } of element.attributes) {
        if (name.startsWith("on")) found.push(`a handler ${name}="${value.slice(0, 80)}"`);
        if (["href", "src", "action", "xlink:href"].includes(name) && !/^(https?|blob):$/.test(new URL(value, document.baseURI).protocol)) found.push(`an address ${value.slice(0, 80)}`);
        if (["title", "aria-label", "alt", "label"].includes(name) && (steers.test(value) || value.length > 2000)) found.push(`${name} of ${value.length} letters: ${JSON.stringify(value.slice(0, 80))}`);
      }
    }
    if (steers.test(document.title) || document.title.length > 200) found.push("the title");
    for (let walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), node; (node = walk.nextNode()); ) {
      if (steers.test(node.data)) found.push(`text that steers: ${JSON.stringify(node.data.slice(0, 80))} in ${node.parentElement.outerHTML.slice(0, 60)}`);
    }
    return found.slice(0, 10);
  }, besides);
  assert.deepEqual(wrong, [], what);
  await fits(page, what);
}
