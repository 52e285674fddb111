// Effect sizes by test and domain, each beside what its length control leaves, with the verdict.

import { nameInWords, splitName } from "../data/metrics";
import type { Run } from "../data/run";
import type { View } from "./aggregate";
import { axis, chart, fit, grid, places, Plot } from "./chart";
import { chooser, key } from "./controls";
import { number, probability, signed } from "./format";
import type { Drawing, PanelSpec } from "./panel";
import type { Theme } from "./theme";
import { comparisons, everything, group, isDifference, VERDICTS, verdictWord, type Comparison } from "./verdicts";

/** More domains than this are shown only when one of them is chosen. */
const MOST_DOMAINS = 8;
const TESTS = ["centroid_drift", "axis_twist", "stability", "entropy", "cross_layer_consistency"];
const PER_LAYER = ["reconstruction_error", "sphericity"];

interface Line {
  key: string;
  /** A heading has no comparison. */
  heading: string | null;
  comparison: Comparison | null;
}

/** The panel; the choice of metrics is its own. */
export function effectsPanel(run: Run): PanelSpec {
  let choice = "tests";
  return {
    id: "effects",
    title: "Effect sizes and their length control",
    how:
      "Filled: Hedges’ g of the paired difference (right of zero: larger for the hallucination) with its 95 % interval. " +
      "Open: what is left at equal token counts, over the pairs among which length cancels or, without an interval, over pairs of equal length. The verdict on the right weighs both.",
    size: "wide",
    controls: (redraw) => [
      chooser(
        "Metrics",
        "effects-metrics",
        [
          ["tests", "The dashboard’s tests"],
          ...run.layers.map((layer): [string, string] => [`l${layer}`, `All of layer ${layer}`]),
          ["global", "All without a layer"],
        ],
        choice,
        (value) => {
          choice = value;
          redraw();
        },
      ),
    ],
    draw: (view, theme, width) => draw(view, theme, width, choice),
  };
}

function chosen(run: Run, choice: string): string[] {
  const metrics = [...new Set(comparisons(run).map((c) => c.metric))].filter((name) => !isDifference(run, name));
  if (choice !== "tests") {
    return metrics.filter((name) => {
      const { layer } = splitName(name);
      return choice === "global" ? layer === null : layer !== null && choice === `l${layer}`;
    });
  }
  const tests = [...run.layers.flatMap((layer) => PER_LAYER.map((base) => `l${layer}_${base}`)), ...TESTS];
  return tests.filter((name) => metrics.includes(name));
}

function linesOf(view: View, choice: string): { lines: Line[]; cut: boolean } {
  const { run, domain } = view;
  const all = comparisons(run);
  const cut = domain === null && run.domains.length > MOST_DOMAINS;
  const domains = domain === null ? [everything(run), ...(cut ? [] : run.domains)] : [group(run, domain)];
  const lines: Line[] = [];
  for (const metric of chosen(run, choice)) {
    const found = domains
      .map((name) => all.find((c) => c.metric === metric && c.domain === name))
      .filter((c) => c !== undefined);
    if (found.length === 0) continue;
    lines.push({ key: `${metric} heading`, heading: nameInWords(metric), comparison: null });
    for (const c of found) lines.push({ key: `${metric} ${c.domain}`, heading: null, comparison: c });
  }
  return { lines, cut };
}

