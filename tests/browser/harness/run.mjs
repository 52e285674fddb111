// Runs of the native program, and runs compared.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { golden, program } from "./paths.mjs";

/** What `expected.json` of a tiny model says about its SAEs: layer → path below the case. */
export function goldenSaes(name) {
  const { saes } = JSON.parse(readFileSync(join(golden, name, "expected.json"), "utf8"));
  return Object.entries(saes).map(([layer, path]) => ({ layer: Number(layer), path }));
}

/** A tiny model's triples. */
export const goldenTexts = (name) => readFileSync(join(golden, name, "texts.json"));

/** A run of the native program on the CPU: its folder, and its four files as bytes. */
export function nativeRun(args) {
  const out = join(mkdtempSync(join(tmpdir(), "saescope-native-")), "run");
  execFileSync(program, ["analyze", "--device", "cpu", "--out", out, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const read = (name) => readFileSync(join(out, name));
  return {
    folder: out,
    metrics: read("metrics.parquet"),
    features: read("features.parquet"),
    stats: read("stats.parquet"),
    manifest: JSON.parse(read("manifest.json")),
  };
}

/** A tiny model's run. */
export function nativeGolden(name, ...more) {
  const saes = goldenSaes(name).flatMap(({ layer, path }) => ["--sae", `${layer}=${join(golden, name, path)}`]);
  const model = ["--model", join(golden, name, "model")];
  return nativeRun([...model, ...saes, "--dataset", join(golden, name, "texts.json"), ...more]);
}

/** Whose SAEs and triples a tiny model without its own takes. */
const SAES_OF = { gemma2_bf16: "gemma2", llama3_sharded_bf16: "llama" };

/** A tiny model quantised into a GGUF file, whose SAEs are with it, and the native run of that. */
export function quantisedGolden(name, bits) {
  const saes = SAES_OF[name] ?? name;
  const folder = mkdtempSync(join(tmpdir(), "saescope-quantised-"));
  const model = join(folder, "model");
  cpSync(join(golden, name, "model"), model, { recursive: true });
  if (name.startsWith("gemma")) {
    // llama.cpp knows Gemma's scale of attention scores by the head's size; the tiny ones have another
    const config = join(model, "config.json");
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), query_pre_attn_scalar: 16 }));
  }
  const file = join(folder, "model.gguf");
  execFileSync(program, ["convert", model, "--quantize", bits, "--out", file], { stdio: ["ignore", "ignore", "pipe"] });
  const hooks = goldenSaes(saes).flatMap(({ layer, path }) => ["--sae", `${layer}=${join(golden, saes, path)}`]);
  const run = nativeRun(["--model", file, ...hooks, "--dataset", join(golden, saes, "texts.json"), "--nulls", "off"]);
  return { file: readFileSync(file), saes, run };
}

/**
 * Residual norms within `norms`, relatively, and active sets with a Jaccard index of at least `jaccard`, the mean over
 * texts, at every layer. Gives what was found.
 */
export async function near(ours, theirs, { norms, jaccard }) {
  const [a, b] = [await rows(ours.metrics), await rows(theirs.metrics)];
  assert.deepEqual(a.map((row) => row.sample_id), b.map((row) => row.sample_id));
  const columns = Object.keys(b[0]).filter((name) => name.endsWith("_residual_norm"));
  assert.ok(columns.length >= 3, `norms: ${columns}`);
  const apart = Math.max(...columns.flatMap((name) => b.map((row, i) => Math.abs(a[i][name] / row[name] - 1))));
  assert.ok(apart <= norms, `norms are up to ${apart} apart`);
  const active = async (bytes) => {
    const sets = new Map();
    for (const row of await rows(bytes)) {
      const key = `${row.layer} ${row.sample_id} ${row.text}`;
      sets.set(key, (sets.get(key) ?? new Set()).add(row.feature));
    }
    return sets;
  };
  const [mine, other] = [await active(ours.features), await active(theirs.features)];
  const byLayer = new Map();
  for (const key of new Set([...mine.keys(), ...other.keys()])) {
    const [x, y] = [mine.get(key) ?? new Set(), other.get(key) ?? new Set()];
    const both = [...x].filter((feature) => y.has(feature)).length;
    const layer = key.split(" ")[0];
    byLayer.set(layer, [...(byLayer.get(layer) ?? []), both / (x.size + y.size - both)]);
  }
  const lowest = Math.min(...[...byLayer.values()].map((all) => all.reduce((sum, one) => sum + one, 0) / all.length));
  assert.ok(lowest >= jaccard, `Jaccard ${lowest}`);
  return { norms: apart, jaccard: lowest };
}

