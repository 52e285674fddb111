// A run that several workers measure side by side is the run of one worker: the same bytes, stopped and
// broken in the same ways.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { artifact, golden } from "./harness/paths.mjs";
import { rows } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { manyTexts } from "./harness/texts.mjs";
import { accessible, by, go, open, problem, setUpGolden, shoot, start, state, stateWithin } from "./harness/view.mjs";

const LONG = { timeout: 600_000 };
const FILES = ["metrics", "features", "stats", "manifest"];

let host, browser, page;

before(async () => {
  host = await serve();
});
after(() => host?.close());
beforeEach(async () => {
  browser = await launch();
  page = await browser.page();
  // a run's name is the second that it began in
  await page.addInitScript(() => (Date.prototype.toISOString = () => "2026-01-02T03:04:05.000Z"));
  await page.addInitScript(heldWorkers);
});
afterEach(() => browser?.close());

/** A tiny model's triples, `copies` times with texts of their own and of different lengths. */
function texts(name, copies) {
  const few = JSON.parse(readFileSync(join(golden, name, "texts.json"), "utf8"));
  const many = Array.from({ length: copies }, (_, n) =>
    few.map((row) => ({ ...row, id: `${row.id}_${n}`, prompt: `${row.prompt}${" and on".repeat(n % 5)} ${n}` })),
  ).flat();
  const path = artifact("data", `workers-${name}-${copies}.json`);
  writeFileSync(path, JSON.stringify(many));
  return { path, ids: many.map(({ id }) => id) };
}

/** The files of the run that is shown, by name, as bytes. */
async function files() {
  await go(page, "#/results");
  const found = {};
  for (const name of FILES) {
    const waiting = page.waitForEvent("download");
    await by(page, `download-${name}`).click();
    found[name] = readFileSync(await (await waiting).path());
  }
  return found;
}

/** What of a manifest does not depend on how the run was cut. */
function lasting(bytes) {
  const { started_at, timings, batch, compute, timeline, ...manifest } = JSON.parse(bytes);
  const { threads, ...computed } = compute;
  const { texts, tokens } = batch;
  assert.ok(started_at && timings.total_seconds > 0);
  return { manifest: { ...manifest, computed, texts, tokens }, threads };
}

/** The workers that measure shares, and have their WASM. */
async function measuring() {
  const found = [];
  for (const worker of page.workers()) {
    const name = await worker.evaluate(() => "saescopeFusedBlock" in self && self.name).catch(() => "");
    if (name && name.startsWith("measuring")) found.push(worker);
  }
  return found;
}

/** The second of two that measure. */
const second = (workers) => workers.at(-1);

/**
 * Keeps shares from their workers, all but so many of the first one's, until `release`: a run cannot be over before a test
 * has done what it does to it, however slow the machine is.
 */
async function holdShares(allowed) {
  await page.evaluate((allowed) => Object.assign(self, { sharesAllowed: allowed, sharesHeld: [] }), allowed);
}
const release = () =>
  page.evaluate(() => {
    self.sharesAllowed = Infinity;
    self.sharesHeld.splice(0).forEach((post) => post());
  });

/** What the page's workers are made of, so that shares can be kept from them. */
function heldWorkers() {
  self.sharesAllowed = Infinity;
  self.Worker = class extends Worker {
    constructor(script, options) {
      super(script, options);
      this.measures = options?.name?.startsWith("measuring");
      this.first = options?.name?.endsWith(" 1");
    }

    postMessage(message, ...rest) {
      const post = () => super.postMessage(message, ...rest);
      const goes = !this.measures || message.type !== "measure" || self.sharesAllowed === Infinity || (this.first && self.sharesAllowed-- > 0);
      if (goes) post();
      else self.sharesHeld.push(post);
    }
  };
}

async function untilMeasuring(count) {
  for (let tries = 0; tries < 600; tries++) {
    const found = await measuring();
    if (found.length === count) return found;
    await page.waitForTimeout(100);
  }
  throw new Error(`waited for ${count} workers that measure, there are ${(await measuring()).length}`);
}

async function finished(name, data, workers, more = "") {
  await setUpGolden(page, host, name, data, "cpu", `&workers=${workers}&logprob=1${more}`);
  await start(page);
  await stateWithin(page, 200_000, "finished");
  return files();
}

for (const [name, copies] of [
  ["llama", 6],
  ["gemma2", 3],
]) {
  test(`tiny ${name}: one, two and three workers write the same bytes`, LONG, async () => {
    const { path, ids } = texts(name, copies);
    const one = await finished(name, path, 1);
    assert.deepEqual((await rows(one.metrics)).map((row) => row.sample_id), ids);
    const begun = lasting(one.manifest);
    assert.equal(begun.threads, 1);
    for (const workers of [2, 3]) {
      const several = await finished(name, path, workers);
      for (const file of ["metrics", "features", "stats"]) {
        assert.ok(several[file].equals(one[file]), `${file}.parquet of ${workers} workers`);
      }
      const told = lasting(several.manifest);
      assert.equal(told.threads, workers);
      assert.deepEqual(told.manifest, begun.manifest);
      assert.deepEqual(await measuring(), [], "they end with the run");
    }
    clean(page, browser);
  });
}

