// Everything that can go wrong ends in its own state, in words, with a way on.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { artifact, golden } from "./harness/paths.mjs";
import { rows, sameMetrics } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { manyTexts } from "./harness/texts.mjs";
import { accessible, by, cutUpload, go, open, problem, setUpGolden, shoot, start, state, stateWithin } from "./harness/view.mjs";

// nulls are drawn elsewhere: they take longer than a tiny model
const DEMO = "#/setup?model=known&name=smollm2-135m-instruct&device=cpu&nulls=0";
const LONG = { timeout: 300_000 };
/** Triples of the default model in several batches: enough to be broken off between two. */
const SOME = 64;

let host, browser, page;

before(async () => {
  host = await serve();
});
after(() => host?.close());
// a new profile each: nothing stored by one test serves another
beforeEach(async () => {
  browser = await launch();
  page = await browser.page();
});
afterEach(async () => {
  for (const fault of Object.keys(host.faults)) delete host.faults[fault];
  await browser?.close();
});

/** The engine's worker; the page has another one that reads Parquet. */
async function engineWorker() {
  for (const worker of page.workers()) {
    if (await worker.evaluate(() => "saescopeGpu" in self)) return worker;
  }
  throw new Error("no engine worker runs");
}

test("a run that is stopped keeps what is finished, and goes on", LONG, async () => {
  const { path: data } = manyTexts(56);
  await setUpGolden(page, host, "llama", data, "cpu", "&workers=1&nulls=0");
  await start(page);
  await state(page, "running");
  await shoot(page, "running");
  await accessible(page, "running");
  await by(page, "cancel-run").click();
  await state(page, "cancelled");
  await shoot(page, "cancelled");
  await accessible(page, "cancelled");
  await by(page, "resume-run").click();
  await stateWithin(page, 240_000, "finished");
  await shoot(page, "finished");
  clean(page, browser);
});

test("a lost device: finished samples are kept, the run goes on on the CPU", LONG, async () => {
  await setUpGolden(page, host, "llama", manyTexts(16).path, "webgpu", "&nulls=0");
  await start(page);
  await state(page, "running");
  const worker = await engineWorker();
  await worker.evaluate(async () => {
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));
    while (!self.saescopeGpu.device) await pause(20);
    // in the middle of its work
    await pause(500);
    self.saescopeGpu.device.destroy();
  });
  await state(page, "device-lost");
  assert.equal((await problem(page)).kind, "device-lost");
  await shoot(page, "device-lost");
  await accessible(page, "device-lost");
  await by(page, "resume-cpu").click();
  await stateWithin(page, 200_000, "finished");
  clean(page, browser);
});

/** A run of the page on WebGPU: what it said, its metrics and its manifest. `first` is done in the worker before. */
async function onWebGpu(data, first = () => undefined) {
  await setUpGolden(page, host, "llama", data, "webgpu", "&nulls=0");
  await page.locator('[data-test="start-run"]:enabled').waitFor();
  await (await engineWorker()).evaluate(first);
  await start(page);
  await stateWithin(page, 240_000, "finished");
  const said = await page.locator('[data-test="run-notes"]').textContent();
  const made = await (await engineWorker()).evaluate(() => self.made ?? 0);
  await go(page, "#/results");
  const download = async (file) => {
    const waiting = page.waitForEvent("download");
    await by(page, `download-${file}`).click();
    const path = artifact("downloads", `${file}-out-of-memory`);
    await (await waiting).saveAs(path);
    return readFileSync(path);
  };
  return { said, made, metrics: await download("metrics"), manifest: JSON.parse(await download("manifest")) };
}

