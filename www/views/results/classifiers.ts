// Facts told from hallucinations by all features of a layer together, beside what has nothing to do with features.

import type { Run } from "../../data/run";
import type { ClassifierInfo } from "../../generated/manifest";
import { key } from "../../ui/controls";
import { number, probability } from "../../ui/format";
import type { Theme } from "../../ui/theme";
import { axis, chart, fit, places, Plot } from "./chart";
import { captionOf, HOW, overLayers, readsOf } from "./classifierWords";
import type { Drawing, PanelSpec } from "./panel";

/** More lines than this are no figure. */
const MOST_LINES = 90;

/** The panel; none where the run has no classifiers. `how` is for a document that says elsewhere how to read it. */
export function classifierPanels(run: Run, how = HOW): PanelSpec[] {
  const all = run.manifest?.statistics?.classifiers ?? [];
  const measured = all.filter((one) => typeof one.auroc === "number");
  if (measured.length === 0) return [];
  return [{ id: "classifiers", title: "Hallucination told from fact", how, size: "wide", draw: (_view, theme, width) => draw(measured, all, theme, width) }];
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

/** `measured` are those of `all` that have an area. */
function draw(measured: ClassifierInfo[], all: readonly ClassifierInfo[], theme: Theme, width: number): Drawing {
  const named = measured.slice(0, MOST_LINES).map((one, i) => ({ one, key: String(i) }));
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
    caption: captionOf(all) + (measured.length > MOST_LINES ? ` The first ${MOST_LINES} are drawn; the table has all.` : ""),
    table: () => ({
      columns: ["Reads", "AUROC", "95 % from", "95 % to", "At equal length", "95 % from", "95 % to", "Triples", "At equal length", "Labels swapped", "p", "p over layers", "Columns", "Used"],
      rows: measured.map((one) => {
        const [from, to] = one.auroc_interval ?? [NaN, NaN];
        const [equalFrom, equalTo] = one.auroc_at_equal_length_interval ?? [NaN, NaN];
        const layers = all.filter(({ reads }) => reads === one.reads).length;
        return [readsOf(one), number(one.auroc), number(from), number(to), number(one.auroc_at_equal_length), number(equalFrom), number(equalTo), one.samples, one.samples_at_equal_length, number(one.swapped_auroc), probability(one.swapped_p), probability(overLayers(one, layers)), one.columns, number(one.kept)];
      }),
    }),
  };
}

/** What the colours say. */
export function legend(colors: { hall: string; muted: string }): HTMLElement[] {
  return [key(colors.hall, "all triples"), key(colors.muted, "triples at equal length", "ring")];
}
