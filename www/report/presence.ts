// Which features are there in hallucinations and not in their facts, and the other way round: a table by layer.

import type { Presence, Run } from "../data/run";
import { h } from "../ui/dom";
import { counted, number, probability } from "../ui/format";
import { FEWEST_DISCORDANT, qValues, signTest } from "./exact";

/** Lines for each layer. */
const MOST_ROWS = 8;

export interface Tested extends Presence {
  p: number;
  q: number;
}

/** The features that can be tested, the most uneven first; q is over all layers. */
export function tested(features: readonly Presence[]): Tested[] {
  const able = features.filter((one) => one.factOnly + one.hallOnly >= FEWEST_DISCORDANT);
  const p = able.map((one) => signTest(one.factOnly, one.hallOnly));
  const q = qValues(p);
  const all = able.map((one, i) => ({ ...one, p: p[i] as number, q: q[i] as number }));
  const gap = (one: Presence) => Math.abs(one.hallOnly - one.factOnly);
  return all.sort((a, b) => a.p - b.p || gap(b) - gap(a) || a.layer - b.layer || a.feature - b.feature);
}

const HEADS = ["Feature", "Facts", "Hallucinations", "Fact only", "Hall. only", "Mean, fact", "Mean, hall.", "p", "q"];

/** The section's content. */
export function presenceTables(run: Run, features: readonly Presence[]): HTMLElement[] {
  const all = tested(features);
  const found = all.filter((one) => one.q <= 0.05).length;
  const words = h(
    "p",
    { "data-test": "presence-words" },
    all.length === 0
      ? `No feature is in one text of a pair and not in the other in at least ${FEWEST_DISCORDANT} pairs: there is nothing to test.`
      : `Of ${counted(features.length, "feature")} that are active in any of these texts, ${all.length.toLocaleString("en")} are in one text of a pair and not in the other in at least ${FEWEST_DISCORDANT} pairs; ${found === 0 ? "none is" : `${found} ${found === 1 ? "is" : "are"}`} more often in one of them than chance would have it (q ≤ 0.05). Presence has no length control: such a feature may follow the words that the texts end on.`,
  );
  const tables = run.layers.map((layer) => {
    const rows = all.filter((one) => one.layer === layer).slice(0, MOST_ROWS);
    return h(
      "section",
      { class: "presence-layer", "aria-label": `Features of layer ${layer}` },
      h("h3", null, `Layer ${layer}`),
      rows.length === 0
        ? h("p", { class: "muted" }, "No feature of this layer can be tested.")
        : h(
            "div",
            { class: "table-scroll", tabindex: 0, role: "group", "aria-label": `Features of layer ${layer}, scrollable` },
            h(
              "table",
              { class: "data", "data-test": `presence-${layer}` },
              h("thead", null, h("tr", null, HEADS.map((name, i) => h("th", { scope: "col", class: i > 0 && "number" }, name)))),
              h("tbody", null, rows.map(line)),
            ),
          ),
    );
  });
  return [words, h("div", { class: "presence" }, tables)];
}

function line(one: Tested): HTMLElement {
  const cells = [one.fact, one.hall, one.factOnly, one.hallOnly, number(one.factMean), number(one.hallMean), probability(one.p), probability(one.q)];
  return h("tr", { class: one.q <= 0.05 && "found" }, h("th", { scope: "row" }, String(one.feature)), cells.map((text) => h("td", { class: "number" }, String(text))));
}
