// What the columns of metrics.parquet are: layers, pairs of fact and hallucination, and their names
// in words. Nothing here assumes a number of layers or a model.

import type { Table } from "./table";

/** A metric that fact and hallucination both have. `name` is that of stats.parquet: `l6_gini`. */
export interface Metric {
  name: string;
  /** Without the layer: `gini`. */
  base: string;
  layer: number | null;
  fact: string;
  hall: string;
  /** The `*_diff` column, where there is one. */
  diff: string | null;
  label: string;
}

const WORDS: Record<string, string> = {
  l0_norm: "L0",
  reconstruction_error: "Reconstruction error",
  gini: "Gini of activations",
  sphericity: "Sphericity",
  dimensionality: "Dimensionality",
  energy: "Energy",
  elongation: "Elongation",
  eigenvalue_entropy: "Eigenvalue entropy",
  misalignment_angle: "Misalignment angle",
  explained_variance: "Explained variance",
  centroid_drift: "Centroid drift",
  axis_twist: "Axis twist",
  stability: "Stability",
  entropy: "Entropy",
  cross_layer_consistency: "Cross-layer consistency",
  cross_layer_reconstruction_cosine: "Cross-layer reconstruction cosine",
  logprob: "Log-probability",
  n_tokens: "Tokens",
  n_tokens_prompt: "Tokens of the prompt",
  complexity: "Complexity",
  shape_class: "Shape class",
  ghost_count: "Ghost features",
  ghost_energy: "Ghost energy",
  missing_count: "Missing features",
  missing_energy: "Missing energy",
  residual_norm: "Residual norm",
  prompt_residual_norm: "Residual norm of the prompt",
  prompt_is_sink: "Prompt ends at an attention sink",
};

const UNITS: Record<string, string> = {
  centroid_drift: "degrees",
  axis_twist: "degrees",
  misalignment_angle: "degrees",
  entropy: "nats",
  eigenvalue_entropy: "nats",
  logprob: "nats",
};

/** A metric's name split into layer and base: `l6_gini` is 6 and `gini`. */
export function splitName(name: string): { layer: number | null; base: string } {
  const match = /^l(\d+)_(.+)$/.exec(name);
  return match === null ? { layer: null, base: name } : { layer: Number(match[1]), base: match[2] as string };
}

/** A metric's name in words, with its layer: `Gini of activations, layer 6`. */
export function nameInWords(name: string): string {
  const { layer, base } = splitName(name);
  const difference = base.endsWith("_diff");
  const plain = difference ? base.slice(0, -5) : base;
  const words = (WORDS[plain] ?? plain.replaceAll("_", " ")) + (difference ? " (difference column)" : "");
  return layer === null ? words : `${words}, layer ${layer}`;
}

/** A base name in words, with its unit where it has one. */
export function baseInWords(base: string, unit = false): string {
  const words = WORDS[base] ?? base.replaceAll("_", " ");
  return unit && UNITS[base] !== undefined ? `${words} (${UNITS[base]})` : words;
}

/** Layers of the columns, in file order (which is that of first, second, third). */
export function layersOf(table: Table): number[] {
  const layers: number[] = [];
  for (const { name } of table.columns) {
    const match = /^l(\d+)_fact_l0_norm$/.exec(name);
    if (match !== null) layers.push(Number(match[1]));
  }
  return layers;
}

/** Every numeric metric that has both sides, in file order. */
export function metricsOf(table: Table): Metric[] {
  const metrics: Metric[] = [];
  for (const column of table.columns) {
    if (column.kind === "text") continue;
    const parts = column.name.split("_");
    const at = parts.indexOf("fact");
    if (at < 0) continue;
    const hall = parts.with(at, "hall").join("_");
    if (table.numbers(hall) === null) continue;
    const name = parts.filter((_, i) => i !== at).join("_");
    const { layer, base } = splitName(name);
    const diff = table.has(`${name}_diff`) ? `${name}_diff` : null;
    metrics.push({ name, base, layer, fact: column.name, hall, diff, label: nameInWords(name) });
  }
  return metrics;
}
