// What the page promises about time: results at once, a thread that is never blocked, a run in a minute.
//
// A clock on the wall also counts what else the machine does. So the time of a run is held against
// that of the native program on the same triples, in processor time, and a task's length is its
// thread's own time; what the wall said is printed. Where other programs are at work, what is left that
// depends on them has more time (BESIDE_OTHERS).

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { program } from "./harness/paths.mjs";
import { serve } from "./harness/server.mjs";
import { others, record, rendererSeconds, stolenSeconds } from "./harness/trace.mjs";
import { by, go, open, start, state, stateWithin } from "./harness/view.mjs";

const FIRST_RESULTS = 2_000;
/** Until anything of the page is painted. */
const FIRST_PAINT = 1_100;
/** Visits of which the quickest counts: at least, and where another guest of the machine is in the way. */
const VISITS = 3;
const MOST_VISITS = 9;
/**
 * While the engine works, and while the finished results are drawn: held where no other guest has the processors
 * meanwhile, for a task's own time holds what was taken from it.
 */
const LONGEST_TASK = 50;
const LONGEST_DRAWING = 200;
const STOLEN = 0.01;
/**
 * So many times as long where other programs take more than that of each processor: with the processors they take caches,
 * and a thread's own time grows. Three other browsers at work on two processors more than double it.
 */
const BESIDE_OTHERS = 3;
const BUSY = 0.2;
/**
 * The page's processor time for a run, in that of the native program. Most of both is one matrix
 * product after another: WebAssembly multiplies and adds 4 floats an instruction, AVX-512 does 16, on some
 * processors at the same pace. What the page takes beyond that would be the page's own.
 */
const TIMES_NATIVE = 10;
/**
 * Two workers' processor time in that of one: each reads the weights, and texts of different shares share no
 * prefix.
 */
const TIMES_ONE_WORKER = 1.35;
/**
 * Their time on the wall in that of one, where two processors have nothing else to do: half, what both do (the
 * weights), and what one does at the end (statistics, files). Two processors that are halves of one core take more
 * processor time for the same work, and so much longer.
 */
const WALL_OF_TWO = 0.75;
/** How much of each processor other programs may take for that. */
const OTHERS = 0.04;
/** Triples of that comparison: enough for the shares to outweigh the weights, which both read. */
const MANY = 100;

let host;

before(async () => {
  host = await serve();
});
after(async () => {
  await host?.close();
});

/** How many times as long something may take beside programs that took so much of a processor. */
const slackOf = (besides) => (besides > BUSY * availableParallelism() ? BESIDE_OTHERS : 1);

/** A browser that knows nothing of the page yet. */
async function visit(t) {
  const browser = await launch();
  t.after(() => browser.close());
  return { browser, page: await browser.page() };
}

/** The seconds of processor time that the native program takes for the built-in triples. */
function nativeSeconds() {
  const folder = mkdtempSync(join(tmpdir(), "saescope-speed-"));
  try {
    // the shell's own `time`: user and system
    const timed = 'TIMEFORMAT="%U %S"; { time "$@" > "$LOG" 2>&1; } 2>&1';
    const command = [program, "analyze", "--device", "cpu", "--out", join(folder, "run")];
    const env = { ...process.env, LOG: join(folder, "log"), LC_ALL: "C" };
    const said = execFileSync("bash", ["-c", timed, "bash", ...command], { env, encoding: "utf8" });
    const seconds = said.trim().split(" ").reduce((sum, part) => sum + Number(part), 0);
    assert.ok(seconds > 0, `no time in ${JSON.stringify(said)}`);
    return seconds;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("the page is painted within 1.1 s, the shared run's results are there within 2 s, before any WASM is loaded", async (t) => {
  // of each visit, and how much longer it may take
  const times = [];
  // a visit beside others counts where no other does
  const late = () => {
    const slack = Math.min(...times.map(({ slack }) => slack));
    const quickest = (what) => Math.min(...times.filter((one) => one.slack === slack).map((one) => one[what]));
    return quickest("shown") > slack * FIRST_RESULTS || quickest("painted") > slack * FIRST_PAINT;
  };
  while (times.length < VISITS || (late() && times.length < MOST_VISITS)) {
    const { browser, page } = await visit(t);
    const counted = await others(browser);
    await open(page, host);
    await page.waitForFunction(() => performance.getEntriesByName("saescope-results-shown").length > 0);
    const { shown, painted, loaded } = await page.evaluate(() => ({
      painted: performance.getEntriesByName("first-contentful-paint")[0].startTime,
      shown: performance.getEntriesByName("saescope-results-shown")[0].startTime,
      loaded: performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".wasm")),
    }));
    const early = loaded.filter(({ startTime }) => startTime < shown);
    assert.ok(!early.length, `WASM came first: ${JSON.stringify(early)}`);
    times.push({ shown, painted, slack: slackOf(await counted()) });
    clean(page, browser);
    await page.close();
  }
  const said = times.map(({ painted, shown, slack }) => `${Math.round(painted)} and ${Math.round(shown)}${slack > 1 ? " beside others" : ""}`).join(", ");
  t.diagnostic(`painted and results after ${said} ms`);
  assert.ok(!late(), `painted and results after ${said} ms, at most ${FIRST_PAINT} and ${FIRST_RESULTS}, and ${BESIDE_OTHERS} times that beside others`);
});

