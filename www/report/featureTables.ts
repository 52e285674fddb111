// Which features differ between facts and hallucinations, by their verdicts: stats_features.parquet as tables, one
// for each layer.

import type { Run } from "../data/run";
import type { Table } from "../data/table";
import { neuronpediaId, neuronpediaPages, type FeatureWords } from "../data/words";
import { shown } from "../foreign";
import { h } from "../ui/dom";
import { counted, probability, signed } from "../ui/format";
import { featureLines, NO_WORDS, wordsKey, wordsOf, type FeatureLine } from "../views/results/featureLines";
import { verdictWord } from "../views/results/verdicts";

/** Lines for each layer. */
const MOST_ROWS = 8;

const HEADS = ["Feature", "Facts", "Halluc.", "Ghost", "Missing", "q, presence", "d_z", "q", "q, equal length", "Verdict"];

/** The section's content. */
export function featureTables(run: Run, table: Table, labels: ReadonlyMap<string, FeatureWords>): HTMLElement[] {
  const all = featureLines(table);
  return [h("p", { "data-test": "features-words" }, wordsOf(all)), h("div", { class: "presence" }, run.layers.map((layer) => layerTable(layer, all.filter((line) => line.layer === layer), labels, neuronpediaId(run.manifest, layer))))];
}

function layerTable(layer: number, lines: FeatureLine[], labels: ReadonlyMap<string, FeatureWords>, id: string | undefined): HTMLElement {
  const told = (has: (label: FeatureWords) => boolean) => [...labels.values()].some(has);
  const [promotes, words] = [told((one) => one.promotes.length > 0) || lines.some((line) => line.promotes.length > 0), told((one) => one.label !== null)];
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
            h("tbody", null, lines.slice(0, MOST_ROWS).map((line) => row(line, { ...NO_WORDS, ...labels.get(wordsKey(line.layer, line.feature)) }, id, promotes, words))),
          ),
        ),
    rest > 0 ? h("p", { class: "muted" }, `and ${counted(rest, "feature")} more: stats_features.parquet has all`) : null,
  );
}

function row(line: FeatureLine, words: FeatureWords, id: string | undefined, promotes: boolean, labels: boolean): HTMLElement {
  const cells = [line.fact, line.hall, line.ghost, line.missing, probability(line.presenceQ), signed(line.dz), probability(line.q), probability(line.adjustedQ)];
  const url = words.url ?? (id === undefined ? null : `${neuronpediaPages(id)}${line.feature}`);
  const tokens = words.promotes.length > 0 ? words.promotes : line.promotes;
  return h(
    "tr",
    { class: line.verdict === "survives_length_control" && "found" },
    h("th", { scope: "row" }, url === null ? String(line.feature) : h("a", { href: url, rel: "noreferrer" }, String(line.feature))),
    cells.map((text) => h("td", { class: "number" }, String(text))),
    h("td", null, shown(verdictWord(line.verdict))),
    promotes ? h("td", null, tokens.map((token) => shown(token)).join(" ") || "–") : null,
    labels ? h("td", null, shown(words.label ?? "–")) : null,
  );
}
