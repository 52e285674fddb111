// The content security policy holds for the page and for its workers, whatever the host sends.

import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { workerScript } from "./harness/engine.mjs";
import { pagePolicy, serving } from "./harness/hosts.mjs";
import { dist } from "./harness/paths.mjs";
import { serve } from "./harness/server.mjs";
import { by, open, state } from "./harness/view.mjs";

const LIMIT = { timeout: 120_000 };

let host, browser, page;

beforeEach(async () => {
  browser = await launch();
  page = await browser.page();
});
afterEach(async () => {
  await browser?.close();
  await host?.close();
});

/**
 * What becomes of each way to make code from a string. In a task of its own: the debugger lets code
 * from strings through as long as its own call lasts.
 */
const attempts = () =>
  new Promise((done) =>
    setTimeout(() => {
      const outcome = (attempt) => {
        try {
          return `ran: ${attempt()}`;
        } catch (error) {
          return error.name;
        }
      };
      self.ranFromText = false;
      const made = [outcome(() => new Function("return 1")()), outcome(() => (0, eval)("1"))];
      try {
        setTimeout("self.ranFromText = true", 0);
      } catch {
        // refused at once: as good
      }
      setTimeout(() => done([...made, `from a timer: ${self.ranFromText}`]), 100);
    }, 0),
  );
const REFUSED = ["EvalError", "EvalError", "from a timer: false"];

/** The page with both of its workers at work. */
async function working() {
  await open(page, host);
  await state(page, "ready");
  await page.evaluate(() => (location.hash = "#/setup"));
  await page.waitForFunction(() => ["ready", "failed"].includes(document.documentElement.dataset.engine));
}

test("on a plain host, neither the page nor its workers make code from strings", LIMIT, async () => {
  host = await serve();
  await working();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.engine), "ready");
  clean(page, browser);
  const workers = page.workers();
  assert.equal(workers.length, 2, "the engine's worker and the one that reads Parquet");
  for (const worker of workers) assert.deepEqual(await worker.evaluate(attempts), REFUSED, worker.url());
  assert.deepEqual(await page.evaluate(attempts), REFUSED, "the page");
});

test("saescope serve sends the page's own policy with everything", LIMIT, async () => {
  const { address, close } = await serving(["--page", dist], tmpdir());
  host = { url: address, close };
  for (const path of ["", "sw.js", "catalog.json", workerScript(), "nothing"]) {
    const { headers } = await fetch(new URL(path, address));
    assert.equal(headers.get("content-security-policy"), `${pagePolicy()}; frame-ancestors 'none'`, path);
  }
  await working();
  for (const worker of page.workers()) assert.deepEqual(await worker.evaluate(attempts), REFUSED, worker.url());
});

for (const late of [false, true]) {
  const when = late ? ", told of the refusal late" : "";
  test(`a host whose own policy allows no worker from blob: has the page's workers under that policy${when}`, LIMIT, () => underOwnPolicy(late));
}

/** `late`: the violation's event is there only once the worker has failed. */
async function underOwnPolicy(late) {
  if (late) {
    await page.addInitScript(() => {
      const listen = Document.prototype.addEventListener;
      Document.prototype.addEventListener = function (type, listener, ...more) {
        const told = type === "securitypolicyviolation" ? (event) => setTimeout(() => listener.call(this, event), 2000) : listener;
        return listen.call(this, type, told, ...more);
      };
    });
  }
  const policy = pagePolicy().replace("worker-src 'self' blob:", "worker-src 'self'");
  assert.doesNotMatch(policy, /worker-src[^;]*blob/);
  host = await serve({ headers: { "Content-Security-Policy": policy } });
  await working();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.engine), "ready");
  const workers = page.workers();
  assert.equal(workers.length, 2);
  for (const worker of workers) assert.deepEqual(await worker.evaluate(attempts), REFUSED, worker.url());
}

test("a host that allows no such worker, and has no policy for the script, gets no worker at all", LIMIT, async () => {
  host = await serve();
  const policy = pagePolicy().replace("worker-src 'self' blob:", "worker-src 'self'");
  host.faults.headers = { match: /(\/|\.html)$/, headers: { "Content-Security-Policy": policy } };
  await open(page, host);
  await state(page, "unreadable");
  assert.match(await by(page, "error").innerText(), /worker-src/);
  assert.equal(page.workers().length, 0);
});
