// The page on every kind of host: results, numbers, faults, sharing, and without the host.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { HOSTS } from "./harness/hosts.mjs";
import { artifact, golden } from "./harness/paths.mjs";
import { nativeGolden, nativeRun, sameActiveSets, sameMetrics } from "./harness/run.mjs";
import { by, cutUpload, go, kept, open, problem, setUpGolden, start, state, stateWithin } from "./harness/view.mjs";

const LIMIT = { timeout: 600_000 };
/** An emulated WebGPU on a busy machine takes its time, and time is what speed.test.mjs is about. */
const PATIENCE = 240_000;
/** Triples of the default model: enough to compare, and few enough for five hosts. */
const FEW = 2;

let few, tiny;

before(() => {
  few = nativeRun(["--limit", String(FEW)]);
  tiny = nativeGolden("llama");
});

for (const [name, started] of HOSTS) {
  describe(name, () => {
    let host, browser, page;

    before(async () => {
      host = await started(few.folder);
      browser = await launch({ permissions: ["clipboard-read", "clipboard-write"] });
      page = await browser.page();
    });
    after(async () => {
      await browser?.close();
      await host?.close();
    });

    const download = async (file) => {
      const waiting = page.waitForEvent("download");
      await by(page, `download-${file}`).click();
      const path = artifact("downloads", `${file}-of-a-host`);
      await (await waiting).saveAs(path);
      return readFileSync(path);
    };

    test("a run is in view, by itself and by its address, and its files are what is downloaded", LIMIT, async () => {
      await open(page, host);
      await state(page, "ready");
      await page.locator("#view-results svg").first().waitFor();
      assert.match((await kept(page)).text, new RegExp(`Kept for offline use: .*${host.run.url}`), "the host's first run");
      await open(page, host, "", `?run=${host.run.url}`);
      await state(page, "ready");
      assert.match((await kept(page)).text, new RegExp(`Kept for offline use: .*${host.run.url}`));
      for (const file of ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json"]) {
        const bytes = await download(file.split(".")[0].replace("_", "-"));
        assert.ok(bytes.equals(readFileSync(join(host.run.folder, file))), `${file} has other bytes`);
      }
      clean(page, browser);
    });

    for (const [device, tolerance] of [["cpu", 1e-5], ["webgpu", 1e-3]]) {
      test(`a tiny model on ${device} equals the native run within ${tolerance}`, LIMIT, async (t) => {
        // more workers than one, under whatever policy the host sends
        const more = device === "cpu" ? "&workers=2" : "";
        await setUpGolden(page, host, "llama", join(golden, "llama", "texts.json"), device, more);
        await start(page, PATIENCE);
        await stateWithin(page, PATIENCE, "finished");
        await go(page, "#/results");
        const border = await sameActiveSets(await download("features"), tiny.features, { name: "llama", tolerance });
        const worst = await sameMetrics(await download("metrics"), tiny.metrics, tolerance, border);
        t.diagnostic(`largest difference ${worst.difference.toExponential(1)} (${worst.column})`);
        const { compute } = JSON.parse(await download("manifest"));
        assert.deepEqual([compute.device, compute.threads], device === "cpu" ? ["cpu", 2] : ["gpu", 1]);
        clean(page, browser);
      });
    }

    test("a link starts the default model from the host, and its numbers are the native run's within 1e-4", LIMIT, async (t) => {
      await open(page, host, `#/setup?model=known&name=smollm2-135m-instruct&device=cpu&limit=${FEW}`);
      await page.locator('[data-test="start-run"]:enabled').waitFor({ timeout: PATIENCE });
      await by(page, "copy-link").click();
      await page.waitForFunction(() => location.hash.includes("limit="));
      const link = await page.evaluate(() => navigator.clipboard.readText());
      await page.goto("about:blank");
      await page.goto(link);
      await start(page, PATIENCE);
      await stateWithin(page, PATIENCE, "finished");
      await go(page, "#/results");
      const worst = await sameMetrics(await download("metrics"), few.metrics, 1e-4);
      await sameActiveSets(await download("features"), few.features);
      t.diagnostic(`largest difference ${worst.difference.toExponential(1)} (${worst.column})`);
      clean(page, browser);
    });

    test("a sentence is explored", LIMIT, async () => {
      await open(page, host, "#/explore");
      await by(page, "explore-text").fill("The sky is blue");
      await by(page, "explore-go").click();
      await by(page, "features-ranked").waitFor({ timeout: PATIENCE });
      clean(page, browser);
    });

    test("a run that is not there, and data that cannot be read, are said where they are", LIMIT, async () => {
      await open(page, host, "", "?run=runs/nowhere/");
      await state(page, "unreadable");
      const missing = await problem(page);
      assert.match(missing.text, /runs\/nowhere\/.*404/s, "which file, and what the host said");
      await open(page, host, "#/setup?model=known&name=smollm2-135m-instruct&device=cpu");
      await cutUpload(page);
      clean(page, browser, /Failed to load resource/);
    });

    test("an engine that dies says so, and goes on", LIMIT, async () => {
      await open(page, host, `#/setup?model=known&name=smollm2-135m-instruct&device=cpu&limit=24&batch=4&nulls=0`);
      await start(page, PATIENCE);
      await stateWithin(page, PATIENCE, "running");
      for (const worker of page.workers()) {
        if (!(await worker.evaluate(() => "saescopeGpu" in self))) continue;
        await worker.evaluate(() => setTimeout(() => { throw new WebAssembly.RuntimeError("unreachable"); }, 0));
      }
      await state(page, "crashed");
      assert.equal((await problem(page)).kind, "crashed");
      await by(page, "resume-run").click();
      await stateWithin(page, PATIENCE, "running", "finished");
      page.complaints.length = 0;
    });

    test("without the host, what it showed opens", LIMIT, async () => {
      await open(page, host, "", `?run=${host.run.url}`);
      const said = await kept(page);
      assert.equal(said.kept, "yes", said.text);
      await host.proof?.(page);
      await host.close();
      await page.reload();
      await state(page, "ready");
      await page.locator("#view-results svg").first().waitFor();
      await page.waitForFunction(() => document.documentElement.dataset.online === "no");
    });
  });
}
