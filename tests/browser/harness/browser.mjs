// A fresh Chromium, and a page that is listened to: requests, console, policy violations.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium as driver } from "playwright-core";
import { chromium } from "./paths.mjs";

/** WebGPU on the software adapter, and none of the browser's own business. */
const FLAGS = [
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--enable-unsafe-webgpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** What Chromium itself asks for, whatever page is open. Exact names: a font's host is none of them. */
const BROWSERS_OWN = new Set([
  "accounts.google.com",
  "android.clients.google.com",
  "clients2.google.com",
  "content-autofill.googleapis.com",
  "edgedl.me.gvt1.com",
  "optimizationguide-pa.googleapis.com",
  "redirector.gvt1.com",
  "safebrowsing.googleapis.com",
  "update.googleapis.com",
]);

/**
 * Starts a browser with a new profile. Whatever it asks of another host goes to a proxy that refuses
 * and takes note.
 */
export async function launch({ webgpu = true, viewport = DESKTOP, ...options } = {}) {
  const strangers = [];
  const note = (host) => {
    if (!BROWSERS_OWN.has(host.replace(/:\d+$/, ""))) strangers.push(host);
  };
  const proxy = createServer((request, response) => {
    note(new URL(request.url).host);
    response.writeHead(502).end();
  });
  proxy.on("connect", (request, socket) => {
    note(request.url);
    // the browser may have hung up by then, which is no fault of a test's
    socket.on("error", () => {});
    socket.end("HTTP/1.1 502 refused\r\n\r\n");
  });
  await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));

  const profile = mkdtempSync(join(tmpdir(), "saescope-browser-"));
  const context = await driver.launchPersistentContext(profile, {
    executablePath: chromium(),
    headless: true,
    args: [
      ...FLAGS.filter((flag) => webgpu || !flag.includes("webgpu")),
      // loopback goes past a proxy by itself
      `--proxy-server=127.0.0.1:${proxy.address().port}`,
    ],
    viewport,
    acceptDownloads: true,
    timeout: 60_000,
    ...options,
  });
  context.setDefaultTimeout(30_000);
  if (!webgpu) await context.addInitScript(() => Object.defineProperty(navigator, "gpu", { value: undefined }));
  const close = async () => {
    await context.close();
    proxy.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { context, strangers, close, page: () => listen(context) };
}

/** A new page, with everything that it complains about in `page.complaints`. */
async function listen(context) {
  const page = await context.newPage();
  const complaints = [];
  page.complaints = complaints;
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack ?? error}`));
  page.on("crash", () => complaints.push("the page crashed"));
  await page.exposeBinding("saescopeViolation", (_, text) => complaints.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.saescopeViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  return page;
}

/** A run that no list of its host's speaks of is asked for its calibration, which it may be without. */
const LOOKED_FOR = /^console: Failed to load resource: .* 404 .*\/calibration\.json\b/;

/** Nothing was complained about, and no other host was asked. `expected` complaints are left out. */
export function clean(page, browser, expected = /^$/) {
  const complaints = page.complaints.filter((text) => !expected.test(text) && !LOOKED_FOR.test(text));
  assert.deepEqual(complaints, [], "console errors, exceptions and policy violations");
  assert.deepEqual(browser.strangers, [], "requests to other hosts");
}
