// What page and engine worker say to each other. The shapes are those of crate/protocol/, from which they
// are written (generated/); here is how they are put together into messages. Sizes are bytes, times
// seconds, angles degrees.
//
// Every request carries an id. It is answered by any number of events of that id and exactly one
// terminal message: `done` or `error`. Calls may overlap; the id tells them apart.

import type { Answer, EngineError, EngineEvent, Request } from "../generated/protocol";

export type * from "../generated/catalog";
export type * from "../generated/protocol";

export type ToWorker =
  | (Request & { id: number })
  /** Not a request: the WASM, for a worker that measures; see MEASURING. */
  | { id: 0; type: "module"; module: WebAssembly.Module };

/** How the names of workers begin that measure shares of a run. They are given the WASM that the engine's own
 *  worker has compiled. */
export const MEASURING = "measuring";

export type FromWorker =
  | (EngineEvent & { id: number })
  | { id: number; type: "done"; result: unknown }
  | { id: number; type: "error"; error: EngineError }
  /** Not of a request: the WASM instance is gone. Every open request has got its `error` before;
   *  the page makes a new worker. */
  | { id: 0; type: "crashed"; error: EngineError }
  /** The worker's script runs and its WASM is compiled (`bytes` of it). */
  | { id: 0; type: "ready"; bytes: number; module: WebAssembly.Module };

/** The end of a call. */
type Ended = Extract<FromWorker, { type: "done" | "error" }>;
/** What belongs to no call. */
export type Told = Extract<FromWorker, { type: "ready" | "crashed" }>;
/** What a call says before its end. */
export type CallEvent = Exclude<FromWorker, Ended | Told>;

/** What a request's `done` holds. */
export type Results = { [K in Request["type"]]: Extract<Answer, { type: K }>["result"] };
