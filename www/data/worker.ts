// The data worker: all parsing of a run's files happens here, so that the page stays responsive.

import { asEngineError, failure } from "../engine/failure";
import type { Ended } from "../engine/rpc";
import { FeatureIndex, type SampleFeatures } from "./features";
import { blobBuffer, readTable } from "./parquet";
import type { TableData } from "./table";
import { toCsv, toJson } from "./text";

/** What the page asks of the data worker. `key` names an opened features.parquet. */
export type DataRequest =
  | { type: "table"; name: string; blob: Blob; needed: string[] }
  /** A table as text: a blob of CSV or JSON. */
  | { type: "convert"; name: string; blob: Blob; format: "csv" | "json" }
  | { type: "open-features"; key: string; blob: Blob }
  | { type: "features"; key: string; sampleId: string }
  | { type: "close"; key: string };

export interface DataResults {
  table: TableData;
  convert: Blob;
  "open-features": null;
  features: SampleFeatures | null;
  close: null;
}

const indexes = new Map<string, FeatureIndex>();

async function answer(request: DataRequest): Promise<{ result: unknown; transfer: Transferable[] }> {
  switch (request.type) {
    case "table": {
      const table = await readTable(request.name, blobBuffer(request.blob), request.needed);
      const transfer = table.columns.flatMap((column) => (column.kind === "text" ? [] : [column.values.buffer]));
      return { result: table, transfer };
    }
    case "convert": {
      const table = await readTable(request.name, blobBuffer(request.blob), []);
      const [lines, type] =
        request.format === "csv" ? [toCsv(table), "text/csv"] : [toJson(table), "application/json"];
      return { result: new Blob(lines, { type }), transfer: [] };
    }
    case "open-features":
      indexes.set(request.key, await FeatureIndex.read(blobBuffer(request.blob)));
      return { result: null, transfer: [] };
    case "features": {
      const index = indexes.get(request.key);
      if (index === undefined) throw failure("missing", "features.parquet of this run is not open");
      const sample = index.sample(request.sampleId);
      const buffers = sample?.parts.flatMap((part) => [part.features.buffer, part.activations.buffer]) ?? [];
      return { result: sample, transfer: buffers };
    }
    case "close":
      indexes.delete(request.key);
      return { result: null, transfer: [] };
  }
}

/** The worker's scope, without pulling the worker's library into the page's types. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent<DataRequest & { id: number }>) => void;
  postMessage(message: Ended, transfer?: Transferable[]): void;
};

scope.onmessage = ({ data }) => {
  answer(data).then(
    ({ result, transfer }) => scope.postMessage({ id: data.id, type: "done", result }, transfer),
    (reason: unknown) => scope.postMessage({ id: data.id, type: "error", error: asEngineError(reason, "malformed") }),
  );
};
