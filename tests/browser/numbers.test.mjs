// The browser's numbers are the native program's.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { call, goldenSubject, setup, startEngine } from "./harness/engine.mjs";
import { goldenTexts, nativeRun, nativeGolden, near, quantisedGolden, sameActiveSets, sameMetrics } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";

let host, browser, page;

before(async () => {
  host = await serve();
  browser = await launch();
  page = await browser.page();
  await page.goto(host.url);
  await startEngine(page);
});
after(async () => {
  await browser?.close();
  await host?.close();
});

const analyze = (subject, data, more) =>
  call(page, { type: "analyze", setup: setup(subject, data, more), run_id: "test", asked: "" });

for (const name of ["llama", "gemma2", "gemma3", "gpt2"]) {
  for (const [device, tolerance] of [
    ["webgpu", 1e-3],
    ["cpu", 1e-5],
  ]) {
    test(`tiny ${name} on ${device} equals the native run within ${tolerance}`, { timeout: 300_000 }, async (t) => {
      const theirs = nativeGolden(name, "--logprob");
      const data = { kind: "bytes", name: "texts.json", bytes: goldenTexts(name) };
      const ours = await analyze(goldenSubject(host, name), data, { device, logprob: true });
      const border = await sameActiveSets(ours.features, theirs.features, { name, tolerance });
      assert.ok(border.size <= 1, `samples with a feature on its border: ${[...border].join(", ")}`);
      const worst = await sameMetrics(ours.metrics, theirs.metrics, tolerance, border);
      t.diagnostic(`largest difference ${worst.difference.toExponential(1)} (${worst.column})`);
      const { moved, stages } = JSON.parse(ours.manifest).timings;
      if (device === "cpu") assert.equal(moved, null);
      else {
        const layers = JSON.parse(ours.manifest).layers;
        assert.ok(moved.uploaded_bytes > 1e5 && moved.read_back_bytes > 0, JSON.stringify(moved));
        // the end of a block; at an SAE its rows and what is active, and at the first what is active with noise
        const passes = JSON.parse(ours.manifest).timeline.parts[0].passes;
        assert.ok(moved.waits <= passes * (Math.max(...layers) + 1 + 3 * layers.length + 2) + 8, JSON.stringify(moved));
      }
      assert.ok(stages.find(({ stage }) => stage === "nulls").seconds > 0);
      if (border.size) t.diagnostic(`left out, a feature is on its border there: ${[...border].join(", ")}`);
    });
  }
}

// as tests/precisions.rs has it, beside f32
for (const name of ["llama", "gpt2"]) {
  test(`tiny ${name} in f16 on webgpu is near the native run in f32`, { timeout: 300_000 }, async (t) => {
    const data = { kind: "bytes", name: "texts.json", bytes: goldenTexts(name) };
    const ours = await analyze(goldenSubject(host, name), data, { device: "webgpu", precision: "f16", nulls: 0 });
    const found = await near(ours, nativeGolden(name, "--nulls", "off"), { norms: 1e-3, jaccard: 0.97 });
    assert.ok(found.norms > 2e-6, `norms are ${found.norms} apart: is it f32?`);
    t.diagnostic(`norms ${found.norms.toExponential(1)} apart, Jaccard ${found.jaccard.toFixed(4)}`);
  });
}

// blocks are uploaded as they are and unpacked by a kernel
for (const [name, bits] of [["llama", "q8"], ["gpt2", "q4"], ["gemma2_bf16", "q8"]]) {
  for (const device of ["webgpu", "cpu"]) {
    test(`tiny ${name} in ${bits} on ${device} equals the native run of the same file`, { timeout: 300_000 }, async (t) => {
      const { file, saes, run } = quantisedGolden(name, bits);
      const model = { kind: "files", files: [{ $name: "model.gguf", $bytes: file.toString("base64") }] };
      const subject = { ...goldenSubject(host, saes), model };
      const data = { kind: "bytes", name: "texts.json", bytes: goldenTexts(saes) };
      const found = await near(await analyze(subject, data, { device, nulls: 0 }), run, { norms: 1e-4, jaccard: 0.99 });
      t.diagnostic(`norms ${found.norms.toExponential(1)} apart, Jaccard ${found.jaccard.toFixed(4)}`);
    });
  }
}

test("the demo model on a dozen triples on the CPU equals the native run within 1e-4", { timeout: 600_000 }, async (t) => {
  const theirs = nativeRun(["--limit", "12"]);
  const subject = { model: { kind: "known", name: "smollm2-135m-instruct" } };
  const ours = await analyze(subject, { kind: "builtin" }, { limit: 12 });
  const worst = await sameMetrics(ours.metrics, theirs.metrics, 1e-4);
  await sameActiveSets(ours.features, theirs.features);
  t.diagnostic(`largest difference ${worst.difference.toExponential(1)} (${worst.column})`);
});

test("no other host was asked, nothing was complained about", () => clean(page, browser));
