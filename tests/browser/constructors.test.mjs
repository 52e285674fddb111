// Nothing that JavaScript calls in the engine runs the static constructors first: there are thousands of them, and
// the linker puts them before every exported function of a module that does not call them itself.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dist } from "./harness/paths.mjs";

const [IMPORTS, EXPORTS, CODE] = [2, 7, 10];
const FUNCTION = 0;
const [CALL, END] = [0x10, 0x0b];
/** Calls in a row that nothing else has. */
const MANY = 50;

/** What the tests below ask of a module: its exported functions by name, and each one's first calls. */
function read(bytes) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const list = (item) => Array.from({ length: number() }, item);
  const name = () => {
    const length = number();
    return bytes.subarray(at, (at += length)).toString("utf8");
  };
  const limits = () => {
    const flags = bytes[at++];
    number();
    if (flags & 1) number();
  };
  const skip = [number, () => (at++, limits()), limits, () => (at += 2)];
  let [imported, exported, bodies] = [0, [], []];
  while (at < bytes.length) {
    const [section, length] = [bytes[at++], number()];
    const end = at + length;
    if (section === IMPORTS) {
      imported = list(() => {
        name();
        name();
        const kind = bytes[at++];
        skip[kind]();
        return kind;
      }).filter((kind) => kind === FUNCTION).length;
    } else if (section === EXPORTS) {
      exported = list(() => ({ name: name(), kind: bytes[at++], index: number() })).filter(({ kind }) => kind === FUNCTION);
    } else if (section === CODE) {
      bodies = list(() => {
        const size = number();
        return [at, (at += size)];
      });
    }
    at = end;
  }
  /** The functions that one calls before it does anything else. */
  const calls = (index) => {
    if (index < imported) return [];
    const found = [];
    [at] = bodies[index - imported];
    list(() => (number(), at++));
    while (bytes[at] === CALL) {
      at++;
      found.push(number());
    }
    return bytes[at] === END || found.length > 0 ? found : [];
  };
  return { exported, calls };
}

test("no exported function runs the static constructors", (t) => {
  const file = readdirSync(join(dist, "assets")).find((name) => name.endsWith(".wasm"));
  const { exported, calls } = read(readFileSync(join(dist, "assets", file)));
  assert.ok(exported.length > 10, `${exported.length} exported functions`);
  const first = ({ index }) => calls(calls(index)[0] ?? -1).length;
  const wrapped = exported.filter((one) => first(one) >= MANY && !/start/.test(one.name));
  t.diagnostic(`${exported.length} exported functions`);
  assert.deepEqual(wrapped.map(({ name }) => name), []);
});
