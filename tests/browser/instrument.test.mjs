// What stands below the panels: which features differ, whether the instrument works here, and labels of features.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { runnerImport } from "vite";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { artifact, dist, golden, program, root } from "./harness/paths.mjs";
import { rows } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { accessible, by, fits, go, open, setUpGolden, start, state } from "./harness/view.mjs";

const TIME = { timeout: 300_000 };
const DEMO = join(dist, "runs/demo");
const read = (name) => readFileSync(join(DEMO, name));

let scratch, host, browser, page;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "saescope-instrument-"));
  host = await serve();
  browser = await launch();
  page = await browser.page();
});
after(async () => {
  await browser?.close();
  await host?.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** Opens the host's run, its lower parts on the screen. */
async function shown() {
  await open(page, host, "#/results");
  await state(page, "ready");
  await page.locator("#view-results svg").nth(7).waitFor();
  await near();
}

/** Brings the lower parts near, which is when they are read. */
async function near() {
  for (const part of ["panel-features", "panel-calibration"]) await by(page, part).scrollIntoViewIfNeeded();
}

async function drawn() {
  await page.waitForFunction(() => [...document.querySelectorAll("#view-results .below .plot-host")].every((host) => host.closest(".panel").dataset.drawn));
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100))));
}

/** Saves what a button gives. */
async function saved(button) {
  const [download] = await Promise.all([page.waitForEvent("download"), by(page, button).click()]);
  return readFileSync(await download.path());
}

/** The table's rows, by the heads' columns. */
const tabled = () =>
  page.locator('[data-test="feature-table"]').evaluate((table) => {
    const names = [...table.querySelectorAll("thead th")].map((cell) => cell.dataset.column);
    return [...table.querySelectorAll("tbody tr")].map((row) => Object.fromEntries([...row.children].map((cell, i) => [names[i], cell.textContent])));
  });
const numberOf = (text) => Number(text.replace("−", "-").replace("+", ""));

/** An export of Neuronpedia for layer 6, of these features. */
const exported = (features, words = (feature) => `label of ${feature}`) =>
  features.map((feature) => JSON.stringify({ modelId: "someone", layer: "6-res", index: String(feature), description: words(feature) })).join("\n");
const file = (name, text) => ({ name, mimeType: "", buffer: Buffer.isBuffer(text) ? text : Buffer.from(text) });

// --- which features ---------------------------------------------------------------------------------

