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
  return new Grid(ranking, pick, choose);
}

/** Where a cell is. Column 0 is the token itself, the others are features. */
interface Place {
  row: number;
  column: number;
}

const STEPS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-8, 0],
  PageDown: [8, 0],
  Home: [0, -MOST_COLUMNS],
  End: [0, MOST_COLUMNS],
};

function placeOf(event: Event): Place | null {
  const cell = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
  return cell ? { row: Number(cell.dataset.row), column: Number(cell.dataset.column) } : null;
}

class Grid implements HeatMap {
  readonly element: HTMLElement;

  #ranking: Ranking;
  /** The features' places in the layer, by column. */
  #columns: number[];
  #heads: HTMLElement[];
  #cells: HTMLElement[][];
  #rows: HTMLElement[];
  #tip = h("p", { class: "tip muted small", "aria-hidden": "true" }, "Point at a cell, or use the arrow keys, for its value.");
  #cut = h("p", { class: "muted small", hidden: true });
  /** Columns that there is room for. */
  #shown: number;
  /** The cell that the keys start from. */
  #current: HTMLElement | undefined;
  #resize = new ResizeObserver((entries) => this.#fit(entries.at(-1)?.contentRect.width ?? 0));

  constructor(
    ranking: Ranking,
    readonly pick: (at: number) => void,
    readonly choose: (token: number) => void,
  ) {
    const { layer, order } = ranking;
    this.#ranking = ranking;
    this.#columns = order.slice(0, MOST_COLUMNS);
    this.#shown = this.#columns.length;
    this.#heads = this.#columns.map((at) => h("th", { scope: "col", role: "columnheader", class: "upright" }, h("span", null, layer.features[at])));
    this.#cells = cellsOf(ranking, this.#columns);
    this.#current = this.#cells[0]?.[1];
    this.#rows = this.#cells.map(([head, ...values], row) =>
      h(
        "tr",
        { role: "row", class: row === ranking.token ? "chosen" : null },
        head,
        h("td", { role: "gridcell", class: "l0" }, layer.l0[row] ?? "–"),
        values,
      ),
    );
    const scroller = h("div", { class: "scroll heat-host" }, this.#table());
    this.#resize.observe(scroller);
    this.element = h("div", { class: "stack" }, scroller, this.#tip, this.#cut);
  }

  destroy(): void {
    this.#resize.disconnect();
  }

  #table(): HTMLElement {
    const table = h(
      "table",
      { class: "heat", role: "grid", "aria-label": `Activations at layer ${this.#ranking.layer.layer}: tokens in rows, features in columns` },
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          h("th", { scope: "col", role: "columnheader" }, "Token"),
          h("th", { scope: "col", role: "columnheader", title: "Active features at this token" }, "L0"),
          this.#heads,
        ),
      ),
      h("tbody", { role: "rowgroup" }, this.#rows),
    );
    table.addEventListener("keydown", (event) => this.#key(event));
    table.addEventListener("click", (event) => {
      const here = placeOf(event);
      if (!here) return;
      this.#move(here.row, here.column);
      this.#act(here);
    });
    table.addEventListener("pointerover", (event) => this.#say(event));
    table.addEventListener("focusin", (event) => {
      const here = placeOf(event);
      if (here) this.#enterAt(this.#cells[here.row]?.[here.column]);
      this.#say(event);
    });
    return table;
  }

  /** Hides the columns that there is no room for. */
  #fit(width: number): void {
    const [head, l0] = [...(this.#rows[0]?.children ?? [])] as HTMLElement[];
    if (!head || !l0 || width <= 0) return;
    const room = Math.floor((width - head.offsetWidth - l0.offsetWidth - 4) / CELL);
    const next = Math.min(this.#columns.length, Math.max(LEAST_COLUMNS, room));
    if (next === this.#shown) return;
    this.#shown = next;
    this.#heads.forEach((cell, column) => (cell.hidden = column >= next));
    for (const row of this.#cells) row.forEach((cell, column) => (cell.hidden = column > next));
    this.#cut.hidden = next === this.#columns.length;
    this.#cut.textContent = `The first ${next} features of the ranking: there is no room for more here.`;
    if (this.#current?.hidden) this.#enterAt(this.#cells[0]?.[1]);
  }

  #enterAt(next: HTMLElement | undefined): void {
    if (!next) return;
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = next;
    next.tabIndex = 0;
  }

  #move(row: number, column: number): void {
    const cells = this.#cells[Math.max(0, Math.min(this.#cells.length - 1, row))];
    this.#enterAt(cells?.[Math.max(0, Math.min(this.#shown, column))]);
    this.#current?.focus();
  }

  #act({ row, column }: Place): void {
    const at = this.#columns[column - 1];
    if (column === 0) this.choose(row);
    else if (at !== undefined) this.pick(at);
  }

  #key(event: KeyboardEvent): void {
    const here = placeOf(event);
    if (!here) return;
    const step = STEPS[event.key];
    if (step) {
      event.preventDefault();
      this.#move(here.row + step[0], here.column + step[1]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#act(here);
    }
  }

  #say(event: Event): void {
    const here = placeOf(event);
    if (!here) return;
    const { layer, tokens } = this.#ranking;
    const token = `token “${visible(tokens[here.row] ?? "")}”`;
    const at = this.#columns[here.column - 1];
    const value = at === undefined ? 0 : activation(this.#ranking, at, here.row);
    this.#tip.textContent =
      at === undefined
        ? `${token}: choose it to rank the features by it`
        : `feature ${layer.features[at]}, ${token}: ${value > 0 ? short(value) : "not active"}`;
  }
}

/** Per token its cells. Column 0 is the token itself: it ranks; the others are features: they colour the
 *  sentence. */
function cellsOf(ranking: Ranking, columns: number[]): HTMLElement[][] {
  const { layer, tokens } = ranking;
  const most = Math.max(0, ...columns.map((at) => scaleOf(ofFeature(layer, at, tokens.length))));
  return tokens.map((token, row) => [
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
}
