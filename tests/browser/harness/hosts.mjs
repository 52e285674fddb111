// The hosts that a page meets, as they are in the world. Each is started by a function that gives
// { url, run, close, proof? }: the page's address, a run that it has beside the page (as `?run=` names
// it) with its folder on disk, what ends it, and a proof, in a page of it, that it did what it is here for.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { dist, program } from "./paths.mjs";
import { serve } from "./server.mjs";

/** The policy in the page's own head. */
export function pagePolicy(folder = dist) {
  const html = readFileSync(join(folder, "index.html"), "utf8");
  const found = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(html)?.[1];
  assert.ok(found, "the page has no policy of its own");
  return found;
}

/** A folder that goes when the host does. */
function scratch() {
  const folder = mkdtempSync(join(tmpdir(), "saescope-host-"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The built page alone: no model, no run. Its files are links, and nobody writes into them. */
export function bare(folder) {
  const copy = (from, to) => {
    mkdirSync(to, { recursive: true });
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      if (from === dist && ["models", "runs", "catalog.json"].includes(entry.name)) continue;
      const [source, target] = [join(from, entry.name), join(to, entry.name)];
      if (entry.isDirectory()) copy(source, target);
      else {
        try {
          linkSync(source, target);
        } catch {
          cpSync(source, target);
        }
      }
    }
  };
  copy(dist, folder);
  return folder;
}

/** Starts `saescope serve` and reads the address that it prints. */
export async function serving(args, cwd) {
  const child = spawn(program, ["serve", "--port", "0", ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (piece) => (said += piece));
  const ended = new Promise((done) => child.on("close", done));
  const line = await Promise.race([
    new Promise((done) => createInterface({ input: child.stdout }).once("line", done)),
    ended.then(() => Promise.reject(new Error(`saescope serve ended: ${said}`))),
  ]);
  return {
    address: line.trim(),
    close: async () => {
      child.kill("SIGINT");
      await ended;
    },
  };
}

const ownRun = { url: "runs/demo/", folder: join(dist, "runs/demo") };

/**
 * Name → start. `run` is a folder with a finished run.
 * @type {[string, (run: string) => Promise<{ url: string, run: { url: string, folder: string }, close(): Promise<void> }>][]}
 */
export const HOSTS = [
  [
    "saescope serve, with a model in the cache and a run in ./runs",
    async (run) => {
      const { folder, remove } = scratch();
      const page = bare(join(folder, "page"));
      cpSync(run, join(folder, "runs/mine"), { recursive: true });
      const { address, close } = await serving(["--page", page, "runs/mine"], folder);
      const query = new URL(address).searchParams.get("run");
      assert.equal(query, "runs/mine/", `the printed address names the run: ${address}`);
      return {
        url: new URL("/", address).href,
        run: { url: query, folder: join(folder, "runs/mine") },
        close: async () => {
          await close();
          remove();
        },
      };
    },
  ],
  ["a plain host, in a folder", async () => ({ ...(await serve()), run: ownRun })],
  [
    "a host with a strict policy, isolated",
    async () => {
      const headers = {
        "Content-Security-Policy": `${pagePolicy()}; frame-ancestors 'none'`,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
      };
      const proof = async (page) => assert.ok(await page.evaluate(() => crossOriginIsolated), "the page is not isolated");
      return { ...(await serve({ headers })), run: ownRun, proof };
    },
  ],
  [
    "a host that sends gzip only",
    async () => {
      assert.ok(existsSync(join(dist, "index.html.gz")), "the page has no packed copies: cargo xtask web, without --fast");
      const host = await serve({ gzip: true });
      const proof = () => {
        const packed = host.requests.filter(({ encoding }) => encoding === "gzip").map(({ path }) => path);
        for (const kind of [/\.wasm$/, /worker-.*\.js$/]) assert.ok(packed.some((path) => kind.test(path)), `no ${kind} went out packed`);
      };
      return { ...host, run: ownRun, proof };
    },
  ],
  [
    "what saescope pack made, in another folder",
    async (run) => {
      const { folder, remove } = scratch();
      const page = bare(join(folder, "page"));
      const from = join(folder, "shared-run");
      cpSync(run, from, { recursive: true });
      execFileSync(program, ["pack", page, "--model", "smollm2-135m-instruct", "--run", from], { stdio: ["ignore", "ignore", "pipe"] });
      const host = await serve({ page, folder: "/elsewhere/" });
      return {
        ...host,
        run: { url: "runs/shared-run/", folder: join(page, "runs/shared-run") },
        close: async () => {
          await host.close();
          remove();
        },
      };
    },
  ],
];
