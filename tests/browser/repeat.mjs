// Runs browser tests many times in a row, by hand: what passes once and fails once in fifty is a
// defect of the page or of the test.
//
//   node tests/browser/repeat.mjs [--times 20] [--load 2] offline share …
//
// `--load` keeps as many busy loops going beside them. The variables of harness/paths.mjs say what is
// tested, and CHROMIUM in which browser. Ends with 1 if any run failed.

import { execFileSync, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "./harness/paths.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { times: { type: "string", default: "20" }, load: { type: "string", default: "0" }, only: { type: "string" } },
});
const files = positionals.map((name) => fileURLToPath(new URL(`${name}.test.mjs`, import.meta.url)));
if (!files.length) throw new Error("name the test files to repeat, without `.test.mjs`");

const version = execFileSync(chromium(), ["--version"], { encoding: "utf8" }).trim();
console.log(`${version}; ${positionals.join(", ")}; ${values.times} times, ${values.load} busy loops beside them`);

const loops = Array.from({ length: Number(values.load) }, () =>
  spawn(process.execPath, ["--eval", "for (;;) Math.sqrt(2)"], { stdio: "ignore" }),
);
const run = () =>
  new Promise((done) => {
    const filter = values.only ? ["--test-name-pattern", values.only] : [];
    const node = spawn(process.execPath, ["--test", "--test-concurrency=1", "--test-reporter=spec", ...filter, ...files]);
    let text = "";
    node.stdout.on("data", (piece) => (text += piece));
    node.stderr.on("data", (piece) => (text += piece));
    node.on("close", (status) => done({ status, text }));
  });
let failed = 0;
try {
  for (let time = 1; time <= Number(values.times); time++) {
    const start = performance.now();
    const { status, text } = await run();
    const counts = ["pass", "fail", "cancelled"].map((word) => `${/* node's own */ new RegExp(`ℹ ${word} (\\d+)`).exec(text)?.[1] ?? "?"} ${word}`);
    console.log(`${time}: ${status === 0 ? "ok" : "FAILED"}, ${counts.join(", ")}, ${((performance.now() - start) / 1000).toFixed(0)} s`);
    if (status !== 0) {
      failed += 1;
      console.log(text.slice(text.indexOf("failing tests") - 4));
    }
  }
} finally {
  for (const loop of loops) loop.kill();
}
console.log(`${Number(values.times) - failed} of ${values.times} passed`);
process.exitCode = failed ? 1 : 0;
