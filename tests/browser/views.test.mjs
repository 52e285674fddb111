// Every view in light and dark, at desktop and phone width: accessible, within the window, pictured.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { artifact } from "./harness/paths.mjs";
import { serve } from "./harness/server.mjs";
import { accessible, by, fits, go, open, state } from "./harness/view.mjs";

let host, browser, page, sample;

before(async () => {
  host = await serve();
  browser = await launch();
  page = await browser.page();
  await open(page, host);
  await state(page, "ready");
  await page.locator("#view-results svg").first().waitFor();
  sample = await page.evaluate(async () => {
    const catalog = await (await fetch("catalog.json")).json();
    const run = catalog.runs.find((one) => one.name === catalog.default_run);
    return { url: run.url, id: "entity_001" };
  });
});
after(async () => {
  await browser?.close();
  await host?.close();
});

/** View → hash, and what is there once it is shown. */
const VIEWS = {
  results: ["#/results", () => page.locator("#view-results svg").nth(7).waitFor()],
  sample: ["#/sample/", () => page.locator("#view-sample table, #view-sample svg, #view-sample canvas").first().waitFor()],
  setup: ["#/setup", () => page.locator('[data-test="start-run"]:enabled').waitFor()],
  run: ["#/run", () => page.locator("#view-run h1").waitFor()],
  explore: ["#/explore", () => by(page, "explore-text").waitFor()],
  storage: ["#/storage", () => page.locator("#view-storage h1").waitFor()],
};

for (const [view, [hash, there]] of Object.entries(VIEWS)) {
  test(`${view}: accessible, and within the window`, { timeout: 180_000 }, async () => {
    const id = view === "sample" ? await firstSample() : "";
    for (const [width, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      for (const scheme of ["light", "dark"]) {
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
        await go(page, hash + id);
        await there();
        await page.waitForTimeout(300);
        const what = `${view}, ${width}, ${scheme}`;
        await page.screenshot({ path: artifact("screenshots", `${view}-${width}-${scheme}.png`), fullPage: true });
        await fits(page, what);
        await accessible(page, what);
      }
    }
  });
}

test("all eight panels and the two plots are there, each with its downloads", async () => {
  await page.setViewportSize(DESKTOP);
  await go(page, "#/results");
  await page.locator("#view-results svg").nth(7).waitFor();
  const headings = await page.locator("#view-results :is(h2, h3)").allInnerTexts();
  for (const word of ["reconstruction", "sphericity", "drift", "twist", "stability", "entropy", "consistency", "effect", "phase", "length"]) {
    assert.ok(headings.some((text) => text.toLowerCase().includes(word)), `no panel about ${word}: ${headings.join(" | ")}`);
  }
});

test("the views can be reached and used by keyboard", async () => {
  await page.setViewportSize(DESKTOP);
  await open(page, host, "#/results");
  await state(page, "ready");
  await page.keyboard.press("Tab");
  assert.match(await page.evaluate(() => document.activeElement.textContent), /skip/i);
  const seen = [];
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press("Tab");
    seen.push(await page.evaluate(() => document.activeElement.textContent.trim()));
  }
  assert.ok(seen.includes("Set up"), seen.join(" | "));
});

test("no console error, no policy violation, no other host", () => clean(page, browser));

async function firstSample() {
  return page.evaluate(() => {
    const link = document.querySelector('a[href^="#/sample/"]');
    return link ? link.getAttribute("href").slice("#/sample/".length) : null;
  }).then((id) => id ?? sample.id);
}
