// The browser's numbers are the native program's.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { call, goldenSubject, setup, startEngine } from "./harness/engine.mjs";
import { goldenTexts, nativeRun, nativeGolden, sameActiveSets, sameMetrics } from "./harness/run.mjs";
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

for (const name of ["llama", "gemma2"]) {
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
      if (border.size) t.diagnostic(`left out, a feature is on its border there: ${[...border].join(", ")}`);
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
