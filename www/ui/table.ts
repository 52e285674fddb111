// Plain HTML tables: what a plot shows, for reading and for screen readers.

import { shown as named } from "../foreign";
import { h } from "./dom";
import { number } from "./format";

export type CellValue = string | number | { text: string; href: string };

export interface Alternative {
  columns: string[];
  rows: CellValue[][];
  /** Said under the table. */
  note?: string;
}

/** A table longer than this is cut, with a note: the downloads have all rows. */
const MOST_ROWS = 300;

/** The table's elements. The first column heads its rows. */
export function dataTable({ columns, rows, note }: Alternative): HTMLElement[] {
  const shown = rows.slice(0, MOST_ROWS);
  const table = h(
    "table",
    { class: "data" },
    h("thead", null, h("tr", null, columns.map((name, i) => h("th", { scope: "col", class: i > 0 && typeof rows[0]?.[i] === "number" && "number" }, name)))),
    h(
      "tbody",
      null,
      shown.map((row) =>
        h("tr", null, row.map((value, i) => (i === 0 ? h("th", { scope: "row" }, cell(value)) : tableCell(value)))),
      ),
    ),
  );
  const cut = rows.length > shown.length ? `The first ${shown.length} of ${rows.length} rows; metrics.csv has all.` : "";
  const said = [note, cut].filter(Boolean).join(" ");
  return said === "" ? [table] : [table, h("p", { class: "caption" }, said)];
}

function tableCell(value: CellValue): HTMLElement {
  return h("td", typeof value === "number" ? { class: "number" } : null, cell(value));
}

function cell(value: CellValue): Node | string {
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return named(value);
  return h("a", { href: value.href }, named(value.text));
}

/** Address of a sample's view. */
export function sampleHref(sampleId: string): string {
  // half a character cannot be written in an address
  return `#/sample/${encodeURIComponent(sampleId.replace(/\p{Surrogate}/gu, "\ufffd"))}`;
}
