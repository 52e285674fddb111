// The service worker: the page works without a network after the first visit.
//
// - The app shell (script, style, HTML) is kept when a version is installed and served from there, so
//   that all its parts are of one version. The engine's WASM, the largest part, is added when the page
//   is idle.
// - catalog.json and finished runs come from the network where there is one, else from the last copy.
// - Models are never touched here: the engine keeps them in its own storage.

declare const self: ServiceWorkerGlobalScope;

// File → hash; the build puts the list in.
const SHELL = "__SHELL__" as unknown as Record<string, string>;

const SHELL_CACHE = `saescope-shell-${checksum(JSON.stringify(SHELL))}`;
const RUNS_CACHE = "saescope-runs-1";
const scope = new URL(self.registration.scope);

function checksum(text: string): string {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
}

const isEngine = (name: string) => name.endsWith(".wasm");
const address = (name: string) => new URL(name, scope).href;

async function install(): Promise<void> {
  const cache = await caches.open(SHELL_CACHE);
  const names = Object.keys(SHELL).filter((name) => !isEngine(name));
  // Hashed names never change under a name; index.html does, so ask the host itself.
  await cache.addAll(names.map((name) => new Request(address(name), { cache: "no-cache" })));
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith("saescope-shell-") && name !== SHELL_CACHE) await caches.delete(name);
  }
  await self.clients.claim();
}

/** The engine, once, and the run files that the page read before this worker was there. */
async function keep(urls: string[]): Promise<void> {
  const shell = await caches.open(SHELL_CACHE);
  for (const name of Object.keys(SHELL).filter(isEngine)) {
    if (!(await shell.match(address(name)))) await shell.add(address(name)).catch(() => undefined);
  }
  const runs = await caches.open(RUNS_CACHE);
  for (const url of urls) {
    if (isRun(new URL(url)) && !(await runs.match(url))) await runs.add(url).catch(() => undefined);
  }
}

function inScope(url: URL): string | null {
  if (url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return null;
  return url.pathname.slice(scope.pathname.length);
}

function isRun(url: URL): boolean {
  const path = inScope(url);
  return path !== null && (path === "catalog.json" || path.startsWith("runs/"));
}

async function fromShell(request: Request, name: string): Promise<Response> {
  const cache = await caches.open(SHELL_CACHE);
  const kept = await cache.match(address(name));
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.status === 200 && name in SHELL) await cache.put(address(name), answer.clone());
  return answer;
}

async function newest(request: Request): Promise<Response> {
  const cache = await caches.open(RUNS_CACHE);
  try {
    const answer = await fetch(request);
    if (answer.status === 200) await cache.put(request, answer.clone()).catch(() => undefined);
    return answer;
  } catch (reason) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw reason;
  }
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));

self.addEventListener("message", (event) => {
  const message = event.data as { type: "keep"; urls: string[] } | { type: "take-over" };
  if (message.type === "keep") event.waitUntil(keep(message.urls));
  else event.waitUntil(self.skipWaiting());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || request.headers.has("range")) return;
  const url = new URL(request.url);
  const path = inScope(url);
  if (path === null) return;
  if (isRun(url)) event.respondWith(newest(request));
  else if (request.mode === "navigate" && (path === "" || path === "index.html")) {
    event.respondWith(fromShell(request, "index.html"));
  } else if (path in SHELL) event.respondWith(fromShell(request, path));
});

export {};
