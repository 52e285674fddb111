// The service worker: the page works without a network once it says so.
//
// - The app shell (script, style, HTML) is kept when a version is installed and served from there, so
//   that all its parts are of one version.
// - catalog.json and finished runs come from the network where it answers, else from the kept copy.
// - Keeping is one step, asked for by the page once its view is on the screen: what is missing of the
//   shell, the engine's WASM, the run on the screen, catalog.json. The page gets one answer for all.
// - Models are never touched here: the engine keeps them in its own storage.

import type { HostAnswers, Keep, Kept, RunPrefix, ToServiceWorker } from "./keeping";

declare const self: ServiceWorkerGlobalScope;

// File → hash; the build puts the list in.
const SHELL = JSON.parse("__SHELL__") as Record<string, string>;

const SHELL_PREFIX = "saescope-shell-";
const SHELL_CACHE = SHELL_PREFIX + checksum(JSON.stringify(SHELL));
const CATALOG_CACHE = "saescope-catalog";
const RUN_PREFIX: RunPrefix = "saescope-run ";
/** Bytes that are kept of one run: nobody asked for it, so a large one is left alone. */
const MOST_OF_RUN = 50e6;
/** An entry of such a cache, written last: a copy without it is not whole. */
const WHOLE = "whole";
/** Where earlier versions kept runs. */
const FORMER = ["saescope-runs-1"];
/** The files that make a run; the others may be absent. */
const MUST = /\/(metrics\.parquet|manifest\.json)$/;
const RUN_FILE = /\/(metrics\.parquet|features\.parquet|stats\.parquet|stats_features\.parquet|manifest\.json|calibration\.json)$/;

const scope = new URL(self.registration.scope);
const catalog = new URL("catalog.json", scope).href;

function checksum(text: string): string {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
}

const isEngine = (name: string) => name.endsWith(".wasm");
const address = (name: string) => new URL(name, scope).href;

async function install(): Promise<void> {
  // Where the version before was kept with its engine, the page has said so: that must hold on.
  const promised = await keptEngine();
  await keepShell((name) => promised || !isEngine(name));
}

async function keptEngine(): Promise<boolean> {
  for (const name of await caches.keys()) {
    if (!name.startsWith(SHELL_PREFIX)) continue;
    const kept = await (await caches.open(name)).keys();
    if (kept.some(({ url }) => isEngine(url))) return true;
  }
  return false;
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) {
    const old = name.startsWith(SHELL_PREFIX) && name !== SHELL_CACHE;
    if (old || FORMER.includes(name)) await caches.delete(name);
  }
  await self.clients.claim();
}

/** The host's own answer, or an error that says which file and why. */
async function ask(url: string, absent = false, signal: AbortSignal | null = null): Promise<Response> {
  let answer: Response;
  try {
    // Names with a hash never change what they mean; of the others the host itself is asked.
    answer = await fetch(url, { cache: nameOf(url).startsWith("assets/") ? "default" : "no-cache", signal });
  } catch {
    throw new NoAnswer(`${nameOf(url)}: no answer`);
  }
  if (answer.status === 200 || (absent && answer.status === 404)) return answer;
  const reason = `${nameOf(url)}: HTTP status ${answer.status}`;
  throw answer.status >= 500 ? new NoAnswer(reason) : new Error(reason);
}

class NoAnswer extends Error {}

const nameOf = (url: string) => (url.startsWith(scope.href) ? url.slice(scope.href.length) || "index.html" : url);

/** Adds what is missing of the shell. */
async function keepShell(wanted: (name: string) => boolean): Promise<void> {
  const cache = await caches.open(SHELL_CACHE);
  await Promise.all(
    Object.keys(SHELL)
      .filter(wanted)
      .map(async (name) => {
        const url = address(name);
        if (!(await cache.match(url))) await cache.put(url, await ask(url));
      }),
  );
}

const folderOf = (url: string) => new URL(".", url).href;

/** The newest whole copy of the run in a folder. */
async function copyOf(folder: string): Promise<Cache | null> {
  const prefix = `${RUN_PREFIX}${folder} `;
  const names = (await caches.keys()).filter((name) => name.startsWith(prefix)).sort();
  for (const name of names.reverse()) {
    const cache = await caches.open(name);
    if (await cache.match(folder + WHOLE)) return cache;
  }
  return null;
}

/** A run's files in full, or an error: also where they are more than is kept of a run. */
async function download(urls: string[]): Promise<Response[]> {
  const stop = new AbortController();
  let bytes = 0;
  const add = (more: number) => {
    bytes += more;
    const found = Math.ceil(bytes / 1e6);
    if (bytes > MOST_OF_RUN) throw new Error(`the run has ${found} MB or more, and of one run at most ${MOST_OF_RUN / 1e6} MB are kept`);
  };
  try {
    const answers = await Promise.all(urls.map((url) => ask(url, !MUST.test(new URL(url).pathname), stop.signal)));
    // What the host declares spares the download; what comes is what counts.
    for (const { headers } of answers) add(Number(headers.get("content-length")));
    bytes = 0;
    return await Promise.all(answers.map((answer, i) => inFull(answer, urls[i]!, add)));
  } catch (reason) {
    stop.abort();
    throw reason;
  }
}

