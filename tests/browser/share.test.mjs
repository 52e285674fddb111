// Links, and runs opened from files.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { artifact, dist } from "./harness/paths.mjs";
import { rows } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { by, open, state } from "./harness/view.mjs";

let host, browser, page;

before(async () => {
  host = await serve();
  browser = await launch({ permissions: ["clipboard-read", "clipboard-write"] });
  page = await browser.page();
});
after(async () => {
  await browser?.close();
  await host?.close();
});

test("a link restores the set-up", { timeout: 120_000 }, async () => {
  await open(page, host, "#/setup");
  await page.locator('[data-test="start-run"]:enabled').waitFor();
  await by(page, "device-select").selectOption("cpu");
  await page.locator("details.advanced summary").click();
  await by(page, "noise").fill("absolute:0.5");
  await by(page, "seed").fill("7");
  await by(page, "limit").fill("9");
  await by(page, "copy-link").click();
  await page.waitForFunction(() => location.hash.includes("seed=7"));
  const link = page.url();
  const other = await browser.page();
  await other.goto(link);
  await other.locator('[data-test="start-run"]:enabled').waitFor();
  assert.equal(await by(other, "device-select").inputValue(), "cpu");
  assert.equal(await other.locator('[data-test="noise"]').inputValue(), "absolute:0.5");
  assert.equal(await other.locator('[data-test="seed"]').inputValue(), "7");
  assert.equal(await other.locator('[data-test="limit"]').inputValue(), "9");
  assert.match(await by(other, "plan").innerText(), /9 \(/);
  clean(other, browser);
  await other.close();
});

test("a run is opened from its files, and by its address", { timeout: 120_000 }, async () => {
  const files = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json"];
  const paths = files.map((name) => join(dist, "runs/demo", name));
  await open(page, host, "#/results");
  await state(page, "ready");
  await page.locator('[data-test="open-run-file"]').first().setInputFiles(paths);
  await page.locator("#view-results svg").first().waitFor();
  await state(page, "ready");

  await open(page, host, "", "?run=runs/demo/");
  await state(page, "ready");
  await page.locator("#view-results svg").first().waitFor();
  clean(page, browser);
});

test("what a run cannot tell is said: verdicts of the earlier length control, an SAE that no text judged", { timeout: 120_000 }, async () => {
  const read = (name) => readFileSync(join(dist, "runs/demo", name));
  const manifest = JSON.parse(read("manifest.json"));
  Object.assign(manifest.sae_health[0], { texts: 0, warnings: [] });
  // a name of the same length, so that the file stays whole
  const column = "n_length_matched";
  const stats = read("stats.parquet");
  const earlier = Buffer.from(stats.toString("latin1").replaceAll(column, "x_length_matched"), "latin1");
  const show = async (stats, what) => {
    await open(page, host, "#/results");
    await state(page, "ready");
    const files = { "metrics.parquet": read("metrics.parquet"), "stats.parquet": stats, "manifest.json": JSON.stringify(manifest) };
    const chosen = Object.entries(files).map(([name, bytes]) => ({ name, mimeType: "", buffer: Buffer.from(bytes) }));
    await page.locator('[data-test="open-run-file"]').first().setInputFiles(chosen);
    await page.getByText("files metrics.parquet, manifest.json").first().waitFor({ state: "attached" });
    assert.equal(await page.getByText("come from an earlier length control").count(), what);
    const words = await by(page, "sae-health").locator(".health").allInnerTexts();
    assert.equal(words[0], "not judged");
    assert.ok(words.slice(1).every((word) => /^(fits|does not fit)$/.test(word)), String(words));
  };
  await show(earlier, 1);
  assert.ok(stats.includes(column), "the host's run is of this version");
  await show(stats, 0);
});

test("a file that is not the one which its run wrote is named", { timeout: 120_000 }, async () => {
  const read = (name) => readFileSync(join(dist, "runs/demo", name));
  const manifest = JSON.parse(read("manifest.json"));
  const show = async (manifest) => {
    await open(page, host, "#/results");
    await state(page, "ready");
    const files = { "metrics.parquet": read("metrics.parquet"), "stats.parquet": read("stats.parquet"), "manifest.json": JSON.stringify(manifest) };
    const chosen = Object.entries(files).map(([name, bytes]) => ({ name, mimeType: "", buffer: Buffer.from(bytes) }));
    await page.locator('[data-test="open-run-file"]').first().setInputFiles(chosen);
    await page.getByText("files metrics.parquet, manifest.json").first().waitFor({ state: "attached" });
    const said = await by(page, "run-warnings").allInnerTexts();
    return said.join("\n");
  };
  assert.doesNotMatch(await show(manifest), /as manifest\.json says/);
  const [metrics, , stats] = manifest.files;
  assert.deepEqual([metrics.path, stats.path], ["metrics.parquet", "stats.parquet"]);
  metrics.sha256 = metrics.sha256.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
  stats.bytes += 1;
  const said = await show(manifest);
  assert.match(said, /metrics\.parquet: expected sha256 \w{64} as manifest\.json says, found \w{64}/);
  assert.match(said, /stats\.parquet: expected \d+ bytes as manifest\.json says, found \d+/);
});

test("what is exported is what the run's files hold", { timeout: 120_000 }, async () => {
  await open(page, host, "#/results", "?run=runs/demo/");
  await state(page, "ready");
  const fetchDownload = async (name) => {
    const waiting = page.waitForEvent("download");
    await by(page, name).click();
    const download = await waiting;
    const path = artifact("downloads", download.suggestedFilename());
    await download.saveAs(path);
    return { path, bytes: readFileSync(path) };
  };
  for (const name of ["metrics", "features", "stats", "manifest"]) {
    const { bytes } = await fetchDownload(`download-${name}`);
    const file = name === "manifest" ? "manifest.json" : `${name}.parquet`;
    assert.ok(bytes.equals(readFileSync(join(dist, "runs/demo", file))), `${name} has other bytes`);
  }
  const table = await rows(readFileSync(join(dist, "runs/demo/metrics.parquet")));
  const csv = (await fetchDownload("export-csv")).bytes.toString("utf8").trim().split(/\r?\n/);
  assert.equal(csv.length, table.length + 1);
  assert.deepEqual(csv[0].split(","), Object.keys(table[0]));
  const json = JSON.parse((await fetchDownload("export-json")).bytes);
  assert.ok(JSON.stringify(json).includes(table[0].sample_id));
  clean(page, browser);
});

test("a plot is saved as SVG and as PNG", { timeout: 120_000 }, async () => {
  await open(page, host, "#/results", "?run=runs/demo/");
  await state(page, "ready");
  await page.locator("#view-results svg").first().waitFor();
  for (const [kind, start] of [["SVG", "<svg"], ["PNG", "\x89PNG"]]) {
    const waiting = page.waitForEvent("download");
    await page.locator("#view-results").getByRole("button", { name: kind }).first().click();
    const path = artifact("downloads", `plot.${kind.toLowerCase()}`);
    await (await waiting).saveAs(path);
    const text = readFileSync(path, "latin1");
    assert.ok(text.includes(start), `${kind} begins ${text.slice(0, 40)}`);
  }
  clean(page, browser);
});
