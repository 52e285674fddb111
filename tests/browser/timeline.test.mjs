// When a run did what: in its manifest, as a picture with its numbers, and as trace events.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { call, goldenSubject, setup, startEngine } from "./harness/engine.mjs";
import { artifact, dist } from "./harness/paths.mjs";
import { goldenTexts } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { accessible, by, fits, open, state } from "./harness/view.mjs";

const TIME = { timeout: 180_000 };
let host, browser, page, manifest;

before(async () => {
  host = await serve();
  browser = await launch();
  page = await browser.page();
  manifest = JSON.parse(readFileSync(join(dist, "runs/demo/manifest.json"), "utf8"));
});
after(async () => {
  await browser?.close();
  await host?.close();
});

/** The run beside the page, its manifest changed, with its details open. */
async function details(change = () => {}) {
  const changed = structuredClone(manifest);
  change(changed);
  host.faults.replace = { match: /runs\/demo\/manifest\.json$/, body: JSON.stringify(changed), kind: "application/json" };
  await open(page, host, "#/results", `?run=runs/demo/&n=${Math.random()}`);
  await state(page, "ready");
  assert.equal(await page.locator(".timeline-bars").count(), 0, "it is drawn when it is asked for");
  await by(page, "provenance").locator("summary").first().click();
  await page.locator('[data-test="timeline"], [data-test="no-timeline"]').waitFor();
  return changed;
}

const SPANS = [
  ["reader", "weights", 0, false, 0, 0.4],
  ["compute", "weights", 0, true, 0, 0.4],
  ["compute", "weights", 0, false, 0.4, 0.7],
  ["device", "weights", 0, false, 0.4, 0.7],
  ["compute", "model", 0, false, 0.7, 0.8],
  ["device", "model", 0, false, 0.7, 1.6],
  ["reader", "weights", 1, false, 0.5, 1],
  ["compute", "model", 0, true, 0.8, 1.6],
  ["compute", "geometry", 0, false, 1.6, 2],
];

/** A part of a run on a graphics device. */
const part = (passes = 1, process = 0) => ({
  process,
  device: "gpu:0",
  seconds: 2 * passes,
  passes,
  lanes: [
    { lane: "reader", busy_seconds: 0.9 * passes, idle_at_least: 0.55 },
    { lane: "compute", busy_seconds: 0.8 * passes, idle_at_least: 0.6 },
    { lane: "device", busy_seconds: 1.2 * passes, idle_at_least: 0.4 },
  ],
  spans: structuredClone(SPANS),
  spans_left_out: 0,
});

const rects = (lane) => page.locator(".timeline-bars").nth(lane).locator("rect:not(.timeline-ground)");

test("the picture has every piece of the run, and says what its lanes did", TIME, async () => {
  const { timeline, timings } = await details();
  const [only] = timeline.parts;
  assert.equal(timeline.parts.length, 1);
  assert.ok(Math.abs(only.seconds - timings.total_seconds) < 1e-3, "the part is the whole run");
  const shown = by(page, "timeline");
  const words = await shown.innerText();
  for (const { lane, idle_at_least } of only.lanes) {
    const name = { reader: "Reading ahead", compute: "Host", device: "Graphics device" }[lane];
    assert.ok(words.includes(name), words);
    assert.ok(words.includes(`idle at least ${(idle_at_least * 100).toPrecision(3).replace(/\.?0+$/, "")} %`), `${idle_at_least}: ${words}`);
  }
  const drawn = (await rects(0).count()) + (await rects(1).count());
  assert.equal(drawn, only.spans.length);
  // one image with one name, which says the same
  assert.match(await shown.getByRole("img").getAttribute("aria-label"), /in all on .+ Host: idle at least/);
});

test("pieces stand where the run did them, on a device as well", TIME, async () => {
  await details((m) => (m.timeline = { parts: [part()] }));
  assert.equal(await page.locator(".timeline-bars").count(), 3);
  const place = (rect) => rect.evaluate((one) => ["x", "width"].map((name) => Number(one.getAttribute(name))));
  const titles = await rects(2).locator("title").allTextContents();
  assert.deepEqual(titles, ["weights of block 0: 0.40 s to 0.70 s", "model of block 0: 0.70 s to 1.60 s"]);
  assert.deepEqual(await place(rects(2).nth(1)), [350, 450]);
  // waiting is a line, work a block
  const height = (n) => rects(1).nth(n).evaluate((one) => Number(one.getAttribute("height")));
  assert.ok((await height(0)) < (await height(1)));
  assert.match(await by(page, "timeline-total").innerText(), /^2\.0 s in all, on gpu:0\.$/);
  // the table has the sums, and can be reached and opened by keyboard
  const table = by(page, "timeline").locator("details.as-table");
  await table.locator("summary").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /as a table/);
  const rows = await table.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
  assert.deepEqual(rows.find(([lane, what]) => lane === "Graphics device" && what === "model"), ["Graphics device", "model", "0.900", "1", "0: 0.90 s"]);
  assert.deepEqual(rows.find(([lane, what]) => lane === "Host" && what === "waiting, model"), ["Host", "waiting, model", "0.800", "1", "0: 0.80 s"]);
});

