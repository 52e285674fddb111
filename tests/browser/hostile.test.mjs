// Runs, data sets and model files that somebody made to do harm: their text stays text, the page keeps its
// layout and answers, and what is damaged is named.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { saeFiles } from "./harness/engine.mjs";
import { ARABIC, CONTROL, crowdedRun, filesOf, harmless, hostileRun, LINK, LONG, SCRIPT, sha256, TURNED } from "./harness/hostile.mjs";
import { bare } from "./harness/hosts.mjs";
import { artifact, dist, golden } from "./harness/paths.mjs";
import { goldenSaes, rows } from "./harness/run.mjs";
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
  assert.ok(longest.own < LONGEST, `a task of ${Math.round(longest.own)} ms: ${longest.parts().slice(0, 3).join(", ")}`);
  assert.deepEqual(dialogs, []);
  clean(page, browser, expected);
}

test("a run whose every text is hostile, in every view", TIME, async (t) => {
  await open(page, host, "#/storage");
  const trace = await record(browser, page);
  await page.goto(`${host.url}${ADDRESS}#/results`);
  await state(page, "ready");
  await page.locator("#view-results svg").nth(7).waitFor();
  // what is below is read once somebody comes near
  await by(page, "panel-features").scrollIntoViewIfNeeded();
  await by(page, "feature-table").waitFor();
  await by(page, "panel-calibration").scrollIntoViewIfNeeded();
  await page.locator('[data-test="panel-probes"] svg').waitFor();
  for (const summary of await page.locator("#view-results details > summary").all()) await summary.click();
  if (await by(page, "effects-fold").isVisible()) await by(page, "effects-fold").click();
  await look("results");
  await by(page, "panel-features").scrollIntoViewIfNeeded();
  await look("results-features");
  await by(page, "panel-calibration").scrollIntoViewIfNeeded();
  await look("results-calibration");

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

test("comparisons by feature and a calibration that are damaged, or of something else, are named", TIME, async () => {
  const read = (name) => readFileSync(join(dist, "runs/demo", name));
  const whole = Object.fromEntries(["metrics.parquet", "stats.parquet", "stats_features.parquet"].map((name) => [name, read(name)]));
  await open(page, host, "#/results");
  await state(page, "empty");
  /** Opens the run with one of its files in the place of another, as if that were the run's own. */
  const opened = async (changes) => {
    const { "calibration.json": calibration = read("calibration.json"), ...tables } = { ...whole, ...changes };
    const manifest = { ...JSON.parse(read("manifest.json")), files: filesOf(tables) };
    const files = { ...tables, "manifest.json": JSON.stringify(manifest), "calibration.json": calibration };
    await page.locator('[data-test="open-run-file"]').first().setInputFiles([{ name: "none.json", mimeType: "", buffer: Buffer.from("{}") }]);
    await page.waitForFunction(() => document.documentElement.dataset.state === "unreadable");
    await page.locator('[data-test="open-run-file"]').first().setInputFiles(Object.entries(files).map(([name, bytes]) => ({ name, mimeType: "", buffer: Buffer.from(bytes) })));
    await state(page, "ready");
  };
  /** What a part of the results says is wrong. */
  const said = async (part) => {
    await by(page, part).scrollIntoViewIfNeeded();
    const box = by(page, part).locator('[data-test="error"]');
    await box.waitFor();
    await harmless(page, part);
    return box.innerText();
  };
  const parquet = (columns) => Buffer.from(parquetWriteBuffer({ columnData: columns }));
  const table = whole["stats_features.parquet"];
  const lines = { layer: [6], feature: [1], domain: ["all"], n_fact: [1], n_hall: [1], verdict: ["undecided"] };
  const of = (changes) => parquet(Object.entries({ ...lines, ...changes }).map(([name, data]) => ({ name, data, type: typeof data[0] === "string" ? "STRING" : "DOUBLE" })));
  for (const [bytes, words] of [
    [table.subarray(0, table.length / 2), /stats_features\.parquet: expected a footer/],
    [Buffer.concat([table.subarray(0, 200), Buffer.alloc(4000, 0xff), table.subarray(4200)]), /stats_features\.parquet: its columns cannot be read/],
    [Buffer.from(SCRIPT), /stats_features\.parquet: expected a Parquet file, found a text that begins with|stats_features\.parquet: expected a Parquet file/],
    [whole["metrics.parquet"], /stats_features\.parquet: expected the columns layer, feature/],
    [of({ layer: [SCRIPT] }), /stats_features\.parquet: column layer: expected numbers, found texts/],
    [of({ verdict: [7] }), /stats_features\.parquet: column verdict: expected texts, found numbers/],
  ]) {
    await opened({ "stats_features.parquet": bytes });
    assert.match(await said("panel-features"), words);
  }
  const calibration = JSON.parse(read("calibration.json"));
  const changed = (change) => {
    const copy = structuredClone(calibration);
    change(copy);
    return JSON.stringify(copy);
  };
  for (const [text, words] of [
    [read("calibration.json").subarray(0, 3000), /calibration\.json: /],
    [SCRIPT, /calibration\.json: Unexpected /],
    ["[]", /calibration\.json: expected calibration_version 1, found another/],
    [changed((c) => (c.calibration_version = 99)), /expected calibration_version 1, found another/],
    [changed((c) => (c.planted = "none")), /calibration\.json: planted: expected a list, found "none"/],
    [changed((c) => (c.false_alarms[0].family = SCRIPT)), /false_alarms\[0\]\.family: expected metrics or nulls, found/],
    [changed((c) => (c.ceiling.layers[0].layer = -1)), /ceiling\.layers\[0\]\.layer: expected a whole number, found -1/],
    [changed((c) => (c.positive_controls = Array(400).fill(c.positive_controls[0]))), /positive_controls: expected at most 50, found 400/],
    [changed((c) => (c.metrics.sha256 = sha256("another"))), /it is of another metrics\.parquet than this run/],
    [`${" ".repeat(9e6)}{}`, /calibration\.json: expected at most 8,000,000 bytes/],
  ]) {
    await opened({ "calibration.json": text });
    assert.match(await said("panel-calibration"), words);
    // a run that is whole otherwise can be calibrated
    assert.equal(await by(page, "calibrate-start").count(), 1);
  }
  assert.deepEqual(dialogs, []);
  clean(page, browser, /Failed to load resource/);
});

test("labels that are none, or would do harm, are refused in words or stay text", TIME, async () => {
  const line = (description) => `${JSON.stringify({ modelId: "m", layer: "6-x", index: "1", description })}\n`;
  await open(page, host, "#/explore");
  const labels = by(page, "labels");
  await labels.locator("summary").click();
  const given = async (name, bytes) => {
    // while it is read no other can be given, which may be over before anybody looks
    await page.evaluate(() => {
      window.given = new Promise((done) => {
        let taken = false;
        const observer = new MutationObserver(() => {
          const { disabled } = document.querySelector('[data-test="labels-file"]');
          if (taken && !disabled) done(observer.disconnect());
          taken ||= disabled;
        });
        observer.observe(document.body, { subtree: true, childList: true, attributeFilter: ["disabled"] });
      });
    });
    await labels.locator("input").setInputFiles([{ name, mimeType: "", buffer: Buffer.from(bytes) }]);
    await page.evaluate(() => window.given);
    await look(`labels-${name.slice(0, 8).replace(/\W/g, "")}`);
    return labels.innerText();
  };
  const cases = [
    ["empty.jsonl", "", /empty\.jsonl: line 1: expected at least one label, found none/],
    ["text.jsonl", SCRIPT, /text\.jsonl: line 1: expected an object with modelId/],
    ["index.jsonl", line("a").replace('"1"', JSON.stringify(TURNED)), /index to be a feature's number, found invoice\\u\{202e\}/],
    ["cut.gz", gzipSync(line("a").repeat(1000)).subarray(0, 60), /cut\.gz: line \d+: expected text, or whole gzip data/],
    ["bomb.gz", gzipSync(" ".repeat(64e6)), /bomb\.gz: line 1: expected at most 1048576 bytes, found more/],
    ["many.gz", gzipSync(Array.from({ length: (1 << 19) + 1 }, (_, n) => `{"modelId":"m","layer":"6","index":${n},"description":"d"}`).join("\n")), /many\.gz: line 524289: expected at most 524288 labels/],
    ["metrics.parquet", readFileSync(join(dist, "runs/demo/metrics.parquet")), /metrics\.parquet: line 1: expected /],
  ];
  for (const [name, bytes, words] of cases) {
    const said = await given(name, bytes);
    // a control character stands in the message as the terminal has it
    assert.match(said.replace(/\s+/g, " "), words, name);
  }
  const kept = await given(`${SCRIPT.slice(0, 60).replaceAll("/", "")}.jsonl`, [SCRIPT, TURNED, CONTROL, LONG.slice(0, 9e5)].map((text, n) => line(text).replace('"1"', String(n))).join(""));
  assert.match(kept, /4 labels of m\/6-x/);

  // in the table of the hostile run, whose layers are those of the labels
  await go(page, "#/results");
  const all = [SCRIPT, TURNED, CONTROL, ARABIC];
  const features = (await rows(readFileSync(join(dist, "runs/demo/stats_features.parquet")))).filter((row) => row.verdict && Number(row.layer) === 6).slice(0, 100);
  await open(page, host, "#/results", ADDRESS);
  await state(page, "ready");
  await by(page, "panel-features").scrollIntoViewIfNeeded();
  await by(page, "feature-table").waitFor();
  const table = by(page, "panel-features").locator('[data-test="labels"]');
  await table.locator("summary").click();
  const evil = features.map((row, n) => `${JSON.stringify({ modelId: `../..${SCRIPT}`, layer: "6-x", index: Number(row.feature), description: all[n % all.length] })}\n`).join("");
  await table.locator("input").setInputFiles([{ name: "evil.jsonl", mimeType: "", buffer: Buffer.from(evil) }]);
  await page.waitForFunction(() => document.querySelector('[data-test="feature-table"] th[data-column="label"]'), null, { timeout: 60_000 });
  await by(page, "features-layer").selectOption("6");
  await page.waitForFunction(() => [...document.querySelectorAll('[data-test="feature-table"] td.of-label')].some((cell) => cell.textContent.startsWith('"><script>')));
  // a name that cannot stand in an address makes no link
  assert.equal(await page.locator('[data-test="feature-table"] tbody a').count(), 0);
  await look("labels-table");
  assert.deepEqual(dialogs, []);
  clean(page, browser, /Failed to load resource/);
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
  await sae.getByLabel("Its files").setInputFiles(saeFiles("llama", path).map((file) => join(golden, "llama", file)));
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
    // the engine runs: the tokens come by themselves
    await by(page, "tokens-status").filter({ hasText: "Token counts equal the run’s." }).waitFor();
    await look(`run-sample-${rows.findIndex((row) => row.id === id)}`);
  }
  t.diagnostic(`console: ${page.complaints.length}`);
  assert.deepEqual(dialogs, []);
  clean(page, browser, /Failed to load resource/);
});
