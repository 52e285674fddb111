// The page's side of the data worker: started once, one for all runs.

import { Rpc } from "../engine/rpc";
import type { DataRequest, DataResults } from "./answer";
import { readBy } from "./ask";
import script from "./worker.ts?worker&url";

const calls = new Rpc<DataRequest, DataResults>(script, "data", {
  broke: (message) =>
    calls.end({
      kind: "crashed",
      message: message || "the script that reads Parquet files could not be loaded",
      hint: "reload the page",
    }),
});

/** Has the data worker read every run, and starts it before there is anything to ask it, beside the fetch of
 *  a run's files. */
export function startData(): void {
  readBy(askWorker);
  calls.start();
}

/** What a file may take, however small it is, and how much more by its size: far more than any does. */
const LEAST_MS = 60_000;
const BYTES_PER_MS = 1000;

/** Asks the data worker for one thing; rejects with EngineFailure. A file that keeps it busy beyond all
 *  measure ends it: the next call starts another. */
async function askWorker<K extends DataRequest["type"]>(request: Extract<DataRequest, { type: K }>): Promise<DataResults[K]> {
  const size = "blob" in request ? request.blob.size : 0;
  const late = setTimeout(
    () => calls.end({ kind: "crashed", message: "reading this file took too long and was stopped", hint: "the file may be damaged: copy the run again" }),
    LEAST_MS + size / BYTES_PER_MS,
  );
  try {
    return await calls.call<K>(request);
  } finally {
    clearTimeout(late);
  }
}