test("the set-up says how many workers there will be, and what they take", LONG, async () => {
  const { path } = texts("llama", 13);
  await setUpGolden(page, host, "llama", path, "cpu", "&workers=2");
  await page.locator('[data-test="start-run"]:enabled').waitFor();
  const told = await by(page, "plan").innerText();
  assert.match(told, /CPU, 2 workers/);
  const [, all, each] = told.match(/at most ([\d.]+) MB, ([\d.]+) MB for each worker/);
  assert.ok(Math.abs(Number(all) - 2 * Number(each)) <= 1, told);
  assert.match(await by(page, "start-run").innerText(), new RegExp(`needs ${all} MB`));
  await page.locator(".advanced summary").click();
  await shoot(page, "workers-setup");
  await accessible(page, "set-up of several workers");
  // left to the page: as many as there are processors, since there are samples and memory for them
  await by(page, "workers").fill("");
  const cores = Math.min(await page.evaluate(() => navigator.hardwareConcurrency), 8);
  const expected = cores > 1 ? `CPU, ${cores} workers` : "CPU\n";
  await page.waitForFunction((text) => document.querySelector('[data-test="plan"]').innerText.includes(text), expected);
  // a machine of half a gigabyte
  for (const worker of page.workers()) {
    await worker.evaluate(() => Object.defineProperty(navigator, "deviceMemory", { value: 0.5 }));
  }
  const plan = (text) => page.waitForFunction((text) => document.querySelector('[data-test="plan"]').innerText.includes(text), text);
  await by(page, "workers").fill("3");
  await plan("3 workers may take");
  await by(page, "workers").fill("");
  await plan("CPU\n");
  clean(page, browser);
});

test("stopped: all workers end at once, and the run goes on", LONG, async () => {
  const { path, ids } = manyTexts(56);
  await setUpGolden(page, host, "llama", path, "cpu", "&workers=2&nulls=0");
  await holdShares(1);
  await start(page);
  await state(page, "running");
  await untilMeasuring(2);
  assert.match(await by(page, "memory").innerText(), /in 2 workers/);
  await shoot(page, "workers-running");
  await by(page, "cancel-run").click();
  await state(page, "cancelled");
  await untilMeasuring(0);
  await release();
  await by(page, "resume-run").click();
  await stateWithin(page, 200_000, "finished");
  const { metrics } = await files();
  assert.deepEqual((await rows(metrics)).map((row) => row.sample_id), ids);
  clean(page, browser);
});

test("a worker that breaks ends the run, which goes on from what is kept", LONG, async () => {
  const { path, ids } = manyTexts(40);
  await setUpGolden(page, host, "llama", path, "cpu", "&workers=2&nulls=0");
  await holdShares(1);
  await start(page);
  await state(page, "running");
  await second(await untilMeasuring(2)).evaluate(() => setTimeout(() => { throw new WebAssembly.RuntimeError("unreachable"); }, 0));
  await state(page, "crashed");
  assert.match((await problem(page)).text, /unreachable/);
  await untilMeasuring(0);
  await release();
  await by(page, "resume-run").click();
  await stateWithin(page, 200_000, "finished");
  const { metrics } = await files();
  assert.deepEqual((await rows(metrics)).map((row) => row.sample_id), ids);
});

test("a worker without memory: the others go on, and the page says so", LONG, async () => {
  const { path } = manyTexts(24);
  const whole = await finished("llama", path, 1, "&nulls=0");
  const outOfMemory = (worker) => worker.evaluate(() => void setTimeout(() => self.saescopePanic("memory allocation of 1234 bytes failed"), 0));
  await setUpGolden(page, host, "llama", path, "cpu", "&workers=2&logprob=1&nulls=0");
  await holdShares(1);
  await start(page);
  await state(page, "running");
  await outOfMemory(second(await untilMeasuring(2)));
  await by(page, "fewer-workers").waitFor();
  assert.match(await by(page, "fewer-workers").innerText(), /ran out of memory.*1 worker of 2 goes on/s);
  await shoot(page, "fewer-workers");
  await accessible(page, "fewer workers");
  await release();
  await stateWithin(page, 200_000, "finished");
  const fewer = await files();
  for (const file of ["metrics", "features", "stats"]) assert.ok(fewer[file].equals(whole[file]), file);

  // the last one: as with one worker
  await setUpGolden(page, host, "llama", path, "cpu", "&workers=2&logprob=1&nulls=0");
  await holdShares(0);
  await start(page);
  const all = await untilMeasuring(2);
  await Promise.all(all.map(outOfMemory));
  await state(page, "out-of-memory");
  await untilMeasuring(0);
});

test("a tab that is closed midway with several workers: the page opened anew goes on", LONG, async () => {
  await open(page, host, "#/setup?model=known&name=smollm2-135m-instruct&device=cpu&limit=64&batch=8&workers=2&nulls=0");
  // the other one has not begun its share when the first has finished its own
  await holdShares(1);
  await start(page);
  await state(page, "running");
  await go(page, "#/results");
  await page.locator('[data-test="partial"]:visible').waitFor({ timeout: 200_000 });
  await page.close();
  page = await browser.page();
  await open(page, host, "#/storage");
  await by(page, "continue-unfinished").click();
  await stateWithin(page, 240_000, "finished");
  const { metrics, manifest } = await files();
  const found = await rows(metrics);
  assert.equal(new Set(found.map((row) => row.sample_id)).size, 64);
  assert.equal(found.length, 64);
  assert.equal(JSON.parse(manifest).timings.parts, 2, "measured in two attempts");
  clean(page, browser);
});
