// What the comparison with onnxruntime-web computes beside its measurements.

import assert from "node:assert/strict";
import { test } from "node:test";
import { apart, between, fastest, inBatches, table } from "../../bench/tables.mjs";

test("what stands between two marks is replaced, and nothing else", () => {
  assert.equal(between("a\n|\nold\n|\nb", "|", "new"), "a\n|\nnew\n|\nb");
  assert.throws(() => between("a|b", "|", "new"), /1 lines \|, not two/);
});

test("batches hold texts of like length, every text once", () => {
  const batches = inBatches([[1, 2, 3], [4], [5, 6]], 2);
  assert.deepEqual(batches, [
    { texts: [1, 2], ids: [[4], [5, 6]], width: 2 },
    { texts: [0], ids: [[1, 2, 3]], width: 3 },
  ]);
});

test("of several settings the one that is fastest in the median counts", () => {
  const run = (a, b) => ({ settings: [{ setting: "a", seconds: a }, { setting: "b", seconds: b }] });
  assert.deepEqual(fastest([run(1, 3), run(9, 2), run(8, 4)]), { setting: "b", seconds: 3 });
  assert.equal(fastest([run(1, 9), run(2, 9)]).seconds, 1.5);
});

test("the largest relative difference", () => {
  assert.equal(apart([[1, 2], [3, 5]], [[1, 2], [3, 4]]), 0.25);
});

test("the table says who is faster, each beside saescope on as many workers", () => {
  const program = (name, count, seconds) => ({ name, form: "f32", count, runs: [{ settings: [{ setting: "s", seconds }], others: 0.125 }] });
  const programs = [program("saescope's page", 1, 20), program("saescope's page", 2, 10), program("other", 1, 40), program("other", 2, 5)];
  const text = table({ programs, texts: 600, head: "machine", rounds: 1 });
  assert.match(text, /^machine; 600 texts, 1 round in turn\.$/m);
  assert.match(text, /^\| other \| f32 \| 1 \| 15\.0 \| 2\.00 times as fast \|  \| s \| 0\.13 \|$/m);
  assert.match(text, /^\| other \| f32 \| 2 \| 120\.0 \| 0\.50 times as fast \|/m);
  assert.match(text, /^Faster than saescope's page: other f32, 2\. /m);
  programs.pop();
  assert.match(table({ programs, texts: 600, head: "machine", rounds: 1 }), /^None is faster/m);
});
