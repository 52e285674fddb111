// Effect sizes, each beside what its length control leaves, grouped by verdict: what differs first, and
// everything that does not differ folded into one line.

import { shown } from "../../foreign";
import { h } from "../../ui/dom";
import { isNull, nameInWords, splitName } from "../../data/metrics";
import type { Run } from "../../data/run";
import type { View } from "./aggregate";
import { tests } from "./families";
import { axis, chart, fit, grid, places, Plot, type Chart } from "./chart";
import { chooser, key } from "../../ui/controls";
import { counted, number, probability, signed } from "../../ui/format";
import type { Drawing, PanelSpec } from "./panel";
import type { Theme } from "../../ui/theme";
import { comparisons, everything, isDifference, NOT_FOUND, VERDICTS, verdictWord, type Comparison } from "./verdicts";

/** More domains than this are shown only when one of them is chosen. */
const MOST_DOMAINS = 8;
/** More lines than this nobody reads in a plot. */
const MOST_LINES = 1000;
const TESTS = ["centroid_drift", "axis_twist", "stability", "entropy", "cross_layer_consistency"];
const PER_LAYER = ["reconstruction_error", "sphericity"];
/** Verdicts that say that nothing was found: folded at first. */
const FOLDED = NOT_FOUND;

/** A line of the plot: a verdict as a heading, or a comparison under it. */
type Line = { key: string } & (
  | { heading: string; comparison: null }
  /** The metric's name, where the line before it is of another metric. */
  | { heading: null; comparison: Comparison; metric: string; domain: string }
);
type Row = Line & { comparison: Comparison };

/** What the panel remembers between drawings. */
interface Choice {
  metrics: string;
  open: boolean;
  fold: HTMLButtonElement;
}

/** The panel; the choice of metrics, which begins with `metrics`, and whether the fold is open are its own. */
export function effectsPanel(run: Run, metrics = "all"): PanelSpec {
  const fold = h("button", { type: "button", class: "fold", "data-test": "effects-fold", "aria-expanded": "false", "aria-controls": "panel-effects-plot", hidden: true });
  const choice: Choice = { metrics, open: false, fold };
  return {
    id: "effects",
    title: "Effect sizes and their length control",
    how:
      "Filled: Hedges’ g of the paired difference (right of zero: larger for the hallucination) with its 95 % interval. " +
      "Open: the difference at equal token counts or, without an interval, over the pairs that have them. The groups are verdicts, which weigh both.",
    size: "wide",
    controls: (redraw) => [
      chooser(
        "Metrics",
        "effects-metrics",
        [
          ["all", "All metrics"],
          ["tests", "Those of the plots above"],
          ...run.layers.map((layer): [string, string] => [`l${layer}`, `All of layer ${layer}`]),
          ["global", "All without a layer"],
          ...(run.metrics.columns.some(({ name }) => isNull(name)) ? [["nulls", "Geometry beside its nulls"] as [string, string]] : []),
        ],
        choice.metrics,
        (value) => {
          choice.metrics = value;
          redraw();
        },
      ),
    ],
    after: (redraw) => {
      fold.addEventListener("click", () => {
        choice.open = !choice.open;
        fold.setAttribute("aria-expanded", String(choice.open));
        redraw();
      });
      return [fold];
    },
    draw: (view, theme, width) => draw(view, theme, width, choice),
  };
}

function chosen(run: Run, choice: string): string[] {
  const metrics = [...new Set(comparisons(run).map((c) => c.metric))].filter((name) => !isDifference(run, name));
  if (choice === "all") return metrics;
  if (choice === "nulls") return metrics.filter(isNull);
  if (choice !== "tests") {
    return metrics.filter((name) => {
      const { layer } = splitName(name);
      return choice === "global" ? layer === null : layer !== null && choice === `l${layer}`;
    });
  }
  const tests = [...run.layers.flatMap((layer) => PER_LAYER.map((base) => `l${layer}_${base}`)), ...TESTS];
  return tests.filter((name) => metrics.includes(name));
}

/** The comparisons of a view, metric by metric, all samples before single domains. */
function comparisonsOf({ run, domain }: View, choice: string): { found: Comparison[]; cut: boolean } {
  const cut = domain === null && run.domains.length > MOST_DOMAINS;
  // A single domain is all samples: once is enough.
  const single = cut || run.domains.length === 1;
  const domains = domain === null || run.domains.length === 1 ? [everything(run), ...(single ? [] : run.domains)] : [domain];
  const byName = new Map(comparisons(run).map((c) => [`${c.metric} ${c.domain}`, c]));
  const found = chosen(run, choice).flatMap((metric) => domains.map((name) => byName.get(`${metric} ${name}`)).filter((c) => c !== undefined));
  // Token counts are no metric: among all others one line of them is enough.
  return { found: found.filter((c) => choice !== "all" || c.verdict !== "control" || c.domain === domains[0]), cut };
}

