// Heat map of one metric's mean by layer and domain, for facts, hallucinations or their difference.

import { shown } from "../../foreign";
import { columnOf } from "../../data/metrics";
import type { View } from "./aggregate";
import { bands, spread } from "./aggregate";
import { axis, chart, fit, places, Plot, slantRoom } from "./chart";
import { switcher } from "../../ui/controls";
import { number, signed } from "../../ui/format";
import type { Drawing, PanelSpec } from "./panel";
import type { Point } from "./pointer";
import { inkOn, mix, type Theme } from "../../ui/theme";

type Side = "fact" | "hall" | "diff";
const ALL = "all";

interface Cell {
  layer: string;
  domain: string;
  value: number;
  n: number;
  low: number;
  high: number;
  fill: string;
  ink: string;
}

/** The panel of metric `base`, such as `sphericity`. */
export function heatmapPanel(id: string, title: string, base: string, how: string): PanelSpec {
  let side: Side = "diff";
  return {
    id,
    title,
    size: "half",
    how,
    controls: (redraw) => [
      switcher<Side>(
        `${title}: which text`,
        `${id}-side`,
        [["diff", "Difference"], ["fact", "Fact"], ["hall", "Hallucination"]],
        side,
        (value) => {
          side = value;
          redraw();
        },
      ),
    ],
    draw: (view, theme, width) => draw(view, theme, width, base, title, side),
  };
}

function draw(view: View, theme: Theme, width: number, base: string, title: string, side: Side): Drawing {
  const cells = cellsOf(view, base, side);
  const table = () => ({
    columns: ["Layer", "Domain", "Mean", "Quarter below", "Quarter above", "Samples"],
    rows: cells.map((c) => [c.layer, c.domain, c.value, c.low, c.high, c.n]),
  });
  if (cells.length === 0) {
    return { plot: null, empty: "These samples have no number here.", caption: "", table };
  }
  colour(cells, theme, side);
  const layers = [...new Set(cells.map((c) => c.layer))];
  const domains = [...new Set(cells.map((c) => c.domain))];
  const marginLeft = 66;
  const column = (width - marginLeft) / domains.length;
  // Names that would not fit side by side are turned.
  const turned = domains.some((domain) => domain.length * 6.8 > column - 6);
  const room = turned ? slantRoom(domains) : 30;
  const form = (value: number) => (side === "diff" ? signed(value) : number(value));
  // Numbers that would run into each other are left to the pointer and the table.
  const longest = Math.max(...cells.map((c) => form(c.value).length));
  const fontSize = [12, 11, 10].find((size) => longest * size * 0.6 < column - 4);
  const plot = chart(theme, {
    width,
    height: 6 + room + layers.length * 52,
    marginLeft,
    marginTop: 6,
    marginRight: 2,
    marginBottom: room,
    x: { domain: domains, label: null, padding: 0.03 },
    y: { domain: layers, label: null, padding: 0.05 },
    marks: [
      axis(theme, "x", {
        tickRotate: turned ? -45 : 0,
        color: theme.fg,
        tickFormat: (name: string) => fit(name, turned ? 84 : column),
      }),
      axis(theme, "y", { color: theme.fg }),
      Plot.cell(cells, { x: "domain", y: "layer", fill: (c: Cell) => c.fill, rx: 3 }),
      fontSize === undefined
        ? null
        : Plot.text(cells, {
            x: "domain",
            y: "layer",
            text: (c: Cell) => form(c.value),
            fill: (c: Cell) => c.ink,
            fontSize,
            fontVariant: "tabular-nums",
          }),
    ],
    color: { type: "identity" },
  });
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  const points: Point[] = cells.map((c) => ({
    x: xAt(c.domain),
    y: yAt(c.layer),
    lines: [
      `${c.layer}, ${c.domain === ALL ? "all samples" : shown(c.domain)}`,
      `mean ${form(c.value)}`,
      `middle half ${form(c.low)} to ${form(c.high)}`,
      `${c.n} samples`,
    ],
  }));
  const words = { fact: "of facts", hall: "of hallucinations", diff: "hallucination less fact" }[side];
  return {
    plot,
    points,
    reach: Math.max(column, 52),
    caption: `Mean ${title.toLowerCase()}, ${words}.${side === "diff" ? " Orange: larger for hallucinations; blue: larger for facts." : " Stronger colour: larger."}${fontSize === undefined ? " Point at a cell for its number." : ""}${bands(view.domains).left}`,
    table,
  };
}

function cellsOf(view: View, base: string, side: Side): Cell[] {
  const { run, rows, byDomain, domains, domain } = view;
  const groups: [string, number[]][] = bands(domains).drawn.map((name) => [name, byDomain.get(name) ?? []]);
  if (domain === null && domains.length > 1) groups.push([ALL, rows]);
  const cells: Cell[] = [];
  for (const layer of run.layers) {
    const fact = run.metrics.numbers(columnOf(base, "fact", layer));
    const hall = run.metrics.numbers(columnOf(base, "hall", layer));
    if (fact === null || hall === null) continue;
    const values = side === "fact" ? fact : side === "hall" ? hall : hall.map((value, i) => value - (fact[i] as number));
    for (const [name, list] of groups) {
      const found = spread(values, list);
      if (found === null) continue;
      const { mean: value, n, low, high } = found;
      cells.push({ layer: `Layer ${layer}`, domain: name, value, n, low, high, fill: "", ink: "" });
    }
  }
  return cells;
}

/** Differences go from blue through the ground to orange about zero; means from the ground to blue-grey. */
function colour(cells: Cell[], theme: Theme, side: Side): void {
  const values = cells.map((c) => c.value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const ground = mix(theme.panel, theme.fg, 0.07);
  const strong = { fact: theme.fact, hall: theme.hall, diff: theme.accent }[side];
  for (const cell of cells) {
    cell.fill =
      side === "diff"
        ? mix(ground, cell.value < 0 ? theme.fact : theme.hall, 0.85 * (Math.abs(cell.value) / most))
        : mix(ground, strong, 0.08 + 0.77 * (high > low ? (cell.value - low) / (high - low) : 0.5));
    cell.ink = inkOn(cell.fill);
  }
}
