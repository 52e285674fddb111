// What state the page is in. Everything that has words of its own is told on <html>, for style and
// for tests:
//
// data-state   the last thing that happened
//   loading        the first run is being read
//   empty          there is no run to show
//   ready          a run is shown, or a view is open; nothing goes on
//   unreadable     a run could not be opened (files missing, not Parquet, no answer)
//   downloading    a run downloads its model or SAEs
//   running        a run computes
//   finished       the run is complete and shown
//   cancelled      the user stopped it; finished samples are kept
//   device-lost    the graphics device went away; finished samples are kept
//   out-of-memory  device or worker ran out of memory; finished samples are kept
//   crashed        the engine stopped unexpectedly; finished samples are kept
//   quota          the browser's storage is full
//   truncated      a download ended early
//   offline        a download was needed and there is no network
//   network        a host did not answer
//   bad-data       the data set cannot be read, or none of its rows can be used
//   gated          the model needs a token
//   run-failed     the run ended with any other error
//   failed         the engine could not start: no WebAssembly, no SIMD, script or WASM not loaded
// data-engine   idle | starting | ready | failed | crashed
// data-webgpu   unknown | ok | software | none | wrong | failed  (see Hello in protocol.ts)
// data-online   yes | no: whether the page's host answers (network.ts)
// data-kept     going | yes | no: whether what is shown opens without a network (offline.ts)
// data-view     results | sample | setup | run | explore | storage

import type { Catalog, EngineError, Hello, ModelInfo } from "../engine/protocol";
import { hostAnswers } from "./network";

export type PageState =
  | "loading"
  | "empty"
  | "ready"
  | "unreadable"
  | "downloading"
  | "running"
  | "finished"
  | "cancelled"
  | "device-lost"
  | "out-of-memory"
  | "crashed"
  | "quota"
  | "truncated"
  | "offline"
  | "network"
  | "bad-data"
  | "gated"
  | "run-failed"
  | "failed";

/** What several views share. Emits `change`. */
export class Shared extends EventTarget {
  hello: Hello | null = null;
  models: ModelInfo[] = [];
  catalog: Catalog | null = null;

  /** Changes fields and tells the views. */
  update(fields: Partial<Pick<Shared, "hello" | "models" | "catalog">>): void {
    Object.assign(this, fields);
    if (fields.hello) document.documentElement.dataset.webgpu = fields.hello.webgpu.state;
    this.dispatchEvent(new Event("change"));
  }
}

// A run that goes on is what the page does, whatever view the user opens beside it.
const OF_A_VIEW: readonly PageState[] = ["ready", "empty", "unreadable", "bad-data", "gated"];
let going = false;

/** Tells whether a run goes on: meanwhile no view changes the page's state. */
export function holdState(on: boolean): void {
  going = on;
}

/** Puts the page in a state. */
export function enter(state: PageState): void {
  if (going && OF_A_VIEW.includes(state)) return;
  document.documentElement.dataset.state = state;
}

/** The state that an error of a run leaves the page in. */
export function stateOf(error: EngineError): PageState {
  switch (error.kind) {
    case "device-lost":
    case "out-of-memory":
    case "crashed":
    case "quota":
    case "truncated":
    case "cancelled":
      return error.kind;
    case "network":
      return hostAnswers() ? "network" : "offline";
    default:
      return "run-failed";
  }
}
