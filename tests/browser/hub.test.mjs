// Models of the hub: read by range, with a token that goes to the hub alone. The hub is a stand-in
// inside the browser; no request leaves the machine.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./harness/browser.mjs";
import { call, setup, startEngine } from "./harness/engine.mjs";
import { golden } from "./harness/paths.mjs";
import { goldenSaes, goldenTexts, nativeGolden, sameMetrics } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";

const TOKEN = "hf_of_a_test";
const SHARD = "model-00001-of-00001.safetensors";
const CORS = { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "ETag, Content-Range" };

let host, browser, page;
/** @type {{ path: string, range: string | undefined, token: string | undefined }[]} */
const asked = [];

/** A file of the stand-in; a missing one is null. */
function file(path) {
  const model = /^\/tiny\/llama\/resolve\/main\/(.+)$/.exec(path)?.[1];
  if (model === "model.safetensors.index.json") return Buffer.from(JSON.stringify({ weight_map: { all: SHARD } }));
  if (model) return readFileSync(join(golden, "llama/model", model === SHARD ? "model.safetensors" : model));
  const sae = /^\/tiny\/saes\/resolve\/main\/(.+)$/.exec(path)?.[1];
  return sae ? readFileSync(join(golden, "llama", sae)) : null;
}

async function answer(route) {
  const request = route.request();
  const path = new URL(request.url()).pathname;
  const { range, authorization } = await request.allHeaders();
  asked.push({ path, range, token: authorization });
  if (authorization !== `Bearer ${TOKEN}`) return route.fulfill({ status: 401, headers: CORS });
  let bytes;
  try {
    bytes = file(path);
  } catch {
    bytes = null;
  }
  if (!bytes) return route.fulfill({ status: 404, headers: CORS });
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(range ?? "") ?? [];
  if (from === undefined) return route.fulfill({ status: 200, headers: CORS, body: bytes });
  const part = bytes.subarray(Number(from), Number(to) + 1);
  const headers = { ...CORS, ETag: '"1"', "Content-Range": `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}` };
  return route.fulfill({ status: 206, headers, body: part });
}

before(async () => {
  host = await serve();
  browser = await launch({ serviceWorkers: "block" });
  page = await browser.page();
  await browser.context.route("https://huggingface.co/**", answer);
  await page.goto(host.url);
  await startEngine(page);
});
after(async () => {
  await browser?.close();
  await host?.close();
});

const saes = () =>
  goldenSaes("llama").map(({ layer, path }) => ({ layer, sae: { kind: "hub", repo: "tiny/saes", path } }));
const analyze = (token) =>
  call(page, {
    type: "analyze",
    setup: setup(
      { model: { kind: "hub", repo: "tiny/llama" }, saes: saes(), token, store: true },
      { kind: "bytes", name: "texts.json", bytes: goldenTexts("llama") },
    ),
    run_id: "test",
    asked: "",
  });

test("without a token the hub's refusal says what to do", async () => {
  await assert.rejects(analyze(undefined), (error) => {
    assert.match(error.message, /config\.json/);
    assert.match(error.message, /401/);
    return true;
  });
});

test("a sharded model and its SAEs from the hub give the native run's numbers", { timeout: 120_000 }, async () => {
  asked.length = 0;
  const ours = await analyze(TOKEN);
  await sameMetrics(ours.metrics, nativeGolden("llama").metrics, 1e-5);
  assert.ok(asked.some(({ path }) => path.endsWith(SHARD)), "the shard was read");
  assert.ok(asked.every(({ range }) => range), "every file is asked for by range");
  assert.ok(asked.every(({ token }) => token === `Bearer ${TOKEN}`));
  const manifest = JSON.parse(ours.manifest);
  assert.match(manifest.model.source, /tiny\/llama at main/);
  assert.ok(!JSON.stringify(manifest).includes(TOKEN), "the token is not in the manifest");
});

test("what was stored is not fetched again", { timeout: 120_000 }, async () => {
  const { items } = await call(page, { type: "storage" });
  assert.ok(items.some(({ name }) => name === `tiny/llama/${SHARD}`), JSON.stringify(items));
  await startEngine(page);
  asked.length = 0;
  await analyze(TOKEN);
  // lengths are asked for (a file may have changed), bytes are not
  assert.deepEqual([...new Set(asked.map(({ range }) => range))], ["bytes=0-0"]);
});