/** An answer with its whole body, and the length of that; `add` is told of each piece. */
async function inFull(answer: Response, url: string, add: (bytes: number) => void): Promise<Response> {
  const reader = answer.body?.getReader();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (;;) {
    const piece = await reader?.read().catch(() => Promise.reject(new Error(`${nameOf(url)}: the connection ended`)));
    if (!piece?.value) break;
    pieces.push(piece.value);
    add(piece.value.byteLength);
  }
  const body = new Blob(pieces);
  const headers = new Headers(answer.headers);
  // the pieces are unpacked
  headers.delete("content-encoding");
  headers.set("content-length", String(body.size));
  return new Response(body, { status: answer.status, statusText: answer.statusText, headers });
}

/** Keeps a run's files, all of one version, or leaves the copy that was there. */
async function keepRun(files: string[]): Promise<void> {
  const manifest = files.find((url) => new URL(url).pathname.endsWith("/manifest.json"));
  if (manifest === undefined) return;
  const folder = folderOf(manifest);
  const before = await copyOf(folder);
  const found = await ask(manifest);
  // The manifest has the other files' hashes: if it is the same, they are; but for the calibration, which may come later.
  const same = (await before?.match(manifest))?.text();
  const calibration = files.find((url) => new URL(url).pathname.endsWith("/calibration.json"));
  const newer = calibration !== undefined && (await (await before?.match(calibration))?.text()) !== (await (await ask(calibration, true)).text());
  if (before && !newer && (await same) === (await found.clone().text())) return;
  const others = files.filter((url) => url !== manifest);
  // Where this fails, the host has another run there than the copy's: that one does not stand in for it.
  const answers = await download(others).catch((reason: unknown) => Promise.reject(new Error(words(reason))));
  const name = `${RUN_PREFIX}${folder} ${new Date().toISOString()}`;
  const cache = await caches.open(name);
  try {
    await cache.put(manifest, found);
    await Promise.all(others.map((url, i) => cache.put(url, answers[i]!)));
    await cache.put(folder + WHOLE, new Response(""));
  } catch (reason) {
    await caches.delete(name);
    throw reason;
  }
  for (const other of await caches.keys()) {
    if (other.startsWith(`${RUN_PREFIX}${folder} `) && other !== name) await caches.delete(other);
  }
}

async function keepCatalog(url: string): Promise<void> {
  // A host without a catalog is asked for it too: its refusal is what there is to keep.
  const answer = await ask(url, true);
  await (await caches.open(CATALOG_CACHE)).put(url, answer);
}

/** Everything that the page's view needs. */
async function keep({ catalog, run }: Keep): Promise<Kept> {
  try {
    await keepShell(() => true);
    // The run may lie on another host: what that one does says nothing of the page's.
    const answers = await anew(keepCatalog(catalog), [catalog]);
    const runAnswers = await anew(keepRun(run), run);
    return { kept: true, answers, runAnswers };
  } catch (reason) {
    return { kept: false, reason: words(reason) };
  }
}

/** Whether the host was reached for these; if not, the copies of an earlier visit must be there. */
async function anew(step: Promise<void>, urls: string[]): Promise<boolean> {
  try {
    await step;
    return true;
  } catch (reason) {
    if (!(reason instanceof NoAnswer)) throw reason;
    for (const url of urls) if (!(await keptCopy(url))) throw reason;
    return false;
  }
}

function words(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason);
  if (reason.name === "QuotaExceededError") return "the browser's storage for this page is full";
  return reason.message;
}

async function keptCopy(url: string): Promise<Response | undefined> {
  const cache = url === catalog ? await caches.open(CATALOG_CACHE) : await copyOf(folderOf(url));
  return cache?.match(url, { ignoreVary: true });
}

function inScope(url: URL): string | null {
  if (url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return null;
  return url.pathname.slice(scope.pathname.length);
}

async function fromShell(request: Request, name: string): Promise<Response> {
  const cache = await caches.open(SHELL_CACHE);
  const kept = await cache.match(address(name));
  return kept ?? fetch(request);
}

/** The host's answer; the kept copy where it gives none. */
async function newest(request: Request, clientId: string): Promise<Response> {
  try {
    const answer = await fetch(request);
    const kept = answer.status >= 500 ? await keptCopy(request.url) : undefined;
    await tell(clientId, request.url, !kept);
    return kept ?? answer;
  } catch (reason) {
    const kept = await keptCopy(request.url);
    await tell(clientId, request.url, false);
    if (kept) return kept;
    throw reason;
  }
}

/** Tells the page whether its host answers; a run may have been asked of another. */
async function tell(clientId: string, url: string, answers: boolean): Promise<void> {
  if (new URL(url).origin !== scope.origin) return;
  const message: HostAnswers = { type: "host", answers };
  (await self.clients.get(clientId))?.postMessage(message);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));

// One after the other, so that two tabs do not write the same copy.
let going: Promise<unknown> = Promise.resolve();

self.addEventListener("message", (event) => {
  const message = event.data as ToServiceWorker;
  if (message.type === "take-over") {
    event.waitUntil(self.skipWaiting());
    return;
  }
  const kept = going.then(() => keep(message)).catch((reason: unknown): Kept => ({ kept: false, reason: words(reason) }));
  going = kept;
  event.waitUntil(kept.then((answer) => event.ports[0]?.postMessage(answer)));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || request.headers.has("range")) return;
  const url = new URL(request.url);
  const path = inScope(url);
  // A run may lie on another host: `?run=`.
  if (path === "catalog.json" || RUN_FILE.test(url.pathname)) event.respondWith(newest(request, event.clientId));
  else if (path === null) return;
  else if (request.mode === "navigate" && (path === "" || path === "index.html")) {
    event.respondWith(fromShell(request, "index.html"));
  } else if (path in SHELL) event.respondWith(fromShell(request, path));
});

export {};
