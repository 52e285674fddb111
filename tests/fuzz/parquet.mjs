// Damaged runs through the page's own reading code: Parquet, manifest.json, catalog.json.
//
//   node tests/fuzz/parquet.mjs --seconds 60 [--seed 1] [--case N]
//
// A finding is whatever does not end in a result or in an error of the page's own kind, in words; what takes
// more than 5 s; what takes more than 1 GB. The same seed makes the same cases; `--case` runs one of them.
// Inputs that once were findings lie in tests/fuzz/parquet/ and are run first. They are seeds in
// tests/fuzz/parquet/seeds/ (by pyarrow, pages of both versions) with some damage, or made by hand.

import { fork } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { parquetMetadata } from "hyparquet";
import { build } from "vite";
import { artifacts, program, root } from "../browser/harness/paths.mjs";
import { nativeGolden } from "../browser/harness/run.mjs";
import { damagedJson, damagedParquet, Random } from "./mutate.mjs";

const LONGEST_MS = 5000;
const MOST_BYTES = 1e9;
const MOST_LETTERS = 4000;

const folder = join(root, "tests/fuzz/parquet");
const self = fileURLToPath(import.meta.url);

/** Every valid file, by name: committed ones, and where the native program is there, a run of it. */
function seeds(run) {
  const found = new Map(readdirSync(join(folder, "seeds")).map((name) => [name, readFileSync(join(folder, "seeds", name))]));
  if (run !== "") for (const name of readdirSync(run)) found.set(`native ${name}`, readFileSync(join(run, name)));
  return found;
}

const isJson = (name) => name.endsWith(".json");

/** Places of a file's pages: each column's first. */
function pagesOf(bytes) {
  const { row_groups } = parquetMetadata(new Uint8Array(bytes).buffer);
  return row_groups.flatMap(({ columns }) =>
    columns.flatMap(({ meta_data: meta }) => [meta.dictionary_page_offset, meta.data_page_offset].filter(Boolean).map(Number)),
  );
}

/** Cases by number. */
function cases(seed, run) {
  const files = [...seeds(run)].map(([name, bytes]) => ({ name, bytes: new Uint8Array(bytes), pages: isJson(name) ? [] : pagesOf(bytes) }));
  return (index) => {
    const random = new Random(seed, index);
    const { name, bytes, pages } = random.of(files);
    if (isJson(name)) return { name, bytes: Buffer.from(damagedJson(random, Buffer.from(bytes).toString())) };
    return { name, bytes: damagedParquet(random, bytes, pages) };
  };
}

// --- one process runs cases, and another watches it ------------------------------------------------

/** A manifest that knows the file which a calibration is of, where it says so: what is read after that is reached too. */
function ownOf(text) {
  const sha256 = /"sha256": *"([0-9a-f]*)"/.exec(text)?.[1] ?? null;
  return { files: [{ path: "metrics.parquet", bytes: 1, sha256 }] };
}

async function read(page, name, bytes) {
  if (isJson(name)) {
    const text = Buffer.from(bytes).toString();
    if (name.includes("catalog")) page.readCatalog(text);
    else if (name.includes("calibration")) page.shareable(page.readCalibration(text, ownOf(text)));
    else page.readManifest(text);
    return;
  }
  const buffer = page.blobBuffer(new Blob([bytes]));
  if (name.includes("features")) {
    const index = await page.FeatureIndex.read(buffer);
    index.sample("s_1");
  }
  const data = await page.readTable(name, buffer, []);
  const table = new page.Table(data);
  page.layersOf(table);
  page.metricsOf(table);
  page.toCsv(data);
  page.toJson(data);
}

/** What is wrong with how a file was read; null where nothing is. */
async function judge(page, name, bytes) {
  const before = performance.now();
  try {
    await read(page, name, bytes);
  } catch (reason) {
    if (!(reason instanceof page.EngineFailure)) return `an error of no kind: ${reason?.stack ?? reason}`;
    const { kind, message } = reason.error;
    if (!kind || !message || message.length > MOST_LETTERS || /\p{Cc}/u.test(message)) return `no words: ${JSON.stringify(message).slice(0, 300)}`;
  }
  const took = performance.now() - before;
  if (took > LONGEST_MS) return `${Math.round(took)} ms`;
  const memory = process.resourceUsage().maxRSS * 1024;
  return memory > MOST_BYTES ? `${Math.round(memory / 1e6)} MB` : null;
}

