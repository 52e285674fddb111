// Facts told from hallucinations by all features of a layer together, beside what has nothing to do with features.

import type { Run } from "../data/run";
import { shown } from "../foreign";
import type { ClassifierInfo } from "../generated/manifest";
import { key } from "../ui/controls";
import { number, probability } from "../ui/format";
import type { Theme } from "../ui/theme";
import { axis, chart, fit, places, Plot } from "../views/results/chart";
import type { Drawing, PanelSpec } from "../views/results/panel";

/** More lines than this are no figure. */
const MOST_LINES = 90;

/** How to read it. */
export const HOW =
  "Area under the ROC curve: the chance that a hallucination has a higher score than a fact. Each text is scored by a fit to other triples (logistic regression with an L1 penalty, of the residual stream a ridge regression; five folds, clusters kept together). 0.5: no better than a coin; the cross is what labels swapped at random give. Features that do no better than length say nothing about truth; the residual stream is what a linear reading of the model itself finds.";

/** The panel; none where the run has no classifiers. */
export function classifierPanels(run: Run): PanelSpec[] {
  const all = run.manifest?.statistics?.classifiers ?? [];
  const measured = all.filter((one) => typeof one.auroc === "number");
  if (measured.length === 0) return [];
  return [{ id: "classifiers", title: "Hallucination told from fact", how: "", size: "wide", draw: (_view, theme, width) => draw(measured, theme, width) }];
}

const WORDS: Record<string, string> = { features: "all features", l0: "number of features (L0)", n_tokens: "length (token count)", logprob: "log-probability", residual: "residual stream" };

/** What a classifier reads, in words. */
export function readsOf(one: ClassifierInfo): string {
  const words = Object.hasOwn(WORDS, one.reads) ? (WORDS[one.reads] as string) : shown(one.reads);
  return typeof one.layer === "number" ? `${words}, layer ${one.layer}` : words;
}

interface Dot {
  key: string;
  at: number;
  low: number;
  high: number;
  side: "all" | "equal";
  one: ClassifierInfo;
}

function dot(one: ClassifierInfo, key: string, side: Dot["side"]): Dot {
  const [at, interval] = side === "all" ? [one.auroc, one.auroc_interval] : [one.auroc_at_equal_length, one.auroc_at_equal_length_interval];
  const value = at ?? NaN;
  const [low, high] = interval ?? [value, value];
  return { key, at: value, low, high, side, one };
}

