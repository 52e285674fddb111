// The engine's worker, driven without the page's views: requests and answers as in www/engine/protocol.ts.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { dist, golden } from "./paths.mjs";
import { goldenSaes } from "./run.mjs";

/** The engine's worker script among the built files, relative to the page. */
export function workerScript() {
  // the page has two workers; the engine's is the one that names the engine's WASM
  const found = readdirSync(join(dist, "assets")).find(
    (name) => name.endsWith(".js") && /worker/.test(name) && /_bg/.test(readFileSync(join(dist, "assets", name), "latin1")),
  );
  if (!found) throw new Error(`no engine worker in ${dist}/assets`);
  return `assets/${found}`;
}

/**
 * Starts a worker in the page, as `window.engine.call(request)`. `first` is run in the worker before its script;
 * then the worker has to be ready before it is called.
 */
export async function startEngine(page, { script = workerScript(), first = "" } = {}) {
  await page.evaluate(({ script, first }) => {
    // as the page does it: see www/engine/policy-worker.ts
    const address = JSON.stringify(new URL(script, document.baseURI).href);
    const code = first ? `${first}; await import(${address});` : `import ${address};`;
    const importing = new Blob([code], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(importing), { type: "module", name: "engine" });
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
  }, { script, first });
  if (first) await page.waitForFunction(() => window.engine.events.some(({ type }) => type === "ready"));
}

/**
 * Calls and gives the result, byte arrays as Buffers. `{ $file: address }` becomes a File there, and
 * `{ $name, $bytes }` one of bytes in base 64.
 */
export async function call(page, request) {
  const result = await page.evaluate(async (request) => {
    const revive = async (value) => {
      if (Array.isArray(value)) return Promise.all(value.map(revive));
      if (!value || typeof value !== "object") return value;
      if (typeof value.$name === "string") return new File([await revive({ $bytes: value.$bytes })], value.$name);
      if (typeof value.$bytes === "string") return Uint8Array.from(atob(value.$bytes), (c) => c.charCodeAt(0));
      if (typeof value.$file === "string") {
        const answer = await fetch(value.$file);
        return new File([await answer.blob()], value.$file.split("/").at(-1));
      }
      return Object.fromEntries(
        await Promise.all(Object.entries(value).map(async ([key, inner]) => [key, await revive(inner)])),
      );
    };
    const pack = (value) => {
      if (value instanceof Uint8Array) {
        let text = "";
        for (let i = 0; i < value.length; i += 0x8000) text += String.fromCharCode(...value.subarray(i, i + 0x8000));
        return { $bytes: btoa(text) };
      }
      if (ArrayBuffer.isView(value)) return [...value];
      if (Array.isArray(value)) return value.map(pack);
      if (value && typeof value === "object") {
        return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, pack(inner)]));
      }
      return value;
    };
    return pack(await window.engine.call(await revive(request)));
  }, pack(request));
  return unpack(result);
}

function pack(value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(pack);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, pack(inner)]));
  }
  return value;
}

function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value && typeof value === "object") {
    if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "base64");
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
    // several are the page's to start
    workers: 1,
    ...more,
  };
}

/** A tiny model as files that a user would pick. */
export function goldenSubject(host, name) {
  const files = (...paths) => ({ kind: "files", files: paths.map((path) => ({ $file: `${host.golden}${name}/${path}` })) });
  return {
    model: files("model/config.json", "model/tokenizer.json", "model/model.safetensors"),
    saes: goldenSaes(name).map(({ layer, path }) => ({ layer, sae: files(...saeFiles(name, path)) })),
    store: false,
  };
}

/** The files of a tiny model's SAE: one npz, or those of its folder. */
export function saeFiles(name, path) {
  return path.endsWith(".npz") ? [path] : readdirSync(join(golden, name, path)).map((file) => `${path}/${file}`);
}
