// What the columns of metrics.parquet are: layers, pairs of fact and hallucination, and their names
// in words. All of it is the library's own list of metrics; nothing here assumes a number of layers or
// a model.

import { shown } from "../foreign";
import { ENTRIES, type Entry } from "../generated/metrics";
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
  /** Whether it says where another number stands among draws of a null. */
  nulls: boolean;
}

/** What a column holds of its metric; `series` is the name that stats.parquet has for the metric itself. */
type Part = keyof Entry["columns"] | "series";

/** A name of metrics.parquet or stats.parquet, taken apart. */
interface Name {
  entry: Entry;
  layer: number | null;
  part: Part;
}

/** Names with `{L}` for the layer. A series comes last: `complexity` is a column before it is one. */
const KNOWN = new Map<string, { entry: Entry; part: Part }>();
for (const entry of ENTRIES) for (const [part, name] of Object.entries(entry.columns)) KNOWN.set(name, { entry, part: part as Part });
for (const entry of ENTRIES) if (!KNOWN.has(entry.series)) KNOWN.set(entry.series, { entry, part: "series" });

const LAYER = /^l(\d+)_/;

/** What the library says of a name; null for one that it does not know. */
function find(name: string): Name | null {
  const whole = KNOWN.get(name);
  if (whole !== undefined) return { ...whole, layer: null };
  const layer = LAYER.exec(name)?.[1];
  const found = layer === undefined ? undefined : KNOWN.get(name.replace(LAYER, "l{L}_"));
  return found === undefined ? null : { ...found, layer: Number(layer) };
}

/** A template's name at a layer. */
const at = (template: string, layer: number | null): string => template.replace("{L}", String(layer));

const TEXTS: Partial<Record<Part, string>> = { prompt: " of the prompt", fact: " of the fact", hall: " of the hallucination", diff: " (difference column)" };

/** Whether a name of either file says where another number stands among draws of a null. */
export function isNull(name: string): boolean {
  return find(name)?.entry.nulls === true;
}

/** The layer of a name, where it has one, and the metric without layer and text. */
export function splitName(name: string): { layer: number | null; base: string } {
  const found = find(name);
  return found === null ? { layer: null, base: name } : { layer: found.layer, base: found.entry.name };
}

/** A name of either file in words, with its layer: `Gini of activations, layer 6`. */
export function nameInWords(name: string): string {
  const found = find(name);
  if (found === null) return shown(name.replaceAll("_", " "));
  const words = found.entry.label + (TEXTS[found.part] ?? "");
  return found.layer === null ? words : `${words}, layer ${found.layer}`;
}

/** What a name of either file stands for, in a sentence, and under it the name as the files have it. */
export function described(name: string, asStored = name): string {
  const help = find(name)?.entry.help;
  return help === undefined ? asStored : `${help}\n${asStored}`;
}

/** A metric in words, with its unit where that is a measure. */
export function baseInWords(base: string, unit = false): string {
  const entry = ENTRIES.find(({ name }) => name === base);
  if (entry === undefined) return base.replaceAll("_", " ");
  return unit && MEASURES.has(entry.unit) ? `${entry.label} (${entry.unit})` : entry.label;
}

/** Units that a reader has to be told: of the others the label says it, or there is none. */
const MEASURES = new Set(["degrees", "nats"]);

/** Name in stats.parquet of the metric that a `*_diff` column is the difference of; null for any other name. */
export function differenceOf(name: string): string | null {
  const found = find(name);
  return found?.part === "diff" ? at(found.entry.series, found.layer) : null;
}

/** The column of a metric's text, or of the whole sample, at a layer where it is measured at one. */
export function columnOf(base: string, text: "fact" | "hall" | "whole", layer: number | null = null): string {
  const template = ENTRIES.find(({ name }) => name === base)?.columns[text];
  return template === undefined ? base : at(template, layer);
}

/** Layers of the columns, in file order (which is that of first, second, third). */
export function layersOf(table: Table): number[] {
  const layers = table.columns.map(({ name }) => find(name)?.layer ?? null);
  return [...new Set(layers.filter((layer) => layer !== null))];
}

/** Every numeric metric that has both sides, in file order. */
export function metricsOf(table: Table): Metric[] {
  const metrics: Metric[] = [];
  for (const column of table.columns) {
    const found = find(column.name);
    if (column.kind === "text" || found?.part !== "fact") continue;
    const { entry, layer } = found;
    const [hall, diff] = [entry.columns.hall, entry.columns.diff].map((name) => (name === undefined ? null : at(name, layer)));
    if (hall == null || table.numbers(hall) === null) continue;
    const name = at(entry.series, layer);
    metrics.push({
      name,
      base: entry.name,
      layer,
      fact: column.name,
      hall,
      diff: diff != null && table.has(diff) ? diff : null,
      label: nameInWords(name),
      nulls: entry.nulls === true,
    });
  }
  return metrics;
}
