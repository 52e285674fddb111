// What went wrong, in words: what happened, what was expected and found, one hint.

import type { EngineError, Hello } from "../engine/protocol";
import { h, type Child } from "./dom";
import { short } from "./format";
import { hostAnswers } from "../state/network";

const TITLES: Record<EngineError["kind"], string> = {
  io: "A file could not be read",
  network: "No usable answer from the host",
  truncated: "A download ended early",
  quota: "The browser's storage is full",
  malformed: "A file is not what its format says",
  missing: "Something is missing",
  unsupported: "This is not supported",
  mismatch: "The inputs do not fit each other",
  device: "The device cannot do this",
  "device-lost": "The graphics device was lost",
  "out-of-memory": "Out of memory",
  usage: "A setting cannot be used",
  cancelled: "Stopped",
  crashed: "The engine stopped unexpectedly",
};

const HINTS: Partial<Record<EngineError["kind"], string>> = {
  network: "Check the address and the connection, then try again. What was downloaded is kept.",
  truncated: "Start again: what has arrived is kept, and the download goes on from there.",
  quota: "Delete stored models under Storage, or turn off “keep downloads” in the set-up.",
  "device-lost":
    "The driver was reset, another program took the GPU, or the machine slept. Continue on the same device, or on the CPU.",
  "out-of-memory": "Continue with a smaller batch, on the CPU, or close other tabs first.",
  crashed: "Continue starts the engine anew. If it happens again at the same sample, please report it.",
};

/** The heading for an error. */
export function titleOf(error: EngineError): string {
  if (error.kind === "network" && !hostAnswers()) return "There is no network";
  return TITLES[error.kind];
}

/** The one hint for an error, where there is one. */
export function hintOf(error: EngineError): string | undefined {
  if (error.kind === "network" && !hostAnswers()) {
    return "Models that are in the browser's storage work without a network; this one is not complete there.";
  }
  return error.hint ?? HINTS[error.kind];
}

/** A message as a sentence. A path, an address or a name that it begins with stays as it is. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (!trimmed) return "";
  const word = /^[a-z]+(?=[\s,]|:\s|$)/.test(trimmed);
  const first = word ? trimmed.charAt(0).toUpperCase() + trimmed.slice(1) : trimmed;
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

/** A box with an error's words, and what to do about it. `level` is its heading's. */
export function errorBox(
  error: EngineError,
  actions: Child = null,
  title = titleOf(error),
  level: "h2" | "h3" = "h2",
): HTMLElement {
  const hint = hintOf(error);
  return h(
    "div",
    { class: "box error", role: "alert", "data-test": "error", "data-kind": error.kind },
    h(level, null, title),
    h("p", null, sentence(error.message)),
    hint ? h("p", { class: "hint" }, sentence(hint)) : null,
    actions ? h("div", { class: "actions" }, actions) : null,
  );
}

/** What the self-test found, for the user to choose by. */
export function deviceWords(hello: Hello): string[] {
  const { webgpu } = hello;
  const name = webgpu.adapter ? ` (${webgpu.adapter})` : "";
  const test = webgpu.self_test === undefined ? "" : `, largest relative difference ${short(webgpu.self_test)}`;
  const reason = webgpu.reason ? ` ${sentence(webgpu.reason)}` : "";
  const cpu = `The CPU computes right (${hello.cpu_product}): largest relative difference ${short(hello.cpu_self_test)}.`;
  switch (webgpu.state) {
    case "ok":
      return [`WebGPU works${name} and computes right${test}.`, cpu];
    case "software":
      return [`WebGPU's adapter${name} is a rasteriser on the CPU: it computes right, but slower than the CPU path, which is used unless you choose WebGPU.`, cpu];
    case "none":
      return [`This browser offers no WebGPU adapter, so runs use the CPU.${reason}`, cpu];
    case "wrong":
      return [`WebGPU computes wrong values here${name}${test}, so runs use the CPU. Numbers from it would mean nothing.${reason}`, cpu];
    case "failed":
      return [`WebGPU could not be opened${name}, so runs use the CPU.${reason}`, cpu];
  }
}

// The smallest module that uses a SIMD instruction: (func (result v128) i32.const 0 i8x16.splat).
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
]);

/** Why the engine cannot run in this browser at all, or null where nothing speaks against it. */
export function whyNoEngine(): EngineError | null {
  const hint = "Chrome or Edge 91, Firefox 89, Safari 16.4 and later have both. Finished runs can be read without.";
  if (typeof WebAssembly !== "object") {
    return { kind: "unsupported", message: "this browser has no WebAssembly, or it is switched off", hint };
  }
  if (!WebAssembly.validate(SIMD)) {
    return { kind: "unsupported", message: "this browser's WebAssembly has no SIMD instructions", hint };
  }
  return null;
}
