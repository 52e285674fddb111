// What page and engine worker say to each other. The shapes are those of crate/protocol/, from which they
// are written (generated/); here is how they are put together into messages. Sizes are bytes, times
// seconds, angles degrees.
//
// Every request carries an id. It is answered by any number of events of that id and exactly one
// terminal message: `done` or `error`. Calls may overlap; the id tells them apart.

import type { Answer, EngineError, EngineEvent, Request } from "../generated/protocol";

export type * from "../generated/catalog";
export type * from "../generated/protocol";

export type ToWorker = Request & { id: number };

export type FromWorker =
  | (EngineEvent & { id: number })
  | { id: number; type: "done"; result: unknown }
  | { id: number; type: "error"; error: EngineError }
  /** Not of a request: the WASM instance is gone. Every open request has got its `error` before;
   *  the page makes a new worker. */
  | { id: 0; type: "crashed"; error: EngineError }
  /** The worker's script runs and its WASM is compiled (`bytes` of it). */
  | { id: 0; type: "ready"; bytes: number };

/** What a request's `done` holds. */
export type Results = { [K in Request["type"]]: Extract<Answer, { type: K }>["result"] };
