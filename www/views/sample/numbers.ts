// All numbers of a sample's row, fact beside hallucination and their difference: those of the whole
// sample, and those of each layer, which stand side by side where there is room.

import { cut } from "../../foreign";
import { h, type Child } from "../../ui/dom";
import { baseInWords, described, metricsOf, nameInWords, type Metric } from "../../data/metrics";
import type { Run } from "../../data/run";
import type { Table } from "../../data/table";
import { number, signed } from "../../ui/format";

const KEYS = new Set(["sample_id", "domain", "complexity", "cluster"]);
/** Beside each other there must be room for a name and three numbers per layer. */
const NAME_WIDTH = 220;
const LAYER_WIDTH = 230;

/** Of a word where numbers stand. */
const LETTERS = 10;

/** One line of a group: what it is called, and its three cells. */
interface Line {
  name: string;
  title: string;
  cells: [fact: string, hall: string, diff: string];
}

export interface NumbersSections {
  /** Numbers of the whole sample. */
  whole: HTMLElement;
  /** Numbers by layer. */
  layers: HTMLElement;
  destroy(): void;
}

/** The two sections of a row. */
export function numbersSections(run: Run, row: number): NumbersSections {
  const { metrics: table, layers } = run;
  const all = metricsOf(table);
  // Of a null the standing is enough: the shares of draws are in the file.
  const pairs = all.filter(({ base, nulls }) => !nulls || !base.endsWith("_tail"));
  const shown = new Set<string>(KEYS);
  for (const { fact, hall, diff } of all) for (const name of [fact, hall, diff]) if (name !== null) shown.add(name);
  const byLayer = layers.map((layer) => ({ layer, lines: linesOf(run, row, layer, pairs, shown) }));
  const global = pairs.filter((metric) => metric.layer === null).map((metric) => pairLine(table, row, metric));
  const first = layers[0];

  const host = h("div", null);
  const fits = (width: number) => width >= NAME_WIDTH + LAYER_WIDTH * layers.length;
  let beside: boolean | null = null;
  const arrange = (width: number): void => {
    if (width <= 0 || fits(width) === beside) return;
    beside = fits(width);
    host.replaceChildren(...(beside ? [together(byLayer)] : byLayer.map(({ layer, lines }) => h("div", { class: "number-group" }, h("h3", null, `Layer ${layer}`), single(`Layer ${layer}`, lines)))));
  };
  const resize = new ResizeObserver((entries) => arrange(entries.at(-1)?.contentRect.width ?? 0));
  resize.observe(host);

  const whole = h(
    "section",
    { class: "panel", "data-test": "sample-whole", "aria-labelledby": "sample-whole-title" },
    h("h2", { id: "sample-whole-title" }, "Numbers of the sample"),
    h("p", { class: "how" }, `Difference is hallucination less fact throughout; for stability and consistency the file’s own difference columns have the other sign.${first === undefined ? "" : ` Drift, twist, stability and entropy are of layer ${first}.`}`),
    single("Numbers of the sample", global),
    rest(table, row, shown),
    sink(table, row),
  );
  return {
    whole,
    layers: h(
      "section",
      { class: "panel", "data-test": "sample-numbers", "aria-labelledby": "sample-numbers-title" },
      h("h2", { id: "sample-numbers-title" }, "Numbers by layer"),
      h("p", { class: "how" }, "From this sample’s row of metrics.parquet. Features not in the other text are the missing ones (fact) and the ghosts (hallucination)."),
      host,
    ),
    destroy: () => resize.disconnect(),
  };
}

const HEADS = ["Fact", "Hall.", "Diff."];

/** One group as a table. */
function single(caption: string, lines: Line[]): HTMLElement {
  return h(
    "table",
    { class: "data numbers" },
    h("caption", { class: "unseen" }, caption),
    h("thead", null, h("tr", null, ["Metric", ...HEADS].map((name, i) => h("th", { scope: "col", class: i > 0 && "number" }, name)))),
    h("tbody", null, lines.map((line) => h("tr", null, h("th", { scope: "row", title: line.title }, line.name), numbers(line)))),
  );
}

