// Estimation plots: the pairs themselves above, below them the mean paired difference with its bootstrap
// distribution. After Ho et al., "Moving beyond P values: data analysis with estimation graphics", Nature
// Methods 16 (2019), drawn as DABEST draws paired data; what is resampled together is what the statistics hold together.

import { shown } from "../foreign";
import { baseInWords, metricsOf, type Metric } from "../data/metrics";
import type { Run } from "../data/run";
import { key } from "../ui/controls";
import { counted, number, probability, signed } from "../ui/format";
import type { Theme } from "../ui/theme";
import { anyFinite, thin, type View } from "../views/results/aggregate";
import { axis, chart, grid, places, Plot, type Chart } from "../views/results/chart";
import type { Drawing, PanelSpec } from "../views/results/panel";
import { compared, FOUND, verdictWord, type Comparison } from "../views/results/verdicts";
import { density, RESAMPLES, resampledMeans } from "./bootstrap";
import { clustersOfRows, isClustered } from "./clusters";

/** Pairs that are drawn as lines; the difference is that of all. */
const MOST_PAIRS = 400;
/** Metrics that are chosen at first. */
const FIRST = 6;
const [UPPER, LOWER] = [190, 120];

/** What can be chosen: a name, a label, and its metrics. */
export interface Selection {
  name: string;
  label: string;
  metrics: Metric[];
}

/** The choices: those that differ most, those of a layer, those without one. */
export function selections(run: Run): Selection[] {
  const metrics = metricsOf(run.metrics).filter((metric) => metric.name !== "n_tokens");
  const by = new Map(compared(run).map((c) => [c.metric, c]));
  const place = ({ name }: Metric) => {
    const c = by.get(name);
    const at = c === undefined ? -1 : FOUND.indexOf(c.verdict);
    return (at < 0 ? FOUND.length : at) * 1000 - (c !== undefined && Number.isFinite(c.g) ? Math.abs(c.g) : -999);
  };
  const most = [...metrics].sort((a, b) => place(a) - place(b)).slice(0, FIRST);
  const others = [null, ...run.layers].map((layer) => ({
    name: layer === null ? "global" : `l${layer}`,
    label: layer === null ? "All without a layer" : `All of layer ${layer}`,
    metrics: metrics.filter((metric) => metric.layer === layer),
  }));
  return [{ name: "most", label: `The ${most.length} that differ most`, metrics: most }, ...others].filter((one) => one.metrics.length > 0);
}

/** The panel of one metric. */
export function estimationPanel(run: Run, metric: Metric): PanelSpec {
  const comparison = compared(run).find((c) => c.metric === metric.name) ?? null;
  return {
    id: `estimation-${metric.name}`,
    title: metric.label,
    how: "",
    size: "third",
    draw: (view, theme, width) => draw(view, theme, width, metric, comparison),
  };
}

function draw({ run, rows }: View, theme: Theme, width: number, metric: Metric, comparison: Comparison | null): Drawing {
  const [fact, hall] = [run.metrics.numbers(metric.fact), run.metrics.numbers(metric.hall)];
  const found = rows.filter((row) => Number.isFinite(fact?.[row] ?? NaN) && Number.isFinite(hall?.[row] ?? NaN));
  const difference = (row: number) => (hall?.[row] as number) - (fact?.[row] as number);
  const table = () => ({
    columns: ["Sample", "Domain", "Fact", "Hallucination", "Difference"],
    rows: found.map((row) => [run.sampleIds[row] as string, run.sampleDomains[row] as string, fact?.[row] as number, hall?.[row] as number, difference(row)]),
  });
  if (!anyFinite(fact, rows) || !anyFinite(hall, rows) || found.length < 3) {
    return { plot: null, empty: "Fewer than three samples have it on both sides.", caption: "", table };
  }
  const differences = Float64Array.from(found, difference);
  const clusters = clustersOfRows(run, found);
  const means = resampledMeans(differences, clusters);
  const curve = density(means);
  // sums over clusters may differ in their last bits where nothing else does
  if (curve.length === 0 || differences.every((x) => x === differences[0])) return { plot: null, empty: "The differences do not vary: there is nothing to estimate.", caption: "", table };

  const interval = storedInterval(run, comparison);
  const mean = differences.reduce((sum, x) => sum + x, 0) / differences.length;
  const drawn = thin(found, MOST_PAIRS);
  const upper = pairsChart(theme, width, drawn, found, fact, hall, baseInWords(metric.base, true));
  const lower = differenceChart(theme, width, curve, mean, interval);
  join(upper, lower);
  const q = comparison === null ? "" : `, q ${probability(comparison.q)}`;
  const equal = comparison !== null && Number.isFinite(comparison.adjustedQ) ? ` At equal length: g ${signed(comparison.adjusted)}, q ${probability(comparison.adjustedQ)}.` : "";
  const verdict = comparison === null ? "" : ` Verdict: ${verdictWord(comparison.verdict)}.`;
  const [xAt, yAt] = [places(upper, "x"), places(upper, "y")];
  return {
    plot: upper,
    points: drawn.flatMap((row) =>
      (["fact", "hallucination"] as const).map((side) => ({
        x: xAt(side === "fact" ? 0 : 1),
        y: yAt(side === "fact" ? fact[row] : hall[row]),
        lines: [shown(run.sampleIds[row] as string), `fact ${number(fact[row])}, hallucination ${number(hall[row])}`, `difference ${signed(difference(row))}`],
      })),
    ),
    reach: 14,
    legend: legend(theme),
    caption:
      `${counted(found.length, "pair")}${isClustered(run) ? ` in ${counted(clusters.count, "cluster")}, resampled whole` : ", resampled one by one"}: mean difference ${signed(mean)}` +
      (interval === null ? "" : ` (95 % ${number(interval[0])} to ${number(interval[1])})`) +
      (comparison !== null && Number.isFinite(comparison.g) ? `, g ${signed(comparison.g)}${q}.` : ".") +
      equal +
      verdict +
      (drawn.length < found.length ? ` ${drawn.length} pairs are drawn.` : ""),
    table,
  };
}

