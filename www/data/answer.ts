// What is asked of a run's files, and the answers: all parsing of them happens here.

import { failure } from "../engine/failure";
import { FeatureIndex, type SampleFeatures } from "./features";
import { blobBuffer, readTable } from "./parquet";
import { presenceOf, type Presence } from "./presence";
import type { TableData } from "./table";
import { toCsv, toJson } from "./text";

/** What is asked. `key` names an opened features.parquet. */
export type DataRequest =
  | { type: "table"; name: string; blob: Blob; needed: string[] }
  /** A table as text: a blob of CSV or JSON. */
  | { type: "convert"; name: string; blob: Blob; format: "csv" | "json" }
  | { type: "open-features"; key: string; blob: Blob }
  | { type: "features"; key: string; sampleId: string }
  /** How often each feature is active in facts and in hallucinations of these samples. */
  | { type: "presence"; key: string; sampleIds: string[] }
  | { type: "close"; key: string };

export interface DataResults {
  table: TableData;
  convert: Blob;
  "open-features": null;
  features: SampleFeatures | null;
  presence: Presence[];
  close: null;
}

const indexes = new Map<string, FeatureIndex>();

/** Answers; `transfer` is what a worker may give away with it. */
export async function answer(request: DataRequest): Promise<{ result: unknown; transfer: Transferable[] }> {
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
      const sample = opened(request.key).sample(request.sampleId);
      const buffers = sample?.parts.flatMap((part) => [part.features.buffer, part.activations.buffer]) ?? [];
      return { result: sample, transfer: buffers };
    }
    case "presence":
      return { result: presenceOf(opened(request.key), request.sampleIds), transfer: [] };
    case "close":
      indexes.delete(request.key);
      return { result: null, transfer: [] };
  }
}

function opened(key: string): FeatureIndex {
  const index = indexes.get(key);
  if (index === undefined) throw failure("missing", "features.parquet of this run is not open");
  return index;
}
