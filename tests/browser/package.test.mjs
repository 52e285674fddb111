// The npm package as a user has it: unpacked into node_modules beside a page of theirs, on a plain host. The page is
// the README's example as it stands; the model beside it is a tiny one, as a GGUF file of the native program's.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { golden, program, root } from "./harness/paths.mjs";
import { goldenSaes, nativeRun, rows, sameMetrics } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";

const archives = process.env.SAESCOPE_NPM;
const skip = archives ? false : "SAESCOPE_NPM names no folder with the package; cargo xtask npm makes it";

let site, host, browser, page;

before(async () => {
  if (skip) return;
  site = mkdtempSync(join(tmpdir(), "saescope-site-"));
  const archive = readdirSync(archives).find((name) => name.endsWith(".tgz"));
  const installed = join(site, "node_modules/saescope");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(archives, archive), "-C", installed, "--strip-components=1"]);
  const text = readFileSync(join(installed, "README.md"), "utf8");
  writeFileSync(join(site, "index.html"), /```html\n(.*?)```/s.exec(text)[1]);
  const convert = ["convert", join(golden, "llama/model"), "--quantize", "q8", "--out", join(site, "model.gguf")];
  execFileSync(program, convert, { stdio: "pipe" });
  const sae = goldenSaes("llama").find(({ layer }) => layer === 1);
  cpSync(join(golden, "llama", sae.path), join(site, "sae"), { recursive: true });
  host = await serve({ page: site });
  browser = await launch();
  page = await browser.page();
});
after(async () => {
  await browser?.close();
  await host?.close();
  if (site) rmSync(site, { recursive: true, force: true });
});

test("the README's page measures", { skip, timeout: 120_000 }, async () => {
  await page.goto(host.url);
  await page.waitForFunction(() => !/measuring/.test(document.querySelector("pre").textContent), undefined, { timeout: 90_000 });
  assert.match(await page.textContent("pre"), /: \d{4,} bytes of Parquet/);
});

test("its numbers are the native program's", { skip, timeout: 120_000 }, async () => {
  const triples = JSON.parse(readFileSync(join(golden, "llama/texts.json"), "utf8"));
  const metrics = await page.evaluate(async (data) => {
    const { analyze } = await import("./node_modules/saescope/dist/index.js");
    const at = (path) => new URL(path, location.href).href;
    const sae = { kind: "urls", urls: [at("sae/cfg.json"), at("sae/sae_weights.safetensors")] };
    const run = await analyze({ model: { kind: "url", url: at("model.gguf") }, saes: [{ layer: 1, sae }], data, device: "cpu", workers: 1 });
    return [...run.metrics];
  }, triples);
  const model = ["--model", join(site, "model.gguf"), "--sae", `1=${join(site, "sae")}`];
  const theirs = nativeRun([...model, "--dataset", join(golden, "llama/texts.json")]);
  assert.equal((await rows(theirs.metrics)).length, triples.length);
  await sameMetrics(Buffer.from(metrics), theirs.metrics, 1e-5);
});

test("a run is stopped, and a failure says what it is", { skip, timeout: 60_000 }, async () => {
  const kinds = await page.evaluate(async () => {
    const { analyze, EngineFailure } = await import("./node_modules/saescope/dist/index.js");
    const at = (path) => new URL(path, location.href).href;
    const kind = (reason) => (reason instanceof EngineFailure ? reason.error.kind : String(reason));
    const none = () => "no failure";
    const sae = { kind: "urls", urls: [at("sae/cfg.json"), at("sae/sae_weights.safetensors")] };
    const data = [{ prompt: "Alice peeped", fact: "into the book", hallucination: "into the hole" }];
    const asked = (model) => ({ model: { kind: "url", url: at(model) }, saes: [{ layer: 1, sae }], data });
    return [
      await analyze(asked("model.gguf"), undefined, AbortSignal.abort()).then(none, kind),
      await analyze(asked("nothing.gguf")).then(none, kind),
    ];
  });
  assert.deepEqual(kinds, ["cancelled", "missing"]);
});

test("a program that imports it is typed", { skip, timeout: 120_000 }, () => {
  const own = join(site, "typed");
  mkdirSync(own);
  writeFileSync(join(own, "use.ts"), `import { analyze, EngineFailure, type RunFiles } from "saescope";
const run: RunFiles = await analyze({ model: { kind: "hub", repo: "a/b" }, data: [{ prompt: "a", fact: "b", hallucination: "c" }] });
const bytes: Uint8Array = run.metrics;
export const told = (error: unknown) => (error instanceof EngineFailure ? error.error.hint : bytes.length);
// @ts-expect-error a model is not a text
await analyze({ model: "a/b" });
`);
  const options = { module: "ESNext", target: "ES2022", moduleResolution: "bundler", strict: true, noEmit: true, types: [] };
  writeFileSync(join(own, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["use.ts"] }));
  execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", own], { stdio: "pipe" });
});

// the file that is not there is asked for above
test("no other host was asked, nothing else was complained about", { skip }, () =>
  clean(page, browser, /Failed to load resource.*(nothing\.gguf|favicon\.ico)/));
