// The page's side of the data worker: started once, one for all runs.

import { EngineFailure } from "../engine/client";
import { PolicyWorker } from "../engine/policy-worker";
import type { DataAnswer, DataRequest, DataResults } from "./worker";
import script from "./worker.ts?worker&url";

interface Open {
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

type RequestOf<K extends DataRequest["type"]> = Extract<DataRequest, { type: K }>;

let worker: PolicyWorker | null = null;
let next = 1;
const open = new Map<number, Open>();

function start(): PolicyWorker {
  const started = new PolicyWorker(script, "data");
  started.addEventListener("message", (event) => {
    const { data } = event as MessageEvent<DataAnswer>;
    const call = open.get(data.id);
    open.delete(data.id);
    if ("error" in data) call?.reject(new EngineFailure(data.error));
    else call?.resolve(data.result);
  });
  started.addEventListener("error", (event) => {
    started.terminate();
    worker = null;
    const error = {
      kind: "crashed" as const,
      message: (event as ErrorEvent).message || "the script that reads Parquet files could not be loaded",
      hint: "reload the page",
    };
    for (const call of open.values()) call.reject(new EngineFailure(error));
    open.clear();
  });
  return started;
}

/** Starts the data worker before there is anything to ask it, beside the fetch of a run's files. */
export function startData(): void {
  worker ??= start();
}

/** Asks the data worker for one thing; rejects with EngineFailure. */
export function askData<K extends DataRequest["type"]>(request: RequestOf<K>): Promise<DataResults[K]> {
  const id = next++;
  return new Promise<DataResults[K]>((resolve, reject) => {
    open.set(id, { resolve: (result) => resolve(result as DataResults[K]), reject });
    worker ??= start();
    worker.postMessage({ ...request, id });
  });
}
