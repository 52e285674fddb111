// The page's views, as a user goes through them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { DESKTOP, PHONE } from "./browser.mjs";
import { artifact, golden } from "./paths.mjs";
import { saeFiles } from "./engine.mjs";
import { goldenSaes } from "./run.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The element that tests know by this name. */
export const by = (page, name) => page.locator(`[data-test="${name}"]:visible`).first();

/** Waits until <html data-state> is one of these. Gives it. */
export async function state(page, ...wanted) {
  return stateWithin(page, 60_000, ...wanted);
}

/** Waits for a state, as long as is said. */
export async function stateWithin(page, timeout, ...wanted) {
  try {
    await page.waitForFunction((states) => states.includes(document.documentElement.dataset.state), wanted, { timeout });
  } catch (error) {
    const now = await page.evaluate(() => document.documentElement.dataset.state);
    const words = await page.locator('[data-test="error"]:visible').allInnerTexts();
    throw new Error(`waited for ${wanted.join(" or ")}, the page is ${now}: ${words.join(" | ")}`, { cause: error });
  }
  return page.evaluate(() => document.documentElement.dataset.state);
}

/** Waits until the page has said whether it is kept for offline use. Gives `yes` or `no`, and the words. */
export async function kept(page) {
  await page.waitForFunction(() => ["yes", "no"].includes(document.documentElement.dataset.kept), null, { timeout: 60_000 });
  return { kept: await page.evaluate(() => document.documentElement.dataset.kept), text: await by(page, "kept").innerText() };
}

/** Opens a view, the page loaded anew. */
export async function open(page, host, hash = "", query = "") {
  // an address that differs in its hash alone would load nothing
  await page.goto("about:blank");
  await page.goto(`${host.url}${query}${hash}`);
}

/** Goes to another view of the page that is open. */
export async function go(page, hash) {
  await page.evaluate((hash) => (location.hash = hash), hash);
}

/** The set-up of a tiny model and a data file, through the form. `more` is of the link. */
export async function setUpGolden(page, host, name, data, device = "cpu", more = "") {
  await open(page, host, `#/setup?model=files&device=${device}&store=0${more}`);
  await by(page, "model-select").selectOption("files");
  const model = ["config.json", "tokenizer.json", "model.safetensors"].map((file) => join(golden, name, "model", file));
  await by(page, "model-files").setInputFiles(model);
  for (const [at, { layer, path }] of goldenSaes(name).entries()) {
    const block = page.locator("fieldset.inner").nth(at);
    if ((await block.count()) === 0) await page.getByRole("button", { name: "Add a layer" }).click();
    await block.getByLabel("Layer").fill(String(layer));
    await block.getByLabel("From").selectOption("files");
    await block.getByLabel("Its files").setInputFiles(saeFiles(name, path).map((file) => join(golden, name, file)));
  }
  await by(page, "data-upload").check();
  await by(page, "data-file").setInputFiles(data);
}

/** Waits until the plan is there, and starts the run. */
export async function start(page, timeout = 60_000) {
  await page.locator('[data-test="start-run"]:enabled').click({ timeout });
}

/** What the page says went wrong. */
export async function problem(page) {
  const box = by(page, "error");
  await box.waitFor();
  return { kind: await box.getAttribute("data-kind"), text: await box.innerText() };
}

/** Gives the open setup a file that ends in the middle of a value: the page names the file and the line. */
export async function cutUpload(page) {
  await by(page, "data-upload").check();
  const file = { name: "cut.json", mimeType: "application/json", buffer: Buffer.from('[{"id": "a",\n "prompt": ') };
  await by(page, "data-file").setInputFiles(file);
  await state(page, "bad-data");
  const { kind, text } = await problem(page);
  assert.equal(kind, "malformed");
  assert.match(text, /cut\.json/);
  assert.match(text, /line 2/);
}

/** Pictures of the page as it is, at desktop and phone width. */
export async function shoot(page, name) {
  const before = page.viewportSize();
  for (const [width, size] of [
    ["desktop", DESKTOP],
    ["phone", PHONE],
  ]) {
    await page.setViewportSize(size);
    await page.waitForTimeout(300);
    await page.screenshot({ path: artifact("screenshots", `${name}-${width}.png`) });
  }
  await page.setViewportSize(before);
}

/** Nothing that axe finds, by its whole set of WCAG and best-practice rules. */
export async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const wrong = found.violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help}: ${node.target.join(" ")}: ${node.failureSummary?.replace(/\s+/g, " ")}`),
  );
  assert.deepEqual(wrong, [], what);
}

/** No part of the page is wider than the window. */
export async function fits(page, what) {
  const { wide, by } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    const clipped = ({ parentElement: host }) => host !== document.body && (getComputedStyle(host).overflowX !== "visible" || clipped(host));
    const beyond = [...document.body.querySelectorAll("*")].filter(
      (one) => scrollWidth > clientWidth && one.getBoundingClientRect().right > clientWidth + 1 && !clipped(one),
    );
    return { wide: scrollWidth - clientWidth, by: beyond.slice(0, 12).map((one) => `${one.localName}.${one.getAttribute("class") ?? ""}`) };
  });
  // less than none where room is kept for a scroll bar
  assert.ok(wide <= 0, `${what}: ${wide} px wider than the window: ${by.join(", ")}`);
}