test("WebGPU without memory left: the run goes on on a device that is opened anew, and says so", LONG, async (t) => {
  const { path: data } = manyTexts(2);
  const short = await onWebGpu(data, () => {
    const { createBuffer } = GPUDevice.prototype;
    self.made = 0;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      self.made += 1;
      if (self.made !== 60) return createBuffer.call(this, descriptor);
      // as a browser does it: the buffer is invalid, what is computed with it too, and an event says why
      this.pushErrorScope("validation");
      const buffer = createBuffer.call(this, { ...descriptor, usage: 0 });
      void this.popErrorScope();
      const error = new GPUOutOfMemoryError("not enough memory left");
      this.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
      return buffer;
    };
  });
  t.diagnostic(`${short.said} ${short.made} buffers in all`);
  assert.match(short.said, /^Out of memory: WebGPU has none left for another buffer; the device is opened anew(, for half as much at once)?\.$/);
  assert.ok(short.manifest.warnings.some((warning) => /^the device ran out of memory once and was opened anew/.test(warning)));
  assert.equal(short.manifest.compute.device, "gpu");

  const whole = await onWebGpu(data);
  assert.equal(whole.said, "");
  assert.ok(!whole.manifest.warnings.some((warning) => /out of memory/.test(warning)));
  const { difference } = await sameMetrics(short.metrics, whole.metrics, 0);
  assert.equal(difference, 0);
  clean(page, browser);
});

for (const [what, kind, broken] of [
  ["a download that ends early", "truncated", false],
  ["a connection that breaks", "network", true],
]) {
  test(`${what}: it says so, and goes on from there`, LONG, async () => {
    await open(page, host, `${DEMO}&limit=2`);
    await page.locator('[data-test="start-run"]:enabled').waitFor();
    host.faults.truncate = { match: /\.gguf$/, share: 0.5, broken };
    await start(page);
    await state(page, kind);
    const found = await problem(page);
    assert.equal(found.kind, kind);
    assert.match(found.text, /gguf/);
    await shoot(page, kind);
    await accessible(page, kind);
    delete host.faults.truncate;
    host.requests.length = 0;
    await by(page, "resume-run").click();
    await stateWithin(page, 200_000, "finished");
    clean(page, browser, /console: Failed to load resource/);
  });
}

test("a full storage says so", LONG, async () => {
  const session = await browser.context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: host.origin, quotaSize: 20_000_000 });
  await open(page, host, `${DEMO}&limit=2`);
  await start(page);
  await state(page, "quota");
  const { kind, text } = await problem(page);
  assert.equal(kind, "quota");
  assert.match(text, /storage/i);
  await shoot(page, "quota");
  await accessible(page, "quota");
  clean(page, browser);
});

test("an upload that cannot be read says where", LONG, async () => {
  await open(page, host, DEMO);
  await cutUpload(page);
  await shoot(page, "bad-data");
  await accessible(page, "bad-data");
  clean(page, browser);
});