/** Lines of the plot: verdicts in the order of their weight, each over its comparisons. */
function linesOf(run: Run, found: Comparison[]): Line[] {
  // The control before what does not differ.
  const order = [...Object.keys(VERDICTS).filter((name) => !FOLDED.includes(name)), ...FOLDED];
  const groups = new Map<string, Comparison[]>();
  for (const c of found) {
    const group = groups.get(c.verdict);
    if (group === undefined) groups.set(c.verdict, [c]);
    else group.push(c);
  }
  const verdicts = [...groups].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  return verdicts.flatMap(([verdict, rows]) => {
    const heading = VERDICTS[verdict]?.heading ?? verdictWord(verdict);
    return [
      { key: verdict, heading: `${heading} (${rows.length})`, comparison: null },
      ...rows.map((c, i): Line => ({
        key: `${c.metric} ${c.domain}`,
        heading: null,
        comparison: c,
        metric: rows[i - 1]?.metric === c.metric ? "" : nameInWords(c.metric),
        domain: run.domains.length === 1 ? "" : domainWord(run, c),
      })),
    ];
  });
}

/** Metrics that differ somewhere. */
function differ(found: Comparison[]): Set<string> {
  return new Set(found.filter((c) => !FOLDED.includes(c.verdict)).map((c) => c.metric));
}

/** What is drawn: without the fold, what differs; with it also what does not, where a metric that
 *  differs nowhere has one line, not one for each domain. */
function drawn(found: Comparison[], open: boolean): Comparison[] {
  const differing = differ(found);
  const first = found[0]?.domain;
  return found
    .filter((c) => !FOLDED.includes(c.verdict) || (open && (differing.has(c.metric) || c.domain === first)))
    // Token counts that are equal throughout have no effect size to draw.
    .filter((c) => c.verdict !== "control" || Number.isFinite(c.g));
}

/** Says on the fold's button what is behind it. */
function label(fold: HTMLButtonElement, found: Comparison[]): void {
  const folded = found.filter((c) => FOLDED.includes(c.verdict));
  const differing = differ(found);
  const metrics = new Set(folded.map((c) => c.metric).filter((name) => !differing.has(name)));
  const others = folded.filter((c) => differing.has(c.metric)).length;
  // by the line that is drawn of each: one that a larger sample might find
  const undecided = drawn(found, true).filter((c) => c.verdict === "undecided" && metrics.has(c.metric)).length;
  const parts = [
    metrics.size === 0 ? "" : `No difference found in ${tests([...metrics])}${undecided === 0 ? "" : `, of which ${undecided} ${undecided === 1 ? "is" : "are"} undecided`}`,
    others === 0 ? "" : `${metrics.size === 0 ? "No difference found" : "none"} in ${counted(others, "comparison")} of the metrics above`,
  ];
  fold.hidden = folded.length === 0;
  fold.textContent = parts.filter(Boolean).join("; ");
}

function draw(view: View, theme: Theme, width: number, choice: Choice): Drawing {
  const { run } = view;
  const { found, cut } = comparisonsOf(view, choice.metrics);
  label(choice.fold, found);
  const ordered = linesOf(run, found).filter((line): line is Row => line.comparison !== null);
  const table = () => ({
    columns: ["Metric", "Domain", "g", "95 % from", "95 % to", "q", "g at equal length", "q at equal length", "AUROC", "Ruled out |d_z|", "Verdict", "Pairs", "Pairs behind the control"],
    rows: ordered.map(({ comparison: c }) => [
      nameInWords(c.metric), c.domain, c.g, c.gLow, c.gHigh, probability(c.q), atEqualLength(c), probability(c.adjustedQ), c.auroc, c.excluded, verdictWord(c.verdict), c.n, Number.isNaN(c.matched) ? "–" : c.matched,
    ]),
    note: "Intervals are those of the mean difference, divided like g by the spread of the differences.",
  });
  if (found.length === 0) {
    const empty = run.partial
      ? "Effect sizes are computed when the run is complete."
      : run.stats === null
        ? "This run was opened without stats.parquet, which holds the comparisons."
        : "stats.parquet has no such comparison.";
    return { plot: null, empty, caption: "", table };
  }
  if (!found.some((c) => Number.isFinite(c.g) || Number.isFinite(atEqualLength(c)))) {
    return { plot: null, empty: "Too few samples for an effect size: it needs at least three pairs that vary.", caption: "", table };
  }
  const wanted = drawn(found, choice.open);
  const lines = linesOf(run, wanted.slice(0, MOST_LINES));
  const rows = lines.filter((line): line is Row => line.comparison !== null);
  if (rows.every(({ comparison }) => comparison.verdict === "control")) {
    return { plot: null, empty: "No metric tells fact from hallucination here (q ≤ 0.05).", caption: "", table };
  }
  const plot = plotOf(run, lines, rows, theme, width);
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  const of = (verdict: string) => found.filter((c) => c.verdict === verdict).length;
  return {
    plot,
    points: rows.map(({ key: at, comparison: c }) => ({
      x: xAt(Number.isFinite(c.g) ? c.g : 0),
      y: yAt(at),
      lines: [
        `${nameInWords(c.metric)}, ${domainWord(run, c)}`,
        `g ${signed(c.g)} (95 % ${number(c.gLow)} to ${number(c.gHigh)}), q ${probability(c.q)}`,
        Number.isFinite(c.adjusted)
          ? `at equal length ${signed(c.adjusted)} (${number(c.adjustedLow)} to ${number(c.adjustedHigh)}), q ${probability(c.adjustedQ)}${Number.isNaN(c.matched) ? "" : `, over ${counted(c.matched, "pair")}`}`
          : `at equal length ${signed(c.equal)}, over the ${c.nEqual} pairs that have it`,
        `r with token count ${number(c.lengthR)}, ${c.n} pairs`,
        `${verdictWord(c.verdict)}: ${VERDICTS[c.verdict]?.meaning ?? ""}`,
      ],
    })),
    reach: 400,
    legend: [
      key(theme.hall, "larger for the hallucination"),
      key(theme.fact, "larger for the fact"),
      ...(choice.open ? [key(theme.muted, "no difference found")] : []),
      key(theme.fg, "at equal length", "diamond"),
    ],
    caption:
      `Of ${counted(found.length - of("control"), "comparison")}, ${of("survives_length_control")} survive the length control, ${of("explained_by_length")} are explained by length, ${of("no_length_control")} have no length control.` +
      (wanted.length > MOST_LINES ? ` The first ${MOST_LINES} are drawn.` : "") +
      (choice.open && rows.length < found.length ? " Metrics that differ nowhere have one line; the table has all comparisons." : "") +
      (cut ? ` With ${run.domains.length} domains only all samples together are shown: choose a domain above to see it.` : ""),
    table,
  };
}

