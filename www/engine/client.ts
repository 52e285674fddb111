// The page's side of the contract in protocol.ts: the engine's worker, whether it is there, and calls to it.

import type { EngineError, FromWorker, Request, Results } from "./protocol";
import { Rpc, type Ended } from "./rpc";
import script from "./worker.ts?worker&url";

/** What belongs to no call. */
type Told = Extract<FromWorker, { type: "ready" | "crashed" }>;
/** The `download`, `progress` and `partial` events of a call. */
type Events = Exclude<FromWorker, Ended | Told>;

export type EngineState = "idle" | "starting" | "ready" | "failed" | "crashed";

/** Talks to the engine's worker. Emits `state` when the worker's state changes. */
export class EngineClient extends EventTarget {
  state: EngineState = "idle";
  /** Why the worker is not there, where state is `failed` or `crashed`. */
  error: EngineError | null = null;

  #calls = new Rpc<Request, Results, Events, Told>(script, "engine", {
    started: () => this.#become("starting", null),
    told: (message) => {
      if (message.type === "crashed") return this.#broke(message.error);
      this.#become("ready", null);
    },
    broke: (message) => this.#broke({ kind: "crashed", message: message || "the engine's script could not be loaded" }),
    cancel: (target) => ({ type: "cancel", target }) satisfies Request,
  });

  /** Asks for one thing. Rejects with EngineFailure. An aborted signal asks the worker to stop; the
   *  call then ends with kind `cancelled`. */
  call<K extends Request["type"]>(
    request: Extract<Request, { type: K }>,
    onEvent?: (event: Events) => void,
    signal?: AbortSignal,
  ): Promise<Results[K]> {
    return this.#calls.call<K>(request, onEvent, signal);
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