test("features are those of stats_features.parquet, sorted and searched by mouse and by keyboard", TIME, async () => {
  await page.setViewportSize(DESKTOP);
  await shown();
  await by(page, "feature-table").waitFor();
  const all = await rows(read("stats_features.parquet"));
  const compared = all.filter((row) => row.verdict);
  assert.match(await by(page, "features-found").innerText(), new RegExp(`^${compared.length.toLocaleString("en")} features\\.$`));
  const of = (row) => compared.find((one) => String(one.layer) === row.layer && String(one.feature) === row.feature);
  const first = await tabled();
  assert.equal(first.length, 30);
  for (const row of first) {
    const { n_fact, n_hall, n_ghost, cohens_dz, ghost_activation } = of(row);
    assert.equal(row.ghost_activation === "–", ghost_activation === null, `${row.ghost_activation} against ${ghost_activation}`);
    if (ghost_activation !== null) assert.ok(Math.abs(numberOf(row.ghost_activation) - ghost_activation) <= 0.006 * ghost_activation, `${row.ghost_activation} against ${ghost_activation}`);
    assert.deepEqual([row.n_fact, row.n_hall, row.n_ghost].map(Number), [n_fact, n_hall, n_ghost].map(Number));
    if (cohens_dz !== null) assert.ok(Math.abs(numberOf(row.cohens_dz) - cohens_dz) <= 0.006 * Math.max(1, Math.abs(cohens_dz)), `${row.cohens_dz} against ${cohens_dz}`);
  }

  // the domains of a ghost, the most first
  for (const row of first) {
    const own = all.filter((one) => !one.verdict && String(one.layer) === row.layer && String(one.feature) === row.feature && Number(one.n_ghost) > 0);
    const most = own.map((one) => Number(one.n_ghost)).reduce((a, b) => Math.max(a, b), 0);
    if (most === 0) assert.equal(row.ghost_domains ?? "–", "–");
    else assert.ok(own.some((one) => Number(one.n_ghost) === most && row.ghost_domains.startsWith(`${one.domain} ${most}`)), `${row.ghost_domains}, most ${most}`);
  }
  assert.equal(await by(page, "ghosts").locator("tbody tr").count(), new Set(all.map(({ layer }) => String(layer))).size, "ghosts by layer");

  const head = page.locator('[data-test="feature-table"] th[data-column="cohens_dz"]');
  await head.locator("button").focus();
  await page.keyboard.press("Enter");
  assert.equal(await head.getAttribute("aria-sort"), "ascending");
  const up = (await tabled()).map((row) => numberOf(row.cohens_dz));
  assert.ok(up.every((value, i) => i === 0 || value >= up[i - 1]), String(up));
  const least = compared.map((row) => row.cohens_dz).filter((value) => value !== null).reduce((a, b) => Math.min(a, b));
  assert.ok(Math.abs(up[0] - least) < 0.006, `${up[0]} against ${least}`);
  await page.keyboard.press("Enter");
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  assert.ok(await head.locator("button").evaluate((button) => button === document.activeElement), "the focus stays");
  const down = (await tabled()).map((row) => numberOf(row.cohens_dz));
  assert.ok(down.every((value, i) => i === 0 || value <= down[i - 1]), String(down));

  await by(page, "features-layer").selectOption("14");
  const ofLayer = compared.filter((row) => Number(row.layer) === 14).length;
  assert.ok((await by(page, "features-found").innerText()).startsWith(`${ofLayer.toLocaleString("en")} features of `));
  assert.ok((await tabled()).every((row) => row.layer === "14"));
  await by(page, "features-layer").selectOption("");
  const { feature } = first[3];
  await by(page, "features-search").fill(feature);
  const found = await tabled();
  assert.ok(found.length >= 1 && found.every((row) => row.feature.startsWith(feature)), JSON.stringify(found.map((row) => row.feature)));
  await by(page, "features-search").fill("no such word");
  assert.match(await by(page, "features-found").innerText(), /^0 features of /);
  await by(page, "features-search").fill("");
  await by(page, "features-more").click();
  assert.equal((await tabled()).length, Math.min(90, compared.length));
  clean(page, browser);
});

