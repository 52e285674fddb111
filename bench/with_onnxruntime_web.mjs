// The small model's forward pass by onnxruntime-web (WASM) in a Chromium of its own; in_browser.mjs calls it.

import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { clean, launch } from "../tests/browser/harness/browser.mjs";
import { root } from "../tests/browser/harness/paths.mjs";
import { serve } from "../tests/browser/harness/server.mjs";
import { others } from "../tests/browser/harness/trace.mjs";
import { inBatches } from "./tables.mjs";

const library = join(root, "bench/node_modules/onnxruntime-web");
/** What shared memory, and so more than one thread, takes of a host. */
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** A path that has to be there. */
export function there(path, hint) {
  if (!existsSync(path)) throw new Error(`${path} is not there\nhint: ${hint}`);
  return path;
}

/** What `work` gives, and how many processors were busy meanwhile beside the browser and this process: not a number where unknown. */
export async function besides(browser, work) {
  const counted = await others(browser);
  const result = await work();
  return { result, others: await counted() };
}

/** The library's version. */
export const version = () => JSON.parse(readFileSync(there(join(library, "package.json"), "npm ci --prefix bench"), "utf8")).version;

/**
 * Runs the model `form`.onnx of the folder `files`. Loading is not timed, and each batch size begins with a batch that
 * is not.
 * @returns seconds for each batch size, and the residual norms [text][layer]
 */
export async function withOnnxruntime({ files, form, threads, described, sizes }) {
  const folder = mkdtempSync(join(tmpdir(), "saescope-bench-"));
  symlinkSync(there(join(library, "dist"), "npm ci --prefix bench"), join(folder, "library"));
  symlinkSync(resolve(files), join(folder, "files"));
  writeFileSync(join(folder, "index.html"), "<!doctype html><title>onnxruntime-web</title><link rel=icon href=data:,>");
  const [host, browser] = [await serve({ page: folder, headers: ISOLATED }), await launch()];
  try {
    const page = await browser.page();
    await page.goto(host.url);
    await page.evaluate(
      async ({ form, threads }) => {
        const at = (path) => new URL(path, document.baseURI).href;
        const ort = await import(at("library/ort.wasm.min.mjs"));
        ort.env.wasm.wasmPaths = at("library/");
        ort.env.wasm.numThreads = threads;
        if (threads > 1 && !crossOriginIsolated) throw new Error("no shared memory, so no threads");
        window.ort = ort;
        window.session = await ort.InferenceSession.create(at(`files/${form}.onnx`), { executionProviders: ["wasm"] });
      },
      { form, threads },
    );
    let norms;
    const all = async () => {
      const settings = [];
      for (const size of sizes) {
        const batches = inBatches(described.ids, size);
        const found = await page.evaluate(forward, { batches, names: described.layers.map((layer) => `resid_${layer}`) });
        settings.push({ setting: `batch ${size}`, seconds: found.seconds });
        norms = found.norms;
      }
      return settings;
    };
    const { result: settings, others } = await besides(browser, all);
    clean(page, browser);
    return { settings, norms, others };
  } finally {
    await browser.close();
    await host.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In the page: all batches once, the first of them before the clock too. */
async function forward({ batches, names }) {
  const tensor = (values, dims) => new window.ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
  const run = async ({ width, ids }) => {
    const padded = ids.flatMap((its) => [...its, ...Array(width - its.length).fill(0)]);
    const last = ids.map((its) => its.length - 1);
    return window.session.run({ ids: tensor(padded, [ids.length, width]), last: tensor(last, [ids.length]) });
  };
  const norms = [];
  await run(batches[0]);
  const began = performance.now();
  for (const batch of batches) {
    const out = await run(batch);
    for (const [row, text] of batch.texts.entries()) {
      norms[text] = names.map((name) => {
        const { data, dims } = out[name];
        return Math.hypot(...data.subarray(row * dims[1], (row + 1) * dims[1]));
      });
    }
  }
  return { seconds: (performance.now() - began) / 1000, norms };
}
