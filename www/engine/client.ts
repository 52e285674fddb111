// The page's side of the contract in protocol.ts: calls with ids, a worker that is only started when
// first needed, and a new one after the old one died.

import { PolicyWorker } from "./policy-worker";
import script from "./worker.ts?worker&url";
import type { EngineError, EngineEvent, FromWorker, Request, Results, ToWorker } from "./protocol";

/** A failed call. `error.kind` tells what went wrong. */
export class EngineFailure extends Error {
  constructor(readonly error: EngineError) {
    super(error.message);
    this.name = "EngineFailure";
  }
}

type RequestOf<K extends keyof Results> = Extract<Request, { type: K }>;

interface Open {
  resolve(result: unknown): void;
  reject(failure: unknown): void;
  onEvent: ((event: EngineEvent) => void) | undefined;
}

export type EngineState = "idle" | "starting" | "ready" | "failed" | "crashed";

/** Turns anything thrown into the contract's error. */
export function asEngineError(reason: unknown): EngineError {
  if (reason instanceof EngineFailure) return reason.error;
  return { kind: "crashed", message: reason instanceof Error ? reason.message : String(reason) };
}

/** Talks to the engine's worker. Emits `state` when the worker's state changes. */
export class EngineClient extends EventTarget {
  state: EngineState = "idle";
  /** Size of the compiled WASM, once it is there. */
  wasmBytes = 0;
  /** Why the worker is not there, where state is `failed` or `crashed`. */
  error: EngineError | null = null;

  #worker: PolicyWorker | null = null;
  #open = new Map<number, Open>();
  #next = 1;

  /** Asks for one thing. Rejects with EngineFailure. An aborted signal asks the worker to stop; the
   *  call then ends with kind `cancelled`. */
  call<K extends keyof Results>(
    request: RequestOf<K>,
    onEvent?: (event: EngineEvent) => void,
    signal?: AbortSignal,
  ): Promise<Results[K]> {
    const id = this.#next++;
    return new Promise<Results[K]>((resolve, reject) => {
      if (signal?.aborted) {
        reject(new EngineFailure({ kind: "cancelled", message: "stopped before it began" }));
        return;
      }
      const stop = () => this.#post({ type: "cancel", target: id, id: this.#next++ });
      const settle = () => signal?.removeEventListener("abort", stop);
      this.#open.set(id, {
        resolve: (result) => (settle(), resolve(result as Results[K])),
        reject: (failure) => (settle(), reject(failure)),
        onEvent,
      });
      signal?.addEventListener("abort", stop);
      this.#post({ ...request, id } as ToWorker);
    });
  }

  /** Ends the worker; the next call starts a new one. */
  restart(): void {
    this.#end({ kind: "crashed", message: "the engine was restarted" }, "idle");
  }

  #post(message: ToWorker): void {
    this.#worker ??= this.#start();
    try {
      this.#worker.postMessage(message);
    } catch (reason) {
      this.#open.get(message.id)?.reject(new EngineFailure({ kind: "usage", message: String(reason) }));
      this.#open.delete(message.id);
    }
  }

  #start(): PolicyWorker {
    this.#become("starting", null);
    const worker = new PolicyWorker(script, "engine");
    worker.addEventListener("message", (event) => {
      if (worker === this.#worker) this.#receive((event as MessageEvent<FromWorker>).data);
    });
    const broken = (message: string) => {
      if (worker !== this.#worker) return;
      const state = this.state === "ready" ? "crashed" : "failed";
      this.#end({ kind: "crashed", message }, state);
    };
    worker.addEventListener("error", (event) => {
      broken((event as ErrorEvent).message || "the engine's script could not be loaded");
    });
    worker.addEventListener("messageerror", () => broken("the engine sent a message that cannot be read"));
    return worker;
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "ready":
        this.wasmBytes = message.bytes;
        this.#become("ready", null);
        return;
      case "crashed":
        this.#end(message.error, this.state === "ready" ? "crashed" : "failed");
        return;
      case "done":
        this.#open.get(message.id)?.resolve(message.result);
        this.#open.delete(message.id);
        return;
      case "error":
        this.#open.get(message.id)?.reject(new EngineFailure(message.error));
        this.#open.delete(message.id);
        return;
      default:
        this.#open.get(message.id)?.onEvent?.(message);
    }
  }

  #end(error: EngineError, state: EngineState): void {
    this.#worker?.terminate();
    this.#worker = null;
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const call of open) call.reject(new EngineFailure(error));
    this.#become(state, state === "idle" ? null : error);
  }

  #become(state: EngineState, error: EngineError | null): void {
    this.state = state;
    this.error = error;
    this.dispatchEvent(new Event("state"));
  }
}