test("parts, passes and what is not drawn are said", TIME, async () => {
  await details((m) => {
    m.timeline = { parts: [part(3), { ...part(1, 1), spans: [], spans_left_out: 9 }, part(1, 2), part(1, 3), part(1, 3)] };
    m.timeline.parts[0].spans_left_out = 2;
    m.timings.parts = 5;
  });
  const words = await by(page, "timeline").innerText();
  for (const said of [
    "Part 1 of 5. 6.0 s in all, 3 passes, on gpu:0.",
    "The picture is the first of 3 passes",
    "2 pieces, the shortest, are not drawn.",
    "Its pieces were left out",
    "1 part of this run comes from an earlier version",
    "The first 4 of 5 parts are shown",
  ]) {
    assert.ok(words.includes(said), `${said}: ${words}`);
  }
});

test("the download is trace events of every part", TIME, async () => {
  const { run_id } = await details((m) => (m.timeline = { parts: [part(), part()] }));
  const waiting = page.waitForEvent("download");
  await by(page, "download-timeline").click();
  const download = await waiting;
  assert.equal(download.suggestedFilename(), "timeline.json");
  const path = artifact("downloads", "timeline.json");
  await download.saveAs(path);
  const { traceEvents } = JSON.parse(readFileSync(path, "utf8"));
  const of = (pid, ph) => traceEvents.filter((event) => event.pid === pid && event.ph === ph);
  for (const pid of [1, 2]) {
    const names = new Map(of(pid, "M").filter(({ name }) => name === "thread_name").map(({ tid, args }) => [tid, args.name]));
    assert.deepEqual([...names.values()], ["reader", "compute", "device"]);
    const events = of(pid, "X").map(({ tid, name, cat, ts, dur }) => [names.get(tid), name, cat, ts, dur]);
    assert.equal(events.length, SPANS.length);
    assert.deepEqual(events[5], ["device", "model 0", "model", 700_000, 900_000]);
    assert.deepEqual(events[1], ["compute", "wait: weights 0", "wait", 0, 400_000]);
  }
  assert.ok(of(2, "M").some(({ name, args }) => name === "process_name" && args.name === `${run_id}, part 2 of 2, gpu:0`));
});

test("a run of an earlier version has none, and says so", TIME, async () => {
  for (const without of [(m) => delete m.timeline, (m) => (m.timeline = null), (m) => (m.timeline = { parts: [] })]) {
    await details(without);
    assert.match(await by(page, "no-timeline").innerText(), /earlier version/);
    assert.equal(await page.locator('[data-test="timeline"]').count(), 0);
  }
});

test("the details with their timeline: accessible, and within the window", TIME, async () => {
  for (const [name, change] of [
    ["run", () => {}],
    ["device", (m) => (m.timeline = { parts: [part(2)] })],
  ]) {
    await details(change);
    await by(page, "timeline").locator("details.as-table summary").click();
    for (const [width, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      for (const scheme of ["light", "dark"]) {
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
        await page.waitForTimeout(300);
        await by(page, "timeline").screenshot({ path: artifact("screenshots", `timeline-${name}-${width}-${scheme}.png`) });
        await fits(page, `timeline, ${width}, ${scheme}`);
        await accessible(page, `timeline, ${width}, ${scheme}`);
      }
    }
  }
  await page.setViewportSize(DESKTOP);
});

for (const device of ["cpu", "webgpu"]) {
  test(`a run that the page computes on ${device} has a timeline`, { timeout: 300_000 }, async () => {
    host.faults.replace = undefined;
    await page.goto(host.url);
    await startEngine(page);
    const data = { kind: "bytes", name: "texts.json", bytes: goldenTexts("llama") };
    const subject = goldenSubject(host, "llama");
    const files = await call(page, { type: "analyze", setup: setup(subject, data, { device }), run_id: "test", asked: "" });
    const { timeline, timings } = JSON.parse(files.manifest);
    const [only] = timeline.parts;
    assert.ok(Math.abs(only.seconds - timings.total_seconds) < 0.01, `${only.seconds} s, ${timings.total_seconds} s`);
    const lanes = only.lanes.map(({ lane }) => lane);
    assert.deepEqual(lanes, device === "cpu" ? ["reader", "compute"] : ["reader", "compute", "device"]);
    for (const { lane, busy_seconds, idle_at_least } of only.lanes) {
      assert.ok(busy_seconds > 0 && busy_seconds <= only.seconds, `${lane}: ${busy_seconds} of ${only.seconds} s`);
      assert.ok(Math.abs(idle_at_least - (1 - busy_seconds / only.seconds)) < 1e-3, lane);
    }
    for (const stage of ["weights", "model", "sae", "geometry"]) assert.ok(only.spans.some((span) => span[1] === stage), stage);
    assert.ok(only.spans.every(([, , , , start, end]) => start >= 0 && start <= end && end <= only.seconds + 0.01));
  });
}

test("no other host was asked, nothing was complained about", () => clean(page, browser));