/** All layers as one table: a metric has its line, each layer its three columns. */
function together(groups: { layer: number; lines: Line[] }[]): HTMLElement {
  const names = [...new Set(groups.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  return h(
    "table",
    { class: "data numbers beside" },
    h("caption", { class: "unseen" }, "Numbers by layer"),
    h("colgroup", null, h("col")),
    groups.map(() => h("colgroup", { span: 3 })),
    h(
      "thead",
      null,
      h("tr", null, h("th", { scope: "col", rowspan: 2 }, "Metric"), groups.map(({ layer }) => h("th", { scope: "colgroup", colspan: 3, class: "group" }, `Layer ${layer}`))),
      h("tr", null, groups.map(() => HEADS.map((name, i) => h("th", { scope: "col", class: i === 0 ? "number first" : "number" }, name)))),
    ),
    h(
      "tbody",
      null,
      names.map((name) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, name),
          groups.map(({ lines }) => {
            const line = lines.find((one) => one.name === name);
            return line === undefined ? ["", "", ""].map(() => h("td", null)) : numbers(line);
          }),
        ),
      ),
    ),
  );
}

function numbers({ cells }: Line): HTMLElement[] {
  return cells.map((text, i) => h("td", { class: i === 0 ? "number first" : i === 2 ? "number diff" : "number" }, text));
}

function pairLine(table: Table, row: number, metric: Metric): Line {
  const [fact, hall] = [table.number(metric.fact, row), table.number(metric.hall, row)];
  return { name: baseInWords(metric.base, true), title: described(metric.name, `${metric.fact}, ${metric.hall}`), cells: [number(fact), number(hall), signed(hall - fact)] };
}

/** A layer's lines; notes in `shown` which columns they take. */
function linesOf({ metrics: table }: Run, row: number, layer: number, pairs: Metric[], shown: Set<string>): Line[] {
  const lines = pairs.filter((metric) => metric.layer === layer).map((metric) => pairLine(table, row, metric));
  const shapes = [`l${layer}_fact_shape_class`, `l${layer}_hall_shape_class`];
  if (shapes.every((name) => table.has(name))) {
    const [fact = "", hall = ""] = shapes.map((name) => table.text(name, row));
    for (const name of shapes) shown.add(name);
    const cells: Line["cells"] = [cut(fact, LETTERS), cut(hall, LETTERS), fact === hall ? "same" : "differs"];
    lines.push({ name: "Shape class", title: shapes.join(", "), cells });
  }
  // Missing features are the fact's alone, ghosts the hallucination's: one line for both.
  for (const [of, words] of [["count", "Features not in the other text"], ["energy", "Energy of these"]] as const) {
    const names = [`l${layer}_missing_${of}`, `l${layer}_ghost_${of}`] as const;
    if (!names.every((name) => table.has(name))) continue;
    for (const name of names) shown.add(name);
    const [missing, ghost] = [table.number(names[0], row), table.number(names[1], row)];
    lines.push({ name: words, title: names.join(", "), cells: [number(missing), number(ghost), signed(ghost - missing)] });
  }
  return lines;
}

/** What has no other side: the prompt's own numbers. */
function rest(table: Table, row: number, shown: Set<string>): Child {
  const columns = table.columns.filter(({ name }) => !shown.has(name));
  if (columns.length === 0) return null;
  return h("dl", { class: "rest" }, columns.map(({ name }) => h("div", { title: described(name) }, h("dt", null, nameInWords(name)), h("dd", null, value(table, name, row)))));
}

function value(table: Table, name: string, row: number): string {
  const kind = table.column(name)?.kind;
  if (kind === "text") return table.text(name, row);
  const found = table.number(name, row);
  if (kind === "bool") return Number.isNaN(found) ? "–" : found === 1 ? "yes" : "no";
  return number(found);
}

/** What a prompt at an attention sink means for the numbers above. */
function sink(table: Table, row: number): Child {
  if (table.number("prompt_is_sink", row) !== 1) return null;
  return h(
    "p",
    { class: "warn", "data-test": "prompt-sink" },
    "The prompt’s last token is an attention sink: its residual norm is above twice the median of ordinary text. Centroid drift and axis twist compare with it, and say nothing about the completion here.",
  );
}
