// Runs, data sets and model files that somebody made to do harm: their text stays text, the page keeps its
// layout and answers, and what is damaged is named.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { saeFiles } from "./harness/engine.mjs";
import { ARABIC, CONTROL, crowdedRun, harmless, hostileRun, LINK, LONG, SCRIPT, TURNED } from "./harness/hostile.mjs";
import { bare } from "./harness/hosts.mjs";
import { artifact, dist, golden } from "./harness/paths.mjs";
import { goldenSaes } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { record } from "./harness/trace.mjs";
import { accessible, by, go, open, problem, setUpGolden, start, state } from "./harness/view.mjs";

const TIME = { timeout: 300_000 };
/** Processor time of one task, in milliseconds: nobody would call the page hung. */
const LONGEST = 2000;
/** A folder may be called that, too. */
const RUN = `evil \u202e<img src=x onerror=pwned=1>`;
const ADDRESS = `?run=${encodeURIComponent(`runs/${encodeURIComponent(RUN)}/`)}`;

let scratch, host, browser, page, dialogs, ids;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "saescope-hostile-"));
  const folder = bare(join(scratch, "page"));
  ({ ids } = await hostileRun(join(folder, "runs", RUN), 40));
  await crowdedRun(join(folder, "runs/crowd"));
  writeFileSync(join(folder, "catalog.json"), JSON.stringify({ version: 1, models: [], runs: [] }));
  host = await serve({ page: folder });
});
after(async () => {
  await host?.close();
  rmSync(scratch, { recursive: true, force: true });
});
beforeEach(async () => {
  browser = await launch();
  page = await browser.page();
  dialogs = [];
  page.on("dialog", (dialog) => {
    dialogs.push(dialog.message());
    void dialog.dismiss();
  });
});
afterEach(async () => {
  for (const fault of Object.keys(host.faults)) delete host.faults[fault];
  await browser?.close();
});

