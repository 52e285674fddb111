// All numbers of a sample's row, in groups, fact beside hallucination.

import { h, type Child } from "../app/dom";
import { baseInWords, metricsOf, nameInWords, splitName, type Metric } from "../data/metrics";
import type { Run } from "../data/run";
import { number, signed } from "../results/format";

const KEYS = new Set(["sample_id", "domain"]);

/** The section. */
export function numbersSection(run: Run, row: number): HTMLElement {
  const { metrics: table, layers } = run;
  const shown = new Set<string>(KEYS);
  const pairs = metricsOf(table);
  const take = (metric: Metric): HTMLElement => {
    for (const name of [metric.fact, metric.hall, metric.diff]) if (name !== null) shown.add(name);
    const [fact, hall] = [table.number(metric.fact, row), table.number(metric.hall, row)];
    return h(
      "tr",
      null,
      h("th", { scope: "row", title: `${metric.fact}, ${metric.hall}` }, baseInWords(metric.base, true)),
      h("td", { class: "number" }, number(fact)),
      h("td", { class: "number" }, number(hall)),
      h("td", { class: "number" }, signed(hall - fact)),
    );
  };
  const group = (title: string, rows: Child[]): Child =>
    rows.length === 0
      ? null
      : h(
          "div",
          { class: "number-group" },
          h("h3", null, title),
          h(
            "table",
            { class: "data" },
            h("caption", { class: "unseen" }, title),
            h("thead", null, h("tr", null, ["Metric", "Fact", "Hall.", "Diff."].map((name, i) => h("th", { scope: "col", class: i > 0 && "number" }, name)))),
            h("tbody", null, rows),
          ),
        );
  const whole = group(`Whole sample${layers[0] === undefined ? "" : ` (drift, twist, stability, entropy: layer ${layers[0]})`}`, pairs.filter((m) => m.layer === null).map(take));
  const byLayer = layers.map((layer) => {
    const rows: Child[] = pairs.filter((m) => m.layer === layer).map(take);
    rows.push(shapeRow(run, row, layer, shown), countRows(run, row, layer, shown));
    return group(`Layer ${layer}`, rows.flat());
  });
  const rest = table.columns.filter(({ name }) => !shown.has(name));
  return h(
    "section",
    { class: "panel wide", "data-test": "sample-numbers", "aria-labelledby": "sample-numbers-title" },
    h("h2", { id: "sample-numbers-title" }, "Numbers"),
    h("p", { class: "how" }, "This sample’s row of metrics.parquet. Diff. is hallucination less fact throughout; for stability and consistency the file’s own difference columns have the other sign."),
    h("div", { class: "number-groups" }, whole, byLayer),
    rest.length === 0
      ? null
      : h(
          "dl",
          { class: "rest" },
          rest.map(({ name }) => h("div", null, h("dt", null, nameInWords(name)), h("dd", null, table.column(name)?.kind === "text" ? table.text(name, row) : number(table.number(name, row))))),
        ),
  );
}

/** The shape classes: words, so without a difference. */
function shapeRow(run: Run, row: number, layer: number, shown: Set<string>): Child[] {
  const names = [`l${layer}_fact_shape_class`, `l${layer}_hall_shape_class`] as const;
  if (!names.every((name) => run.metrics.has(name))) return [];
  for (const name of names) shown.add(name);
  const [fact, hall] = names.map((name) => run.metrics.text(name, row));
  return [
    h(
      "tr",
      null,
      h("th", { scope: "row" }, "Shape class"),
      h("td", { class: "number" }, fact ?? ""),
      h("td", { class: "number" }, hall ?? ""),
      h("td", { class: "number" }, fact === hall ? "same" : "differs"),
    ),
  ];
}

/** Ghost and missing features: one number each, of the pair. */
function countRows(run: Run, row: number, layer: number, shown: Set<string>): Child[] {
  return ["missing_count", "missing_energy", "ghost_count", "ghost_energy"].flatMap((base) => {
    const name = `l${layer}_${base}`;
    if (!run.metrics.has(name)) return [];
    shown.add(name);
    const value = number(run.metrics.number(name, row));
    const ghost = splitName(name).base.startsWith("ghost");
    return [
      h(
        "tr",
        null,
        h("th", { scope: "row" }, `${baseInWords(base)} (only in the ${ghost ? "hallucination" : "fact"})`),
        h("td", { class: "number" }, ghost ? "" : value),
        h("td", { class: "number" }, ghost ? value : ""),
        h("td", null),
      ),
    ];
  });
}
