// The report: one document, opened from a disk with no network, on a screen and on paper.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { runnerImport } from "vite";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { harmless, hostileRun } from "./harness/hostile.mjs";
import { artifact, dist, program, root } from "./harness/paths.mjs";
import { rows } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { accessible, by, fits, state } from "./harness/view.mjs";

const TIME = { timeout: 300_000 };
/** Of 200 samples. */
const MOST_BYTES = 3e6;
const FILES = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json"];

let scratch, run, file, browser, page, asked;

before(() => {
  scratch = mkdtempSync(join(tmpdir(), "saescope-report-"));
  run = join(scratch, "run");
  mkdirSync(run);
  for (const name of FILES) cpSync(join(dist, "runs/demo", name), join(run, name));
  file = write(run);
});
after(() => rmSync(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  browser = await launch({ webgpu: false, offline: true });
  page = await browser.page();
  asked = [];
  page.on("request", (request) => asked.push(request.url()));
});
afterEach(() => browser?.close());

/** Has the program write a run's report. */
function write(folder, ...more) {
  return execFileSync(program, ["report", folder, ...more], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

/** Opens a document and waits until all of it is drawn. */
async function read(path) {
  await page.goto(pathToFileURL(path).href);
  await page.waitForFunction(() => document.documentElement.dataset.state === "ready", null, { timeout: 60_000 });
  await drawn();
}

async function drawn() {
  await page.waitForFunction(
    () => [...document.querySelectorAll(".plot-host")].every((host) => host.closest(".panel").dataset.drawn) && document.querySelector("[data-counted]") !== null,
    null,
    { timeout: 60_000 },
  );
  // a frame for what was drawn last
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100))));
}

/** The document asked for nothing but itself. */
function alone(path) {
  const others = asked.filter((url) => url !== pathToFileURL(path).href && !url.startsWith("blob:"));
  assert.deepEqual(others, [], "requests");
}

test("a report opens from a disk without a network, and shows the whole run", TIME, async (t) => {
  const bytes = statSync(file).size;
  t.diagnostic(`${(bytes / 1e6).toFixed(2)} MB`);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
  await read(file);
  alone(file);
  clean(page, browser);

  const panels = ["reconstruction", "sphericity", "drift", "twist", "stability", "entropy", "consistency", "effects", "phase", "length", "nulls"];
  for (const name of [...panels, "forest-global", "forest-6", "forest-14", "forest-23"]) {
    const panel = by(page, `panel-${name}`);
    assert.equal(await panel.count(), 1, name);
    // where nothing differs, the effects say so in words
    assert.ok((await panel.locator("svg, .empty").count()) > 0, `${name} shows nothing`);
  }
  assert.equal(await page.locator(".part-estimation .panel svg").count(), 6, "estimation plots");
  assert.equal(await page.locator('[data-test="sae-health"] tbody tr').count(), 3);
  assert.equal(await page.locator(".presence-layer").count(), 3);
  assert.match(await by(page, "features-words").innerText(), /Of [\d,]+ features/);
  assert.equal(await page.locator('[data-test="panel-classifiers"] svg').count(), 1, "classifiers");

  // the words claim what the table has
  const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: "error" })).module;
  const stats = (await rows(readFileSync(join(run, "stats.parquet")))).filter((row) => row.domain === "all" && !["control", "too_few_samples", "no_variation"].includes(row.verdict) && !row.metric.endsWith("_diff"));
  const surviving = stats.filter((row) => row.verdict === "survives_length_control");
  const words = await by(page, "findings").innerText();
  if (surviving.length === 0) assert.match(words, /^No metric or z-score against nulls /);
  else {
    const of = (is) => [surviving, stats].map((all) => all.filter((row) => row.metric.endsWith("_z") === is).length);
    const said = (is, what) => `${of(is)[0] || "none"} of ${of(is)[1]} ${what}`;
    assert.ok(words.toLowerCase().startsWith(`${said(false, "metrics")} and ${said(true, "z-scores against nulls")} differ`), words);
  }
  // what the residual stream tells stands beside what no metric does
  const manifest = JSON.parse(readFileSync(join(run, "manifest.json"), "utf8"));
  const { probeWords } = await load("./www/views/results/classifierWords.ts");
  const probe = probeWords(manifest.statistics.classifiers);
  assert.ok(probe !== "" && words.includes(probe), words);
  assert.match(words, /\|d_z\| 0\.\d\d/);

  // what is drawn is as wide as the file says: the percentiles of the resampled means beside the file's interval
  const [{ resampledMeans }, { clustersOf }] = [await load("./www/report/bootstrap.ts"), await load("./www/report/clusters.ts")];
  const metrics = await rows(readFileSync(join(run, "metrics.parquet")));
  assert.ok(manifest.statistics.clusters, "the run's samples are of clusters");
  const clusters = clustersOf(metrics.map((row) => row.cluster), metrics.map((row) => row.domain));
  const captions = await page.locator(".part-estimation .panel .caption").allInnerTexts();
  assert.ok(captions.every((text) => / pairs in \d+ clusters?, resampled whole: /.test(text)), captions.join("\n"));
  for (const name of ["l6_l0_norm", "l14_gini", "l23_sphericity"]) {
    const [layer, base] = [name.split("_")[0], name.slice(name.indexOf("_") + 1)];
    const means = resampledMeans(metrics.map((row) => Number(row[`${layer}_hall_${base}`]) - Number(row[`${layer}_fact_${base}`])), clusters);
    const { ci_low, ci_high } = stats.find((row) => row.metric === name);
    const [low, high] = [means[Math.floor(0.025 * means.length)], means[Math.floor(0.975 * means.length)]];
    for (const [a, b] of [[low, ci_low], [high, ci_high]]) assert.ok(Math.abs(a - b) < 0.2 * (ci_high - ci_low), `${name}: ${a} against ${b}`);
  }

  // the run comes out as it went in
  for (const [button, name] of [["download-metrics", "metrics.parquet"], ["download-stats", "stats.parquet"], ["download-stats-features", "stats_features.parquet"]]) {
    const [saved] = await Promise.all([page.waitForEvent("download"), by(page, button).click()]);
    assert.ok(readFileSync(await saved.path()).equals(readFileSync(join(run, name))), name);
  }
  const [csv] = await Promise.all([page.waitForEvent("download"), by(page, "export-csv").click()]);
  assert.match(readFileSync(await csv.path(), "utf8").slice(0, 100), /^sample_id,domain,complexity,/);
  clean(page, browser);
});

