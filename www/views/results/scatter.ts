// Scatter of one metric, facts against hallucinations, with the diagonal.

import { shown } from "../../foreign";
import { baseInWords, columnOf } from "../../data/metrics";
import { anyFinite, thin, thinned, type View } from "./aggregate";
import { axis, chart, grid, places, Plot } from "./chart";
import { key } from "../../ui/controls";
import { counted, number, signed } from "../../ui/format";
import type { Drawing, PanelSpec } from "./panel";
import { sampleHref } from "../../ui/table";
import type { Theme } from "../../ui/theme";

const SYMBOLS = ["circle", "triangle", "square", "diamond", "cross", "star"] as const;

/** The panel of a metric that fact and hallucination both have. */
export function scatterPanel(id: string, title: string, base: string, how: string): PanelSpec {
  return { id, title, how, size: "half", draw: (view, theme, width) => draw(view, theme, width, base) };
}

function draw(view: View, theme: Theme, width: number, base: string): Drawing {
  const { run, rows, domains } = view;
  const fact = run.metrics.numbers(columnOf(base, "fact"));
  const hall = run.metrics.numbers(columnOf(base, "hall"));
  const words = baseInWords(base);
  const table = () => ({
    columns: ["Sample", "Domain", "Fact", "Hallucination", "Difference"],
    rows: both(view, fact, hall).map((row) => [
      { text: run.sampleIds[row] as string, href: sampleHref(run.sampleIds[row] as string) },
      run.sampleDomains[row] as string,
      (fact as Float64Array)[row] as number,
      (hall as Float64Array)[row] as number,
      ((hall as Float64Array)[row] as number) - ((fact as Float64Array)[row] as number),
    ]),
  });
  const found = both(view, fact, hall);
  if (!anyFinite(fact, rows) || !anyFinite(hall, rows) || found.length === 0) {
    return { plot: null, empty: `These samples have no ${words.toLowerCase()}.`, caption: "", table };
  }
  const drawn = thin(found);
  const f = (row: number) => fact[row] as number;
  const h = (row: number) => hall[row] as number;
  let high = 0;
  let low = 0;
  for (const row of drawn) {
    high = Math.max(high, f(row), h(row));
    low = Math.min(low, f(row), h(row));
  }
  high = high + (high - low) * 0.03 || 1;
  // Domains share colours where there are more of them than colours that can be told apart.
  const told = domains.length <= SYMBOLS.length && domains.length > 1;
  const place_of = (row: number) => run.domains.indexOf(run.sampleDomains[row] as string) % SYMBOLS.length;
  const colorOf = (row: number) => (told ? (theme.categories[place_of(row)] as string) : theme.accent);
  const symbolOf = (row: number) => (told ? (SYMBOLS[place_of(row)] as string) : "circle");
  // Both angles compare with the prompt: at an attention sink it says nothing about the completion.
  const sinks = run.metrics.numbers("prompt_is_sink");
  const sink = (row: number) => sinks?.[row] === 1;
  const atSink = found.filter(sink).length;
  const plot = chart(theme, {
    width,
    height: Math.min(width, 400),
    marginLeft: 44,
    marginBottom: 40,
    marginTop: 24,
    marginRight: 12,
    x: { domain: [low, high], label: null },
    y: { domain: [low, high], label: null },
    marks: [
      grid(theme, "x", 5),
      grid(theme, "y", 5),
      axis(theme, "x", { ticks: 5, label: `${baseInWords(base, true)}, fact`, labelAnchor: "right", labelOffset: 36 }),
      axis(theme, "y", { ticks: 5, label: "hallucination", labelAnchor: "top" }),
      Plot.line([[low, low], [high, high]], { stroke: theme.muted, strokeDasharray: "4 3" }),
      Plot.dot(drawn, {
        x: f,
        y: h,
        stroke: colorOf,
        fill: colorOf,
        symbol: symbolOf,
        fillOpacity: (row: number) => (sink(row) ? 0 : 0.35),
        strokeWidth: 1.2,
        r: 3.5,
      }),
    ],
    color: { type: "identity" },
    symbol: { type: "identity" } as Plot.ScaleOptions,
  });
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  const above = found.filter((row) => h(row) > f(row)).length;
  const below = found.filter((row) => h(row) < f(row)).length;
  return {
    plot,
    points: drawn.map((row) => ({
      x: xAt(f(row)),
      y: yAt(h(row)),
      lines: [
        shown(run.sampleIds[row] as string),
        shown(run.sampleDomains[row] as string),
        `fact ${number(f(row))}`,
        `hallucination ${number(h(row))}`,
        `difference ${signed(h(row) - f(row))}`,
        ...(sink(row) ? ["the prompt ends at an attention sink"] : []),
      ],
      sampleId: run.sampleIds[row] as string,
    })),
    legend: told
      ? domains.map((name) => key(theme.categories[run.domains.indexOf(name) % SYMBOLS.length] as string, name))
      : [],
    caption: `${counted(above, "sample")} ${above === 1 ? "lies" : "lie"} above the diagonal (larger for the hallucination), ${below} below, ${found.length - above - below} on it.${thinned(found)}${atSink === 0 ? "" : ` Hollow: ${atSink === 1 ? "1 prompt ends" : `${atSink} prompts end`} at an attention sink, and the angle to it says little.`}`,
    table,
  };
}

function both({ rows }: View, fact: Float64Array | null, hall: Float64Array | null): number[] {
  return rows.filter((row) => Number.isFinite(fact?.[row] ?? NaN) && Number.isFinite(hall?.[row] ?? NaN));
}
