// What the page says is kept opens without its host; what cannot be kept is said.
//
// The host is shut down for it: a browser told to be offline is not enough, for up to Chromium 148
// that did not reach the service worker, which went on asking the host.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { launch } from "./harness/browser.mjs";
import { dist } from "./harness/paths.mjs";
import { rows } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { accessible, by, go, kept, open, problem, state } from "./harness/view.mjs";

const [RUN] = JSON.parse(readFileSync(join(dist, "catalog.json"), "utf8")).runs;
const LIMIT = { timeout: 120_000 };

let host, browser, page;

// nothing kept by one test serves another
beforeEach(async () => {
  host = await serve();
  browser = await launch();
  page = await browser.page();
});
afterEach(async () => {
  await browser?.close();
  await host?.close();
});

const shown = async () => {
  await page.waitForFunction(() => performance.getEntriesByName("saescope-results-shown").length > 0);
  await state(page, "ready");
};
const runCaches = () => page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith("saescope-run ")));
const data = (name) => page.evaluate((name) => document.documentElement.dataset[name], name);

/** Opens the page and waits until it says that it is kept. */
async function keep(query = "") {
  await open(page, host, "", query);
  await shown();
  const said = await kept(page);
  assert.equal(said.kept, "yes", said.text);
  return said.text;
}

test("once the page says so, it opens with the host gone: results, a sample, the engine", LIMIT, async () => {
  assert.match(await keep(), /^Kept for offline use: this page, its engine, and the run in runs\/\w+\/\.$/);
  await host.close();
  await page.reload();
  await shown();
  assert.equal((await kept(page)).kept, "yes", "an earlier visit's copies are whole");
  assert.equal(await data("online"), "no");
  await by(page, "notice-offline").waitFor();
  // features.parquet is read when a sample is opened
  const [sample] = await rows(readFileSync(join(dist, RUN.url, "metrics.parquet")));
  await go(page, `#/sample/${encodeURIComponent(sample.sample_id)}`);
  await page.locator("#view-sample td, #view-sample [data-feature]").first().waitFor();
  await go(page, "#/setup");
  await page.waitForFunction(() => document.documentElement.dataset.engine === "ready");
});

test("once the page says so, it opens with the browser offline", LIMIT, async () => {
  await keep();
  await browser.context.setOffline(true);
  await page.reload();
  await shown();
  assert.equal((await kept(page)).kept, "yes");
});

test("what the browser says of its network decides nothing: the host that answers is there", LIMIT, async () => {
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "onLine", { get: () => false }));
  await keep();
  assert.equal(await page.evaluate(() => navigator.onLine), false);
  await page.waitForFunction(() => document.documentElement.dataset.online === "yes");
  assert.equal(await by(page, "notice-offline").count(), 0);
});

test("a run named in the address is kept, and is what opens", LIMIT, async () => {
  assert.ok((await keep(`?run=${RUN.url}`)).includes(RUN.url));
  await host.close();
  await page.reload();
  await shown();
});

for (const [what, gone, file] of [
  ["the engine", /\.wasm$/, /assets\/saescope_bg-.*\.wasm/],
  ["a file of the run", /features\.parquet$/, null],
]) {
  test(`${what} that the host lacks`, LIMIT, async () => {
    host.faults.gone = gone;
    await open(page, host);
    await shown();
    const said = await kept(page);
    if (file) {
      assert.equal(said.kept, "no");
      assert.match(said.text, /^Not kept for offline use: .*HTTP status 404\.$/);
      assert.match(said.text, file);
      return;
    }
    // a run may come without its features: the same is true of its copy
    assert.equal(said.kept, "yes", said.text);
    await host.close();
    await page.reload();
    await shown();
  });
}

test("a storage that is full is no promise", LIMIT, async () => {
  const session = await browser.context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: host.origin, quotaSize: 3_000_000 });
  await open(page, host);
  await shown();
  const said = await kept(page);
  assert.equal(said.kept, "no");
  assert.match(said.text, /^Not kept for offline use: .*(storage|quota|kept|fetched)/i);
});

test("a large run is not kept, and the page says why", LIMIT, async () => {
  host.faults.replace = { match: /features\.parquet$/, body: Buffer.alloc(50_000_001) };
  await open(page, host);
  await shown();
  const said = await kept(page);
  assert.equal(said.kept, "no");
  assert.match(said.text, /^Not kept for offline use: the run has 5\d MB or more, and of one run at most 50 MB are kept\.$/);
  assert.deepEqual(await runCaches(), []);
});