function draw(all: ClassifierInfo[], theme: Theme, width: number): Drawing {
  const named = all.slice(0, MOST_LINES).map((one, i) => ({ one, key: String(i) }));
  const dots = named.flatMap(({ one, key }) => [dot(one, key, "all"), dot(one, key, "equal")]).filter((one) => Number.isFinite(one.at));
  const swapped = named.filter(({ one }) => typeof one.swapped_auroc === "number");
  const values = [0.5, ...dots.flatMap((one) => [one.low, one.high])].filter(Number.isFinite);
  const [low, high] = [Math.max(0, Math.min(0.4, ...values) - 0.02), Math.min(1, Math.max(0.6, ...values) + 0.02)];
  const narrow = width < 560;
  const names = narrow ? 0 : Math.min(230, Math.round(width * 0.32));
  const row = narrow ? 40 : 26;
  const shift = (side: Dot["side"]) => (side === "all" ? -4 : 4) + (narrow ? 8 : 0);
  const color = (side: Dot["side"]) => (side === "all" ? theme.hall : theme.muted);
  const of = (side: Dot["side"]) => dots.filter((one) => one.side === side);
  const marks = (["all", "equal"] as const).flatMap((side) => [
    Plot.ruleY(of(side), { y: "key", x1: "low", x2: "high", stroke: color(side), strokeWidth: 1.8, dy: shift(side) }),
    Plot.dot(of(side), { y: "key", x: "at", r: 3.6, stroke: color(side), fill: side === "all" ? color(side) : theme.panel, strokeWidth: 1.5, dy: shift(side) }),
  ]);
  const plot = chart(theme, {
    width,
    height: 16 + named.length * row + 26,
    marginLeft: names + 8,
    marginRight: 16,
    marginTop: 12,
    marginBottom: 26,
    x: { domain: [low, high], label: null },
    y: { domain: named.map(({ key }) => key), label: null, axis: null, padding: 0.1 },
    marks: [
      Plot.gridX({ stroke: theme.line, strokeOpacity: 1, ticks: 5 }),
      axis(theme, "x", { anchor: "bottom", ticks: 5 }),
      Plot.ruleX([0.5], { stroke: theme.muted }),
      Plot.text(named, {
        y: "key", frameAnchor: "left", textAnchor: "start", lineAnchor: "middle", dx: narrow ? 2 : -names, dy: narrow ? -12 : 0, fill: theme.fg,
        text: ({ one }: { one: ClassifierInfo }) => fit(readsOf(one), narrow ? width - 24 : names - 6),
      }),
      ...marks,
      Plot.dot(swapped, { y: "key", x: ({ one }: { one: ClassifierInfo }) => one.swapped_auroc as number, symbol: "times", r: 3.4, stroke: theme.fg, strokeWidth: 1.4, dy: shift("all") }),
    ],
  });
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  return {
    plot,
    points: dots.map((one) => ({
      x: xAt(one.at),
      y: yAt(one.key) + shift(one.side),
      lines: [
        readsOf(one.one),
        `AUROC ${number(one.at)} (95 % ${number(one.low)} to ${number(one.high)})${one.side === "equal" ? `, of ${one.one.samples_at_equal_length} triples at equal length` : ""}`,
        `labels swapped at random: ${number(one.one.swapped_auroc)}, as much in a share of ${probability(one.one.swapped_p)}`,
      ],
    })),
    reach: 200,
    legend: legend(theme),
    caption: captionOf(all) + (all.length > MOST_LINES ? ` The first ${MOST_LINES} are drawn; the table has all.` : ""),
    table: () => ({
      columns: ["Reads", "AUROC", "95 % from", "95 % to", "At equal length", "95 % from", "95 % to", "Triples", "At equal length", "Labels swapped", "p", "Columns", "Used"],
      rows: all.map((one) => {
        const [from, to] = one.auroc_interval ?? [NaN, NaN];
        const [equalFrom, equalTo] = one.auroc_at_equal_length_interval ?? [NaN, NaN];
        return [readsOf(one), number(one.auroc), number(from), number(to), number(one.auroc_at_equal_length), number(equalFrom), number(equalTo), one.samples, one.samples_at_equal_length, number(one.swapped_auroc), probability(one.swapped_p), one.columns, number(one.kept)];
      }),
    }),
  };
}

/** What the colours say. */
export function legend(colors: { hall: string; muted: string }): HTMLElement[] {
  return [key(colors.hall, "all triples"), key(colors.muted, "triples at equal length", "ring")];
}

/** The best layer beside length, in words. */
export function captionOf(all: readonly ClassifierInfo[]): string {
  const area = (one: ClassifierInfo) => one.auroc ?? NaN;
  const features = all.filter((one) => one.reads === "features").sort((a, b) => area(b) - area(a));
  const length = all.find((one) => one.reads === "n_tokens");
  const [best] = features;
  const [probe] = all.filter((one) => one.reads === "residual" && Number.isFinite(area(one))).sort((a, b) => area(b) - area(a));
  const stream = probe === undefined ? "" : ` A linear probe of the residual stream has ${number(probe.auroc)} (layer ${probe.layer ?? "–"}${bestOf(all.filter((one) => one.reads === "residual").length)})${equally(probe)}${byChance(probe)}.`;
  if (best === undefined) return `There is no classifier by features.${stream}`;
  const told = `All features of layer ${best.layer ?? "–"} together tell hallucinations from facts with an AUROC of ${number(best.auroc)}${features.length > 1 ? `, the best of ${features.length} layers` : ""}`;
  const beside = length === undefined ? "" : `; length alone with ${number(length.auroc)}`;
  const equal = typeof best.auroc_at_equal_length === "number" ? `. At equal length the features’ is ${number(best.auroc_at_equal_length)}` : "";
  return `${told}${beside}${equal}${byChance(best)}.${stream}`;
}

const bestOf = (layers: number) => (layers > 1 ? `, the best of ${layers}` : "");

const equally = (one: ClassifierInfo) => (typeof one.auroc_at_equal_length === "number" ? `, at equal length ${number(one.auroc_at_equal_length)}` : "");

const byChance = (one: ClassifierInfo) => (typeof one.swapped_p === "number" && one.swapped_p > 0.05 ? ". Labels swapped at random do as well" : "");
