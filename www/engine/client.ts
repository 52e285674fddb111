// The page's side of the contract in protocol.ts: the engine's worker, whether it is there, and calls to it.

import { EngineFailure, failure } from "./failure";
import { Pool, type Crew } from "./pool";
import { MEASURING } from "./protocol";
import type { CallEvent, EngineError, EngineEvent, Request, Results, RunFiles, Told, ToWorker } from "./protocol";
import { Rpc } from "./rpc";
import script from "./worker.ts?worker&url";

type Analyze = Extract<Request, { type: "analyze" }>;
export type Calibrate = Extract<Request, { type: "calibrate" }>;
/** What is told of a run that goes on. */
export type RunEvent = Exclude<EngineEvent, { type: "shares" | "swaps" }> | { type: "crew"; crew: Crew };

export type EngineState = "idle" | "starting" | "ready" | "failed" | "crashed";

/** Talks to the engine's worker. Emits `state` when the worker's state changes. */
export class EngineClient extends EventTarget {
  state: EngineState = "idle";
  /** Why the worker is not there, where state is `failed` or `crashed`. */
  error: EngineError | null = null;

  /** The WASM, compiled. */
  #module: WebAssembly.Module | null = null;
  #calls = new Rpc<Request, Results, CallEvent, Told>(script, "engine", {
    started: () => this.#become("starting", null),
    told: (message) => {
      if (message.type === "crashed") return this.#broke(message.error);
      this.#module = message.module;
      this.#become("ready", null);
    },
    broke: (message) => this.#broke({ kind: "crashed", message: message || "the engine's script could not be loaded" }),
    cancel: (target) => ({ type: "cancel", target }) satisfies Request,
  });

  /** Asks for one thing. Rejects with EngineFailure. An aborted signal asks the worker to stop; the
   *  call then ends with kind `cancelled`. */
  call<K extends Request["type"]>(
    request: Extract<Request, { type: K }>,
    onEvent?: (event: CallEvent) => void,
    signal?: AbortSignal,
  ): Promise<Results[K]> {
    return this.#calls.call<K>(request, onEvent, signal);
  }

  /** A whole run, on as many workers as the engine asks for; otherwise as `call`. */
  async analyze(request: Analyze, onEvent: (event: RunEvent) => void, signal: AbortSignal): Promise<RunFiles> {
    let pool: Pool | null = null;
    let broken: EngineError | null = null;
    let received = 0;
    const stop = new AbortController();
    const cancel = () => {
      // at once: what is measured in full has been handed in
      pool?.end();
      stop.abort();
    };
    if (signal.aborted) cancel();
    signal.addEventListener("abort", cancel);
    try {
      return await this.call<"analyze">(
        request,
        (event) => {
          if (event.type === "download") received = event.download.received;
          if (event.type === "swaps") return;
          if (event.type !== "shares") return onEvent(event);
          // it was ready before it asked
          if (stop.signal.aborted || !this.#module) return;
          const target = event.id;
          pool = new Pool(script, this.#module, event.shares, request.setup, {
            // one that cannot take it in says so as the end of the run
            measured: (portion, memory) => void this.call<"hand">({ type: "hand", target, portion, memory }).catch(() => undefined),
            progress: (progress) => onEvent({ type: "progress", progress }),
            download: (download) => onEvent({ type: "download", download: { ...download, received: received + download.received } }),
            crew: (crew) => onEvent({ type: "crew", crew }),
            failed: (error) => {
              broken = error;
              stop.abort();
            },
          });
        },
        stop.signal,
      );
    } catch (reason) {
      throw broken ? new EngineFailure(broken) : reason;
    } finally {
      signal.removeEventListener("abort", cancel);
      (pool as Pool | null)?.end();
    }
  }

  /** A run's calibration.json, made by a worker of its own: while it swaps it hears nobody, so that it is stopped by
   *  ending it, and the engine answers meanwhile. The engine has to be ready. */
  async calibrate(request: Calibrate, onEvent: (event: CallEvent) => void, signal: AbortSignal): Promise<string> {
    const module = this.#module;
    if (module === null) throw failure("crashed", "the engine is not running", "try again");
    const calls: Rpc<Request, Results, CallEvent, Told> = new Rpc(script, `${MEASURING} a calibration`, {
      started: () => ({ id: 0, type: "module", module }) satisfies ToWorker,
      told: (message) => message.type === "crashed" && calls.end(message.error),
      broke: (message) => calls.end({ kind: "crashed", message: message || "the engine's script could not be loaded" }),
    });
    const stop = () => calls.end({ kind: "cancelled", message: "cancelled" });
    if (signal.aborted) throw failure("cancelled", "stopped before it began");
    signal.addEventListener("abort", stop);
    try {
      return await calls.call<"calibrate">(request, onEvent);
    } finally {
      signal.removeEventListener("abort", stop);
      stop();
    }
  }

  #broke(error: EngineError): void {
    const state = this.state === "ready" ? "crashed" : "failed";
    this.#calls.end(error);
    this.#become(state, error);
  }

  #become(state: EngineState, error: EngineError | null): void {
    this.state = state;
    this.error = error;
    this.dispatchEvent(new Event("state"));
  }
}