/** The interval of the mean difference that stats.parquet has: the verdicts' own, not that of the drawing. */
function storedInterval(run: Run, comparison: Comparison | null): [number, number] | null {
  if (comparison === null) return null;
  const [low, high] = ["ci_low", "ci_high"].map((name) => run.stats?.number(name, comparison.row) ?? NaN) as [number, number];
  return Number.isFinite(low) && Number.isFinite(high) ? [low, high] : null;
}

/** A line for each of `rows`, and the means over all of them. */
function pairsChart(theme: Theme, width: number, rows: number[], all: number[], fact: Float64Array, hall: Float64Array, label: string): Chart {
  const strength = Math.max(0.12, Math.min(0.6, 30 / rows.length));
  const mean = (values: Float64Array) => all.reduce((sum, row) => sum + (values[row] as number), 0) / all.length;
  return chart(theme, {
    width,
    height: UPPER,
    marginLeft: 48,
    marginRight: 14,
    marginTop: 22,
    marginBottom: 24,
    x: { domain: [-0.25, 1.25], label: null },
    y: { label: null, nice: true },
    marks: [
      grid(theme, "y", 4),
      axis(theme, "y", { ticks: 4, label, labelAnchor: "top" }),
      axis(theme, "x", { ticks: [0, 1], tickFormat: (side: number) => (side === 0 ? "fact" : "hallucination"), color: theme.fg }),
      Plot.link(rows, {
        x1: () => 0, x2: () => 1, y1: (row: number) => fact[row], y2: (row: number) => hall[row],
        stroke: (row: number) => ((hall[row] as number) >= (fact[row] as number) ? theme.hall : theme.fact),
        strokeOpacity: strength, strokeWidth: 1,
      }),
      Plot.link([0], { x1: () => 0, x2: () => 1, y1: () => mean(fact), y2: () => mean(hall), stroke: theme.fg, strokeWidth: 2.4 }),
      Plot.dot([mean(fact), mean(hall)], { x: (_: number, i: number) => i, y: (value: number) => value, r: 4, fill: theme.fg }),
    ],
    color: { type: "identity" },
  });
}

/** The distribution of resampled means over a line of differences, zero among them. */
function differenceChart(theme: Theme, width: number, curve: { at: number; height: number }[], mean: number, interval: [number, number] | null): Chart {
  const most = Math.max(...curve.map(({ height }) => height));
  const color = mean < 0 ? theme.fact : theme.hall;
  const ends = [0, curve[0]?.at ?? 0, curve.at(-1)?.at ?? 0, ...(interval ?? [])];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const room = (high - low) * 0.06;
  const domain: [number, number] = [low - room, high + room];
  return chart(theme, {
    width,
    height: LOWER,
    marginLeft: 48,
    marginRight: 14,
    marginTop: 6,
    marginBottom: 38,
    x: { domain, label: null },
    y: { domain: [-0.34, 1.05], axis: null },
    marks: [
      grid(theme, "x", 4),
      axis(theme, "x", { ticks: 4, label: "mean difference, hallucination − fact", labelAnchor: "center", labelOffset: 34 }),
      Plot.areaY(curve, { x: "at", y1: 0, y2: (d: { height: number }) => d.height / most, fill: color, fillOpacity: 0.3 }),
      Plot.lineY(curve, { x: "at", y: (d: { height: number }) => d.height / most, stroke: color, strokeWidth: 1.2 }),
      Plot.ruleX([0], { stroke: theme.fg, strokeDasharray: "3 3" }),
      ...(interval === null ? [] : [Plot.link([interval], { x1: "0", x2: "1", y1: () => -0.12, y2: () => -0.12, stroke: theme.fg, strokeWidth: 2.4 })]),
      Plot.dot([mean], { x: (value: number) => value, y: () => -0.12, r: 4.2, fill: theme.fg }),
    ],
    color: { type: "identity" },
  });
}

/** Puts one plot under the other, so that both are one picture. */
function join(upper: Chart, lower: Chart): void {
  const part = document.createElementNS("http://www.w3.org/2000/svg", "g");
  part.setAttribute("transform", `translate(0,${UPPER})`);
  part.append(...lower.childNodes);
  upper.append(part);
  const [width, height] = [upper.width.baseVal.value, UPPER + LOWER];
  upper.setAttribute("height", String(height));
  upper.setAttribute("viewBox", `0 0 ${width} ${height}`);
}

/** What the colours of all these plots say. */
export function legend(colors: { hall: string; fact: string }): HTMLElement[] {
  return [key(colors.hall, "larger for the hallucination"), key(colors.fact, "larger for the fact")];
}

/** How to read them. */
export function howTo(run: Run): string {
  const drawn = isClustered(run) ? "resampled clusters: pairs of one cluster are drawn together" : "resampled pairs: each is drawn by itself";
  return `Above: each pair is a line from its fact to its hallucination, the thick line joins the means. Below: the mean of the paired differences (dot) with the 95 % interval of stats.parquet (bar), over the distribution of ${RESAMPLES.toLocaleString("en")} means of ${drawn}, within domains, as in the statistics; the dashed line is no difference.`;
}
