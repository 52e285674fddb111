// Every view in light and dark, at desktop and phone width: accessible, within the window, pictured.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { clean, DESKTOP, launch, PHONE } from "./harness/browser.mjs";
import { artifact, dist, golden, program } from "./harness/paths.mjs";
import { goldenSaes, rows } from "./harness/run.mjs";
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

test("all eight panels and the other plots are there, each with its downloads", async () => {
  await page.setViewportSize(DESKTOP);
  await go(page, "#/results");
  await page.locator("#view-results svg").nth(7).waitFor();
  const headings = await page.locator("#view-results :is(h2, h3)").allInnerTexts();
  for (const word of ["reconstruction", "sphericity", "drift", "twist", "stability", "entropy", "consistency", "effect", "phase", "length", "nulls"]) {
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

// --- Explore ----------------------------------------------------------------------------------

const WIDE = { width: 1440, height: 900 };

/** Explore with a sentence's features shown. */
async function explored(text = "The Eiffel Tower stands in the city of Paris") {
  await open(page, host, "#/explore");
  await by(page, "explore-text").fill(text);
  await by(page, "explore-go").click();
  await by(page, "features-ranked").waitFor({ timeout: 120_000 });
}

/** The list as it stands: feature numbers, activations, and how far its last column is. */
const ranked = () =>
  page.locator('[data-test="features-ranked"] tbody tr').evaluateAll((rows) =>
    rows.map((row) => ({
      feature: row.querySelector("button.feature").textContent,
      activation: Number(row.querySelector("td.number").textContent.replaceAll(",", "")),
      state: row.querySelector(".promoted").dataset.state,
      words: [...row.querySelectorAll(".promoted .token")].map((token) => token.textContent),
    })),
  );
const known = () => page.waitForFunction(() => {
  const cells = [...document.querySelectorAll('[data-test="features-ranked"] .promoted')];
  return cells.length > 0 && cells.every((cell) => cell.dataset.state === "known");
}, null, { timeout: 60_000 });
/** What the heat map holds of a token, in the order of its columns. */
const heatRow = (row) =>
  page.locator(`.heat td[data-row="${row}"]:visible`).evaluateAll((cells) => cells.map((cell) => Number(cell.getAttribute("aria-label").replaceAll(",", ""))));
const descending = (numbers) => numbers.every((value, i) => i === 0 || value <= numbers[i - 1]);

test("explore: what features promote is read by itself", { timeout: 240_000 }, async () => {
  await page.setViewportSize(WIDE);
  await explored();
  await known();
  const rows = await ranked();
  assert.equal(rows.length, 24);
  for (const { feature, words } of rows) assert.equal(words.length, 6, `feature ${feature} promotes ${words.join(" ")}`);
  assert.ok(new Set(rows.map(({ words }) => words.join(" "))).size > 12, "all features promote the same");
  assert.ok(descending(rows.map((row) => row.activation)), "not by the largest activation");
  // more rows, and another layer, are read in their turn
  await page.getByRole("button", { name: /^Show \d+ more/ }).click();
  assert.equal((await ranked()).length, 48);
  await known();
  await page.getByRole("radio", { name: "Layer 6" }).check();
  await known();
  assert.equal((await ranked()).length, 24);
});

test("explore: a token ranks the features by their activation there, by mouse and by keyboard", { timeout: 240_000 }, async () => {
  await page.setViewportSize(WIDE);
  await explored();
  const whole = (await ranked()).map(({ feature }) => feature);
  const tokens = page.locator('[data-test="sentence-token"]');
  const active = async (row) => Number(await page.locator(".heat tbody tr").nth(row).locator(".l0").innerText());
  const check = async (row) => {
    const words = await by(page, "explore-ranking").innerText();
    assert.ok(words.includes(`“${(await tokens.nth(row).innerText()).trim()}”`), words);
    assert.ok(words.includes(`${await active(row)} features are active`), words);
    const values = (await ranked()).map((one) => one.activation);
    assert.ok(values.length > 0 && values.every((value) => value > 0), `${values}`);
    assert.ok(descending(values), `${values}`);
    const cells = await heatRow(row);
    assert.deepEqual(values.slice(0, cells.length), cells, "list and heat map");
    assert.equal(await tokens.nth(row).getAttribute("aria-pressed"), "true");
  };
  await tokens.nth(3).click();
  await check(3);
  assert.notDeepEqual((await ranked()).map(({ feature }) => feature), whole);
  // all that is active at the token is in the list, not only what is strong elsewhere
  const more = page.getByRole("button", { name: /^Show \d+ more/ });
  while (await more.count()) await more.click();
  assert.equal((await ranked()).length, await active(3));

  // the sentence is one stop of the Tab key; arrows go along it, Enter and Space choose
  await tokens.nth(3).focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await check(4);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await check(5);
  assert.equal(await page.evaluate(() => document.activeElement.dataset.test), "sentence-token", "the focus stays");
  await page.keyboard.press("Space");
  assert.deepEqual((await ranked()).map(({ feature }) => feature), whole, "chosen again, a token lets go");

  // in the heat map a row's head does the same, and a cell colours the sentence
  await page.locator('.heat td[tabindex="0"]').focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  await check(2);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  const second = (await ranked())[1].feature;
  assert.match(await by(page, "explore-caption").innerText(), new RegExp(`feature ${second}\\b`));
  await by(page, "rank-whole").click();
  assert.deepEqual((await ranked()).map(({ feature }) => feature), whole);
});

test("explore: side by side on a wide screen, below each other on a phone, accessible on both", { timeout: 240_000 }, async () => {
  await page.setViewportSize(WIDE);
  await explored();
  await known();
  const panes = ["explore-sentence", "explore-heatmap", "explore-features"];
  const boxes = async () => Promise.all(panes.map((name) => by(page, name).boundingBox()));
  const [sentence, map, list] = await boxes();
  assert.ok(sentence.x + sentence.width <= map.x && map.x + map.width <= list.x, JSON.stringify([sentence, map, list]));
  for (const box of [map, list]) assert.ok(box.y < WIDE.height / 2, JSON.stringify(box));
  assert.ok(list.x + list.width - sentence.x > 0.9 * WIDE.width, "the screen's width is not used");
  await accessible(page, "explore, wide, with features");
  await page.setViewportSize(PHONE);
  await page.waitForTimeout(300);
  const [first, second, third] = await boxes();
  assert.ok(first.y + first.height <= second.y && second.y + second.height <= third.y, JSON.stringify([first, second, third]));
  await still("explore, phone, with features");
  await accessible(page, "explore, phone, with features");
  await page.screenshot({ path: artifact("screenshots", "explore-features-phone.png"), fullPage: true });
});

// --- Results and samples ------------------------------------------------------------------------

test("results: what does not differ is folded into one line, and opens by keyboard", { timeout: 120_000 }, async () => {
  await page.setViewportSize(WIDE);
  await open(page, host, "#/results");
  await state(page, "ready");
  const panel = by(page, "panel-effects");
  const fold = by(page, "effects-fold");
  await fold.waitFor();
  // as stats.parquet has it: a metric that differs in none of the domains in view is undecided or not by the first of them
  const stats = (await rows(readFileSync(join(dist, "runs/demo/stats.parquet")))).filter(({ metric, verdict }) => !metric.endsWith("_diff") && verdict !== "control");
  const nothing = ["undecided", "no_difference", "no_variation", "too_few_samples"];
  const said = (inView, first) => {
    const same = stats.filter((c) => c.domain === first && stats.every(({ metric, domain, verdict }) => metric !== c.metric || !inView(domain) || nothing.includes(verdict)));
    const undecided = same.filter(({ verdict }) => verdict === "undecided").length;
    assert.ok(same.length > 10, `${same.length} metrics`);
    // z-scores against nulls are a family of their own
    const scores = same.filter(({ metric }) => metric.endsWith("_z")).length;
    const counts = [[same.length - scores, "metric", ""], [scores, "z-score", " against nulls"]].flatMap(([n, what, more]) => (n === 0 ? [] : [`${n} ${what}${n === 1 ? "" : "s"}${more}`]));
    return { undecided, text: `No difference found in ${counts.join(" and ")}${undecided === 0 ? "" : `, of which ${undecided} ${undecided === 1 ? "is" : "are"} undecided`}` };
  };
  const all = said(() => true, "all");
  assert.equal((await fold.innerText()).split(";")[0], all.text);
  const domain = by(page, "domain-filter");
  const name = stats.find(({ domain }) => domain !== "all").domain;
  const one = said((domain) => domain === name, name);
  assert.ok(one.undecided > 0, "fifty samples leave something open");
  await domain.selectOption({ label: (await domain.locator("option").allTextContents()).find((text) => text.startsWith(`${name} (`)) });
  await page.waitForFunction((text) => document.querySelector('[data-test="effects-fold"]').textContent.split(";")[0] === text, one.text);
  await domain.selectOption({ index: 0 });
  await page.waitForFunction((text) => document.querySelector('[data-test="effects-fold"]').textContent.split(";")[0] === text, all.text);
  assert.equal(await fold.getAttribute("aria-expanded"), "false");
  const height = async () => (await panel.boundingBox()).height;
  const low = await height();
  assert.equal(await panel.getByText(/^No difference \(\d+\)$/).count(), 0, "folded rows are drawn");
  await fold.focus();
  await page.keyboard.press("Enter");
  assert.equal(await fold.getAttribute("aria-expanded"), "true");
  await panel.getByText(/^No difference \(\d+\)$/).waitFor();
  assert.ok((await height()) > low + 200, `${await height()} px open, ${low} folded`);
  assert.ok(await fold.evaluate((button) => button === document.activeElement), "the focus stays on the button");
  await accessible(page, "results, fold open");
  await page.keyboard.press("Space");
  assert.equal(await fold.getAttribute("aria-expanded"), "false");
  await panel.getByText(/^No difference \(\d+\)$/).waitFor({ state: "detached" });
});

test("results of a single domain show every comparison once", { timeout: 120_000 }, async () => {
  const name = "llama";
  const saes = goldenSaes(name).flatMap(({ layer, path }) => ["--sae", `${layer}=${join(golden, name, path)}`]);
  const out = join(mkdtempSync(join(tmpdir(), "saescope-one-domain-")), "run");
  const data = `only=${join(golden, name, "texts.json")}`;
  const options = ["--device", "cpu", "--model", join(golden, name, "model"), "--dataset", data, "--out", out];
  execFileSync(program, ["analyze", ...options, ...saes], { stdio: ["ignore", "ignore", "pipe"] });
  const files = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json"].map((file) => join(out, file));
  await page.setViewportSize(WIDE);
  await open(page, host, "#/results");
  await state(page, "ready");
  await page.locator('[data-test="open-run-file"]').first().setInputFiles(files);
  await page.getByText("Mean over 12 samples").first().waitFor();
  assert.equal(await page.locator('[data-test="domain-filter"]').count(), 0, "there is no domain to choose");
  const panel = by(page, "panel-effects");
  await panel.locator("summary").click();
  // the table follows when the panel is drawn again
  await page.waitForFunction(() => {
    const lines = [...document.querySelectorAll('[data-test="panel-effects"] tbody tr')];
    return lines.length > 0 && lines.every((line) => line.children[1].textContent === "all");
  });
  const rows = await panel.locator("table tbody tr").evaluateAll((list) => list.map((row) => [...row.children].slice(0, 2).map((cell) => cell.textContent)));
  const metrics = rows.map(([metric]) => metric);
  assert.ok(rows.length > 20, `${rows.length} comparisons`);
  assert.equal(new Set(metrics).size, metrics.length, `twice: ${metrics.filter((one, i) => metrics.indexOf(one) !== i)}`);
});

test("sample: the width of a wide screen is used, and nothing scrolls sideways on a phone", { timeout: 240_000 }, async () => {
  await page.setViewportSize(WIDE);
  await open(page, host, `#/sample/${await firstSample()}`);
  await by(page, "features-table").waitFor();
  const box = (name) => by(page, name).boundingBox();
  const [texts, whole, layers, features, cloud] = await Promise.all(["sample-texts", "sample-whole", "sample-numbers", "sample-features", "sample-cloud"].map(box));
  assert.ok(texts.x + texts.width <= whole.x && Math.abs(texts.y - whole.y) < 2, "texts beside numbers");
  assert.ok(features.x + features.width <= cloud.x && Math.abs(features.y - cloud.y) < 2, "features beside their cloud");
  assert.ok(layers.width > 0.9 * WIDE.width, `${layers.width} px of ${WIDE.width}`);
  // three numbers of every layer in one line
  const run = await page.evaluate(async () => (await (await fetch("runs/demo/manifest.json")).json()).layers);
  const line = by(page, "sample-numbers").locator("tbody tr").first();
  assert.equal(await line.locator("td").count(), 3 * run.length);

  await by(page, "show-promotes").click();
  await page.locator("td.promotes .token").first().waitFor({ timeout: 60_000 });
  await accessible(page, "sample, wide, with promoted tokens");
  await page.setViewportSize(PHONE);
  await page.waitForTimeout(300);
  await still("sample, phone, with promoted tokens");
  await accessible(page, "sample, phone, with promoted tokens");
  const groups = by(page, "sample-numbers").locator("table");
  assert.equal(await groups.count(), run.length, "a table for each layer");
});

test("a prompt that ends at an attention sink is pointed at, where its sample is read and in the plot", { timeout: 120_000 }, async () => {
  await page.setViewportSize(WIDE);
  const samples = await rows(readFileSync(join(dist, "runs/demo/metrics.parquet")));
  const [sinks, others] = [true, false].map((is) => samples.filter((sample) => sample.prompt_is_sink === is));
  assert.ok(sinks.length > 0 && others.length > 0, `${sinks.length} and ${others.length}`);
  const manifest = JSON.parse(readFileSync(join(dist, "runs/demo/manifest.json"), "utf8"));
  assert.ok(manifest.warnings.some((warning) => warning.startsWith(`${sinks.length} of ${samples.length} prompts end at an attention sink`)), manifest.warnings.join("\n"));
  assert.ok(!manifest.warnings.some((warning) => warning.includes("does not fit")), "the SAEs are not to blame");
  for (const [sample, notes] of [[sinks[0], 1], [others[0], 0]]) {
    await open(page, host, `#/sample/${encodeURIComponent(sample.sample_id)}`);
    await by(page, "features-table").waitFor();
    assert.equal(await page.locator('#view-sample [data-test="prompt-sink"]:visible').count(), notes, sample.sample_id);
  }
  await open(page, host, "#/results");
  await by(page, "panel-drift").getByText(`Hollow: ${sinks.length} prompts end at an attention sink`).waitFor();
});

// --- notices --------------------------------------------------------------------------------------

test("a notice that was closed stays away in its tab", { timeout: 120_000 }, async () => {
  const tab = await browser.page();
  const notice = tab.locator('[data-test="notice-webgpu"]');
  await open(tab, host, "#/explore");
  await notice.waitFor();
  await by(tab, "close-webgpu").click();
  await notice.waitFor({ state: "detached" });
  assert.ok(await tab.evaluate(() => document.querySelector("#main").contains(document.activeElement)), "the focus is lost");
  await tab.reload();
  await tab.waitForFunction(() => document.documentElement.dataset.webgpu === "software");
  await tab.waitForTimeout(300);
  assert.equal(await notice.count(), 0, "it is back after a reload");
  clean(tab, browser);
  await tab.close();
  // another tab is another session
  const other = await browser.page();
  await open(other, host, "#/explore");
  await other.locator('[data-test="notice-webgpu"]').waitFor();
  await other.close();
});

test("no console error, no policy violation, no other host", () => clean(page, browser));

async function firstSample() {
  return page.evaluate(() => {
    const link = document.querySelector('a[href^="#/sample/"]');
    return link ? link.getAttribute("href").slice("#/sample/".length) : null;
  }).then((id) => id ?? sample.id);
}

/** Nothing on the page can be scrolled sideways, tables and plots included. */
async function still(what) {
  await fits(page, what);
  const wide = await page.evaluate(() =>
    [...document.querySelectorAll("main *")]
      .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(one).overflowX))
      .map((one) => `${one.tagName} ${one.className}: ${one.scrollWidth} px in ${one.clientWidth}`),
  );
  assert.deepEqual(wide, [], what);
}