function draw(view: View, theme: Theme, width: number, choice: string): Drawing {
  const { run } = view;
  const { lines, cut } = linesOf(view, choice);
  const rows = lines.filter((line): line is Line & { comparison: Comparison } => line.comparison !== null);
  const table = () => ({
    columns: ["Metric", "Domain", "g", "95 % from", "95 % to", "q", "g at equal length", "q at equal length", "Verdict", "Pairs"],
    rows: rows.map(({ comparison: c }) => [
      nameInWords(c.metric), c.domain, c.g, c.gLow, c.gHigh, probability(c.q), atEqualLength(c), probability(c.adjustedQ), verdictWord(c.verdict), c.n,
    ]),
    note: "Intervals are those of the mean difference, divided like g by the spread of the differences.",
  });
  if (rows.length === 0) {
    const empty = run.partial
      ? "Effect sizes are computed when the run is complete."
      : run.stats === null
        ? "This run was opened without stats.parquet, which holds the comparisons."
        : "stats.parquet has no such comparison.";
    return { plot: null, empty, caption: "", table };
  }
  if (!rows.some(({ comparison: c }) => Number.isFinite(c.g) || Number.isFinite(atEqualLength(c)))) {
    return { plot: null, empty: "Too few samples for an effect size: it needs at least three pairs that vary.", caption: "", table };
  }
  const narrow = width < 560;
  const [marginLeft, marginRight] = narrow ? [102, 74] : [150, 150];
  const plot = chart(theme, {
    width,
    height: 44 + lines.length * 20,
    marginLeft,
    marginRight,
    marginTop: 26,
    marginBottom: 18,
    x: { label: null, nice: true },
    y: { domain: lines.map((line) => line.key), label: null, axis: null, padding: 0.1 },
    marks: [
      grid(theme, "x", narrow ? 3 : 7),
      axis(theme, "x", { anchor: "top", ticks: narrow ? 3 : 7 }),
      Plot.ruleX([0], { stroke: theme.muted }),
      Plot.text(lines.filter((line) => line.heading !== null), {
        y: "key",
        text: (line: Line) => fit(line.heading ?? "", width - 20),
        frameAnchor: "left",
        textAnchor: "start",
        dx: -marginLeft + 2,
        fontWeight: 600,
        fill: theme.fg,
        
      }),
      Plot.text(rows, {
        y: "key",
        text: (line: Line) => fit(domainWord(run, line.comparison as Comparison), marginLeft - 22),
        frameAnchor: "left",
        textAnchor: "start",
        dx: -marginLeft + 14,
        fill: theme.fg,
      }),
      Plot.ruleY(rows, { y: "key", x1: (l) => l.comparison.gLow, x2: (l) => l.comparison.gHigh, dy: -3, stroke: (l) => tone(l.comparison, theme), strokeWidth: 2 }),
      Plot.ruleY(rows, { y: "key", x1: (l) => l.comparison.adjustedLow, x2: (l) => l.comparison.adjustedHigh, dy: 4, stroke: theme.muted, strokeWidth: 1.2 }),
      Plot.dot(rows, { y: "key", x: (l) => atEqualLength(l.comparison), dy: 4, r: 3.2, symbol: "diamond", fill: theme.panel, stroke: theme.fg, strokeWidth: 1.2 }),
      Plot.dot(rows, { y: "key", x: (l) => l.comparison.g, dy: -3, r: 4, fill: (l) => tone(l.comparison, theme) }),
      ...[true, false].map((survivor) =>
        Plot.text(rows.filter((l) => (l.comparison.verdict === "survives_length_control") === survivor), {
          y: "key",
          text: (l) => verdictLabel(l.comparison.verdict, narrow),
          frameAnchor: "right",
          textAnchor: "start",
          dx: marginRight - (narrow ? 68 : 138),
          fill: survivor ? theme.fg : theme.muted,
          fontWeight: survivor ? 600 : 400,
        }),
      ),
    ],
    color: { type: "identity" },
  });
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  const survivors = rows.filter(({ comparison }) => comparison.verdict === "survives_length_control").length;
  const explained = rows.filter(({ comparison }) => comparison.verdict === "explained_by_length").length;
  return {
    plot,
    points: rows.map(({ key: at, comparison: c }) => ({
      x: xAt(Number.isFinite(c.g) ? c.g : 0),
      y: yAt(at),
      lines: [
        `${nameInWords(c.metric)}, ${domainWord(run, c)}`,
        `g ${signed(c.g)} (95 % ${number(c.gLow)} to ${number(c.gHigh)}), q ${probability(c.q)}`,
        Number.isFinite(c.adjusted)
          ? `at equal length ${signed(c.adjusted)} (${number(c.adjustedLow)} to ${number(c.adjustedHigh)}), q ${probability(c.adjustedQ)}`
          : `at equal length ${signed(c.equal)}, over the ${c.nEqual} pairs that have it`,
        `r with token count ${number(c.lengthR)}, ${c.n} pairs`,
        `${verdictWord(c.verdict)}: ${VERDICTS[c.verdict]?.meaning ?? ""}`,
      ],
    })),
    reach: 400,
    legend: [
      key(theme.hall, "larger for the hallucination"),
      key(theme.fact, "larger for the fact"),
      key(theme.muted, "no difference found"),
      key(theme.fg, "at equal length", "diamond"),
    ],
    caption:
      `Of ${rows.length} comparisons shown, ${survivors} survive the length control and ${explained} are explained by length.` +
      (cut ? ` With ${run.domains.length} domains only all samples together are shown: choose a domain above to see it.` : ""),
    table,
  };
}

function verdictLabel(verdict: string, narrow: boolean): string {
  return (narrow && VERDICTS[verdict]?.short) || verdictWord(verdict);
}

function domainWord(run: Run, { domain }: Comparison): string {
  return domain === everything(run) ? "all samples" : domain;
}

/** What is left at equal token counts: over the pairs among which length cancels, or where those are
 *  too few, over the pairs of equal length. */
function atEqualLength(c: Comparison): number {
  return Number.isFinite(c.adjusted) ? c.adjusted : c.equal;
}

/** Colour by direction; grey where no difference was found. */
function tone(c: Comparison, theme: Theme): string {
  const found = ["survives_length_control", "explained_by_length", "no_length_control", "control"].includes(c.verdict);
  return found ? (c.g < 0 ? theme.fact : theme.hall) : theme.muted;
}
