// Bars by domain, fact beside hallucination: mean, middle half, and the samples themselves.

import { shown } from "../../foreign";
import { baseInWords, columnOf } from "../../data/metrics";
import { anyFinite, bands, spread, thin, thinned, type Spread, type View } from "./aggregate";
import { axis, chart, fit, grid, places, Plot, slantRoom } from "./chart";
import { key } from "../../ui/controls";
import { counted, number } from "../../ui/format";
import type { Drawing, PanelSpec } from "./panel";
import type { Point } from "./pointer";
import type { Theme } from "../../ui/theme";

interface Bar extends Spread {
  domain: string;
  side: "fact" | "hall";
  /** Its place: bars of a domain stand beside each other. */
  at: number;
}

const MOST_DOTS = 500;

/** The panel of a metric that fact and hallucination have; `empty` says why it may have
 *  no numbers. */
export function barsPanel(id: string, title: string, base: string, how: string, empty: string): PanelSpec {
  return { id, title, how, size: "third", draw: (view, theme, width) => draw(view, theme, width, base, empty) };
}

function draw(view: View, theme: Theme, width: number, base: string, empty: string): Drawing {
  const { run, byDomain } = view;
  const { drawn: domains, left } = bands(view.domains);
  const rows = left === "" ? view.rows : domains.flatMap((domain) => byDomain.get(domain) ?? []);
  const fact = run.metrics.numbers(columnOf(base, "fact"));
  const hall = run.metrics.numbers(columnOf(base, "hall"));
  const columns = { fact, hall };
  const bars: Bar[] = [];
  domains.forEach((domain, i) => {
    for (const side of ["fact", "hall"] as const) {
      const values = columns[side];
      const found = values === null ? null : spread(values, byDomain.get(domain) ?? []);
      if (found !== null) bars.push({ ...found, domain, side, at: i + (side === "fact" ? -0.2 : 0.2) });
    }
  });
  const table = () => ({
    columns: ["Domain", "Text", "Mean", "Quarter below", "Median", "Quarter above", "Samples"],
    rows: bars.map((b) => [b.domain, b.side === "fact" ? "fact" : "hallucination", b.mean, b.low, b.median, b.high, b.n]),
  });
  if (!anyFinite(fact, rows) || !anyFinite(hall, rows)) return { plot: null, empty, caption: "", table };

  const drawn = thin(rows, MOST_DOTS);
  const dots = drawn.flatMap((row) =>
    (["fact", "hall"] as const).map((side) => {
      const domain = domains.indexOf(run.sampleDomains[row] as string);
      return { row, side, at: domain + (side === "fact" ? -0.2 : 0.2) + jitter(row), value: (columns[side] as Float64Array)[row] as number };
    }),
  ).filter((dot) => Number.isFinite(dot.value));
  const column = (width - 44) / domains.length;
  const turned = domains.some((domain) => domain.length * 6.8 > column - 6);
  const room = turned ? slantRoom(domains) : 30;
  const color = (side: "fact" | "hall") => theme[side];
  const plot = chart(theme, {
    width,
    height: 240 + room,
    marginLeft: 44,
    marginRight: 4,
    marginTop: 24,
    marginBottom: room,
    x: { domain: [-0.5, domains.length - 0.5], label: null },
    y: { label: null, zero: true, nice: true },
    marks: [
      grid(theme, "y", 5),
      axis(theme, "y", { ticks: 5, label: baseInWords(base, true), labelAnchor: "top" }),
      axis(theme, "x", {
        ticks: domains.map((_, i) => i),
        tickFormat: (i: number) => fit(domains[i] ?? "", turned ? 84 : column),
        tickRotate: turned ? -45 : 0,
        color: theme.fg,
      }),
      Plot.rect(bars, {
        x1: (b: Bar) => b.at - 0.18,
        x2: (b: Bar) => b.at + 0.18,
        y1: 0,
        y2: "mean",
        fill: (b: Bar) => color(b.side),
        fillOpacity: 0.3,
        stroke: (b: Bar) => color(b.side),
        rx: 2,
      }),
      Plot.dot(dots, { x: "at", y: "value", r: 1.8, fill: (d: { side: "fact" | "hall" }) => color(d.side), fillOpacity: 0.55 }),
      Plot.ruleX(bars, { x: "at", y1: "low", y2: "high", stroke: theme.fg, strokeWidth: 2 }),
      Plot.ruleY([0], { stroke: theme.muted }),
    ],
    color: { type: "identity" },
  });
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  const points: Point[] = dots.map((dot) => ({
    x: xAt(dot.at),
    y: yAt(dot.value),
    lines: [
      shown(run.sampleIds[dot.row] as string),
      shown(run.sampleDomains[dot.row] as string),
      `fact ${number(fact[dot.row])}`,
      `hallucination ${number(hall[dot.row])}`,
    ],
    sampleId: run.sampleIds[dot.row] as string,
  }));
  return {
    plot,
    points,
    reach: 14,
    legend: [key(theme.fact, "fact", "bar"), key(theme.hall, "hallucination", "bar"), key(theme.fg, "middle half of samples", "line")],
    caption: `Mean over ${counted(rows.length, "sample")}: fact ${number(spread(fact, rows)?.mean)}, hallucination ${number(spread(hall, rows)?.mean)}.${thinned(rows, MOST_DOTS)}${left}`,
    table,
  };
}

/** A small sideways shift that is always the same for a row, so that dots do not hide each other. */
function jitter(row: number): number {
  return (((row * 0.618034) % 1) - 0.5) * 0.28;
}