test("light and dark, at a desk and on a phone, for everybody", TIME, async () => {
  await read(file);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [width, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      await page.setViewportSize(size);
      await page.waitForTimeout(1000);
      await drawn();
      await page.screenshot({ path: artifact("screenshots", `report-${scheme}-${width}.png`), fullPage: true });
      await fits(page, `${scheme}, ${width}`);
      await accessible(page, `${scheme}, ${width}`);
    }
  }
  // the switch of colours is stronger than the system's
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await ground();
  await by(page, "theme").click();
  assert.notEqual(await ground(), dark);
  assert.match(await by(page, "theme").innerText(), /light/);
  clean(page, browser);
});

test("choices redraw what they are for", TIME, async () => {
  await read(file);
  await by(page, "estimation-metrics").selectOption("l14");
  await drawn();
  const titles = await page.locator(".part-estimation .panel h2").allInnerTexts();
  assert.ok(titles.length > 6 && titles.every((title) => title.endsWith("layer 14")), titles.join());
  const caption = page.locator("#panel-stability-caption");
  const all = await caption.innerText();
  const domain = by(page, "domain-filter");
  await domain.selectOption({ index: 1 });
  await page.waitForFunction((text) => document.querySelector("#panel-stability-caption").textContent !== text, all);
  // a plot is read point by point, and no point leads to a view that is not there
  const plot = page.locator("#panel-drift-plot");
  await plot.focus();
  for (const key of ["ArrowRight", "ArrowRight", "Enter"]) await page.keyboard.press(key);
  // what is read out: the tip itself goes away when the page scrolls
  await page.waitForFunction(() => / 2 of \d+$/.test(document.querySelector("#live").textContent));
  assert.match(await page.locator("#live").textContent(), /, fact .*, hallucination /);
  assert.doesNotMatch(await page.locator(".plot-tip").textContent(), /opens the sample/);
  await page.locator('[data-test="panel-drift"] summary').click();
  assert.equal(await page.locator('[data-test="panel-drift"] table a').count(), 0);
  assert.equal(await page.evaluate(() => location.hash), "");
  clean(page, browser);
});

test("it prints on A4 and letter, light, with its plots drawn for paper", TIME, async (t) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await read(file);
  await page.evaluate(() => {
    window.widths = [];
    addEventListener("beforeprint", () => window.widths.push([...document.querySelectorAll(".part-forest svg")].map((svg) => svg.width.baseVal.value)));
  });
  const before = await page.evaluate(() => document.querySelector(".part-forest svg").width.baseVal.value);
  for (const format of ["A4", "Letter"]) {
    const path = artifact("report", `report-${format}.pdf`);
    await page.pdf({ path, format, preferCSSPageSize: true, printBackground: true });
    const pdf = readFileSync(path, "latin1");
    assert.ok(pdf.startsWith("%PDF-"), format);
    const pages = pdf.match(/\/Type\s*\/Page\b/g)?.length ?? 0;
    t.diagnostic(`${format}: ${pages} pages`);
    assert.ok(pages >= 4 && pages <= 14, `${format}: ${pages} pages`);
  }
  const widths = await page.evaluate(() => window.widths.flat());
  assert.ok(widths.length >= 8 && widths.every((width) => width > 700 && width < 900), `drawn for paper: ${widths.join()}`);
  // and then for the screen again, in its own colours
  assert.equal(await page.evaluate(() => document.querySelector(".part-forest svg").width.baseVal.value), before);
  const root = await page.evaluate(() => ({ ...document.documentElement.dataset }));
  assert.equal(root.theme, undefined);
  assert.equal(root.paper, undefined);

  // on the sheet itself
  await page.emulateMedia({ media: "print", colorScheme: "light" });
  for (const hidden of [".tools", ".controls", ".panel-actions", ".as-table", ".part-table"]) {
    assert.equal(await page.locator(`${hidden}:visible`).count(), 0, `${hidden} is printed`);
  }
  clean(page, browser);
});

