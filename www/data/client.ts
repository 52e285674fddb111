// The page's side of the data worker: started once, one for all runs.

import { Rpc } from "../engine/rpc";
import type { DataRequest, DataResults } from "./worker";
import script from "./worker.ts?worker&url";

const calls = new Rpc<DataRequest, DataResults>(script, "data", {
  broke: (message) =>
    calls.end({
      kind: "crashed",
      message: message || "the script that reads Parquet files could not be loaded",
      hint: "reload the page",
    }),
});

/** Starts the data worker before there is anything to ask it, beside the fetch of a run's files. */
export function startData(): void {
  calls.start();
}

/** Asks the data worker for one thing; rejects with EngineFailure. */
export function askData<K extends DataRequest["type"]>(request: Extract<DataRequest, { type: K }>): Promise<DataResults[K]> {
  return calls.call<K>(request);
}