test("the demo model over 200 triples on the CPU: a few times the native program's work, and the page stays awake", { timeout: 1_800_000 }, async (t) => {
  const native = nativeSeconds();
  const { browser, page } = await visit(t);
  await open(page, host, "#/setup?model=known&name=smollm2-135m-instruct&device=cpu");
  await page.locator('[data-test="start-run"]:enabled').waitFor();
  const [before, counted] = [await rendererSeconds(browser), await others(browser)];
  const recording = await record(browser, page);
  await start(page);
  await state(page, "running", "finished");
  const [computing, taken] = [Date.now(), stolenSeconds()];
  await stateWithin(page, 1_200_000, "finished");
  const wall = (Date.now() - computing) / 1000;
  // the results are drawn after the mark
  await page.evaluate(() => new Promise((drawn) => requestIdleCallback(drawn)));
  const stolen = stolenSeconds() - taken;
  const seconds = (await rendererSeconds(browser)) - before;
  const besides = await counted();
  const { tasks, mark } = await recording.stop();
  const end = mark("saescope-run-finished");
  assert.ok(end && tasks.length, "the trace has the run's end and the thread's tasks");
  // the task that sets the mark draws
  const running = tasks.find(({ at, wall }) => at + wall < end);
  const drawing = tasks.find(({ at, wall }) => at + wall >= end);
  const said = (task) => `${Math.round(task.own)} ms (${Math.round(task.wall)} on the wall) ${task.parts().join(", ")}`;
  t.diagnostic(`${wall.toFixed(1)} s on the wall; processor time: page ${seconds.toFixed(1)} s, native ${native.toFixed(1)} s, ${(seconds / native).toFixed(1)} times`);
  t.diagnostic(`longest tasks: during the run ${said(running)}; drawing the results ${said(drawing)}`);
  const slack = slackOf(besides);
  t.diagnostic(`others took ${besides.toFixed(2)} of a processor: at most ${slack * LONGEST_TASK} and ${slack * LONGEST_DRAWING} ms`);
  if (stolen > STOLEN * wall) t.diagnostic(`another guest had the processors for ${stolen.toFixed(1)} s: tasks are not held`);
  else {
    assert.ok(running.own <= slack * LONGEST_TASK, `a task of ${said(running)}, at most ${slack * LONGEST_TASK}`);
    assert.ok(drawing.own <= slack * LONGEST_DRAWING, `drawing the results took ${said(drawing)}, at most ${slack * LONGEST_DRAWING}`);
  }
  assert.ok(seconds <= TIMES_NATIVE * native, `${seconds.toFixed(1)} s, native ${native.toFixed(1)} s: at most ${TIMES_NATIVE} times`);
  clean(page, browser);
  await page.close();
});

/** So many triples on so many workers: time on the wall from the first step to the last, and processor time. */
async function timed(browser, page, workers, limit) {
  await open(page, host, `#/setup?model=known&name=smollm2-135m-instruct&device=cpu&workers=${workers}&limit=${limit}`);
  await page.locator('[data-test="start-run"]:enabled').waitFor();
  const [before, counted, began] = [await rendererSeconds(browser), await others(browser), Date.now()];
  await start(page);
  await stateWithin(page, 800_000, "finished");
  const wall = (Date.now() - began) / 1000;
  const seconds = (await rendererSeconds(browser)) - before;
  const besides = await counted();
  const waiting = page.waitForEvent("download");
  await go(page, "#/results");
  await by(page, "download-metrics").click();
  const metrics = readFileSync(await (await waiting).path());
  return { wall, seconds, besides, metrics };
}

test("two workers: hardly more work than one, and on two processors little more than half the time", { timeout: 1_800_000 }, async (t) => {
  const { browser, page } = await visit(t);
  await page.addInitScript(() => (Date.prototype.toISOString = () => "2026-01-02T03:04:05.000Z"));
  // the model is stored and the WASM compiled by the first
  const runs = [];
  for (const [workers, limit] of [[1, 2], [1, MANY], [2, MANY]]) runs.push(await timed(browser, page, workers, limit));
  const [, one, two] = runs;
  const said = ({ wall, seconds, besides }) => `${wall.toFixed(1)} s (${seconds.toFixed(1)} s of processor time, others ${besides.toFixed(2)} of one)`;
  t.diagnostic(`one worker ${said(one)}; two ${said(two)}: ${(two.wall / one.wall).toFixed(2)} of the time`);
  assert.ok(two.metrics.equals(one.metrics), "the same numbers");
  assert.ok(two.seconds <= TIMES_ONE_WORKER * one.seconds, `${said(two)}, one worker ${said(one)}`);
  const processors = availableParallelism();
  // not where the system does not tell
  const alone = runs.slice(1).every(({ besides }) => besides <= OTHERS * processors);
  if (processors < 2 || !alone) t.diagnostic(`${processors} processors, not alone: the wall is not held`);
  else {
    const shared = Math.max(1, two.seconds / one.seconds);
    assert.ok(two.wall <= WALL_OF_TWO * shared * one.wall, `${said(two)}, one worker ${said(one)}: at most ${(WALL_OF_TWO * shared).toFixed(2)}`);
  }
  clean(page, browser);
  await page.close();
});
