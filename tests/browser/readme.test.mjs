// What the README says, done as it says it, in a fresh clone: `cargo xtask demo`, the command that it
// prints, and then the page as a user goes through it. SAESCOPE_FRESH_CLONE names a clone in which nothing
// was done yet; without it one is made here, of what is committed. What the program and the page depend on
// comes from the shared build folder.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { artifact, root } from "./harness/paths.mjs";

const HOUR = { timeout: 3_600_000 };
/** Triples of the page's own run. */
const FEW = 6;
const given = process.env.SAESCOPE_FRESH_CLONE;

let folder, clone, environment, opened, browser, server;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "saescope-fresh-"));
  clone = given ?? join(folder, "saescope");
  // no browser of this machine: what would be opened is written down
  opened = join(folder, "opened");
  const programs = join(folder, "programs");
  mkdirSync(programs);
  writeFileSync(join(programs, "xdg-open"), `#!/bin/sh\nprintf %s "$1" > "${opened}"\n`);
  chmodSync(join(programs, "xdg-open"), 0o755);
  environment = { ...process.env, PATH: `${programs}${delimiter}${process.env.PATH}` };
});
after(async () => {
  await browser?.close();
  server?.kill("SIGKILL");
  // of a clone that was given the run is taken away, what was built stays
  for (const made of [folder, join(clone, "runs")]) rmSync(made, { recursive: true, force: true, maxRetries: 5 });
});

/** Runs a command line in the clone; gives what it says on stdout, and after how many seconds it had said each line. */
function typed(line, more = {}) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const shell = spawn("sh", ["-c", line], { cwd: clone, env: { ...environment, ...more }, stdio: ["ignore", "pipe", "pipe"] });
    let [said, complained] = ["", ""];
    const lines = [];
    createInterface({ input: shell.stdout }).on("line", (text) => lines.push({ text, at: (performance.now() - began) / 1000 }));
    shell.stdout.on("data", (piece) => (said += piece));
    shell.stderr.on("data", (piece) => (complained += piece));
    shell.on("close", (status) => {
      const seconds = (performance.now() - began) / 1000;
      if (status === 0) resolve({ said, lines, seconds });
      else reject(new Error(`${line}: status ${status}\n${said.slice(-3000)}\n${complained.slice(-3000)}`));
    });
  });
}

test("in a fresh clone: the demo, the command that it prints, a run, its download, and all of it without the host", HOUR, async (t) => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const demo = /^(cargo xtask demo)\b/m.exec(readme)?.[1];
  assert.ok(demo, "the README has no `cargo xtask demo`");
  if (!given) execFileSync("git", ["clone", "--quiet", "--no-hardlinks", root, clone]);
  const made = ["dist", "node_modules", "runs"].filter((name) => existsSync(join(clone, name)));
  assert.deepEqual(made, [], "nothing was done in the clone");

  const { said, lines, seconds } = await typed(demo);
  // before each long step what it is and about how long it takes; the results first, the page after
  const steps = {
    "the program": /^building the program: (about \d+ minutes on .*|only what has changed since the last time)$/,
    "the analysis": /^\$ .*saescope analyze$/,
    "the calibration": /^calibrating: .*about as long as the analysis/,
    "the results": /^results in: +\//,
    "the report": /^the report: +\/.*report\.html$/,
    "the page": /^building the page: .*(about \d+ minutes on|only what has changed since the last time)/,
    "the end": /^to see them: /,
  };
  const times = Object.entries(steps).map(([name, step]) => [name, lines.find(({ text }) => step.test(text))?.at]);
  for (const [i, [name, at]] of times.entries()) assert.ok(at >= (times[i - 1]?.[1] ?? 0), `${name} at ${at} s, after:\n${said}`);
  t.diagnostic(`${demo}: ${times.map(([name, at]) => `${name} after ${Math.round(at)} s`).join(", ")}, done after ${Math.round(seconds)} s`);
  // what drives the browser is a package, which the demo installs where this is the clone
  const { clean, launch } = await import("./harness/browser.mjs");
  const { rows } = await import("./harness/run.mjs");
  const { by, go, kept, start, state, stateWithin } = await import("./harness/view.mjs");
  const printed = /^to see them: (.+)$/m.exec(said)?.[1];
  assert.ok(printed, `the demo ends with no command:\n${said.slice(-1000)}`);
  assert.match(printed, /serve --open runs\/\S+$/);

  server = spawn("sh", ["-c", `exec ${printed}`], { cwd: clone, env: environment, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((done) => server.on("close", done));
  const address = (await new Promise((done) => createInterface({ input: server.stdout }).once("line", done))).trim();
  assert.match(address, /^http:\/\/127\.0\.0\.1:\d+\/\?run=runs\//);
  for (let i = 0; i < 50 && !existsSync(opened); i++) await new Promise((done) => setTimeout(done, 100));
  assert.equal(readFileSync(opened, "utf8"), address, "what --open opens is what is printed");

  browser = await launch();
  const page = await browser.page();
  await page.goto(address);
  await state(page, "ready");
  const run = new URL(address).searchParams.get("run");
  const shown = JSON.parse(readFileSync(join(clone, run, "manifest.json"), "utf8"));
  assert.equal(shown.dataset.samples, 200);
  await page.locator("#view-results svg").first().waitFor();
  for (const file of ["calibration.json", "report.html"]) assert.ok(existsSync(join(clone, run, file)), file);

  await go(page, "#/setup");
  await page.locator('[data-test="start-run"]:enabled').waitFor({ timeout: 120_000 });
  await page.locator("details.advanced summary").click();
  await by(page, "limit").fill(String(FEW));
  await by(page, "limit").press("Tab");
  await start(page);
  await stateWithin(page, 300_000, "finished");
  await go(page, "#/results");
  const waiting = page.waitForEvent("download");
  await by(page, "download-metrics").click();
  const path = artifact("downloads", "readme.parquet");
  await (await waiting).saveAs(path);
  assert.equal((await rows(readFileSync(path))).length, FEW);

  assert.equal((await kept(page)).kept, "yes");
  server.kill("SIGINT");
  await ended;
  await page.reload();
  await state(page, "ready");
  await page.locator("#view-results svg").first().waitFor();
  clean(page, browser, /Failed to load resource|ERR_CONNECTION_REFUSED/);
});

test("without Node.js the demo ends with the run's files and the report, and says so", HOUR, async () => {
  const old = join(folder, "old-node");
  mkdirSync(old);
  for (const name of ["node", "npm"]) {
    writeFileSync(join(old, name), "#!/bin/sh\necho v10.0.0\n");
    chmodSync(join(old, name), 0o755);
  }
  const { said } = await typed("cargo xtask demo -- --limit 4 --nulls off --out without", { PATH: `${old}${delimiter}${environment.PATH}` });
  assert.match(said, /without it, the demo ends with the run's files/);
  assert.doesNotMatch(said, /building the page|to see them/);
  for (const file of ["metrics.parquet", "manifest.json", "calibration.json", "report.html"]) assert.ok(existsSync(join(clone, "without", file)), file);
  rmSync(join(clone, "without"), { recursive: true });
});
