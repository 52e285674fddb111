// What the page promises about time: results at once, a thread that is never blocked, a run in a minute.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { serve } from "./harness/server.mjs";
import { open, start, state, stateWithin } from "./harness/view.mjs";

const FIRST_RESULTS = 2_000;
/** While the engine works, and while the finished results are drawn. */
const LONGEST_TASK = 50;
const LONGEST_DRAWING = 200;
const WHOLE_RUN = 60_000;

let host, browser;

before(async () => {
  host = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host?.close();
});

test("the shared run's results are there within 2 s, before any WASM is loaded", async (t) => {
  const page = await browser.page();
  await open(page, host);
  await page.waitForFunction(() => performance.getEntriesByName("saescope-results-shown").length > 0);
  const shown = await page.evaluate(() => performance.getEntriesByName("saescope-results-shown")[0].startTime);
  const early = host.requests.map(({ path }) => path).filter((path) => path.endsWith(".wasm"));
  t.diagnostic(`results after ${Math.round(shown)} ms`);
  assert.ok(shown <= FIRST_RESULTS, `results after ${Math.round(shown)} ms, at most ${FIRST_RESULTS}`);
  assert.ok(early.length === 0 || shown < FIRST_RESULTS, "WASM came first");
  clean(page, browser);
  await page.close();
});

test("the demo model over 200 triples on the CPU: a minute, and the page stays awake", { timeout: 400_000 }, async (t) => {
  const page = await browser.page();
  await page.addInitScript(() => {
    window.long = [];
    new PerformanceObserver((list) => {
      for (const { duration, startTime } of list.getEntries()) window.long.push({ duration, startTime });
    }).observe({ type: "longtask", buffered: true });
    // says whose they were
    window.scripts = [];
    new PerformanceObserver((list) => {
      for (const frame of list.getEntries()) {
        for (const { invoker, sourceURL, sourceFunctionName, duration, startTime } of frame.scripts) {
          const file = sourceURL.split("/").at(-1);
          if (duration > 20) window.scripts.push(`${Math.round(startTime)}: ${Math.round(duration)} ms ${invoker} ${file} ${sourceFunctionName}`);
        }
      }
    }).observe({ type: "long-animation-frame", buffered: true });
  });
  await open(page, host, "#/setup?model=known&name=smollm2-135m-instruct&device=cpu");
  await page.locator('[data-test="start-run"]:enabled').waitFor();
  const from = await page.evaluate(() => ((window.long.length = 0), performance.now()));
  await start(page);
  await state(page, "running", "finished");
  const computing = Date.now();
  await stateWithin(page, 300_000, "finished");
  const seconds = (Date.now() - computing) / 1000;
  const long = (await page.evaluate(() => window.long)).filter(({ startTime }) => startTime >= from);
  const end = await page.evaluate(() => performance.getEntriesByName("saescope-run-finished")[0].startTime);
  const longest = (tasks) => Math.max(0, ...tasks.map(({ duration }) => duration));
  const worst = longest(long.filter(({ startTime }) => startTime < end));
  const drawing = longest(long.filter(({ startTime }) => startTime >= end));
  const said = (duration) => (duration ? `${Math.round(duration)} ms` : "none over 50 ms");
  t.diagnostic(`${seconds.toFixed(1)} s; main-thread tasks: during the run ${said(worst)}, drawing the results ${said(drawing)}`);
  const scripts = await page.evaluate(() => window.scripts);
  const tasks = long.map((one) => `${Math.round(one.duration)} ms at ${Math.round(one.startTime)}`).join(", ");
  assert.ok(worst <= LONGEST_TASK, `main-thread tasks over 50 ms: ${tasks}\n${scripts.join("\n")}`);
  assert.ok(drawing <= LONGEST_DRAWING, `drawing the results: ${tasks}\n${scripts.join("\n")}`);
  assert.ok(seconds * 1000 <= WHOLE_RUN, `${seconds.toFixed(1)} s, at most ${WHOLE_RUN / 1000}`);
  clean(page, browser);
  await page.close();
});
