// The report's part about the calibration: what the program wrote, drawn and in words, and what stands there where
// there is none.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { artifact, dist, program } from "./harness/paths.mjs";
import { accessible, by, fits } from "./harness/view.mjs";

const TIME = { timeout: 300_000 };
const FILES = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json"];

let scratch, run, calibration, browser, page;

before(() => {
  scratch = mkdtempSync(join(tmpdir(), "saescope-calibration-"));
  run = join(scratch, "run");
  mkdirSync(run);
  for (const name of FILES) cpSync(join(dist, "runs/demo", name), join(run, name));
  const file = execFileSync(program, ["calibrate", run, "--device", "cpu", "--seeds", "60", "--limit", "40"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  calibration = JSON.parse(readFileSync(file, "utf8"));
});
after(() => rmSync(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  browser = await launch({ webgpu: false, offline: true });
  page = await browser.page();
});
afterEach(() => browser?.close());

/** Writes the run's report and opens it, all drawn. */
async function report(name) {
  const path = join(scratch, `${name}.html`);
  const said = execFileSync("sh", ["-c", '"$0" report "$1" --out "$2" --force 2>&1', program, run, path], { encoding: "utf8" });
  await page.goto(pathToFileURL(path).href);
  await page.waitForFunction(() => document.documentElement.dataset.state === "ready", null, { timeout: 60_000 });
  await drawn();
  return said;
}

async function drawn() {
  await page.waitForFunction(() => [...document.querySelectorAll(".plot-host")].every((host) => host.closest(".panel").dataset.drawn), null, { timeout: 60_000 });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100))));
}

test("a calibration is in the report, in words, as plots and as tables, for everybody", TIME, async () => {
  await report("whole");
  assert.equal(calibration.left_out.length, 0, JSON.stringify(calibration.left_out));
  const words = await by(page, "calibration").innerText();
  for (const word of ["False alarms: ", "Planted effects: ", "Length trap: ", "True and false statements (", "Two languages (", "Ceiling: "]) {
    assert.ok(words.includes(word), `no ${word} in ${words}`);
  }
  assert.ok(words.includes(`in ${calibration.swaps.swaps} copies`), words);
  const [alarms] = calibration.false_alarms;
  assert.equal(words.includes("MORE than the rate"), calibration.false_alarms.some((of) => !of.holds), words);
  for (const name of ["false-alarms", "planted", "probes"]) {
    const panel = by(page, `panel-${name}`);
    assert.equal(await panel.locator("svg").count(), 1, name);
    await panel.locator("summary").click();
    assert.ok((await panel.locator("tbody tr").count()) >= 4, `${name} as a table`);
  }
  // a dot stands where the file says
  const rows = await by(page, "panel-false-alarms").locator("tbody tr").allInnerTexts();
  assert.ok(rows[0].includes("survives"), rows[0]);
  const shown = Number(rows[0].split("\t")[2]);
  assert.ok(Math.abs(shown - alarms.runs_survive.share) < 5e-4, `${shown} against ${alarms.runs_survive.share}`);
  const probed = calibration.positive_controls.flatMap((of) => of.layers).length + calibration.ceiling.layers.length;
  // and the best metric of each control, and of the run's own pairs
  const best = calibration.positive_controls.length + 1;
  assert.equal(await by(page, "panel-probes").locator("tbody tr").count(), 2 * probed + best);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [width, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      await page.setViewportSize(size);
      await page.waitForTimeout(1000);
      await drawn();
      await page.locator(".part-calibration").screenshot({ path: artifact("screenshots", `calibration-${scheme}-${width}.png`) });
      await fits(page, `${scheme}, ${width}`);
      await accessible(page, `${scheme}, ${width}`);
    }
  }
  await page.pdf({ path: artifact("report", "calibration.pdf"), format: "A4", preferCSSPageSize: true });
  clean(page, browser);
});

test("a calibration of other numbers is left out with a note, and one line says how to get one", TIME, async () => {
  const file = join(run, "calibration.json");
  const whole = readFileSync(file);
  try {
    writeFileSync(file, JSON.stringify({ ...calibration, metrics: { ...calibration.metrics, sha256: "0".repeat(64) } }));
    assert.match(await report("other"), /note: calibration\.json is of another metrics\.parquet/);
    assert.match(await by(page, "calibration").innerText(), /without a calibration: saescope calibrate RUN/);
    assert.equal(await page.locator('[data-test="panel-planted"]').count(), 0);
    // whoever puts it into the document all the same
    writeFileSync(file, whole);
    const path = join(scratch, "forged.html");
    await report("forged");
    const forged = Buffer.from(JSON.stringify({ ...calibration, planted: "none" })).toString("base64");
    writeFileSync(path, readFileSync(path, "utf8").replace(/(data-file="calibration\.json"[^>]*>)[^<]*/, (_, head) => head + forged));
    await page.goto(pathToFileURL(path).href);
    await page.waitForFunction(() => document.documentElement.dataset.state === "ready");
    assert.match(await by(page, "calibration").innerText(), /cannot be shown: calibration\.json: planted: expected a list/);
  } finally {
    writeFileSync(file, whole);
  }
  clean(page, browser);
});
