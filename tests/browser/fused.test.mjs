// The matrix product's inner loop with fused multiply-add: right on its own, and in use where the browser
// has the instruction.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";
import { clean, launch } from "./harness/browser.mjs";
import { call, startEngine } from "./harness/engine.mjs";
import { serve } from "./harness/server.mjs";

let host, browser, page, bytes;

before(async () => {
  const source = fileURLToPath(new URL("../../www/build/fma.ts", import.meta.url));
  bytes = [...(await (await runnerImport(source)).module.fusedModule())];
  host = await serve();
  browser = await launch();
  page = await browser.page();
  await page.goto(host.url);
});
after(async () => {
  await browser?.close();
  await host?.close();
});

/** Whether the browser takes the module. */
const taken = () => page.evaluate((bytes) => WebAssembly.validate(new Uint8Array(bytes)), bytes);

test("the loop multiplies blocks of every shape", async (t) => {
  if (!(await taken())) return t.skip("this browser has no relaxed SIMD");
  const wrong = await page.evaluate(async (bytes) => {
    const memory = new WebAssembly.Memory({ initial: 2 });
    const { instance } = await WebAssembly.instantiate(new Uint8Array(bytes), { engine: { memory } });
    const all = new Float32Array(memory.buffer);
    const [A, B, C, COLS] = [1000, 10_000, 20_000, 8];
    const wrong = [];
    for (const rows of [0, 1, 2, 3, 4, 5, 8, 11]) {
      for (const depth of [0, 1, 2, 3, 4, 5, 7, 8, 65]) {
        for (const [aStride, cStride] of [[depth, COLS], [depth + 3, COLS + 5]]) {
          for (const first of [0, 1]) {
            // small whole numbers: every sum is exact, fused or not
            all.forEach((_, i) => (all[i] = ((i * 7919) % 23) - 11));
            const before = all.slice();
            const expected = all.slice();
            for (let r = 0; r < rows; r++) {
              for (let c = 0; c < COLS; c++) {
                let sum = first ? 0 : before[C + r * cStride + c];
                for (let k = 0; k < depth; k++) sum += before[A + r * aStride + k] * before[B + k * COLS + c];
                expected[C + r * cStride + c] = sum;
              }
            }
            instance.exports.block(rows, depth, 4 * A, 4 * aStride, 4 * B, 4 * C, 4 * cStride, first);
            const at = all.findIndex((value, i) => value !== expected[i]);
            if (at >= 0) wrong.push(`${rows}x${depth}, strides ${aStride} and ${cStride}, first ${first}: ${all[at]} at ${at}, not ${expected[at]}`);
          }
        }
      }
    }
    return wrong;
  }, bytes);
  assert.deepEqual(wrong, []);
});

test("the engine uses it where the browser has it", async (t) => {
  await startEngine(page);
  const { cpu_product: used, cpu_self_test: difference } = await call(page, { type: "hello" });
  assert.equal(used, (await taken()) ? "relaxed SIMD" : "SIMD128");
  t.diagnostic(`${used}, self-test ${difference.toExponential(1)}`);
});

test("a browser without relaxed SIMD computes without it", async () => {
  const plain = await browser.page();
  await plain.goto(host.url);
  // what such a browser says of the module
  await startEngine(plain, { first: "WebAssembly.validate = () => false" });
  const { cpu_product: used } = await call(plain, { type: "hello" });
  assert.equal(used, "SIMD128");
  await plain.close();
});

test("no other host was asked, nothing was complained about", () => clean(page, browser));
