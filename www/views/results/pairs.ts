// Fact and hallucination as two clouds over one pair of axes: the phase plot (sphericity against L0)
// and the token-length confound (any metric against token counts).

import { shown } from "../../foreign";
import { baseInWords, columnOf, metricsOf, nameInWords } from "../../data/metrics";
import type { Run } from "../../data/run";
import { thin, thinned, type View } from "./aggregate";
import { axis, chart, grid, places, Plot } from "./chart";
import { chooser, key } from "../../ui/controls";
import { number } from "../../ui/format";
import type { Drawing, PanelSpec } from "./panel";
import { sampleHref } from "../../ui/table";
import type { Theme } from "../../ui/theme";
import { everything, lengthR } from "./verdicts";

/** Each is two dots. */
const MOST_PAIRS = 400;

interface Axes {
  x: { fact: string; hall: string; label: string; shift?: number };
  y: { fact: string; hall: string; label: string };
  caption(view: View): string;
}

interface Dot {
  row: number;
  side: "fact" | "hall";
  x: number;
  y: number;
}

/** Sphericity against L0 at a layer of choice. */
export function phasePanel(run: Run): PanelSpec {
  let layer = String(run.layers[0] ?? "");
  return {
    id: "phase",
    title: "Phase plot: sphericity against L0",
    size: "half",
    how: "Each text is a dot at its number of active features and the roundness of their cloud; two clouds apart would be two phases.",
    controls: (redraw) => [
      chooser("Layer", "phase-layer", run.layers.map((l) => [String(l), `Layer ${l}`]), layer, (value) => {
        layer = value;
        redraw();
      }),
    ],
    draw: (view, theme, width) =>
      draw(view, theme, width, {
        x: { fact: columnOf("l0_norm", "fact", Number(layer)), hall: columnOf("l0_norm", "hall", Number(layer)), label: "L0 (active features)" },
        y: { fact: columnOf("sphericity", "fact", Number(layer)), hall: columnOf("sphericity", "hall", Number(layer)), label: "sphericity" },
        caption: () => `Layer ${layer}.`,
      }),
  };
}

/** Any metric against token counts, with r of stats.parquet. */
export function lengthPanel(run: Run): PanelSpec {
  const metrics = metricsOf(run.metrics).filter(({ name, nulls }) => name !== "n_tokens" && !nulls);
  const first = metrics.find(({ base }) => base === "l0_norm") ?? metrics[0];
  let name = first?.name ?? "";
  return {
    id: "length",
    title: "Token-length confound",
    size: "half",
    how: "Each text is a dot at its token count; a slope here means that the metric follows length, and a raw comparison of texts of unequal length is worth little. Facts are drawn a little left of their count, hallucinations a little right.",
    controls: (redraw) => [
      chooser("Metric", "length-metric", metrics.map((m) => [m.name, m.label]), name, (value) => {
        name = value;
        redraw();
      }),
    ],
    draw: (view, theme, width) => {
      const metric = metrics.find((m) => m.name === name);
      if (metric === undefined) return { plot: null, empty: "No metric to draw.", caption: "", table: () => ({ columns: [], rows: [] }) };
      return draw(view, theme, width, {
        x: { fact: "n_tokens_fact", hall: "n_tokens_hall", label: "tokens", shift: 0.12 },
        y: { fact: metric.fact, hall: metric.hall, label: baseInWords(metric.base, true) },
        caption: ({ domain, run: of }) => {
          const r = lengthR(of, name, domain);
          const where = domain === null ? `over ${everything(of)} samples` : `in ${shown(domain)}`;
          if (Number.isFinite(r)) return `${nameInWords(name)}: Pearson’s r with the token count is ${number(r)} ${where} (stats.parquet).`;
          if (of.stats === null) return `${nameInWords(name)}. ${of.partial ? "r is computed when the run is complete." : "Without stats.parquet there is no r."}`;
          return `${nameInWords(name)}: no r ${where}; token counts or the metric do not vary.`;
        },
      });
    },
  };
}

function draw(view: View, theme: Theme, width: number, axes: Axes): Drawing {
  const { run, rows } = view;
  const columns = {
    fact: { x: run.metrics.numbers(axes.x.fact), y: run.metrics.numbers(axes.y.fact) },
    hall: { x: run.metrics.numbers(axes.x.hall), y: run.metrics.numbers(axes.y.hall) },
  };
  const value = (side: "fact" | "hall", axis: "x" | "y", row: number) => columns[side][axis]?.[row] ?? NaN;
  const table = () => ({
    columns: ["Sample", "Domain", `Fact: ${axes.x.label}`, `Fact: ${axes.y.label}`, `Hallucination: ${axes.x.label}`, `Hallucination: ${axes.y.label}`],
    rows: rows.map((row) => [
      { text: run.sampleIds[row] as string, href: sampleHref(run.sampleIds[row] as string) },
      run.sampleDomains[row] as string,
      value("fact", "x", row),
      value("fact", "y", row),
      value("hall", "x", row),
      value("hall", "y", row),
    ]),
  });
  const drawn = thin(rows, MOST_PAIRS);
  const shift = axes.x.shift ?? 0;
  const dots: Dot[] = [];
  for (const row of drawn) {
    for (const side of ["fact", "hall"] as const) {
      const dot = { row, side, x: value(side, "x", row) + (side === "fact" ? -shift : shift), y: value(side, "y", row) };
      if (Number.isFinite(dot.x) && Number.isFinite(dot.y)) dots.push(dot);
    }
  }
  if (dots.length === 0) {
    return { plot: null, empty: "These samples have no numbers here.", caption: "", table };
  }
  const plot = chart(theme, {
    width,
    height: 320,
    marginLeft: 52,
    marginRight: 12,
    marginTop: 24,
    marginBottom: 40,
    x: { label: null, nice: true },
    y: { label: null, nice: true },
    marks: [
      grid(theme, "x", 6),
      grid(theme, "y", 6),
      axis(theme, "x", { ticks: 6, label: axes.x.label, labelAnchor: "right", labelOffset: 36 }),
      axis(theme, "y", { ticks: 6, label: axes.y.label, labelAnchor: "top" }),
      Plot.dot(dots, {
        x: "x",
        y: "y",
        r: 3.2,
        symbol: (d: Dot) => (d.side === "fact" ? "circle" : "diamond"),
        fill: (d: Dot) => theme[d.side],
        fillOpacity: 0.35,
        stroke: (d: Dot) => theme[d.side],
        strokeWidth: 1,
      }),
    ],
    color: { type: "identity" },
    symbol: { type: "identity" } as Plot.ScaleOptions,
  });
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  return {
    plot,
    points: dots.map((dot) => ({
      x: xAt(dot.x),
      y: yAt(dot.y),
      lines: [
        shown(run.sampleIds[dot.row] as string),
        `${shown(run.sampleDomains[dot.row] as string)}, ${dot.side === "fact" ? "fact" : "hallucination"}`,
        `${axes.x.label} ${number(value(dot.side, "x", dot.row))}`,
        `${axes.y.label} ${number(dot.y)}`,
      ],
      sampleId: run.sampleIds[dot.row] as string,
    })),
    legend: [key(theme.fact, "fact"), key(theme.hall, "hallucination", "diamond")],
    caption: axes.caption(view) + thinned(rows, MOST_PAIRS),
    table,
  };
}
