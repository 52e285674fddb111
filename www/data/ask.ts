// Who reads a run's files: on the page a worker, in a report the document itself. Whoever opens runs says
// which, before the first one.

import { failure } from "../engine/failure";
import type { DataRequest, DataResults } from "./answer";

type Ask = <K extends DataRequest["type"]>(request: Extract<DataRequest, { type: K }>) => Promise<DataResults[K]>;

let reader: Ask | null = null;

/** Has every later question answered by `ask`. */
export function readBy(ask: Ask): void {
  reader = ask;
}

/** Asks for one thing; rejects with EngineFailure. */
export async function askData<K extends DataRequest["type"]>(request: Extract<DataRequest, { type: K }>): Promise<DataResults[K]> {
  if (reader === null) throw failure("crashed", "nothing reads the run's files here");
  return reader<K>(request);
}
