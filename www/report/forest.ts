// Forest plots: every metric over all samples, its raw difference beside the one at equal length, with q.
// One for each layer, so that each is a figure of its own on paper.

import { nameInWords, splitName } from "../data/metrics";
import type { Run } from "../data/run";
import { key } from "../ui/controls";
import { number, probability, signed } from "../ui/format";
import type { Theme } from "../ui/theme";
import { axis, chart, fit, places, Plot } from "../views/results/chart";
import { tests } from "../views/results/families";
import type { Drawing, PanelSpec } from "../views/results/panel";
import { comparisons, everything, FOUND, isDifference, VERDICTS, verdictWord, type Comparison } from "../views/results/verdicts";

const RAW = "Raw difference";
const EQUAL = "At equal length";
/** More lines than this are no figure. */
const MOST_LINES = 60;

interface Line {
  key: string;
  side: typeof RAW | typeof EQUAL;
  at: number;
  low: number;
  high: number;
  q: number;
  comparison: Comparison;
}

/** A plot for the metrics of each layer, and one for those without. */
export function forestPanels(run: Run): PanelSpec[] {
  // token counts that are equal throughout have nothing to draw
  const rows = comparisons(run).filter((c) => c.domain === everything(run) && !isDifference(run, c.metric) && (c.verdict !== "control" || Number.isFinite(c.g)));
  const groups = new Map<number | null, Comparison[]>();
  for (const layer of [null, ...run.layers]) groups.set(layer, []);
  for (const c of rows) groups.get(splitName(c.metric).layer)?.push(c);
  const ends = endsOf(rows);
  return [...groups].filter(([, group]) => group.length > 0).map(([layer, group]) => forestPanel(layer, ordered(group), ends));
}

/** What differs before what does not, larger before smaller; token counts last. */
function ordered(group: Comparison[]): Comparison[] {
  const weight = (c: Comparison) => (c.verdict === "control" ? 99 : FOUND.includes(c.verdict) ? FOUND.indexOf(c.verdict) : FOUND.length);
  const size = (c: Comparison) => (Number.isFinite(c.g) ? Math.abs(c.g) : -1);
  return [...group].sort((a, b) => weight(a) - weight(b) || size(b) - size(a));
}

/** One scale for all plots, so that they can be compared; an interval far beyond all others is cut there. */
function endsOf(rows: Comparison[]): [number, number] {
  const values = rows.filter((c) => c.verdict !== "control").flatMap((c) => [c.g, c.gLow, c.gHigh, c.adjusted, c.adjustedLow, c.adjustedHigh]).filter(Number.isFinite);
  const most = Math.min(5, Math.max(0.2, ...values.map(Math.abs)));
  return [-most * 1.08, most * 1.08];
}

function forestPanel(layer: number | null, group: Comparison[], ends: [number, number]): PanelSpec {
  return {
    id: `forest-${layer ?? "global"}`,
    title: layer === null ? "Metrics without a layer" : `Layer ${layer}`,
    how: "",
    size: "wide",
    draw: (_view, theme, width) => draw(group, ends, theme, width),
  };
}

