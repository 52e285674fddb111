// The page's CPU path beside onnxruntime-web, in one headless Chromium after the other, on the same 600 texts.
//
//   npm ci && cargo xtask web                       # the page, with the default model beside it, in dist/
//   npm ci --prefix bench                           # onnxruntime-web
//   python bench/export_small.py --gguf FILE --out DIR
//   node bench/in_browser.mjs --files DIR [--rounds 1] [--batches 8,32] [--out bench/RESULTS.md]
//
// Of the page the whole run is timed, from the click to the results: reading the weights, three SAEs, geometry,
// statistics, Parquet, drawing. The model is stored and the WASM compiled by a run before. Of onnxruntime-web (WASM) the
// forward pass through the same blocks alone is timed, batches of texts of like length after one that is not: no
// loading, no tokenising, no SAE. Its threads need shared memory, which the host's headers allow here; the page's
// workers do not. That both compute the same is checked: token counts, and every text's residual norms. The
// variables of tests/browser/harness/paths.mjs say which page and browser.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { clean, launch } from "../tests/browser/harness/browser.mjs";
import { chromium, dist } from "../tests/browser/harness/paths.mjs";
import { rows } from "../tests/browser/harness/run.mjs";
import { serve } from "../tests/browser/harness/server.mjs";
import { by, go, open, start, stateWithin } from "../tests/browser/harness/view.mjs";
import { apart, between, fastest, table } from "./tables.mjs";
import { besides, there, version, withOnnxruntime } from "./with_onnxruntime_web.mjs";

const MARK = "<!-- in_browser -->";
/** What the residual norms of two f32 programs may differ by, relatively. */
const SAME = 1e-3;
const LONG = 1_200_000;

const { values } = parseArgs({
  options: {
    files: { type: "string" },
    rounds: { type: "string", default: "1" },
    batches: { type: "string", default: "8,32" },
    out: { type: "string" },
  },
});

/** The page's run on so many workers: seconds, and its metrics. */
async function ours(workers) {
  const [host, browser] = [await serve(), await launch()];
  try {
    const page = await browser.page();
    const once = async () => {
      await open(page, host, `#/setup?model=known&name=smollm2-135m-instruct&device=cpu&workers=${workers}`);
      await page.locator('[data-test="start-run"]:enabled').waitFor();
      const began = performance.now();
      await start(page);
      await stateWithin(page, LONG, "finished");
      return (performance.now() - began) / 1000;
    };
    await once();
    const { result: seconds, others } = await besides(browser, once);
    const waiting = page.waitForEvent("download");
    await go(page, "#/results");
    await by(page, "download-metrics").click();
    const metrics = await rows(readFileSync(await (await waiting).path()));
    clean(page, browser);
    return { settings: [{ setting: "the whole run", seconds }], metrics, others };
  } finally {
    await browser.close();
    await host.close();
  }
}

/** How far each program's residual norms are from the page's, relatively, at most; f32 ones have to agree. */
function compare(described, programs) {
  const texts = programs[0].runs[0].metrics.flatMap((row) => ["prompt", "fact", "hall"].map((text) => [row, text]));
  const counts = texts.map(([row, text]) => Number(row[`n_tokens_${text}`]));
  assert.deepEqual(counts, described.ids.map((ids) => ids.length), "token counts");
  const own = texts.map(([row, text]) => described.layers.map((layer) => row[`l${layer}_${text}_residual_norm`]));
  for (const program of programs.filter(({ runs }) => runs[0].norms)) {
    program.apart = apart(program.runs[0].norms, own);
    const { name, form } = program;
    assert.ok(form !== "f32" || program.apart <= SAME, `${name}'s residual norms are up to ${program.apart} apart`);
  }
}

const out = values.out && resolve(values.out);
const results = out ? readFileSync(out, "utf8") : "";
if (out && results.split(MARK).length !== 3) throw new Error(`${out}: not two lines ${MARK}`);
const { files } = values;
if (!files) throw new Error("no --files\nhint: what bench/export_small.py wrote");
const described = JSON.parse(readFileSync(there(join(files, "texts.json"), "python bench/export_small.py"), "utf8"));
there(join(dist, "index.html"), "cargo xtask web");
const library = version();
const sizes = values.batches.split(",").map(Number);
const cores = cpus().length;
const counts = cores > 1 ? [1, cores] : [1];
const programs = [
  ...counts.map((count) => ({ name: "saescope's page", form: "f32", count, run: () => ours(count) })),
  ...["f32", "int8"].flatMap((form) =>
    counts.map((count) => ({ name: "onnxruntime-web", form, count, run: () => withOnnxruntime({ files, form, threads: count, described, sizes }) })),
  ),
].map((program) => ({ ...program, runs: [] }));
for (let round = 0; round < Number(values.rounds); round++) {
  for (const { name, form, count, run, runs } of programs) {
    runs.push(await run());
    console.error(`${name}, ${form}, ${count}: ${fastest(runs).seconds.toFixed(1)} s`);
  }
}
compare(described, programs);
const browser = execFileSync(chromium(), ["--version"], { encoding: "utf8" }).trim();
const text = table({
  programs,
  texts: described.ids.length,
  head: `${cpus()[0].model}, ${cores} processors; ${browser}, headless; onnxruntime-web ${library}`,
  rounds: Number(values.rounds),
});
console.log(text);
if (out) writeFileSync(out, between(results, MARK, text));