test("Storage lists kept runs and deletes them, and the promise with them", LIMIT, async () => {
  await keep();
  await go(page, "#/storage");
  const list = by(page, "kept-runs");
  await list.waitFor();
  const cells = await list.locator("tbody td").allInnerTexts();
  assert.equal(cells.length, 2, "one run");
  assert.equal(cells[0], RUN.url);
  const files = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json", "calibration.json"];
  const bytes = files.reduce((sum, name) => sum + readFileSync(join(dist, RUN.url, name)).length, 0);
  const [, number, unit] = /^([\d.]+) (kB|MB)$/.exec(cells[1]) ?? assert.fail(cells[1]);
  assert.ok(Math.abs(Number(number) * { kB: 1e3, MB: 1e6 }[unit] - bytes) < 0.01 * bytes, `${cells[1]}, the files have ${bytes} bytes`);
  await accessible(page, "storage with a kept run");
  const remove = by(page, "storage-delete-runs");
  await remove.click();
  assert.equal((await runCaches()).length, 1, "it asks once more");
  await remove.click();
  await page.locator('[data-test="kept-runs"]').waitFor({ state: "detached" });
  assert.deepEqual(await runCaches(), []);
  assert.equal((await kept(page)).kept, "no");
});

test("a run's host that is silent is not the page's", LIMIT, async () => {
  const other = await serve({ headers: { "Access-Control-Allow-Origin": "*" } });
  try {
    // the page's policy allows hosts with https alone
    const html = readFileSync(join(dist, "index.html"), "utf8").replace("connect-src 'self'", `connect-src 'self' ${other.origin}`);
    assert.ok(html.includes(other.origin));
    host.faults.replace = { match: /(folder\/|index\.html)$/, kind: "text/html", body: html };
    const run = `${other.url}${RUN.url}`;
    const query = `?run=${encodeURIComponent(run)}`;
    assert.ok((await keep(query)).endsWith(`and the run in ${run}.`));
    await other.close();
    await page.reload();
    await shown();
    const said = await kept(page);
    assert.equal(said.kept, "yes", said.text);
    assert.match(said.text, /The run's host does not answer: shown is what was kept of it\.$/);
    assert.equal(await data("online"), "yes");
    assert.equal(await page.locator('[data-test="notice-offline"]').count(), 0);
  } finally {
    await other.close();
  }
});

test("no host and nothing kept is no empty page", LIMIT, async () => {
  await keep();
  await page.evaluate(async () => {
    for (const name of await caches.keys()) if (!name.startsWith("saescope-shell-")) await caches.delete(name);
  });
  await host.close();
  await page.reload();
  await state(page, "unreadable");
  const { kind, text } = await problem(page);
  assert.equal(kind, "network");
  assert.match(text, /host does not answer/);
});

test("a run that changed is kept anew as a whole, or the copy before stays", LIMIT, async () => {
  await keep();
  const original = readFileSync(join(dist, RUN.url, "manifest.json"), "utf8");
  const started = (word) => JSON.stringify({ ...JSON.parse(original), run_id: word });
  const copies = () =>
    page.evaluate(async () => {
      const found = [];
      for (const name of (await caches.keys()).filter((name) => name.startsWith("saescope-run "))) {
        const cache = await caches.open(name);
        const urls = (await cache.keys()).map(({ url }) => url);
        const manifest = await (await cache.match(urls.find((url) => url.endsWith("manifest.json")))).json();
        found.push({ files: urls.map((url) => url.split("/").at(-1)).sort(), run: manifest.run_id });
      }
      return found;
    });
  const whole = ["calibration.json", "features.parquet", "manifest.json", "metrics.parquet", "stats.parquet", "stats_features.parquet", "whole"];
  const before = await copies();
  assert.deepEqual(before, [{ files: whole, run: JSON.parse(original).run_id }]);

  // the page has its copy of metrics.parquet before the service worker asks for it
  host.faults.replace = { match: /manifest\.json$/, body: started("second") };
  host.faults.wait = { match: /features\.parquet$/, ms: 1500 };
  host.faults.broken = /features\.parquet$/;
  await page.reload();
  const said = await kept(page);
  assert.equal(said.kept, "no", said.text);
  assert.match(said.text, /features\.parquet/);
  assert.deepEqual(await copies(), before, "the copy before is untouched");

  delete host.faults.broken;
  delete host.faults.wait;
  await page.reload();
  assert.equal((await kept(page)).kept, "yes");
  assert.deepEqual(await copies(), [{ files: whole, run: "second" }]);
});

test("a new version of the page keeps the promise", LIMIT, async () => {
  await keep();
  const script = readFileSync(join(dist, "sw.js"), "utf8");
  host.faults.replace = {
    match: /sw\.js$/,
    kind: "text/javascript",
    body: script.replace(/(icon\.svg\\?":\\?")[0-9a-f]{4}/, "$10000"),
  };
  await page.reload();
  // The page loads itself again once the new version has taken over: only then is the host gone.
  await page.evaluate(() => (window.before = true));
  await by(page, "reload-version").click();
  await page.waitForFunction(() => !window.before && document.readyState === "complete");
  await host.close();
  await page.reload();
  await shown();
  await go(page, "#/setup");
  await page.waitForFunction(() => document.documentElement.dataset.engine === "ready");
});

test("a browser that keeps nothing is told", LIMIT, async () => {
  await browser.close();
  browser = await launch({ serviceWorkers: "block" });
  page = await browser.page();
  await open(page, host);
  await shown();
  const said = await kept(page);
  assert.equal(said.kept, "no");
  assert.match(said.text, /^Not kept for offline use: /);
});
