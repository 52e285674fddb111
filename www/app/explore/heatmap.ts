// Tokens × features as a table whose cells are coloured: the picture and its text alternative are one
// thing. Arrow keys move between cells; one cell is in the tab order.

import type { Explore } from "../../protocol";
import { h } from "../dom";
import { short } from "../format";

type LayerFeatures = Explore["layers"][number];

/** A token as it is shown: blanks and line ends made visible. */
export function visible(token: string): string {
  return token.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/^ /, "·") || "∅";
}

/** The colour's share of the accent for a value. A square root keeps small activations visible. */
export function shade(value: number, most: number): string {
  return most > 0 && value > 0 ? `${Math.round(8 + 87 * Math.sqrt(Math.min(1, value / most)))}%` : "0%";
}

/** A feature's activations, token by token. */
export function ofFeature(layer: LayerFeatures, at: number, tokens: number): number[] {
  return [...layer.activations.subarray(at * tokens, (at + 1) * tokens)];
}

/** What the colours go up to. The first token's activations may be of another order than all others'
 *  and would take the whole scale: it is left out, where there is another token. */
export function scaleOf(values: number[]): number {
  return Math.max(0, ...(values.length > 1 ? values.slice(1) : values));
}

/** Why the first token is set apart, where it goes beyond the scale; else empty. */
export function firstTokenNote(tokens: string[], layer: LayerFeatures): string {
  const series = layer.features.map((_, at) => ofFeature(layer, at, tokens.length));
  const first = Math.max(0, ...series.map((values) => values[0] ?? 0));
  const most = Math.max(0, ...series.map(scaleOf));
  const sink = "The residual stream at a text's first token is often far larger than elsewhere, and SAEs are often trained without it";
  if (tokens.length === 1) return `${sink}: a text of one token says little.`;
  if (first <= most || !most) return "";
  return `At the first token activations go up to ${short(first)}, at all others to ${short(most)}. ${sink}: the ranking and the colours leave it out, and what is beyond the scale there is hatched.`;
}

/** Builds the table of one layer; `pick` is called with a feature's place in the list. */
export function heatmap(tokens: string[], layer: LayerFeatures, pick: (at: number) => void): HTMLElement {
  const columns = layer.features.length;
  const at = (feature: number, token: number) => layer.activations[feature * tokens.length + token] ?? 0;
  const most = Math.max(0, ...layer.features.map((_, feature) => scaleOf(ofFeature(layer, feature, tokens.length))));

  const tip = h("p", { class: "tip muted small", "aria-hidden": "true" }, "Move over a cell, or use the arrow keys, for its value.");
  const cells: HTMLElement[][] = [];
  const body = tokens.map((token, row) => {
    const line = layer.features.map((feature, column) => {
      const value = at(column, row);
      const words = value > 0 ? short(value) : "0";
      return h(
        "td",
        {
          role: "gridcell",
          class: value > most ? "beyond" : null,
          tabindex: row === 0 && column === 0 ? 0 : -1,
          "aria-label": words,
          "data-row": row,
          "data-column": column,
          title: `feature ${feature}, token “${visible(token)}”: ${words}`,
          style: { "--share": shade(value, most) },
        },
      );
    });
    cells.push(line);
    return h(
      "tr",
      { role: "row" },
      h("th", { scope: "row", role: "rowheader" }, h("span", { class: "token" }, visible(token))),
      h("td", { role: "gridcell", class: "l0" }, layer.l0[row] ?? "–"),
      line,
    );
  });

  const head = h(
    "tr",
    { role: "row" },
    h("th", { scope: "col", role: "columnheader" }, "Token"),
    h("th", { scope: "col", role: "columnheader", title: "Active features at this token" }, "L0"),
    layer.features.map((feature) =>
      h("th", { scope: "col", role: "columnheader", class: "upright" }, h("span", null, feature)),
    ),
  );
  const table = h(
    "table",
    { class: "heat", role: "grid", "aria-label": `Activations at layer ${layer.layer}: tokens in rows, features in columns` },
    h("thead", { role: "rowgroup" }, head),
    h("tbody", { role: "rowgroup" }, body),
  );

  let current: HTMLElement | undefined = cells[0]?.[0];
  function move(row: number, column: number): void {
    const next = cells[Math.max(0, Math.min(cells.length - 1, row))]?.[Math.max(0, Math.min(columns - 1, column))];
    if (!next) return;
    if (current) current.tabIndex = -1;
    current = next;
    next.tabIndex = 0;
    next.focus();
  }
  const place = (event: Event) => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("td[data-row]");
    return cell ? { cell, row: Number(cell.dataset.row), column: Number(cell.dataset.column) } : null;
  };
  const steps: Record<string, [number, number]> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    PageUp: [-8, 0],
    PageDown: [8, 0],
    Home: [0, -columns],
    End: [0, columns],
  };
  table.addEventListener("keydown", (event) => {
    const here = place(event);
    if (!here) return;
    const step = steps[event.key];
    if (step) {
      event.preventDefault();
      move(here.row + step[0], here.column + step[1]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pick(here.column);
    }
  });
  table.addEventListener("click", (event) => {
    const here = place(event);
    if (here) {
      move(here.row, here.column);
      pick(here.column);
    }
  });
  const say = (event: Event) => {
    const here = place(event);
    if (here) tip.textContent = here.cell.getAttribute("title") ?? "";
  };
  table.addEventListener("pointerover", say);
  table.addEventListener("focusin", say);
  return h("div", { class: "stack" }, h("div", { class: "scroll" }, table), tip);
}
