// Which features differ between facts and hallucinations, by their verdicts: stats_features.parquet as tables, one
// for each layer.

import type { Run } from "../data/run";
import type { Table } from "../data/table";
import { shown } from "../foreign";
import { h } from "../ui/dom";
import { counted, probability, signed } from "../ui/format";
import { VERDICTS, verdictWord } from "../views/results/verdicts";
import type { Label } from "./embedded";

/** Lines for each layer. */
const MOST_ROWS = 8;

/** A feature over all samples. */
export interface FeatureLine {
  layer: number;
  feature: number;
  fact: number;
  hall: number;
  ghost: number;
  missing: number;
  presenceQ: number;
  dz: number;
  q: number;
  adjustedQ: number;
  verdict: string;
}

/** Verdicts in the order in which their features are listed. */
const ORDER = Object.keys(VERDICTS);

/** The tested features, by verdict, then by how sure their difference is. */
export function featureLines(table: Table): FeatureLine[] {
  const lines: FeatureLine[] = [];
  for (let row = 0; row < table.rows; row++) {
    const verdict = table.text("verdict", row);
    // rows of domains are not tested
    if (verdict === "") continue;
    const of = (name: string) => table.number(name, row);
    lines.push({
      layer: of("layer"), feature: of("feature"), fact: of("n_fact"), hall: of("n_hall"), ghost: of("n_ghost"), missing: of("n_missing"),
      presenceQ: of("presence_q"), dz: of("cohens_dz"), q: of("q_value"), adjustedQ: of("length_adjusted_q"), verdict,
    });
  }
  const place = (line: FeatureLine) => (ORDER.includes(line.verdict) ? ORDER.indexOf(line.verdict) : ORDER.length);
  const sure = (line: FeatureLine) => {
    const q = line.verdict === "survives_length_control" ? line.adjustedQ : line.q;
    return Number.isFinite(q) ? q : 1;
  };
  const size = (line: FeatureLine) => (Number.isFinite(line.dz) ? Math.abs(line.dz) : 0);
  return lines.sort((a, b) => place(a) - place(b) || sure(a) - sure(b) || size(b) - size(a) || a.layer - b.layer || a.feature - b.feature);
}

/** How to read them. */
export const HOW =
  "Features that are active at the last token of either text. Ghost: active in the hallucination and not in its fact; missing: the other way round. d_z: paired difference of activation, hallucination − fact. q over all features of all layers. The verdicts are those of the metrics, of the difference of activation; presence has no length control.";

const HEADS = ["Feature", "Facts", "Halluc.", "Ghost", "Missing", "q, presence", "d_z", "q", "q, equal length", "Verdict"];

/** The section's content. */
export function featureTables(run: Run, table: Table, labels: ReadonlyMap<string, Label>): HTMLElement[] {
  const all = featureLines(table);
  return [h("p", { "data-test": "features-words" }, wordsOf(all)), h("div", { class: "presence" }, run.layers.map((layer) => layerTable(layer, all.filter((line) => line.layer === layer), labels)))];
}

/** What they come to, in a sentence. */
export function wordsOf(all: readonly FeatureLine[]): string {
  if (all.length === 0) return "No feature is active in enough samples to be compared.";
  const of = (verdict: string) => all.filter((line) => line.verdict === verdict).length;
  const survive = of("survives_length_control");
  return (
    `Of ${counted(all.length, "feature")} that ${all.length === 1 ? "is" : "are"} active in at least six independent samples, ` +
    `${survive === 0 ? "none survives" : survive === 1 ? "one survives" : `${survive} survive`} the length control; ` +
    `${of("explained_by_length")} ${of("explained_by_length") === 1 ? "is" : "are"} explained by length, ${of("no_length_control")} ${of("no_length_control") === 1 ? "has" : "have"} no length control.`
  );
}

function layerTable(layer: number, lines: FeatureLine[], labels: ReadonlyMap<string, Label>): HTMLElement {
  const told = (has: (label: Label) => boolean) => [...labels.values()].some(has);
  const [promotes, words] = [told((one) => one.promotes.length > 0), told((one) => one.label !== null)];
  const heads = [...HEADS, ...(promotes ? ["Promotes"] : []), ...(words ? ["Label"] : [])];
  const rest = lines.length - MOST_ROWS;
  return h(
    "section",
    { class: "presence-layer", "aria-label": `Features of layer ${layer}` },
    h("h3", null, `Layer ${layer}`),
    lines.length === 0
      ? h("p", { class: "muted" }, "No feature of this layer can be compared.")
      : h(
          "div",
          { class: "table-scroll", tabindex: 0, role: "group", "aria-label": `Features of layer ${layer}, scrollable` },
          h(
            "table",
            { class: "data", "data-test": `features-${layer}` },
            h("thead", null, h("tr", null, heads.map((name, i) => h("th", { scope: "col", class: i > 0 && i < HEADS.length - 1 && "number" }, name)))),
            h("tbody", null, lines.slice(0, MOST_ROWS).map((line) => row(line, labels.get(`${line.layer} ${line.feature}`), promotes, words))),
          ),
        ),
    rest > 0 ? h("p", { class: "muted" }, `and ${counted(rest, "feature")} more: stats_features.parquet has all`) : null,
  );
}

function row(line: FeatureLine, label: Label | undefined, promotes: boolean, words: boolean): HTMLElement {
  const cells = [line.fact, line.hall, line.ghost, line.missing, probability(line.presenceQ), signed(line.dz), probability(line.q), probability(line.adjustedQ)];
  return h(
    "tr",
    { class: line.verdict === "survives_length_control" && "found" },
    h("th", { scope: "row" }, typeof label?.url === "string" ? h("a", { href: label.url, rel: "noreferrer" }, String(line.feature)) : String(line.feature)),
    cells.map((text) => h("td", { class: "number" }, String(text))),
    h("td", null, shown(verdictWord(line.verdict))),
    promotes ? h("td", null, (label?.promotes ?? []).map((token) => shown(token)).join(" ") || "–") : null,
    words ? h("td", null, shown(label?.label ?? "–")) : null,
  );
}
