// The build's check that no script makes code from a string.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runnerImport } from "vite";
import { dist, root } from "./harness/paths.mjs";

const { module } = await runnerImport("./www/build/strings.ts", { root, configFile: false, logLevel: "error" });
const { codeFromStrings, faults } = module;

test("code from a string is found however it is written", () => {
  for (const [script, code] of [
    ["new Function('a', 'return a')", "new Function('a', 'return a')"],
    ["Function(text(0, 1))", "Function(text(0, 1))"],
    ["const F = Function; F('x')", "Function"],
    ["globalThis.Function('return this')()", "globalThis.Function('return this')"],
    ["self['Function'](x)", "self['Function'](x)"],
    ["eval(x)", "eval(x)"],
    ["(0, eval)(x)", "eval"],
    ["window.eval(x)", "window.eval(x)"],
    ["setTimeout('a()', 1)", "setTimeout('a()', 1)"],
    ["self.setInterval(`a${b}`, 1)", "self.setInterval(`a${b}`, 1)"],
    ["setTimeout('a' + b)", "setTimeout('a' + b)"],
    ["(() => 0).constructor('return this')()", "(() => 0).constructor('return this')"],
    ["import('data:text/javascript,1')", "import('data:text/javascript,1')"],
    ["x = { Function }", "Function"],
  ]) {
    assert.ok(codeFromStrings(script).includes(code), `${script}: found ${JSON.stringify(codeFromStrings(script))}`);
  }
});

test("what only looks like it is let through", () => {
  for (const script of [
    "// eval(x), new Function('x')\nconst s = 'new Function(\"x\")';",
    "setTimeout(() => 1, 0); setTimeout(f, 10); x.setTimeout('no global');",
    "f instanceof Function; Function.prototype.call; x.Function; x.eval(1); ({ eval: 1, Function: 2 });",
    "new this.constructor(a, b); class A { constructor(text) {} }",
    "function evaluate() {} evaluate('x')",
  ]) {
    assert.deepEqual(codeFromStrings(script), [], script);
  }
});

test("an exception is exact, and goes when it is not needed", () => {
  const scripts = new Map([["assets/worker.js", "a(new Function(s(1)))"]]);
  const entry = { file: /worker/, code: "new Function(s(1))", why: "test" };
  assert.match(faults(scripts, []).join(), /assets\/worker\.js: code from a string: new Function\(s\(1\)\)/);
  assert.deepEqual(faults(scripts, [entry]), []);
  assert.match(faults(scripts, [{ ...entry, code: "new Function(s(2))" }]).join(), /code from a string.*allowed, but not there/s);
  assert.match(faults(scripts, [{ ...entry, file: /index/ }]).join(), /code from a string/);
  assert.match(faults(new Map([["a.js", "1"]]), [entry]).join(), /not there/);
});

test("no script of the built page and of the package makes code from a string", () => {
  const archives = process.env.SAESCOPE_NPM;
  const folders = archives ? [dist, join(archives, "saescope")] : [dist];
  for (const folder of folders) {
    const names = readdirSync(folder, { recursive: true }).filter((name) => /\.m?js$/.test(name));
    for (const kind of [/worker-/, /index/]) assert.ok(names.some((name) => kind.test(name)), `${folder} has no script ${kind}: ${names}`);
    assert.deepEqual(faults(new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]))), []);
  }
});