test("a run whose every text is hostile stays text", TIME, async () => {
  const folder = join(scratch, "hostile");
  await hostileRun(folder, 40);
  const path = write(folder);
  const dialogs = [];
  page.on("dialog", (dialog) => {
    dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  await read(path);
  for (const summary of await page.locator("details > summary").all()) await summary.click();
  for (const [width, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    await page.setViewportSize(size);
    await page.waitForTimeout(1000);
    await drawn();
    await page.screenshot({ path: artifact("screenshots", `report-hostile-${width}.png`) });
    await harmless(page, `hostile, ${width}`, "script");
    // its own script, the four files and the calibration
    assert.equal(await page.locator("script").count(), 6);
  }
  await page.pdf({ path: artifact("report", "hostile.pdf"), format: "A4" });
  await harmless(page, "hostile, printed", "script");
  assert.deepEqual(dialogs, []);
  alone(path);
  clean(page, browser);
});

test("a document whose run was changed says so, and one without a run too", TIME, async () => {
  const whole = readFileSync(file, "utf8");
  const [, block] = /data-file="stats\.parquet"[^>]*>([^<]+)</.exec(whole);
  const bytes = Buffer.from(block, "base64");
  // a letter of the footer's text, so that the file can be read as before
  const at = bytes.indexOf("Benjamini");
  assert.ok(at > 0);
  bytes.write("b", at);
  const changed = join(scratch, "changed.html");
  writeFileSync(changed, whole.replace(block, () => bytes.toString("base64")));
  await read(changed);
  assert.match(await by(page, "run-warnings").innerText(), /stats\.parquet: expected sha256/);

  const empty = join(scratch, "empty.html");
  writeFileSync(empty, readFileSync(join(root, "crate/cli/report/template.html")));
  await page.goto(pathToFileURL(empty).href);
  await by(page, "error").waitFor();
  assert.match(await by(page, "error").innerText(), /holds no run/);
  const torn = join(scratch, "torn.html");
  writeFileSync(torn, whole.replace(/(data-file="metrics\.parquet"[^>]*>)[^<]{2000}/, "$1"));
  await page.goto(pathToFileURL(torn).href);
  await by(page, "error").waitFor();
  assert.match(await by(page, "error").innerText(), /metrics\.parquet: expected a Parquet file/);
  clean(page, browser);
});

test("a report of metrics alone has no table of features, and one of an earlier run counts them", TIME, async () => {
  const earlier = join(scratch, "earlier");
  cpSync(run, earlier, { recursive: true });
  rmSync(join(earlier, "stats_features.parquet"));
  rmSync(join(earlier, "report.html"), { force: true });
  const manifest = JSON.parse(readFileSync(join(earlier, "manifest.json"), "utf8"));
  manifest.files = manifest.files.filter(({ path }) => path !== "stats_features.parquet");
  writeFileSync(join(earlier, "manifest.json"), JSON.stringify(manifest));
  const whole = write(earlier);
  await read(whole);
  assert.match(await by(page, "presence-words").innerText(), /Of [\d,]+ features/);
  assert.equal(await page.locator('[data-test="download-stats-features"]').count(), 0);
  const path = join(scratch, "small.html");
  writeFileSync(path, readFileSync(whole, "utf8").replace(/<script [^>]*data-file="features\.parquet"[^<]*<\/script>/, ""));
  await read(path);
  assert.match(await by(page, "presence").innerText(), /without features\.parquet/);
  assert.equal(await page.locator('[data-test="download-features"]').count(), 0);
  clean(page, browser);
});

test("the page saves the report that the program writes", TIME, async () => {
  const host = await serve();
  const online = await launch({ webgpu: false });
  const path = join(scratch, "saved.html");
  try {
    const shown = await online.page();
    await shown.goto(`${host.url}#/results`);
    await state(shown, "ready");
    const [download] = await Promise.all([shown.waitForEvent("download"), by(shown, "save-report").click()]);
    assert.equal(download.suggestedFilename(), "report.html");
    await download.saveAs(path);
    clean(shown, online);
  } finally {
    await online.close();
    await host.close();
  }
  const blocks = (document) => new Map([...document.matchAll(/data-file="([^"]+)"[^>]*>([^<]*)</g)].map(([, name, text]) => [name, text]));
  const [saved, written] = [readFileSync(path, "utf8"), readFileSync(file, "utf8")];
  const [ours, theirs] = [blocks(saved), blocks(written)];
  for (const name of FILES.slice(0, 4)) assert.ok(ours.get(name) === theirs.get(name), `${name} is another`);
  const manifest = (found) => JSON.parse(Buffer.from(found.get("manifest.json"), "base64").toString());
  assert.deepEqual(manifest(ours), manifest(theirs));
  const frame = (document) => document.replace(/<script type="application[^]*<\/script>\n/, "");
  assert.ok(frame(saved) === frame(written), "the documents differ");
  await read(path);
  alone(path);
  clean(page, browser);
});