async function runCases(bundle, seed, from, until, run) {
  const page = await import(pathToFileURL(bundle).href);
  const make = cases(seed, run);
  let index = from;
  // a case that hangs must not keep back which one it is
  const say = (said) => new Promise((done) => process.send(said, done));
  process.on("unhandledRejection", (reason) => say({ index, wrong: `an error that nobody took: ${reason?.stack ?? reason}` }));
  for (; Date.now() < until; index++) {
    const { name, bytes } = make(index);
    await say({ index });
    const wrong = await judge(page, name, bytes);
    if (wrong !== null) {
      await say({ index, wrong });
      // what one case took of memory is not the next one's
      return;
    }
    // lets rejections that nobody took be heard
    await new Promise(setImmediate);
  }
}

/** Runs cases until the time is over; one that hangs or ends the process is a finding, and the next goes on. */
async function fuzz(bundle, seed, seconds, run, found) {
  const until = Date.now() + seconds * 1000;
  let next = 0;
  while (Date.now() < until) {
    let at = next;
    // a start takes its time on a busy machine
    let due = Date.now() + 60_000;
    let wrong = null;
    const child = fork(self, ["--bundle", bundle, "--seed", String(seed), "--from", String(next), "--until", String(until), "--run", run], { execArgv: ["--max-old-space-size=1024"] });
    child.on("message", (said) => {
      due = Date.now() + LONGEST_MS;
      at = said.index;
      wrong = said.wrong ?? wrong;
    });
    const watch = setInterval(() => {
      if (Date.now() < due) return;
      wrong = `no end within ${LONGEST_MS / 1000} s`;
      child.kill("SIGKILL");
    }, 250);
    const code = await new Promise((done) => child.on("exit", done));
    clearInterval(watch);
    if (wrong === null && code !== 0) wrong = `the process ended with ${code}`;
    next = at + 1;
    if (wrong !== null) found(at, wrong);
  }
  return next;
}

// --- the whole --------------------------------------------------------------------------------------

async function bundled() {
  const outDir = mkdtempSync(join(tmpdir(), "saescope-fuzz-"));
  await build({ configFile: false, root, logLevel: "error", ssr: { noExternal: true }, build: { ssr: join(root, "tests/fuzz/page.mjs"), outDir, emptyOutDir: true } });
  return { outDir, bundle: join(outDir, readdirSync(outDir).find((name) => /^page\.m?js$/.test(name))) };
}

async function main({ seconds, seed, case: only }) {
  const { outDir, bundle } = await bundled();
  const run = existsSync(program) ? nativeGolden("llama").folder : "";
  if (run === "") console.error(`${program} is not there: only committed seeds`);
  let findings = 0;
  const found = (what, wrong, input) => {
    findings += 1;
    const path = join(artifacts, "fuzz", `${what}`.replace(/[^\w.-]+/g, "-"));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, input);
    console.error(`${what}: ${wrong}\n  ${path}`);
  };
  const make = cases(seed, run);
  const page = await import(pathToFileURL(bundle).href);
  const regressions = readdirSync(folder).filter((name) => /\.(parquet|json)$/.test(name));
  const loud = (reason) => found("regression", `an error that nobody took: ${reason?.stack ?? reason}`, "");
  process.on("unhandledRejection", loud);
  for (const name of regressions) {
    const input = readFileSync(join(folder, name));
    const wrong = await judge(page, name, input);
    if (wrong !== null) found(name, wrong, input);
  }
  let executions = regressions.length;
  if (only !== undefined) {
    const { name, bytes } = make(Number(only));
    console.log(`case ${only}: ${name}, ${bytes.length} bytes: ${(await judge(page, name, bytes)) ?? "good"}`);
    executions += 1;
  } else {
    executions += await fuzz(bundle, seed, seconds, run, (index, wrong) => {
      const { name, bytes } = make(index);
      found(`seed-${seed}-case-${index}-${name}`, wrong, bytes);
    });
  }
  rmSync(outDir, { recursive: true, force: true });
  if (run !== "") rmSync(dirname(run), { recursive: true, force: true });
  console.log(`${executions} executions, ${findings} findings`);
  process.exitCode = findings > 0 ? 1 : 0;
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    case: { type: "string" },
    // of the process that runs the cases
    bundle: { type: "string" },
    from: { type: "string" },
    until: { type: "string" },
    run: { type: "string" },
  },
});
if (values.bundle === undefined) await main({ ...values, seconds: Number(values.seconds), seed: Number(values.seed) });
else await runCases(values.bundle, Number(values.seed), Number(values.from), Number(values.until), values.run);
