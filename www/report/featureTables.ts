// Which features differ between facts and hallucinations, by their verdicts: stats_features.parquet as tables, one
// for each layer.

import type { Run } from "../data/run";
import type { Table } from "../data/table";
import { neuronpediaId, neuronpediaPages, type FeatureWords } from "../data/words";
import { shown } from "../foreign";
import { h } from "../ui/dom";
import { counted, number, probability, signed } from "../ui/format";
import { featureLines, NO_WORDS, wordsKey, wordsOf, type FeatureLine } from "../views/results/featureLines";
import { ghostTable, ghostWords } from "../views/results/ghosts";
import { verdictWord } from "../views/results/verdicts";

/** Lines for each layer. */
const MOST_ROWS = 8;

const NUMBERS = ["Facts", "Halluc.", "Ghost", "Missing", "Mean, ghost", "q, presence", "d_z", "q", "q, equal length"];
/** Domains of a ghost that are named: paper is narrow. */
const MOST_DOMAINS = 1;

/** The section's content. */
export function featureTables(run: Run, table: Table, labels: ReadonlyMap<string, FeatureWords>): HTMLElement[] {
  const all = featureLines(table);
  const told = (has: (label: FeatureWords) => boolean) => [...labels.values()].some(has);
  const also: Also = { domains: all.some(({ ghostIn }) => ghostIn.length > 0), promotes: told((one) => one.promotes.length > 0), labels: told((one) => one.label !== null) };
  return [
    h("p", { "data-test": "features-words" }, wordsOf(all)),
    h("div", { class: "presence" }, run.layers.map((layer) => layerTable(layer, all.filter((line) => line.layer === layer), labels, neuronpediaId(run.manifest, layer), also))),
    ...[ghostTable(run)].filter((table) => table !== null),
  ];
}

/** Columns that not every run has. */
interface Also {
  domains: boolean;
  promotes: boolean;
  labels: boolean;
}

function layerTable(layer: number, lines: FeatureLine[], labels: ReadonlyMap<string, FeatureWords>, id: string | undefined, also: Also): HTMLElement {
  const heads = ["Feature", ...NUMBERS, ...(also.domains ? ["Ghost in"] : []), ...(also.promotes ? ["Promotes"] : []), ...(also.labels ? ["Label"] : []), "Verdict"];
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
            h("thead", null, h("tr", null, heads.map((name, i) => h("th", { scope: "col", class: i > 0 && i <= NUMBERS.length && "number" }, name)))),
            h("tbody", null, lines.slice(0, MOST_ROWS).map((line) => row(line, { ...NO_WORDS, ...labels.get(wordsKey(line.layer, line.feature)) }, id, also))),
          ),
        ),
    rest > 0 ? h("p", { class: "muted" }, `and ${counted(rest, "feature")} more: stats_features.parquet has all`) : null,
  );
}

function row(line: FeatureLine, words: FeatureWords, id: string | undefined, also: Also): HTMLElement {
  const cells = [line.fact, line.hall, line.ghost, line.missing, number(line.meanGhost), probability(line.presenceQ), signed(line.dz), probability(line.q), probability(line.adjustedQ)];
  const url = words.url ?? (id === undefined ? null : `${neuronpediaPages(id)}${line.feature}`);
  return h(
    "tr",
    { class: line.verdict === "survives_length_control" && "found" },
    h("th", { scope: "row" }, url === null ? String(line.feature) : h("a", { href: url, rel: "noreferrer" }, String(line.feature))),
    cells.map((text) => h("td", { class: "number" }, String(text))),
    also.domains ? h("td", null, ghostWords(line.ghostIn, MOST_DOMAINS) || "–") : null,
    also.promotes ? h("td", null, words.promotes.map((token) => shown(token)).join(" ") || "–") : null,
    also.labels ? h("td", null, shown(words.label ?? "–")) : null,
    h("td", null, shown(verdictWord(line.verdict))),
  );
}
