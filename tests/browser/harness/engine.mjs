// The engine's worker, driven without the page's views: requests and answers as in www/protocol.ts.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { dist } from "./paths.mjs";
import { goldenSaes } from "./run.mjs";

/** Address of the worker's script, relative to the page. */
export function workerScript() {
  const found = readdirSync(join(dist, "assets")).filter((name) => /^worker-.*\.js$/.test(name));
  const engine = readdirSync(join(dist, "assets")).filter((name) => /^engine-.*\.js$/.test(name));
  const names = [...engine, ...found];
  if (!names.length) throw new Error(`no worker script in ${dist}/assets`);
  return names.map((name) => `assets/${name}`);
}

/** Starts a worker in the page, as `window.engine.call(request)`. */
export async function startEngine(page, script) {
  await page.evaluate((script) => {
    const worker = new Worker(new URL(script, document.baseURI), { type: "module", name: "engine" });
    const open = new Map();
    let next = 1;
    const engine = {
      events: [],
      call(request) {
        const id = next++;
        engine.last = id;
        return new Promise((resolve, reject) => {
          open.set(id, { resolve, reject });
          worker.postMessage({ ...request, id });
        });
      },
    };
    worker.onmessage = ({ data }) => {
      if (data.type === "done") open.get(data.id)?.resolve(data.result);
      else if (data.type === "error") open.get(data.id)?.reject(Object.assign(new Error(data.error.message), data.error));
      else engine.events.push(data);
    };
    worker.onerror = (event) => open.forEach(({ reject }) => reject(new Error(event.message)));
    window.engine = engine;
  }, script);
}

/** Calls and gives the result, byte arrays as Buffers. */
export async function call(page, request) {
  const result = await page.evaluate(async (request) => {
    const revive = (value) => {
      if (Array.isArray(value)) return value.map(revive);
      if (value && typeof value === "object") {
        if (typeof value.base64 === "string") return Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0));
        return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
      }
      return value;
    };
    const pack = (value) => {
      if (value instanceof Uint8Array) {
        let text = "";
        for (let i = 0; i < value.length; i += 0x8000) text += String.fromCharCode(...value.subarray(i, i + 0x8000));
        return { base64: btoa(text) };
      }
      if (ArrayBuffer.isView(value)) return [...value];
      if (Array.isArray(value)) return value.map(pack);
      if (value && typeof value === "object") {
        return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, pack(inner)]));
      }
      return value;
    };
    return pack(await window.engine.call(revive(request)));
  }, pack(request));
  return unpack(result);
}

function pack(value) {
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(pack);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, pack(inner)]));
  }
  return value;
}

function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value && typeof value === "object") {
    if (typeof value.base64 === "string") return Buffer.from(value.base64, "base64");
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unpack(inner)]));
  }
  return value;
}

/** A set-up for `analyze`. */
export function setup(subject, data, more = {}) {
  return {
    subject: { saes: [], store: false, ...subject },
    data,
    device: "cpu",
    precision: "f32",
    noise: "relative:0.1",
    seed: 0,
    logprob: false,
    ...more,
  };
}

/** A tiny model, by address on the test's host. */
export function goldenSubject(host, name) {
  return {
    model: { kind: "url", url: `${host.golden}${name}/model/` },
    saes: goldenSaes(name).map(({ layer, path }) => ({ layer, sae: { kind: "urls", urls: saeUrls(host, name, path) } })),
    store: false,
  };
}

function saeUrls(host, name, path) {
  const address = `${host.golden}${name}/${path}`;
  if (path.endsWith(".npz")) return [address];
  return saeFiles(path).map((file) => `${address}/${file}`);
}

/** The two files of an SAE's folder: SAELens, Gemma Scope 2. */
function saeFiles(path) {
  return path.includes("resid_post/") ? ["config.json", "params.safetensors"] : ["cfg.json", "sae_weights.safetensors"];
}