test("labels from a file, plain and gzipped, are in the table, the sample, Explore and the saved report", TIME, async () => {
  await page.setViewportSize(DESKTOP);
  await shown();
  await by(page, "feature-table").waitFor();
  await by(page, "features-layer").selectOption("6");
  const features = (await tabled()).slice(0, 12).map((row) => row.feature);
  const labels = by(page, "panel-features").locator('[data-test="labels"]');
  await labels.locator("summary").click();
  const half = features.length / 2;
  await labels.locator("input").setInputFiles([file("a.jsonl", exported(features.slice(0, half))), file("b.jsonl.gz", gzipSync(exported(features.slice(half))))]);
  await page.waitForFunction(() => document.querySelector('[data-test="feature-table"] th[data-column="label"]'), null, { timeout: 60_000 });
  assert.match(await labels.locator('[data-test="labels-status"]').innerText(), /^12 labels of someone\/6-res, from a\.jsonl, b\.jsonl\.gz\.$/);
  for (const row of (await tabled()).filter((one) => features.includes(one.feature))) assert.equal(row.label, `label of ${row.feature}`);
  const link = page.locator('[data-test="feature-table"] tbody th a').first();
  assert.equal(await link.getAttribute("href"), `https://www.neuronpedia.org/someone/6-res/${await link.innerText()}`);
  await by(page, "features-search").fill(`label of ${features[1]}`);
  assert.deepEqual((await tabled()).map((row) => row.feature), [features[1]]);
  await by(page, "features-search").fill("");

  // what features promote is asked of the engine
  await by(page, "features-promote").click();
  await page.waitForFunction(() => document.querySelectorAll('[data-test="feature-table"] td.of-promotes .token').length > 20, null, { timeout: 120_000 });

  const report = join(scratch, "labels.html");
  writeFileSync(report, await saved("save-report"));
  const other = await browser.page();
  await other.goto(pathToFileURL(report).href);
  await other.waitForFunction(() => document.querySelector("[data-counted]") !== null, null, { timeout: 60_000 });
  const told = await by(other, "features-6").innerText();
  assert.ok(told.includes(`label of ${features[0]}`) && told.includes("Promotes"), told);
  // the host's run has a calibration, and so has its report
  assert.match(await by(other, "calibration").innerText(), /False alarms: /);
  await other.close();

  const [{ sample_id: id }] = (await rows(read("features.parquet"))).filter((row) => Number(row.layer) === 6 && features.includes(String(row.feature)) && row.text === "fact");
  await go(page, `#/sample/${encodeURIComponent(id)}`);
  await page.locator('#view-sample [data-test="feature-label"]').first().waitFor();
  // the strongest are shown, the one that has a label may be further down
  const more = page.locator("#view-sample").getByRole("button", { name: /^Show \d+ more of / });
  while (await more.isVisible()) await more.click();
  const beside = await page.locator('#view-sample [data-test="feature-label"]').allInnerTexts();
  assert.ok(beside.some((text) => text.startsWith("label of ")), JSON.stringify(beside));

  await go(page, "#/explore");
  await by(page, "explore-go").click();
  await by(page, "features-ranked").waitFor({ timeout: 120_000 });
  await page.getByRole("radio", { name: "Layer 6" }).check();
  const strongest = await page.locator('[data-test="features-ranked"] button.feature').allInnerTexts();
  const explore = page.locator('#view-explore [data-test="labels"]');
  await explore.locator("summary").click();
  await explore.locator("input").setInputFiles([file("c.jsonl", exported(strongest.slice(0, 3), (feature) => `what ${feature} is`))]);
  await page.locator('#view-explore [data-test="feature-label"]').first().waitFor();
  const said = await page.locator('#view-explore [data-test="feature-label"]').allInnerTexts();
  assert.ok(said.length >= 3, String(said));
  await accessible(page, "explore with labels");
  await page.screenshot({ path: artifact("screenshots", "labels-explore.png"), fullPage: true });
  await explore.locator('[data-test="labels-forget"]').click();
  await page.locator('#view-explore [data-test="feature-label"]').first().waitFor({ state: "detached" });
  clean(page, browser);
});

// --- does the instrument work here --------------------------------------------------------------------