/** Rows of a Parquet file. */
export async function rows(bytes) {
  const copy = new Uint8Array(bytes).slice().buffer;
  return parquetReadObjects({ file: copy });
}

/** Draws of each null, where nobody says otherwise. */
const DRAWS = 200;
/** Draws of a text that may count here and not there, and the share of tails that may have any. */
const [BORDER, RARELY] = [3, 0.005];

/**
 * Every column of two metrics tables: same rows in the same order, text and whole numbers equal, the
 * rest within `tolerance` of the column's largest value. Rows of the samples `except` are left out, and
 * which run each is of. Gives the largest difference.
 *
 * A null's tail counts draws that are as large as the text's number or smaller by rounding alone. A draw may lie on the
 * border of that, where products are fused here and not there: a few tails may differ by a few draws, which are whole.
 */
export async function sameMetrics(ours, theirs, tolerance, except = new Set()) {
  const [a, b] = [await rows(ours), await rows(theirs)];
  assert.equal(a.length, b.length, "rows");
  assert.deepEqual(Object.keys(a[0]), Object.keys(b[0]), "columns");
  let worst = { column: "", difference: 0 };
  const wrong = [];
  const border = [];
  let tails = 0;
  for (const column of Object.keys(b[0]).filter((name) => name !== "run_id")) {
    const numbers = b.map((row) => row[column]).filter((value) => typeof value === "number" && Number.isFinite(value));
    const scale = Math.max(...numbers.map(Math.abs), Number.MIN_VALUE);
    for (const [i, row] of b.entries()) {
      if (except.has(row.sample_id)) continue;
      const [x, y] = [a[i][column], row[column]];
      if (typeof y !== "number" || !Number.isFinite(y)) {
        if (!Object.is(x, y)) wrong.push(`${column}, row ${i}: ${x} against ${y}`);
        continue;
      }
      if (column.endsWith("_tail")) {
        tails += 1;
        const draws = Math.abs(x - y) * (DRAWS + 1);
        if (draws > 0.5 && draws < BORDER + 0.5 && Math.abs(draws - Math.round(draws)) < 1e-6) {
          border.push(`${column}, row ${i}: ${x} against ${y}`);
          continue;
        }
      }
      const difference = Math.abs(x - y) / scale;
      if (!(difference <= tolerance)) wrong.push(`${column}, row ${i}: ${x} against ${y}`);
      if (difference > worst.difference) worst = { column, difference };
    }
  }
  assert.deepEqual(wrong, [], `more than ${tolerance} apart`);
  assert.ok(border.length <= Math.max(1, RARELY * tails), `draws on the border of rounding: ${border.join("; ")}`);
  return worst;
}

/**
 * The active features of every text and layer are the same. A tiny model `name` has features on the
 * very border of firing, which its reference numbers tell: those may differ where their margin is
 * within the tolerance, and nothing else may. Gives the samples that have such a feature.
 */
export async function sameActiveSets(ours, theirs, { name, tolerance = 0 } = {}) {
  const sets = async (bytes) =>
    new Set((await rows(bytes)).map((row) => `${row.sample_id} ${row.text} ${row.layer} ${row.feature}`));
  const [a, b] = [await sets(ours), await sets(theirs)];
  const border = new Map();
  const expected = name ? JSON.parse(readFileSync(join(golden, name, "expected.json"), "utf8")).features : [];
  for (const { sample_id, text, layer, feature, margin, nearly } of expected) {
    const key = (id) => `${sample_id} ${text} ${layer} ${id}`;
    feature.forEach((id, i) => margin[i] < 10 * tolerance && border.set(key(id), sample_id));
    nearly.forEach((id) => border.set(key(id), sample_id));
  }
  const only = (from, other) => [...from].filter((key) => !other.has(key));
  const different = [...only(a, b).map((key) => ["browser", key]), ...only(b, a).map((key) => ["native", key])];
  const wrong = different.filter(([, key]) => !border.has(key));
  assert.deepEqual(wrong.map(([where, key]) => `${key} (${where} only)`), [], "active in one of them only");
  return new Set(different.map(([, key]) => border.get(key)));
}