function plotOf(run: Run, lines: Line[], rows: Row[], theme: Theme, width: number): Chart {
  const narrow = width < 640;
  // Names stand left of the plot, or above their line where it is narrow.
  const [nameWidth, domainWidth] = narrow ? [0, 0] : [Math.min(290, width * 0.3), run.domains.length === 1 ? 0 : 110];
  const marginLeft = narrow ? 8 : nameWidth + domainWidth;
  const [row, drop] = narrow ? [36, 8] : [20, 0];
  const text = { frameAnchor: "left" as const, textAnchor: "start" as const, lineAnchor: "middle" as const, fill: theme.fg };
  return chart(theme, {
    width,
    height: 44 + lines.length * row,
    marginLeft,
    marginRight: 12,
    marginTop: 26,
    marginBottom: 18,
    x: { label: null, nice: true },
    y: { domain: lines.map((line) => line.key), label: null, axis: null, padding: 0.1 },
    marks: [
      grid(theme, "x", narrow ? 4 : 7),
      axis(theme, "x", { anchor: "top", ticks: narrow ? 4 : 7 }),
      Plot.ruleX([0], { stroke: theme.muted }),
      Plot.text(lines.filter((line) => line.heading !== null), { ...text, y: "key", text: "heading", dx: 2 - marginLeft, fontWeight: 600 }),
      ...(narrow
        ? [Plot.text(rows, { ...text, y: "key", text: (line) => fit([nameInWords(line.comparison.metric), line.domain].filter(Boolean).join(", "), width - 16), dx: 10 - marginLeft, dy: -9 })]
        : [
            Plot.text(rows, { ...text, y: "key", text: (line) => fit(line.metric, nameWidth - 24), dx: 14 - marginLeft }),
            Plot.text(rows, { ...text, y: "key", text: (line) => fit(line.domain, domainWidth - 12), dx: nameWidth - marginLeft, fill: theme.muted }),
          ]),
      Plot.ruleY(rows, { y: "key", x1: (l) => l.comparison.gLow, x2: (l) => l.comparison.gHigh, dy: drop - 3, stroke: (l) => tone(l.comparison, theme), strokeWidth: 2 }),
      Plot.ruleY(rows, { y: "key", x1: (l) => l.comparison.adjustedLow, x2: (l) => l.comparison.adjustedHigh, dy: drop + 4, stroke: theme.muted, strokeWidth: 1.2 }),
      Plot.dot(rows, { y: "key", x: (l) => atEqualLength(l.comparison), dy: drop + 4, r: 3.2, symbol: "diamond", fill: theme.panel, stroke: theme.fg, strokeWidth: 1.2 }),
      Plot.dot(rows, { y: "key", x: (l) => l.comparison.g, dy: drop - 3, r: 4, fill: (l) => tone(l.comparison, theme) }),
    ],
    color: { type: "identity" },
  });
}

function domainWord(run: Run, { domain }: Comparison): string {
  return domain === everything(run) ? "all samples" : shown(domain);
}

/** The difference at equal token counts: that of the length control, or where there is none, over the
 *  pairs of equal length. */
function atEqualLength(c: Comparison): number {
  // Of token counts themselves it is nought by definition.
  if (c.verdict === "control") return NaN;
  return Number.isFinite(c.adjusted) ? c.adjusted : c.equal;
}

/** Colour by direction, for a survivor that at equal length; grey where no difference was found. */
function tone(c: Comparison, theme: Theme): string {
  if (FOLDED.includes(c.verdict)) return theme.muted;
  const direction = c.verdict === "survives_length_control" && Number.isFinite(atEqualLength(c)) ? atEqualLength(c) : c.g;
  return direction < 0 ? theme.fact : theme.hall;
}
