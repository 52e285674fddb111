// features.parquet: active features by sample, text and layer. Runs in the worker.

import type { AsyncBuffer } from "hyparquet";
import { failure } from "../engine/failure";
import { shown } from "../foreign";
import { readColumns, readMetadata, requireColumns } from "./parquet";

export const FEATURES_FILE = "features.parquet";
const COLUMNS = ["sample_id", "text", "layer", "feature", "activation"];

/** The three texts of a sample, as the files name them. */
export const TEXTS = ["prompt", "fact", "hall"] as const;
export type TextKind = (typeof TEXTS)[number];

/** Active features of one text at one layer. */
export interface LayerFeatures {
  text: TextKind;
  layer: number;
  features: Int32Array;
  activations: Float32Array;
}

/** All of one sample. */
export interface SampleFeatures {
  sampleId: string;
  parts: LayerFeatures[];
}

interface Segment {
  text: TextKind;
  layer: number;
  start: number;
  end: number;
}

/** The whole file in two arrays, with the stretches of each sample. */
export class FeatureIndex {
  #features: Int32Array;
  #activations: Float32Array;
  #samples = new Map<string, Segment[]>();

  private constructor(rows: number) {
    this.#features = new Int32Array(rows);
    this.#activations = new Float32Array(rows);
  }

  static async read(buffer: AsyncBuffer): Promise<FeatureIndex> {
    const metadata = await readMetadata(FEATURES_FILE, buffer);
    requireColumns(FEATURES_FILE, COLUMNS, metadata.schema.slice(1).map((element) => element.name));
    const index = new FeatureIndex(Number(metadata.num_rows));
    // One row group at a time: the texts of its ids are the only part that is not kept.
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rows = Number(group.num_rows);
      const columns = new Map(COLUMNS.map((name) => [name, new Array<unknown>(rows)]));
      await readColumns(FEATURES_FILE, buffer, { ...metadata, row_groups: [group] }, COLUMNS, (name, first, values) => {
        const column = columns.get(name) as unknown[];
        for (let i = 0; i < values.length; i++) column[first + i] = values[i];
      });
      index.#add(rowStart, rowStart + rows, columns);
      rowStart += rows;
    }
    return index;
  }

  /** The active features of a sample; null where the file has none of it. */
  sample(sampleId: string): SampleFeatures | null {
    const segments = this.#samples.get(sampleId);
    if (segments === undefined) return null;
    // A file that was written again in another order has more than one stretch of a part.
    const parts = new Map<string, Segment[]>();
    for (const segment of segments) {
      const key = `${segment.text} ${segment.layer}`;
      parts.set(key, [...(parts.get(key) ?? []), segment]);
    }
    return {
      sampleId,
      parts: [...parts.values()].map((stretches) => {
        const total = stretches.reduce((sum, { start, end }) => sum + end - start, 0);
        const features = new Int32Array(total);
        const activations = new Float32Array(total);
        let at = 0;
        for (const { start, end } of stretches) {
          features.set(this.#features.subarray(start, end), at);
          activations.set(this.#activations.subarray(start, end), at);
          at += end - start;
        }
        const { text, layer } = stretches[0] as Segment;
        return { text, layer, features, activations };
      }),
    };
  }

  #add(first: number, last: number, columns: Map<string, unknown[]>): void {
    const of = (name: string) => columns.get(name) as unknown[];
    const [ids, texts, layers] = [of("sample_id"), of("text"), of("layer")];
    const [features, activations] = [of("feature"), of("activation")];
    let open: (Segment & { id: string }) | null = null;
    for (let i = 0; i < last - first; i++) {
      this.#features[first + i] = Number(features[i]);
      this.#activations[first + i] = Number(activations[i]);
      const id = String(ids[i]);
      const layer = Number(layers[i]);
      const text = texts[i] as TextKind;
      if (open === null || open.id !== id || open.text !== text || open.layer !== layer) {
        if (!TEXTS.includes(text)) {
          throw failure(
            "malformed",
            `${FEATURES_FILE}: row ${first + i}: expected text to be prompt, fact or hall, found ${shown(String(text))}`,
            "open the files that saescope wrote for one run",
          );
        }
        open = { id, text, layer, start: first + i, end: first + i };
        const segments = this.#samples.get(id);
        if (segments === undefined) this.#samples.set(id, [open]);
        else segments.push(open);
      }
      open.end = first + i + 1;
    }
  }
}
