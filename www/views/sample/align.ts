// One layer's active features of prompt, fact and hallucination, aligned by feature.

import type { SampleFeatures, TextKind } from "../../data/run";

/** A feature in any of the three texts; 0 where it is not active. */
export interface Aligned {
  feature: number;
  prompt: number;
  fact: number;
  hall: number;
  /** Ghost: in the hallucination and not in the fact; missing: the other way round. */
  mark: "ghost" | "missing" | "";
}

/** All features of a layer, the strongest completion first. */
export function align(sample: SampleFeatures, layer: number): Aligned[] {
  const found = new Map<number, Aligned>();
  for (const part of sample.parts) {
    if (part.layer !== layer) continue;
    part.features.forEach((feature, i) => {
      let row = found.get(feature);
      if (row === undefined) {
        row = { feature, prompt: 0, fact: 0, hall: 0, mark: "" };
        found.set(feature, row);
      }
      row[part.text] = part.activations[i] as number;
    });
  }
  const rows = [...found.values()];
  for (const row of rows) row.mark = row.hall > 0 && row.fact === 0 ? "ghost" : row.fact > 0 && row.hall === 0 ? "missing" : "";
  const strength = (row: Aligned) => Math.max(row.fact, row.hall) || row.prompt * 1e-6;
  return rows.sort((a, b) => strength(b) - strength(a) || a.feature - b.feature);
}

/** The features active in one text, with their activations. */
export function activeIn(rows: Aligned[], text: TextKind): Aligned[] {
  return rows.filter((row) => row[text] > 0);
}