test("rows that cannot be used are listed, the others run", LONG, async () => {
  await open(page, host, DEMO);
  await by(page, "data-upload").check();
  const csv = "id,prompt,fact,hallucination\na,The sky is,blue,green\nb,,blue,green\n";
  await by(page, "data-file").setInputFiles({ name: "half.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await by(page, "rejected").waitFor();
  const text = await by(page, "rejected").innerText();
  assert.match(text, /1 row/);
  assert.match(text, /prompt/);
  await page.locator('[data-test="start-run"]:enabled').waitFor();
  await shoot(page, "rejected-rows");
  await accessible(page, "rejected rows");
  clean(page, browser);
});

test("a host that does not answer", LONG, async () => {
  host.faults.gone = /\.gguf$/;
  await open(page, host, DEMO);
  const { kind, text } = await problem(page);
  assert.ok(["network", "missing", "io"].includes(kind), kind);
  assert.match(text, /gguf|404/);
  await shoot(page, "host-without-model");
  clean(page, browser, /console: Failed to load resource/);
});

test("an engine that cannot be loaded: finished runs can still be read", LONG, async () => {
  host.faults.gone = /\.wasm$/;
  await open(page, host, "#/setup");
  await state(page, "failed");
  await shoot(page, "failed-to-start");
  await accessible(page, "failed to start");
  await open(page, host, "#/results");
  await state(page, "ready");
  clean(page, browser, /console: Failed to load resource/);
});

test("an engine that dies is started anew", LONG, async () => {
  await setUpGolden(page, host, "llama", manyTexts(40).path, "cpu", "&nulls=0");
  await start(page);
  await state(page, "running");
  const worker = await engineWorker();
  // what a panic of the WASM looks like from outside
  await worker.evaluate(() => setTimeout(() => { throw new WebAssembly.RuntimeError("unreachable"); }, 0));
  await state(page, "crashed");
  await shoot(page, "crashed");
  await accessible(page, "crashed");
  await by(page, "resume-run").click();
  await stateWithin(page, 200_000, "finished");
});

test("a tab that is closed midway: the page opened anew goes on, or lets it go", LONG, async () => {
  const begin = async () => {
    await open(page, host, `${DEMO}&limit=${SOME}&batch=8&workers=1`);
    await start(page);
    await state(page, "running");
    await go(page, "#/results");
    await page.locator('[data-test="partial"]:visible').waitFor({ timeout: 200_000 });
    await page.close();
    page = await browser.page();
    await open(page, host, "#/storage");
    await by(page, "notice-unfinished").waitFor();
  };
  await begin();
  await shoot(page, "unfinished");
  await accessible(page, "unfinished");
  await by(page, "continue-unfinished").click();
  await stateWithin(page, 240_000, "finished");
  await go(page, "#/results");
  const waiting = page.waitForEvent("download");
  await by(page, "download-metrics").click();
  const path = artifact("downloads", "continued.parquet");
  await (await waiting).saveAs(path);
  const found = await rows(readFileSync(path));
  assert.equal(new Set(found.map((row) => row.sample_id)).size, SOME);
  assert.equal(found.length, SOME);
  assert.equal(new Set(found.map((row) => row.run_id)).size, 1, "one run");
  // finished: nothing is left to go on with
  await open(page, host, "#/storage");
  await page.waitForFunction(() => document.documentElement.dataset.engine === "ready");
  assert.equal(await page.locator('[data-test="notice-unfinished"]').count(), 0);

  await begin();
  await by(page, "discard-unfinished").click();
  await page.locator('[data-test="notice-unfinished"]').waitFor({ state: "detached" });
  await open(page, host, "#/storage");
  await page.waitForFunction(() => document.documentElement.dataset.engine === "ready");
  assert.equal(await page.locator('[data-test="notice-unfinished"]').count(), 0);
  clean(page, browser);
});

test("without WebGPU the CPU computes, and the page says so", LONG, async () => {
  await browser.close();
  browser = await launch({ webgpu: false });
  page = await browser.page();
  await setUpGolden(page, host, "llama", join(golden, "llama", "texts.json"), "auto");
  await start(page);
  await state(page, "finished");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.webgpu), "none");
  await go(page, "#/setup");
  assert.match(await by(page, "self-test").innerText(), /no WebGPU/i);
  await shoot(page, "no-webgpu");
  await accessible(page, "no WebGPU");
  clean(page, browser);
});

test("a run that is no run says what is missing", LONG, async () => {
  await open(page, host, "", "?run=runs/nowhere/");
  await state(page, "unreadable");
  assert.match((await problem(page)).text, /nowhere/);
  await shoot(page, "unreadable");
  await accessible(page, "unreadable");
  await open(page, host);
  await state(page, "ready");
  const broken = { name: "metrics.parquet", mimeType: "application/octet-stream", buffer: Buffer.from("PAR1 not really") };
  await page.locator('[data-test="open-run-file"]').first().setInputFiles([broken]);
  await state(page, "unreadable");
  clean(page, browser, /console: Failed to load resource/);
});

test("finished samples of a partial result are rows of the whole", LONG, async () => {
  const { path: data, ids } = manyTexts(10);
  await setUpGolden(page, host, "llama", data, "cpu", "&nulls=0");
  await start(page);
  await state(page, "finished");
  await go(page, "#/results");
  const waiting = page.waitForEvent("download");
  await by(page, "download-metrics").click();
  const path = artifact("downloads", "many.parquet");
  await (await waiting).saveAs(path);
  assert.deepEqual((await rows(readFileSync(path))).map((row) => row.sample_id), ids);
  clean(page, browser);
});
