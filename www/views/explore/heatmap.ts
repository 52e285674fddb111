// Activations of the first features of a ranking at every token, as a grid that is read with the
// mouse or the arrow keys. It has as many columns as its place has room for.

import { h } from "../../ui/dom";
import { short, visible } from "../../ui/format";
import { activation, ofFeature, scaleOf, shade, type Ranking } from "./ranking";

/** A cell and its border, in pixels; explore.css has the same. */
const CELL = 25;
const MOST_COLUMNS = 24;
const LEAST_COLUMNS = 4;

export interface HeatMap {
  element: HTMLElement;
  destroy(): void;
}

/** Builds the grid. `pick` hears of a feature's place, `choose` of a token. */
export function heatmap(ranking: Ranking, pick: (at: number) => void, choose: (token: number) => void): HeatMap {
  const { layer, tokens, order } = ranking;
  const columns = order.slice(0, MOST_COLUMNS);
  const most = Math.max(0, ...columns.map((at) => scaleOf(ofFeature(layer, at, tokens.length))));
  let shown = columns.length;

  const tip = h("p", { class: "tip muted small", "aria-hidden": "true" }, "Point at a cell, or use the arrow keys, for its value.");
  const cut = h("p", { class: "muted small", hidden: true });
  const heads = columns.map((at) => h("th", { scope: "col", role: "columnheader", class: "upright" }, h("span", null, layer.features[at])));
  // Column 0 of the grid is the token itself: it ranks; the others are features: they colour the sentence.
  const cells: HTMLElement[][] = tokens.map((token, row) => [
    h(
      "th",
      {
        scope: "row",
        role: "rowheader",
        tabindex: row === 0 && columns.length === 0 ? 0 : -1,
        "data-row": row,
        "data-column": 0,
        "aria-selected": String(row === ranking.token),
        title: visible(token),
      },
      h("span", { class: "token" }, visible(token)),
    ),
    ...columns.map((at, column) => {
      const value = activation(ranking, at, row);
      return h("td", {
        role: "gridcell",
        class: value > most ? "beyond" : null,
        tabindex: row === 0 && column === 0 ? 0 : -1,
        "aria-label": value > 0 ? short(value) : "0",
        "data-row": row,
        "data-column": column + 1,
        style: { "--share": shade(value, most) },
      });
    }),
  ]);
  const body = cells.map(([head, ...values], row) =>
    h(
      "tr",
      { role: "row", class: row === ranking.token ? "chosen" : null },
      head,
      h("td", { role: "gridcell", class: "l0" }, layer.l0[row] ?? "–"),
      values,
    ),
  );
  const table = h(
    "table",
    { class: "heat", role: "grid", "aria-label": `Activations at layer ${layer.layer}: tokens in rows, features in columns` },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        h("th", { scope: "col", role: "columnheader" }, "Token"),
        h("th", { scope: "col", role: "columnheader", title: "Active features at this token" }, "L0"),
        heads,
      ),
    ),
    h("tbody", { role: "rowgroup" }, body),
  );

  /** Hides the columns that there is no room for. */
  function fit(width: number): void {
    const [head, l0] = [...(body[0]?.children ?? [])] as HTMLElement[];
    if (!head || !l0 || width <= 0) return;
    const room = Math.floor((width - head.offsetWidth - l0.offsetWidth - 4) / CELL);
    const next = Math.min(columns.length, Math.max(LEAST_COLUMNS, room));
    if (next === shown) return;
    shown = next;
    heads.forEach((cell, column) => (cell.hidden = column >= shown));
    for (const row of cells) row.forEach((cell, column) => (cell.hidden = column > shown));
    cut.hidden = shown === columns.length;
    cut.textContent = `The first ${shown} features of the ranking: there is no room for more here.`;
    if (current?.hidden) enterAt(cells[0]?.[1]);
  }

  let current: HTMLElement | undefined = cells[0]?.[1];
  function enterAt(next: HTMLElement | undefined): void {
    if (!next) return;
    if (current) current.tabIndex = -1;
    current = next;
    next.tabIndex = 0;
  }
  function move(row: number, column: number): void {
    enterAt(cells[Math.max(0, Math.min(cells.length - 1, row))]?.[Math.max(0, Math.min(shown, column))]);
    current?.focus();
  }
  const place = (event: Event) => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
    return cell ? { row: Number(cell.dataset.row), column: Number(cell.dataset.column) } : null;
  };
  const act = ({ row, column }: { row: number; column: number }): void => {
    const at = columns[column - 1];
    if (column === 0) choose(row);
    else if (at !== undefined) pick(at);
  };
  const steps: Record<string, [number, number]> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    PageUp: [-8, 0],
    PageDown: [8, 0],
    Home: [0, -MOST_COLUMNS],
    End: [0, MOST_COLUMNS],
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
      act(here);
    }
  });
  table.addEventListener("click", (event) => {
    const here = place(event);
    if (!here) return;
    move(here.row, here.column);
    act(here);
  });
  const say = (event: Event) => {
    const here = place(event);
    if (!here) return;
    const token = `token “${visible(tokens[here.row] ?? "")}”`;
    const at = columns[here.column - 1];
    const value = at === undefined ? 0 : activation(ranking, at, here.row);
    tip.textContent =
      at === undefined
        ? `${token}: choose it to rank the features by it`
        : `feature ${layer.features[at]}, ${token}: ${value > 0 ? short(value) : "not active"}`;
  };
  table.addEventListener("pointerover", say);
  table.addEventListener("focusin", (event) => {
    const here = place(event);
    if (here) enterAt(cells[here.row]?.[here.column]);
    say(event);
  });

  const scroller = h("div", { class: "scroll heat-host" }, table);
  const resize = new ResizeObserver((entries) => fit(entries.at(-1)?.contentRect.width ?? 0));
  resize.observe(scroller);
  return { element: h("div", { class: "stack" }, scroller, tip, cut), destroy: () => resize.disconnect() };
}