test("the run's calibration is shown as the report shows it, and is saved as it is", TIME, async () => {
  await shown();
  await page.locator('[data-test="panel-probes"] svg').waitFor();
  const calibration = JSON.parse(read("calibration.json"));
  // the default model under its own SAEs: what differs is seen, in pairs of equal length, and swaps are no discovery
  for (const control of calibration.positive_controls) {
    assert.equal(control.equal_length, control.pairs, control.name);
    assert.ok(control.seen_by_probe && (control.seen_by_metrics || control.seen_by_features), JSON.stringify(control));
  }
  assert.equal(calibration.positive_controls.length, 3);
  assert.ok(calibration.false_alarms.length > 0 && calibration.false_alarms.every(({ holds }) => holds), JSON.stringify(calibration.false_alarms));
  assert.equal(JSON.parse(read("manifest.json")).nulls.draws, 200);
  // length alone, on real facts: it is found, and the control takes it away
  const trap = calibration.length_trap;
  assert.ok(trap.holds && trap.found > 0 && trap.explained > 0 && trap.survive <= 0.05 * trap.metrics, JSON.stringify(trap));
  const words = await by(page, "calibration").innerText();
  for (const word of ["False alarms: ", "Planted effects: ", "Length trap: ", "True and false statements (", "Two languages (", "Ceiling: "]) assert.ok(words.includes(word), `no ${word} in ${words}`);
  assert.ok(words.includes(`in ${calibration.swaps.swaps} copies`), words);
  for (const name of ["false-alarms", "planted", "probes"]) assert.equal(await by(page, `panel-${name}`).locator("svg").count(), 1, name);
  assert.deepEqual(JSON.parse(await saved("download-calibration")), calibration);
  // the report of the program says the same
  const folder = join(scratch, "demo");
  cpSync(DEMO, folder, { recursive: true });
  const path = execFileSync(program, ["report", folder], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  const report = await browser.page();
  await report.goto(pathToFileURL(path).href);
  await report.waitForFunction(() => document.documentElement.dataset.state === "ready");
  assert.equal(await by(report, "calibration").innerText(), words);
  // and so it does of what all features together and the residual stream tell
  const told = page.locator("#panel-classifiers-caption");
  for (const one of [page, report]) await one.locator('[data-test="panel-classifiers"] svg').waitFor();
  assert.match(await told.innerText(), /A linear probe of the raw residual stream tells hallucinations from facts with an AUROC of /);
  assert.equal(await report.locator("#panel-classifiers-caption").innerText(), await told.innerText());
  const probe = (await told.innerText()).replace(/^.*(?=A linear probe)/s, "");
  assert.ok((await by(page, "verdicts").innerText()).includes(probe), probe);
  await by(page, "panel-classifiers").locator("summary").click();
  await by(page, "panel-classifiers").locator("tbody tr").first().waitFor();
  assert.ok((await by(page, "panel-classifiers").locator("tbody tr").count()) >= JSON.parse(read("manifest.json")).layers.length, "as a table");
  await report.close();
  clean(page, browser);
});

test("what is read first does not wait for the lower parts", TIME, async () => {
  const asked = [];
  const listen = (request) => asked.push(new URL(request.url()).pathname);
  page.on("request", listen);
  await page.setViewportSize(PHONE);
  await open(page, host, "#/results");
  await state(page, "ready");
  await page.locator("#view-results svg").nth(1).waitFor();
  const before = asked.filter((path) => /runs\/demo\/(calibration\.json|stats_features\.parquet)$/.test(path));
  page.off("request", listen);
  assert.deepEqual(before, [], "read before anybody came near");
  await near();
  await by(page, "feature-table").waitFor();
});

test("the lower parts, light and dark, at a desk and on a phone, for everybody", TIME, async () => {
  for (const [width, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    for (const scheme of ["light", "dark"]) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      await shown();
      await page.locator('[data-test="panel-probes"] svg').waitFor();
      await by(page, "feature-table").waitFor();
      await drawn();
      await page.locator("#view-results .below").screenshot({ path: artifact("screenshots", `instrument-${width}-${scheme}.png`) });
      await fits(page, `${width}, ${scheme}`);
      await accessible(page, `${width}, ${scheme}`);
    }
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  await page.setViewportSize(DESKTOP);
  clean(page, browser);
});

test("a run is calibrated on the page as the program does it, and may be stopped", TIME, async (t) => {
  await page.setViewportSize(DESKTOP);
  const names = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json"];
  await open(page, host, "#/results");
  await state(page, "ready");
  await page.locator('[data-test="open-run-file"]').first().setInputFiles(names.map((name) => join(DEMO, name)));
  await page.getByText("files metrics.parquet, manifest.json").first().waitFor({ state: "attached" });
  await near();
  assert.match(await by(page, "calibration").innerText(), /no calibration/);
  // what it costs is said before
  const cost = by(page, "calibrate-cost");
  assert.match(await cost.innerText(), /^About \d+ (s|min) for 200 swaps of 200 samples.*then about .* pairs of texts through the model/s);
  await by(page, "calibrate-model").uncheck();
  assert.match(await cost.innerText(), /nothing is downloaded\.$/);

  await by(page, "calibrate-start").click();
  await by(page, "calibrate-stop").click();
  await page.getByText("Stopped. Nothing of it was kept.").waitFor();
  assert.equal(await page.locator('[data-test="panel-planted"]').count(), 0);
  assert.equal(await page.evaluate(() => document.activeElement.dataset.test), "calibrate-start", "the focus is lost");

  const begun = Date.now();
  await by(page, "calibrate-start").click();
  await page.waitForFunction(() => /^Swapping facts and hallucinations: [\d.]+ %$/.test(document.querySelector('[data-test="calibrate-status"]')?.textContent ?? ""), null, { timeout: 60_000 });
  await page.screenshot({ path: artifact("screenshots", "calibrating.png") });
  await page.locator('[data-test="panel-planted"] svg').waitFor({ timeout: 240_000 });
  t.diagnostic(`${Math.round((Date.now() - begun) / 1000)} s on the page`);
  const ours = JSON.parse(await saved("download-calibration"));
  const folder = join(scratch, "native");
  cpSync(DEMO, folder, { recursive: true });
  execFileSync(program, ["calibrate", folder, "--no-model"], { stdio: "ignore" });
  const theirs = JSON.parse(readFileSync(join(folder, "calibration.json")));
  for (const part of ["run_id", "metrics", "seed", "swaps", "false_alarms", "planted"]) assert.deepEqual(ours[part], theirs[part], part);
  assert.deepEqual(ours.left_out.map(({ part }) => part), ["length_trap", "positive_controls", "ceiling"]);
  assert.match(await by(page, "calibration").innerText(), /Left out: ceiling \(the run's model was not at hand\)/);
  await accessible(page, "calibrated");
  clean(page, browser);
});

test("a run made on the page has features and a whole calibration, and its report has both", TIME, async (t) => {
  await page.setViewportSize(DESKTOP);
  await setUpGolden(page, host, "llama", join(golden, "llama/texts.json"));
  await start(page);
  await state(page, "finished");
  await go(page, "#/results");
  await page.locator("#view-results svg").first().waitFor();
  await near();
  const features = await rows(await saved("download-stats-features"));
  assert.ok(features.length > 0);
  await page.locator('[data-test="features-words"]').waitFor();
  assert.match(await by(page, "calibrate-cost").innerText(), /judged by what this page took for the run/);
  const begun = Date.now();
  await by(page, "calibrate-start").click();
  await page.locator('[data-test="panel-probes"] svg').waitFor({ timeout: 240_000 });
  t.diagnostic(`${Math.round((Date.now() - begun) / 1000)} s on the page`);
  const found = JSON.parse(await saved("download-calibration"));
  assert.deepEqual(found.left_out, []);
  assert.deepEqual(found.positive_controls.map(({ name }) => name).slice(0, 2), ["truth", "language"]);
  assert.ok(found.ceiling.pairs > 0 && found.length_trap.pairs > 0, JSON.stringify(found.ceiling));

  // the program finds the same in the page's own files, up to the last bits of a sum
  const folder = mkdtempSync(join(scratch, "page-"));
  for (const [button, name] of [["download-metrics", "metrics.parquet"], ["download-features", "features.parquet"], ["download-stats", "stats.parquet"], ["download-stats-features", "stats_features.parquet"], ["download-manifest", "manifest.json"]]) writeFileSync(join(folder, name), await saved(button));
  const saes = Object.entries(JSON.parse(readFileSync(join(golden, "llama/expected.json"))).saes).flatMap(([layer, path]) => ["--sae", `${layer}=${join(golden, "llama", path)}`]);
  execFileSync(program, ["calibrate", folder, "--device", "cpu", "--model", join(golden, "llama/model"), ...saes, "--dataset", join(golden, "llama/texts.json")], { stdio: "ignore" });
  const native = JSON.parse(readFileSync(join(folder, "calibration.json")));
  assert.deepEqual(found.false_alarms, native.false_alarms);
  assert.deepEqual(found.planted, native.planted);
  assert.equal(found.positive_controls.length, native.positive_controls.length);
  for (const [i, control] of native.positive_controls.entries()) {
    assert.equal(found.positive_controls[i].pairs, control.pairs);
    for (const [j, layer] of control.layers.entries()) {
      const [ours, theirs] = [found.positive_controls[i].layers[j].residual, layer.residual].map((probed) => probed?.auroc ?? NaN);
      assert.ok(Math.abs(ours - theirs) < 0.02, `${control.name}, layer ${layer.layer}: ${ours} against ${theirs}`);
    }
  }

  const report = join(scratch, "page.html");
  writeFileSync(report, await saved("save-report"));
  const other = await browser.page();
  await other.goto(pathToFileURL(report).href);
  await other.waitForFunction(() => document.documentElement.dataset.state === "ready");
  assert.match(await by(other, "calibration").innerText(), /Ceiling: /);
  assert.equal(await by(other, "calibration").innerText(), await by(page, "calibration").innerText());
  await other.close();
  clean(page, browser);
});

// --- without a browser ----------------------------------------------------------------------------------

const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: "error" })).module;

test("an SAE is known on Neuronpedia by model, layer and L0 together", async () => {
  const { neuronpediaId } = await load("./www/data/words.ts");
  const manifest = (name, layer, declared_l0) => ({ model: { name }, saes: [{ layer, declared_l0 }] });
  assert.equal(neuronpediaId(manifest("gemma-2-2b", 12, 82), 12), "gemma-2-2b/12-gemmascope-res-16k");
  assert.equal(neuronpediaId(manifest("gemma-2-2b", 12, 82.4), 12), "gemma-2-2b/12-gemmascope-res-16k");
  assert.equal(neuronpediaId(manifest("gemma-2-2b", 12, 445), 12), undefined, "another SAE of the layer");
  assert.equal(neuronpediaId(manifest("gemma-2-2b", 12, null), 12), undefined);
  assert.equal(neuronpediaId(manifest("gemma-2-9b", 12, 82), 12), undefined);
  assert.equal(neuronpediaId(null, 12), undefined);
});

test("labels are of the SAE that has the name, or of the only dictionary of the layer", async () => {
  const { Labels } = await load("./www/state/labels.ts");
  const answers = {
    a: [{ name: "m/6-x", layer: 6, url: "https://www.neuronpedia.org/m/6-x/", features: [3, 4], labels: ["three", "four"] }],
    b: [{ name: "m/6-x", layer: 6, features: [4, 5], labels: ["another", "five"] }, { name: "m/7-x", layer: 7, features: [1], labels: ["one"] }],
    c: [{ name: "n/7-y", layer: 7, features: [1], labels: ["uno"] }],
  };
  const labels = new Labels({ call: async ({ file }) => answers[file.name] ?? Promise.reject(new Error("no export")) });
  await labels.take([{ name: "a" }, { name: "b" }]);
  assert.deepEqual([...labels.of(undefined, 6).labels].sort(), [[3, "three"], [4, "four"], [5, "five"]]);
  assert.equal(labels.of("m/7-x", 12).labels.get(1), "one", "numbers may count otherwise");
  assert.equal(labels.of("m/7-z", 7), null, "of another SAE");
  await labels.take([{ name: "c" }, { name: "none" }]);
  assert.equal(labels.of(undefined, 7), null, "two could be meant");
  assert.equal(labels.error.message, "no export");
  assert.equal(labels.size.labels, 5, "what was there stays");
  labels.forget();
  assert.ok(!labels.any && labels.of(undefined, 6) === null && labels.error === null);
});