/** At both widths, with a picture. */
async function look(what) {
  for (const [width, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    await page.setViewportSize(size);
    await page.waitForTimeout(300);
    await page.screenshot({ path: artifact("screenshots", `hostile-${what}-${width}.png`) });
    await harmless(page, `${what}, ${width}`);
  }
  await page.setViewportSize(DESKTOP);
}

/** No task was long, no dialog came, and nothing was complained about. */
async function calm(tasks, expected) {
  const [longest] = tasks;
  assert.ok(longest.own < LONGEST, `a task of ${Math.round(longest.own)} ms: ${longest.scripts().slice(0, 3).join(", ")}`);
  assert.deepEqual(dialogs, []);
  clean(page, browser, expected);
}

test("a run whose every text is hostile, in every view", TIME, async (t) => {
  await open(page, host, "#/storage");
  const trace = await record(browser, page);
  await page.goto(`${host.url}${ADDRESS}#/results`);
  await state(page, "ready");
  await page.locator("#view-results svg").nth(7).waitFor();
  for (const summary of await page.locator("#view-results details > summary").all()) await summary.click();
  await by(page, "effects-fold").click().catch(() => undefined);
  await look("results");

  // a plot is read point by point
  const plot = page.locator("#panel-drift-plot");
  await plot.focus();
  for (let n = 0; n < 6; n++) await page.keyboard.press("ArrowRight");
  await look("point");

  for (const id of ids.slice(0, 6)) {
    await page.evaluate((id) => (location.hash = `#/sample/${encodeURIComponent(id)}`), id);
    await page.locator('[data-test="features-table"] tbody tr').first().waitFor();
    await page.waitForFunction(() => document.querySelector("#view-sample").textContent.includes(" of 40"));
    await look(`sample-${ids.indexOf(id)}`);
  }
  for (const view of ["explore", "storage", "setup", "run"]) {
    await go(page, `#/${view}`);
    await page.locator(`#view-${view} h1`).waitFor();
    await page.waitForTimeout(500);
    await look(view);
  }
  const { tasks } = await trace.stop();
  t.diagnostic(`longest task ${Math.round(tasks[0].own)} ms`);
  await calm(tasks);
});

test("a hostile run is as accessible as any", TIME, async () => {
  await open(page, host, "#/results", ADDRESS);
  await state(page, "ready");
  await page.locator("#view-results svg").nth(7).waitFor();
  await page.screenshot({ path: artifact("screenshots", "hostile-results-whole.png"), fullPage: true });
  await accessible(page, "results");
  await page.evaluate((id) => (location.hash = `#/sample/${encodeURIComponent(id)}`), ids[0]);
  await page.locator('[data-test="features-table"] tbody tr').first().waitFor();
  await page.screenshot({ path: artifact("screenshots", "hostile-sample-whole.png"), fullPage: true });
  await accessible(page, "sample");
});

test("a long text can be seen whole", TIME, async () => {
  await open(page, host, "#/results", ADDRESS);
  await state(page, "ready");
  const warnings = by(page, "run-warnings");
  const shown = await warnings.innerText();
  assert.ok(shown.length < 10_000, `${shown.length} letters`);
  const { tasks } = await (async () => {
    const trace = await record(browser, page);
    await warnings.locator('[data-test="whole-text"]').last().click();
    await warnings.locator("span.whole").waitFor();
    await page.waitForTimeout(500);
    return trace.stop();
  })();
  assert.equal(await warnings.locator("span.whole").evaluate((span) => span.textContent.length), LONG.length);
  await look("whole");
  await calm(tasks);
});

test("texts keep their letters: what turns and controls is written out, and Arabic stays as it is", TIME, async () => {
  await open(page, host, "#/results", ADDRESS);
  await state(page, "ready");
  const items = await by(page, "run-warnings").locator("li").evaluateAll((list) => list.map((item) => item.textContent));
  assert.ok(items.includes(SCRIPT), items.join(" | ").slice(0, 500));
  assert.ok(items.includes("invoice\\u{202e}\\u{2067}\\u{2066}gpj.exe"));
  assert.ok(items.includes(ARABIC));
  assert.ok(items.some((text) => text.startsWith("a\\u{0}b\\u{7}c\\u{1b}[31md\\u{9b}e\\u{2028}f")));
});

test("plots of a hostile run are saved as pictures that hold no script", TIME, async () => {
  await open(page, host, "#/results", ADDRESS);
  await state(page, "ready");
  await page.locator("#view-results svg").nth(7).waitFor();
  for (const kind of ["svg", "png"]) {
    const waiting = page.waitForEvent("download");
    await by(page, `${kind}-drift`).click();
    const download = await waiting;
    assert.match(download.suggestedFilename(), /^[\p{L}\p{N}._-]{1,100}$/u);
    const path = artifact("downloads", `hostile.${kind}`);
    await download.saveAs(path);
    const text = readFileSync(path, "latin1");
    assert.doesNotMatch(text, /<(script|img|iframe|a)\b/);
  }
  clean(page, browser);
});

test("a run of thousands of domains, metrics and verdicts", TIME, async (t) => {
  await open(page, host, "#/storage");
  const trace = await record(browser, page);
  await page.goto(`${host.url}?run=runs/crowd/#/results`);
  await state(page, "ready");
  await page.locator("#view-results svg").nth(7).waitFor();
  await page.waitForTimeout(2000);
  await look("crowd");
  const { tasks } = await trace.stop();
  t.diagnostic(`longest task ${Math.round(tasks[0].own)} ms`);
  await calm(tasks, /features\.parquet|Failed to load resource/);
});

test("the host's list of runs: hostile titles, and a damaged one", TIME, async () => {
  const replaced = (body) => (host.faults.replace = { match: /catalog\.json$/, body, kind: "application/json" });
  const runs = [SCRIPT, TURNED, CONTROL, LONG].map((title, n) => ({ name: `run ${n}`, title, url: n === 0 ? LINK : "runs/nowhere/" }));
  replaced(JSON.stringify({ version: 1, models: [], runs, default_run: "run 1" }));
  await open(page, host, "#/results");
  await state(page, "unreadable");
  await look("catalog");
  // an address that is none of the web's
  await page.getByRole("button", { name: /^Open ">/ }).click();
  await page.waitForFunction(() => document.querySelector('[data-test="error"]')?.textContent.includes("javascript:"));
  await look("catalog-link");
  assert.deepEqual(dialogs, []);
  clean(page, browser, /Failed to load resource|console: .*javascript:/);
  for (const [body, said] of [
    ["[]", /catalog\.json: .*expected an object, found a list/],
    [JSON.stringify({ runs: [{ name: "a", url: 7 }] }), /catalog\.json: runs\[0\]\.title: expected text/],
    ['{"runs": [', /catalog\.json: /],
  ]) {
    replaced(body);
    await open(page, host, "#/results");
    await state(page, "unreadable");
    assert.match((await problem(page)).text, said);
  }
});

test("a manifest with a value of another form says which", TIME, async () => {
  const read = (name) => readFileSync(join(dist, "runs/demo", name));
  await open(page, host, "#/results");
  await state(page, "empty");
  for (const [damage, said] of [
    [(m) => (m.model.name = { toString: 1 }), /manifest\.json: model\.name: expected text, found an object/],
    [(m) => (m.timings.stages = "none"), /manifest\.json: timings\.stages: expected a list, found "none"/],
    [(m) => (m.layers = [1e9, -1]), /manifest\.json: layers\[1\]: expected a whole number, found -1/],
    [(m) => (m.sae_health[0].warnings = [null]), /manifest\.json: sae_health\[0\]\.warnings\[0\]: expected text, found null/],
    [(m) => (m.compute.adapter = 7), /manifest\.json: compute\.adapter: expected text, found 7/],
    [(m) => (m.timeline = { parts: [{ ...m.timeline.parts[0], spans: [["compute", "model"]] }] }), /manifest\.json: timeline\.parts\[0\]\.spans\[0\]: expected a list of 6, found a list/],
    [(m) => (m.timeline.parts[0].spans[0][3] = "yes"), /manifest\.json: timeline\.parts\[0\]\.spans\[0\]\[3\]: expected true or false, found "yes"/],
  ]) {
    const manifest = JSON.parse(read("manifest.json"));
    damage(manifest);
    const files = { "metrics.parquet": read("metrics.parquet"), "manifest.json": Buffer.from(JSON.stringify(manifest)) };
    await page.locator('[data-test="open-run-file"]').first().setInputFiles(Object.entries(files).map(([name, buffer]) => ({ name, mimeType: "", buffer })));
    await page.waitForFunction((words) => new RegExp(words).test(document.querySelector('[data-test="error"]')?.textContent ?? ""), said.source);
    await harmless(page, String(said));
  }
});

test("Parquet that says more than it holds says so, and takes no memory", TIME, async () => {
  await open(page, host, "#/results");
  await state(page, "empty");
  const folder = new URL("../fuzz/parquet/", import.meta.url);
  for (const name of ["metrics-run-of-a-billion.parquet", "metrics-forty-million-rows.parquet"]) {
    const file = { name: "metrics.parquet", mimeType: "", buffer: readFileSync(new URL(name, folder)) };
    await page.locator('[data-test="open-run-file"]').first().setInputFiles([{ name: "none.json", mimeType: "", buffer: Buffer.from("{}") }]);
    await page.waitForFunction(() => document.querySelector('[data-test="error"]')?.textContent.includes("none.json"));
    await page.locator('[data-test="open-run-file"]').first().setInputFiles([file]);
    await page.waitForFunction(() => document.querySelector('[data-test="error"]')?.textContent.includes("metrics.parquet: "));
    const { kind } = await problem(page);
    assert.equal(kind, "malformed", name);
  }
  clean(page, browser, /Failed to load resource/);
});

/** A data set as the set-up is given it. */
const data = (name, text) => ({ name, mimeType: "", buffer: Buffer.isBuffer(text) ? text : Buffer.from(text) });

test("data sets in the set-up", TIME, async () => {
  await open(page, host, "#/setup?model=files&device=cpu&store=0");
  await by(page, "data-upload").check();
  const row = (n, text) => ({ id: `${text} ${n}`, domain: text, prompt: `${text} is`, fact: text, hallucination: `no ${text}` });
  const rows = [SCRIPT, TURNED, CONTROL, ARABIC].map((text, n) => row(n, text));
  const files = [
    data("rows.json", JSON.stringify(rows)),
    data(`${SCRIPT.replaceAll("/", "")}\u202e.json`, JSON.stringify([{ ...rows[0], prompt: "" }, { id: TURNED }, ...rows])),
    data("long.jsonl", JSON.stringify({ id: "long", prompt: LONG, fact: "a", hallucination: "b" })),
    data("bad.csv", Buffer.concat([Buffer.from("id,prompt,fact,hallucination\na,The sky \u202e is,"), Buffer.from([0xff, 0xfe, 0xc3, 0x28]), Buffer.from(",green\n")])),
    data("cut.json", `[{"id": "${SCRIPT.replaceAll('"', '\\"')}", "prompt": `),
    data("evil.csv", `id,${SCRIPT},fact\u202e\n1,2,3\n`),
  ];
  for (const file of files) {
    await by(page, "data-file").setInputFiles(file);
    await page.locator('[data-test="data-preview"], [data-test="rejected"], [data-test="error"]').first().waitFor();
    await page.waitForTimeout(700);
    await look(`data-${files.indexOf(file)}`);
  }
  assert.deepEqual(dialogs, []);
  clean(page, browser, /Failed to load resource/);
});

test("a model's files in the set-up", TIME, async () => {
  const model = (name) => readFileSync(join(golden, "llama/model", name));
  const config = JSON.parse(model("config.json"));
  await open(page, host, "#/setup?model=files&device=cpu&store=0");
  const [{ layer, path }] = goldenSaes("llama");
  const sae = page.locator("fieldset.inner").first();
  await sae.getByLabel("Layer").fill(String(layer));
  await sae.getByLabel("From").selectOption("files");
  await sae.getByLabel("Its files").setInputFiles(saeFiles(path).map((file) => join(golden, "llama", file)));
  await by(page, "model-select").selectOption("files");
  const planned = async (what) => {
    await page.waitForTimeout(600);
    await page.waitForFunction(() => /error|plan/.test(document.querySelector('[data-test="plan"]').dataset.plan ?? ""));
    await look(what);
    return by(page, "plan").innerText();
  };
  for (const changes of [
    { model_type: SCRIPT },
    { [SCRIPT]: TURNED, [CONTROL]: 1 },
    { architectures: [LONG] },
    { hidden_act: `${TURNED}${LONG}` },
  ]) {
    const files = [data("config.json", JSON.stringify({ ...config, ...changes })), data("tokenizer.json", model("tokenizer.json")), data("model.safetensors", model("model.safetensors"))];
    await by(page, "model-files").setInputFiles(files);
    const [name] = Object.keys(changes);
    const said = await planned(`model-${name.slice(0, 12).replace(/\W/g, "")}`);
    if (name === "model_type") assert.match(said, /config\.json.*model_type.*<script>/s);
  }
  await sae.getByLabel("Its files").setInputFiles([data(`${"x".repeat(200)}\u202e<img src=x onerror=alert(1)>.npz`, "no zip")]);
  assert.match(await planned("sae-name"), /\\u\{202e\}<img/);
  assert.deepEqual(dialogs, []);
  clean(page, browser, /Failed to load resource/);
});

test("a run over a hostile data set, made on the page", TIME, async (t) => {
  const texts = JSON.parse(readFileSync(join(golden, "llama/texts.json"), "utf8")).slice(0, 3);
  const rows = [SCRIPT, TURNED, ARABIC].map((text, n) => ({ ...texts[n], id: `${text} ${n}`, domain: text, prompt: `${texts[n].prompt} ${text}` }));
  mkdirSync(join(scratch, "data"), { recursive: true });
  const path = join(scratch, "data", "hostile.json");
  writeFileSync(path, JSON.stringify([...rows, { ...texts[0], id: "long", prompt: `${texts[0].prompt} `.repeat(200) }]));
  await setUpGolden(page, host, "llama", path);
  await start(page);
  await state(page, "finished");
  await go(page, "#/run");
  await look("run-finished");
  await go(page, "#/results");
  await page.locator("#view-results svg").first().waitFor();
  await look("run-results");
  for (const { id } of rows) {
    await page.evaluate((id) => (location.hash = `#/sample/${encodeURIComponent(id)}`), id);
    await page.locator('[data-test="features-table"] tbody tr').first().waitFor();
    await by(page, "show-tokens").click().catch(() => undefined);
    await page.waitForTimeout(500);
    await look(`run-sample-${rows.findIndex((row) => row.id === id)}`);
  }
  t.diagnostic(`console: ${page.complaints.length}`);
  assert.deepEqual(dialogs, []);
  clean(page, browser, /Failed to load resource/);
});
