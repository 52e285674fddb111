// Ghost features, which the hallucination has and its fact has not: in which domains a feature is one, and by layer how
// near they point to the token that the fact ends on, beside what rows of the decoder drawn at random do.

import { columnOf } from "../../data/metrics";
import type { Run } from "../../data/run";
import type { Table } from "../../data/table";
import { shown } from "../../foreign";
import { h } from "../../ui/dom";
import { dataTable, type Alternative, type CellValue } from "../../ui/table";
import { spread } from "./aggregate";

/** In how many hallucinations of a domain a feature is a ghost. */
export interface GhostDomain {
  domain: string;
  n: number;
}

/** Gives the domains in which a feature of stats_features.parquet is a ghost, the most first. */
export function ghostDomains(table: Table): (layer: number, feature: number) => GhostDomain[] {
  const [verdict, ghosts] = [table.texts("verdict"), table.numbers("n_ghost")];
  const [layers, features] = [table.numbers("layer"), table.numbers("feature")];
  const key = (layer: number, feature: number) => layer * 2 ** 31 + feature;
  const rows = new Map<number, number[]>();
  for (let row = 0; row < table.rows; row++) {
    // rows with a verdict are of all samples
    if (verdict?.[row] !== "" || !((ghosts?.[row] ?? NaN) > 0)) continue;
    const at = key(layers?.[row] ?? NaN, features?.[row] ?? NaN);
    const known = rows.get(at);
    if (known === undefined) rows.set(at, [row]);
    else known.push(row);
  }
  return (layer, feature) =>
    (rows.get(key(layer, feature)) ?? [])
      .map((row) => ({ domain: table.text("domain", row), n: table.number("n_ghost", row) }))
      .sort((a, b) => b.n - a.n);
}

/** The first `most` of them by name, and how many more there are: `dates 5, places 2, 3 more`. */
export function ghostWords(ghostIn: readonly GhostDomain[], most: number): string {
  const named = ghostIn.slice(0, most).map(({ domain, n }) => `${shown(domain)} ${n}`);
  return [...named, ...(ghostIn.length > most ? [`${ghostIn.length - most} more`] : [])].join(", ");
}

/** Both sides of what ghosts are read beside, as their columns begin. */
const SIDES = ["ghost", "missing"] as const;
const NUMBERS = ["count", "energy", "token_cosine", "token_cosine_z"] as const;
const NOTE =
  "Means over pairs. Cosine: of the features’ decoder rows with the embedding of the token that the fact ends on, whichever way; z: how far that is from as many rows of the decoder drawn at random, in standard deviations. Features that are active at all point nearer to a text’s tokens than most of the dictionary, so ghosts are to be read beside missing features, not beside 0.";

/** By layer: how many ghosts a pair has, how strong they are together, and how near they are to the fact's last token, the
 *  same of missing features beside it. None where the run has no layer of them, as with its nulls left out. */
export function ghostsByLayer(run: Run): Alternative | null {
  const all = run.sampleIds.map((_, row) => row);
  const rows = run.layers.flatMap((layer): CellValue[][] => {
    const means = SIDES.flatMap((side) =>
      NUMBERS.map((name) => {
        const values = run.metrics.numbers(columnOf(`${side}_${name}`, "whole", layer));
        return values === null ? NaN : (spread(values, all)?.mean ?? NaN);
      }),
    );
    return means.slice(2, 4).some(Number.isFinite) ? [[String(layer), ...means]] : [];
  });
  if (rows.length === 0) return null;
  const columns = ["Layer", ...SIDES.flatMap((side) => [`${side === "ghost" ? "Ghosts" : "Missing"} per pair`, `Activation, ${side}`, `Cosine, ${side}`, `z, ${side}`])];
  return { columns, rows, note: NOTE };
}

/** The same, folded; nothing where there is none. */
export function ghostTable(run: Run): HTMLElement | null {
  const table = ghostsByLayer(run);
  if (table === null) return null;
  const title = "Ghost features beside the fact’s last token, by layer";
  return h(
    "details",
    { class: "as-table", "data-test": "ghosts" },
    h("summary", null, title),
    h("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": title }, dataTable(table)),
  );
}
