// stats.parquet as a table that can be sorted; rows are added in idle slots.

import { h } from "../app/dom";
import { nameInWords } from "../data/metrics";
import type { Run } from "../data/run";
import { number, probability, signed } from "./format";
import { comparisons, group, isDifference, VERDICTS, verdictWord, type Comparison } from "./verdicts";

interface Column {
  name: string;
  label: string;
  title: string;
  value(c: Comparison, run: Run): number | string;
  text(c: Comparison, run: Run): string;
}

const stat = (name: string) => (c: Comparison, run: Run) => run.stats?.number(name, c.row) ?? NaN;
const numeric = (name: string, label: string, title: string, form: (value: number) => string = number): Column => {
  const value = stat(name);
  return { name, label, title, value, text: (c, run) => form(value(c, run)) };
};

const WEIGHT = Object.keys(VERDICTS);
const COLUMNS: Column[] = [
  { name: "metric", label: "Metric", title: "Name in stats.parquet on hover", value: (c) => c.metric, text: (c) => nameInWords(c.metric) },
  { name: "domain", label: "Domain", title: "Domain", value: (c) => c.domain, text: (c) => c.domain },
  {
    name: "verdict",
    label: "Verdict",
    title: "What the comparison amounts to after its length controls",
    value: (c) => WEIGHT.indexOf(c.verdict),
    text: (c) => verdictWord(c.verdict),
  },
  numeric("n", "Pairs", "Samples that have the metric on both sides"),
  numeric("mean_fact", "Fact", "Mean over facts"),
  numeric("mean_hall", "Hall.", "Mean over hallucinations"),
  numeric("mean_diff", "Diff.", "Mean difference, hallucination less fact", signed),
  numeric("hedges_g", "g", "Hedges’ g of the paired difference", signed),
  numeric("p_permutation", "p", "Sign-flip permutation p", probability),
  numeric("q_value", "q", "Benjamini–Hochberg q over the domain’s metrics", probability),
  numeric("length_r", "r length", "Pearson’s r of the metric with token counts"),
  numeric("n_length_matched", "Matched", "Pairs among which token counts cancel: they carry the length control"),
  numeric("length_adjusted_diff", "Adj. diff.", "Difference at equal token counts, over the matched pairs", signed),
  numeric("length_adjusted_q", "Adj. q", "q of the adjusted difference", probability),
  numeric("n_equal_length", "Equal", "Pairs with equally many tokens"),
  numeric("equal_length_diff", "Equal diff.", "Mean difference over those pairs", signed),
  numeric("equal_length_q", "Equal q", "q over those pairs", probability),
];
const ROWS_A_SLOT = 24;

/** The section with the table. */
export interface StatsTable {
  element: HTMLElement;
  show(run: Run, domain: string | null): void;
}

/** Builds it; `queue` runs jobs in idle slots. */
export function statsTable(queue: (key: string, job: () => void) => void): StatsTable {
  let sort = { column: "verdict", down: false };
  let shown: { run: Run; domain: string | null } | null = null;
  const head = h("tr", null);
  const body = h("tbody", null);
  const note = h("p", { class: "caption" });
  const table = h(
    "table",
    { class: "data stats", "data-test": "stats-table" },
    h("caption", { class: "unseen" }, "Comparisons of stats.parquet; the column heads sort"),
    h("thead", null, head),
    body,
  );
  const element = h(
    "section",
    { class: "panel wide", "data-test": "panel-stats", "aria-labelledby": "panel-stats-title" },
    h("header", null, h("h2", { id: "panel-stats-title" }, "Comparisons")),
    h("p", { class: "how" }, "Every metric, hallucination against fact, with its length controls. A column head sorts."),
    h("div", { class: "table-scroll tall", tabindex: 0, role: "group", "aria-label": "Comparisons, scrollable" }, table),
    note,
  );

  COLUMNS.forEach((column, i) => {
    const button = h("button", { type: "button", class: "sort", title: column.title }, column.label);
    const cell = h("th", { scope: "col", "aria-sort": "none", class: i > 2 && "number" }, button);
    button.addEventListener("click", () => {
      sort = { column: column.name, down: sort.column === column.name ? !sort.down : false };
      fill();
    });
    head.append(cell);
  });

  function fill(): void {
    body.replaceChildren();
    [...head.children].forEach((cell, i) => {
      const active = COLUMNS[i]?.name === sort.column;
      cell.setAttribute("aria-sort", active ? (sort.down ? "descending" : "ascending") : "none");
    });
    if (shown === null) return;
    const { run, domain } = shown;
    const wanted = group(run, domain);
    const rows = comparisons(run).filter((c) => c.domain === wanted);
    const column = COLUMNS.find(({ name }) => name === sort.column) as Column;
    rows.sort((a, b) => order(column.value(a, run), column.value(b, run), sort.down));
    note.textContent =
      rows.length === 0
        ? run.partial
          ? "The comparisons are computed when the run is complete."
          : "This run was opened without stats.parquet, or it has no such domain."
        : `${rows.length} comparisons, ${domain === null ? "all samples together; choose a domain above for its own" : `domain ${domain}`}. Rows of a difference column ask their metric’s question again and keep that column’s sign.`;
    const add = (from: number): void => {
      body.append(...rows.slice(from, from + ROWS_A_SLOT).map((c) => line(c, run)));
      if (from + ROWS_A_SLOT < rows.length) queue("stats-rows", () => add(from + ROWS_A_SLOT));
    };
    queue("stats-rows", () => add(0));
  }

  return {
    element,
    show(run, domain) {
      shown = { run, domain };
      fill();
    },
  };
}

function line(c: Comparison, run: Run): HTMLElement {
  const cells = COLUMNS.map((column, i) => {
    const text = column.text(c, run);
    if (i === 0) return h("th", { scope: "row", title: c.metric }, text);
    if (column.name === "verdict") return h("td", null, h("span", { class: `verdict ${c.verdict}`, title: VERDICTS[c.verdict]?.meaning }, text));
    return h("td", i > 2 ? { class: "number" } : null, text);
  });
  return h("tr", isDifference(run, c.metric) ? { class: "again" } : null, cells);
}

/** Ascending or descending; no number comes last either way. */
function order(a: number | string, b: number | string, down: boolean): number {
  if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b), "en", { numeric: true }) * (down ? -1 : 1);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return (a - b) * (down ? -1 : 1);
}
