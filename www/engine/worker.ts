// The engine's worker: loads the WASM, passes requests on, and sees to it that every one of them gets
// its terminal answer, also when the WASM instance or the graphics device dies.

import init, { Engine } from "#engine";
import wasm from "#engine-wasm?url";
import { fusedBlock, type FusedBlock } from "./fused";
import { GpuProbe } from "./gpu-probe";
import { MEASURING, type EngineError, type FromWorker, type ToWorker } from "./protocol";

const scope = self as unknown as {
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
  saescopeGpu: GpuProbe;
  saescopePanic(message: string): void;
  saescopeFusedBlock?: FusedBlock | undefined;
};

const open = new Set<number>();
let engine: Engine | null = null;
let memory: WebAssembly.Memory | null = null;
let dead = false;

// A lost device breaks the work on it before the browser says that it is lost, which it does when the
// device's queue is through. The loss, once told, answers at once.
const LOSS_IS_TOLD_WITHIN = 3000;

function emit(message: FromWorker, transfer: Transferable[]): void {
  if (message.type === "error" && message.error.kind === "device" && scope.saescopeGpu.device) {
    setTimeout(() => pass(message, transfer), LOSS_IS_TOLD_WITHIN);
  } else pass(message, transfer);
}

function pass(message: FromWorker, transfer: Transferable[]): void {
  // everything that was open has been answered then
  if (dead) return;
  if (message.type === "done" || message.type === "error") open.delete(message.id);
  scope.postMessage(message, transfer);
}

/** The instance cannot go on: answers everything that is open and asks for a new worker. */
function die(error: EngineError): void {
  if (dead) return;
  dead = true;
  for (const id of open) scope.postMessage({ id, type: "error", error });
  open.clear();
  scope.postMessage({ id: 0, type: "crashed", error });
}

let lost: string | null = null;
scope.saescopeGpu = new GpuProbe((reason) => {
  lost = reason;
  die(deviceLost());
});

function deviceLost(): EngineError {
  return {
    kind: "device-lost",
    message: `the graphics device was lost: ${lost ?? "no reason given"}`,
    hint: "finished samples are kept; continue on the device, or on the CPU if it happens again",
  };
}

// called with the words of a panic, just before the trap
scope.saescopePanic = (message) => {
  if (lost !== null) return die(deviceLost());
  if (/out of memory|OutOfMemory|allocation/i.test(message)) {
    return die({
      kind: "out-of-memory",
      message: `the device or the worker ran out of memory: ${message}`,
      hint: "close other tabs, choose a smaller batch size or f16, or a smaller model",
    });
  }
  die({ kind: "crashed", message: `the engine stopped: ${message}`, hint: "it is restarted; please report this" });
};

function trapped(reason: unknown): void {
  const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
  const held = memory?.buffer.byteLength ?? 0;
  // a failed allocation traps without words; a WASM memory ends at 4 GiB
  if (reason instanceof RangeError || held > 2 ** 31) {
    die({
      kind: "out-of-memory",
      message: `the worker ran out of memory at ${(held / 1e9).toFixed(1)} GB (${text})`,
      hint: "choose WebGPU, a smaller model, or fewer samples at once",
    });
  } else {
    die({ kind: "crashed", message: `the engine stopped: ${text}`, hint: "it is restarted; please report this" });
  }
}
self.addEventListener("error", (event) => {
  event.preventDefault();
  trapped(event.error ?? event.message);
});
self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  trapped(event.reason);
});

/** The module, compiled. */
async function compiled(url: URL): Promise<WebAssembly.Module> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url.pathname}: the host says ${answer.status}`);
  // a host may not know this type
  if (answer.headers.get("content-type") === "application/wasm") return WebAssembly.compileStreaming(answer);
  return WebAssembly.compile(await answer.arrayBuffer());
}

let take: (module: WebAssembly.Module) => void = () => undefined;
/** The module as another worker has compiled it; comes with the page's first message. */
const given = self.name.startsWith(MEASURING) ? new Promise<WebAssembly.Module>((resolve) => (take = resolve)) : null;

async function load(): Promise<Engine> {
  const url = new URL(wasm, import.meta.url);
  const module = await (given ?? compiled(url));
  const exports = (await init({ module_or_path: module })) as { memory: WebAssembly.Memory };
  memory = exports.memory;
  scope.saescopeFusedBlock = await fusedBlock(memory);
  // scripts lie in a folder of the page's; the worker's own address is that of a blob
  const engine = new Engine(emit, new URL("../", import.meta.url).href);
  const [entry] = performance.getEntriesByName(url.href) as PerformanceResourceTiming[];
  scope.postMessage({ id: 0, type: "ready", bytes: entry?.decodedBodySize ?? 0, module });
  return engine;
}

const waiting: object[] = [];
self.addEventListener("message", (event: MessageEvent<ToWorker>) => {
  if (dead) return;
  if (event.data.type === "module") return take(event.data.module);
  open.add(event.data.id);
  if (engine) engine.request(event.data);
  else waiting.push(event.data);
});

load().then(
  (loaded) => {
    engine = loaded;
    for (const message of waiting.splice(0)) engine.request(message);
  },
  (reason: unknown) =>
    die({
      kind: "crashed",
      message: `the engine's WebAssembly could not be started: ${reason instanceof Error ? reason.message : String(reason)}`,
      hint: "reload; a browser of the last two years is needed (WebAssembly with SIMD)",
    }),
);
