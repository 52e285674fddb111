// The page's floors: what www/build/layers.mjs finds, and that the page has none of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page, violations } from "../../www/build/layers.mjs";

const graph = (files) => new Map(Object.entries(files));

test("imports upward, sideways and in circles are found", () => {
  const [upward] = violations(graph({ "ui/dom.ts": ["views/setup/index.ts"], "views/setup/index.ts": [] }));
  assert.match(upward, /^ui\/dom\.ts must not import views\/setup\/index\.ts: views\/setup is above it$/);
  const [sideways] = violations(graph({ "views/explore/index.ts": ["views/setup/model.ts"], "views/setup/model.ts": [] }));
  assert.match(sideways, /views\/setup is beside it$/);
  const [circle] = violations(graph({ "ui/a.ts": ["ui/b.ts"], "ui/b.ts": ["ui/a.ts"] }));
  assert.equal(circle, "a circle: ui/a.ts → ui/b.ts → ui/a.ts");
});

test("imports downward and within a folder are fine", () => {
  const fine = { "main.ts": ["shell/start.ts"], "shell/start.ts": ["ui/dom.ts"], "ui/dom.ts": ["ui/format.ts"], "ui/format.ts": [] };
  assert.deepEqual(violations(graph(fine)), []);
});

test("the page keeps its floors", () => {
  const files = page();
  assert.ok(files.get("main.ts").includes("engine/client.ts"), "the page's imports were read");
  assert.deepEqual(violations(files), []);
});
