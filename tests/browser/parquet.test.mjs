// What the page lets one download is read by the field's own tools.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { clean, launch } from "./harness/browser.mjs";
import { artifact, ci, golden, kept } from "./harness/paths.mjs";
import { nativeGolden, rows } from "./harness/run.mjs";
import { serve } from "./harness/server.mjs";
import { by, go, setUpGolden, start, state } from "./harness/view.mjs";

let host, browser, page;

before(async () => {
  host = await serve();
  browser = await launch();
  page = await browser.page();
});
after(async () => {
  await browser?.close();
  await host?.close();
});

/** A Python with pyarrow, made once; or why there is none. */
function python() {
  const folder = join(kept, "browser-python");
  const program = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const works = () => existsSync(program) && execFileSync(program, ["-c", "import pyarrow; print(pyarrow.__version__)"]);
  try {
    if (works()) return { program };
  } catch {
    // made, but not whole: made again below
  }
  try {
    execFileSync("python3", ["-m", "venv", "--clear", folder], { stdio: "pipe" });
    execFileSync(program, ["-m", "pip", "install", "--quiet", "pyarrow"], { stdio: "pipe" });
    works();
    return { program };
  } catch (error) {
    return { reason: `pyarrow cannot be installed: ${String(error.stderr ?? error).trim().split("\n").at(-1)}` };
  }
}

const READ = `
import json, sys
import pyarrow.parquet as pq
out = {}
for path in sys.argv[1:]:
    table = pq.read_table(path)
    out[path] = {"rows": table.num_rows, "columns": {f.name: str(f.type) for f in table.schema},
                 "sums": {n: sum(v for v in table.column(n).to_pylist() if isinstance(v, (int, float)) and v == v)
                          for n in table.column_names if str(table.schema.field(n).type) not in ("string", "bool")}}
print(json.dumps(out))
`;

test("Parquet downloaded from the page is read by pyarrow", { timeout: 300_000 }, async (t) => {
  const { program, reason } = python();
  if (!program) {
    assert.ok(!ci, reason);
    t.skip(reason);
    return;
  }
  await setUpGolden(page, host, "llama", join(golden, "llama", "texts.json"));
  await start(page);
  await state(page, "finished");
  await go(page, "#/results");
  const files = {};
  for (const name of ["metrics", "features", "stats"]) {
    files[name] = artifact("downloads", `${name}.parquet`);
    const waiting = page.waitForEvent("download");
    await by(page, `download-${name}`).click();
    await (await waiting).saveAs(files[name]);
  }
  const read = JSON.parse(execFileSync(program, ["-c", READ, ...Object.values(files)]));
  const theirs = nativeGolden("llama");
  for (const [name, path] of Object.entries(files)) {
    const [ours, expected] = [await rows(readFileSync(path)), await rows(theirs[name])];
    assert.equal(read[path].rows, expected.length, `${name}: rows`);
    assert.equal(ours.length, expected.length, `${name}: rows by hyparquet`);
    assert.deepEqual(Object.keys(read[path].columns), Object.keys(expected[0]), `${name}: columns`);
  }
  const { columns, sums } = read[files.metrics];
  assert.equal(columns.sample_id, "string");
  assert.equal(columns.l1_fact_l0_norm, "int64");
  assert.equal(columns.l1_fact_gini, "double");
  assert.equal(columns.l1_fact_shape_class, "string");
  const expected = (await rows(theirs.metrics)).reduce((sum, row) => sum + row.l1_fact_gini, 0);
  assert.ok(Math.abs(sums.l1_fact_gini - expected) < 1e-4 * expected, `gini: ${sums.l1_fact_gini}, ${expected}`);
  clean(page, browser);
});