function draw(group: Comparison[], [low, high]: [number, number], theme: Theme, width: number): Drawing {
  const shownRows = group.slice(0, MOST_LINES);
  const table = () => ({
    columns: ["Metric", "g", "95 % from", "95 % to", "q", "g at equal length", "95 % from", "95 % to", "q", "Verdict", "Pairs", "Pairs behind the control"],
    rows: group.map((c) => [
      nameInWords(c.metric), c.g, c.gLow, c.gHigh, probability(c.q), c.adjusted, c.adjustedLow, c.adjustedHigh, probability(c.adjustedQ), verdictWord(c.verdict), c.n, Number.isNaN(c.matched) ? "–" : c.matched,
    ]),
  });
  const inside = (value: number) => Math.min(high, Math.max(low, value));
  const lines = shownRows.flatMap((c): Line[] => [
    { key: c.metric, side: RAW, at: inside(c.g), low: inside(c.gLow), high: inside(c.gHigh), q: c.q, comparison: c },
    { key: c.metric, side: EQUAL, at: inside(c.adjusted), low: inside(c.adjustedLow), high: inside(c.adjustedHigh), q: c.adjustedQ, comparison: c },
  ]);
  const drawn = lines.filter((line) => Number.isFinite(line.at));
  if (drawn.length === 0) return { plot: null, empty: "No metric here varies over enough samples to be compared.", caption: "", table };

  const narrow = width < 560;
  const names = narrow ? 0 : Math.min(230, Math.round(width * 0.26));
  const verdicts = narrow ? 0 : 122;
  const qs = narrow ? 0 : 46;
  // room of both frames and what stands between them, which is the first one's q
  const room = width - names - verdicts - qs - 12;
  const between = narrow ? 12 : qs + 14;
  const ticks = (room - between) / 2 < 190 ? 3 : 5;
  const row = narrow ? 34 : 20;
  const color = (line: Line) => (line.comparison.verdict === "control" || !(line.q <= 0.05) ? theme.muted : line.at < 0 ? theme.fact : theme.hall);
  const text = { textAnchor: "start" as const, lineAnchor: "middle" as const, fill: theme.fg };
  const first = { fx: () => RAW, frameAnchor: "left" as const };
  const last = { fx: () => EQUAL, frameAnchor: "right" as const };
  const [top, bottom] = [narrow ? 50 : 40, 22];
  // over the first frame's lines where it is narrow, so on a ground of its own
  const ground = narrow ? { stroke: theme.panel, strokeWidth: 4 } : {};
  const plot = chart(theme, {
    width,
    height: top + 8 + shownRows.length * row + bottom,
    marginLeft: names + 4,
    marginRight: verdicts + qs + 8,
    marginTop: top,
    marginBottom: bottom,
    x: { domain: [low, high], label: null },
    fx: { domain: [RAW, EQUAL], label: null, axis: null, paddingInner: Math.min(0.5, (2 * between) / (room + between)), paddingOuter: 0 },
    y: { domain: shownRows.map((c) => c.metric), label: null, axis: null, padding: 0.1 },
    marks: [
      Plot.gridX({ stroke: theme.line, strokeOpacity: 1, ticks }),
      axis(theme, "x", { anchor: "bottom", ticks }),
      Plot.ruleX([0], { stroke: theme.muted }),
      Plot.text([RAW, EQUAL], { fx: (side: string) => side, text: (side: string) => side, frameAnchor: "top", lineAnchor: "bottom", dy: narrow ? -20 : -12, fill: theme.fg, fontWeight: 600 }),
      Plot.ruleY(drawn, { fx: "side", y: "key", x1: "low", x2: "high", stroke: color, strokeWidth: 1.8, dy: narrow ? 6 : 0 }),
      Plot.text(shownRows, {
        ...text, ...first, ...ground, y: "metric", dx: narrow ? 2 : -names, dy: narrow ? -10 : 0,
        text: (c: Comparison) => fit(nameInWords(c.metric).replace(/, layer \d+$/, ""), narrow ? width - 16 : names - 6),
      }),
      ...(narrow
        ? []
        : [
            Plot.text(["q"], { fx: () => RAW, text: (t: string) => t, frameAnchor: "top-right", textAnchor: "end", lineAnchor: "bottom", dx: qs - 4, dy: -12, fill: theme.muted, fontStyle: "italic" }),
            Plot.text(["q"], { fx: () => EQUAL, text: (t: string) => t, frameAnchor: "top-right", textAnchor: "end", lineAnchor: "bottom", dx: qs - 4, dy: -12, fill: theme.muted, fontStyle: "italic" }),
            Plot.text(lines.filter((line) => Number.isFinite(line.q)), {
              fx: "side", y: "key", frameAnchor: "right", textAnchor: "end", lineAnchor: "middle", dx: qs - 4,
              text: (line: Line) => probability(line.q), fill: (line: Line) => (line.q <= 0.05 ? theme.fg : theme.muted), fontVariant: "tabular-nums", fontSize: 11,
            }),
            Plot.text(shownRows, { ...text, ...last, y: "metric", dx: qs + 8, text: (c: Comparison) => fit(verdictWord(c.verdict), verdicts + 8), fill: theme.muted, fontSize: 11 }),
          ]),
      Plot.dot(drawn, { fx: "side", y: "key", x: "at", r: 3.6, stroke: color, strokeWidth: 1.5, fill: (line: Line) => (line.q <= 0.05 ? color(line) : theme.panel), dy: narrow ? 6 : 0 }),
    ],
    color: { type: "identity" },
  });
  const [xAt, yAt, frame] = [places(plot, "x"), places(plot, "y"), plot.scale("fx")];
  return {
    plot,
    points: drawn.map((line) => ({
      x: xAt(line.at) + ((frame?.apply(line.side) as number) ?? 0) - ((frame?.apply(RAW) as number) ?? 0),
      y: yAt(line.key) + (narrow ? 6 : 0),
      lines: [
        nameInWords(line.comparison.metric),
        `${line.side.toLowerCase()} ${signed(line.side === RAW ? line.comparison.g : line.comparison.adjusted)} (95 % ${number(line.low)} to ${number(line.high)}), q ${probability(line.q)}`,
        `${verdictWord(line.comparison.verdict)}: ${VERDICTS[line.comparison.verdict]?.meaning ?? ""}`,
      ],
    })),
    reach: 200,
    legend: legend(theme),
    caption: captionOf(group),
    table,
  };
}

/** What the colours of all these plots say. */
export function legend(colors: { hall: string; fact: string; muted: string }): HTMLElement[] {
  return [key(colors.hall, "larger for the hallucination (q ≤ 0.05)"), key(colors.fact, "larger for the fact (q ≤ 0.05)"), key(colors.muted, "q > 0.05", "ring")];
}

/** How to read them. */
export const HOW =
  "Each metric over all samples. Left: Hedges’ g of the paired difference with its 95 % interval. Right: the same at equal token counts, in the same units. Filled where q ≤ 0.05. Right of zero: larger for the hallucination.";

/** How many of a group have each verdict, in words. */
export function captionOf(group: Comparison[]): string {
  const metrics = group.filter((c) => c.verdict !== "control");
  const of = (verdict: string) => metrics.filter((c) => c.verdict === verdict).length;
  const without = metrics.filter((c) => !Number.isFinite(c.adjusted)).length;
  const asked = tests(metrics.map(({ metric }) => metric));
  const differ = FOUND.reduce((sum, verdict) => sum + of(verdict), 0);
  if (differ === 0) {
    const undecided = of("undecided") > 0 ? `, ${of("undecided")} of them undecided` : "";
    return `In none of these ${asked} is a difference between fact and hallucination found (q ≤ 0.05)${undecided}.`;
  }
  return (
    `Of ${asked}, ${of("survives_length_control")} survive the length control, ${of("explained_by_length")} are explained by length, ${of("no_length_control")} have no length control.` +
    (without > 0 ? ` ${without} have no number at equal length.` : "") +
    (group.length > MOST_LINES ? ` The first ${MOST_LINES} are drawn; the table has all.` : "")
  );
}
