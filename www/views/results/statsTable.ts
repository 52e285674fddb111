// stats.parquet as a table that can be sorted; rows are added in idle slots.

import { shown as named } from "../../foreign";
import { fill as tell, h } from "../../ui/dom";
import { described, differenceOf, nameInWords } from "../../data/metrics";
import type { Run } from "../../data/run";
import { STATISTICS } from "../../generated/metrics";
import { number, probability, signed } from "../../ui/format";
import { comparisons, EXCLUDED, group, isDifference, MATCHED, VERDICTS, verdictClass, verdictWord, type Comparison } from "./verdicts";

interface Column {
  name: string;
  label: string;
  value(c: Comparison, run: Run): number | string;
  text(c: Comparison, run: Run): string;
  /** A column of stats.parquet that runs of earlier versions lack. */
  since?: string;
}

const stat = (name: string) => (c: Comparison, run: Run) => run.stats?.number(name, c.row) ?? NaN;
const numeric = (name: string, label: string, form: (value: number) => string = number): Column => {
  const value = stat(name);
  return { name, label, value, text: (c, run) => form(value(c, run)) };
};

/** Which way a `*_diff` row is counted. */
const DIRECTION = "direction";

const WEIGHT = Object.keys(VERDICTS);
const COLUMNS: Column[] = [
  { name: "metric", label: "Metric", value: (c) => c.metric, text: (c) => nameInWords(differenceOf(c.metric) ?? c.metric) },
  {
    name: "verdict",
    label: "Verdict",
    value: (c) => WEIGHT.indexOf(c.verdict),
    text: (c) => verdictWord(c.verdict),
  },
  numeric("n", "Pairs"),
  numeric("mean_fact", "Fact"),
  numeric("mean_hall", "Hall."),
  numeric("mean_diff", "Diff.", signed),
  numeric("hedges_g", "g", signed),
  { ...numeric("auroc", "AUROC"), since: "auroc" },
  numeric("p_permutation", "p", probability),
  numeric("q_value", "q", probability),
  { ...numeric(EXCLUDED, "Ruled out"), since: EXCLUDED },
  { ...numeric("detectable_dz", "Detectable"), since: "detectable_dz" },
  numeric("length_r", "r length"),
  numeric("length_adjusted_diff", "At equal", signed),
  numeric("length_adjusted_q", "q at equal", probability),
  { ...numeric(MATCHED, "Matched"), since: MATCHED },
  { ...numeric("logprob_adjusted_diff", "At equal log p", signed), since: "logprob_adjusted_diff" },
  { ...numeric("logprob_adjusted_q", "q at it", probability), since: "logprob_adjusted_q" },
  { ...numeric("last_token_adjusted_diff", "At equal last token", signed), since: "last_token_adjusted_diff" },
  { ...numeric("last_token_adjusted_q", "q at it", probability), since: "last_token_adjusted_q" },
  { ...numeric("last_token_rank_adjusted_diff", "At equal rank of it", signed), since: "last_token_rank_adjusted_diff" },
  { ...numeric("last_token_rank_adjusted_q", "q at it", probability), since: "last_token_rank_adjusted_q" },
  { ...numeric("logprob_per_token_adjusted_diff", "At equal log p per token", signed), since: "logprob_per_token_adjusted_diff" },
  { ...numeric("logprob_per_token_adjusted_q", "q at it", probability), since: "logprob_per_token_adjusted_q" },
  numeric("n_equal_length", "Equal pairs"),
  numeric("equal_length_diff", "Their diff.", signed),
];
const ROWS_A_SLOT = 24;
/** What a phone shows of them before it is asked for all. */
const FIRST = new Set(["metric", "verdict", "hedges_g", "length_adjusted_q"]);

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
  const widen = h(
    "button",
    {
      type: "button",
      class: "small widen",
      "aria-expanded": "false",
      onclick: () => {
        const all = table.classList.toggle("all");
        widen.setAttribute("aria-expanded", String(all));
        widen.textContent = all ? "Fewer columns" : "All columns";
      },
    },
    "All columns",
  );
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
    h("header", null, h("h2", { id: "panel-stats-title" }, "Comparisons"), h("div", { class: "panel-actions" }, widen)),
    h("p", { class: "how" }, "Every metric, hallucination against fact, with its length controls. A column head sorts."),
    h("div", { class: "table-scroll tall", tabindex: 0, role: "group", "aria-label": "Comparisons, scrollable" }, table),
    note,
  );

  let columns: Column[] = [];
  let heads: HTMLElement[] = [];

  /** The heads of the columns that a run has; the same ones stay, and with them the focus. */
  function arrange(run: Run): void {
    const next = COLUMNS.filter(({ since }) => since === undefined || run.stats?.has(since));
    if (next.length === columns.length && next.every((column, i) => column === columns[i])) return;
    columns = next;
    heads = columns.map((column, i) => {
      const button = h("button", { type: "button", class: "sort", title: STATISTICS[column.name] }, column.label);
      button.addEventListener("click", () => {
        sort = { column: column.name, down: sort.column === column.name ? !sort.down : false };
        fill();
      });
      return h("th", { scope: "col", "aria-sort": "none", class: classOf(column, i) }, button);
    });
    head.replaceChildren(...heads);
  }

  function fill(): void {
    body.replaceChildren();
    if (shown === null) return;
    const { run, domain } = shown;
    arrange(run);
    heads.forEach((cell, i) => {
      const active = columns[i]?.name === sort.column;
      cell.setAttribute("aria-sort", active ? (sort.down ? "descending" : "ascending") : "none");
    });
    const wanted = group(run, domain);
    const rows = comparisons(run).filter((c) => c.domain === wanted);
    const column = columns.find(({ name }) => name === sort.column) ?? COLUMNS[0]!;
    rows.sort((a, b) => order(column.value(a, run), column.value(b, run), sort.down));
    const choose = run.domains.length > 1 ? "; choose a domain above for its own" : "";
    tell(
      note,
      rows.length === 0
        ? run.partial
          ? "The comparisons are computed when the run is complete."
          : "This run was opened without stats.parquet, or it has no such domain."
        : `${rows.length} comparisons, ${domain === null ? `all samples together${choose}` : `domain ${named(domain)}`}. Rows of a difference column ask their metric’s question again and keep that column’s sign.`,
    );
    const add = (from: number): void => {
      body.append(...rows.slice(from, from + ROWS_A_SLOT).map((c) => line(columns, c, run)));
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

function line(columns: Column[], c: Comparison, run: Run): HTMLElement {
  const again = isDifference(run, c.metric);
  const cells = columns.map((column, i) => {
    const text = column.text(c, run);
    if (i === 0) return h("th", { scope: "row", title: described(c.metric) }, text, again ? direction(c, run) : null);
    if (column.name === "verdict") return h("td", null, h("span", { class: verdictClass(c.verdict), title: VERDICTS[c.verdict]?.meaning }, text));
    return h("td", { class: classOf(column, i) }, text);
  });
  return h("tr", again ? { class: "again" } : null, cells);
}

function classOf({ name }: Column, place: number): string {
  return `${place > 1 ? "number" : ""}${FIRST.has(name) ? "" : " more"}`;
}

/** That a row is of a difference column, and its sign, where the file tells it. */
function direction(c: Comparison, run: Run): HTMLElement {
  const told = run.stats?.text(DIRECTION, c.row) ?? "";
  const words: Record<string, string> = { "": "", hall_minus_fact: ", hallucination − fact", fact_minus_hall: ", fact − hallucination" };
  return h("small", null, `difference column${words[told] ?? `, ${named(told.replaceAll("_", " "))}`}`);
}

/** Ascending or descending; no number comes last either way. */
function order(a: number | string, b: number | string, down: boolean): number {
  if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b), "en", { numeric: true }) * (down ? -1 : 1);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return (a - b) * (down ? -1 : 1);
}
