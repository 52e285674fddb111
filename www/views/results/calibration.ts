// Does the instrument work here: what calibration.json says, in words and as plots.

import type { Calibration } from "../../data/calibration";
import type { Ceiling, MetricArea, PositiveControl, Probed, ProbedLayer, Share, TestFamily } from "../../generated/calibration";
import { nameInWords } from "../../data/metrics";
import { listed, shown } from "../../foreign";
import { key } from "../../ui/controls";
import { counted, number, percent, probability } from "../../ui/format";
import type { Theme } from "../../ui/theme";
import { axis, chart, fit, places, Plot } from "./chart";
import { Z_SCORES } from "./families";
import type { Drawing, PanelSpec } from "./panel";

/** How to read the part. */
export const HOW =
  "What the instrument says where the truth is known: this run’s own numbers with fact and hallucination swapped at random, effects of known size planted there, pairs that differ in length alone, and built-in pairs that do differ in what the model represents.";

const FAMILIES: Record<TestFamily, string> = { metrics: "metrics", nulls: Z_SCORES };
/** Where there is little room. */
const SHORT: Record<TestFamily, string> = { metrics: "metrics", nulls: "z-scores" };
const SETS: Record<string, string> = { truth: "True and false statements", language: "Two languages", register: "Two registers" };
/** With fewer there is no length control (crate/stats/length.rs). */
const FEWEST_CHAINS = 6;
const OWN = "This run’s own pairs";

/** What was found, a sentence each. */
export function wordsOf(calibration: Calibration): string[] {
  const { swaps } = calibration;
  const out: string[] = [];
  for (const of of calibration.false_alarms) {
    const says =
      swaps.median_chains < FEWEST_CHAINS ? "but most copies have too few chains for anything to survive"
      : of.runs_survive.share <= of.nominal ? "which is no more than the rate that was asked for"
      : of.holds ? "which so few copies cannot tell from the rate that was asked for"
      : "which is MORE than the rate that was asked for: verdicts of this run are to be doubted";
    out.push(`False alarms: with fact and hallucination swapped at random in ${counted(swaps.swaps, "copy", "copies")} of this run, one of ${of.metrics} ${FAMILIES[of.family]} or more survives in ${interval(of.runs_survive)}, ${says} (${percent(of.nominal)}); before the length control in ${interval(of.runs_found)}.`);
  }
  const planted = calibration.planted.filter((of) => of.family === "metrics");
  if (planted.length > 0) {
    const each = planted.map((of) => `${percent(of.survive.median.share)} at d_z ${of.dz} (${percent(of.survive.min.share)} to ${percent(of.survive.max.share)} over metrics)`);
    out.push(`Planted effects: an effect in one metric alone survives in ${each.join(", ")}; the length control has a median of ${counted(swaps.median_chains, "chain")} to go by.`);
  }
  const trap = calibration.length_trap;
  if (trap) {
    const says =
      trap.survive > 0 ? `${trap.survive} SURVIVE: ${listed(trap.survivors, 5)}`
      : trap.found === 0 ? "nothing fell into the trap"
      : trap.explained === 0 ? "no answer, since nothing had a control"
      : "none survives its control";
    out.push(`Length trap: of ${trap.metrics} metrics, ${trap.found} differ between facts and the same facts with more neutral words; ${says} (${trap.explained} explained by length, ${trap.no_control} without a control).`);
  }
  for (const of of calibration.positive_controls) out.push(`${setName(of.name)} (${of.pairs} pairs, ${of.equal_length} of equal length): ${seen(of)}`);
  if (calibration.ceiling) out.push(ceilingWords(calibration.ceiling));
  for (const of of calibration.left_out) out.push(`Left out: ${shown(of.part)} (${shown(of.reason)}).`);
  return out;
}

function seen(of: PositiveControl): string {
  const probes = `A linear probe reaches ${bestProbe(of.layers, "residual")} on the residual stream and ${bestProbe(of.layers, "features")} on the SAE’s features.`;
  const best = of.best_metric ? ` The best of all metrics alone has ${areaWords(of.best_metric)}.` : "";
  if (of.seen_by_metrics) return `${of.survive} of ${of.metrics} metrics find it at equal length.${best} ${probes}`;
  if (of.seen_by_features) return `NO METRIC finds it, though the SAE’s features have it.${best} ${probes}`;
  if (of.seen_by_probe) return `NEITHER METRICS NOR THE SAE’S FEATURES find it, though it is in the residual stream.${best} ${probes}`;
  return `nothing finds it, not even a linear probe on the residual stream.${best} ${probes}`;
}

function ceilingWords(of: Ceiling): string {
  const best = of.best_metric ? `; the best of all metrics alone has ${areaWords(of.best_metric)}` : "";
  const length = of.length ? `, token counts alone ${number(of.length.auroc)}` : "";
  return `Ceiling: on ${of.pairs} of this run’s own pairs a linear probe reaches ${bestProbe(of.layers, "residual")} on the residual stream, without a length control, and ${bestProbe(of.layers, "features")} on the SAE’s features${best}${length}.`;
}

function bestProbe(layers: readonly ProbedLayer[], of: "residual" | "features"): string {
  const all = layers.flatMap((layer) => (layer[of] ? [{ layer: layer.layer, probed: layer[of] as Probed }] : []));
  const best = all.sort((a, b) => b.probed.auroc - a.probed.auroc)[0];
  return best === undefined ? "nothing" : `AUROC ${number(best.probed.auroc)} at layer ${best.layer} (p ${probability(overLayers(best.probed))} over layers)`;
}

/** p of the best of all layers; calibrations of before lack it, and are not taken for found. */
const overLayers = (of: Probed): number => (of.p_corrected as number | undefined) ?? 1;

const areaWords = (of: MetricArea) => `AUROC ${number(of.auroc)} (${nameInWords(of.metric)})`;
const setName = (name: string) => SETS[name] ?? shown(name);
const interval = (of: Share) => `${percent(of.share)} (95 % ${percent(of.low)} to ${percent(of.high)})`;

/** The plots. */
export function calibrationPanels(calibration: Calibration): PanelSpec[] {
  const panels: PanelSpec[] = [
    { id: "false-alarms", title: "False alarms", how: "Share of swapped copies of this run in which anything is found, with its 95 % interval. The line is the rate that was asked for.", size: "half", draw: (_view, theme, width) => falseAlarms(calibration, theme, width) },
    { id: "planted", title: "Planted effects", how: "How often an effect of known size is found: the median metric, and all metrics from the least to the most often.", size: "half", draw: (_view, theme, width) => planted(calibration, theme, width) },
  ];
  if (probes(calibration).length > 0) {
    panels.push({ id: "probes", title: "What a linear probe tells, and the best metric", how: "Area under the ROC curve on pairs that the probe was not fitted to, with its 95 % interval; 0.5 is chance. The best metric is the best of all, so better than it will be again.", size: "wide", draw: (_view, theme, width) => probeDrawing(calibration, theme, width) });
  }
  return panels;
}

interface Dot {
  row: string;
  at: number;
  low: number;
  high: number;
  color: string;
  filled: boolean;
  words: string;
}

/** Rows of dots with intervals, named at the left or, where it is narrow, above. */
function dots(all: Dot[], rows: string[], theme: Theme, width: number, domain: [number, number], line: number, format: (value: number) => string): Pick<Drawing, "plot" | "points" | "reach"> {
  const narrow = width < 480;
  const names = narrow ? 0 : Math.min(340, Math.round(width * 0.42));
  const high = narrow ? 40 : 26;
  const inside = (value: number) => Math.min(domain[1], Math.max(domain[0], value));
  const dy = narrow ? 8 : 0;
  const plot = chart(theme, {
    width,
    height: 34 + rows.length * high,
    // half a tick's words stand beyond each end
    marginLeft: narrow ? 18 : names + 12,
    marginRight: 22,
    marginTop: 8,
    marginBottom: 26,
    x: { domain, label: null },
    y: { domain: rows, label: null, axis: null, padding: 0.5 },
    color: { type: "identity" },
    marks: [
      Plot.gridX({ stroke: theme.line, strokeOpacity: 1, ticks: 5 }),
      axis(theme, "x", { anchor: "bottom", ticks: 5, tickFormat: format }),
      Plot.ruleX([line], { stroke: theme.muted, strokeDasharray: "4 3" }),
      Plot.ruleY(all, { y: "row", x1: (d: Dot) => inside(d.low), x2: (d: Dot) => inside(d.high), stroke: "color", strokeWidth: 1.8, dy }),
      Plot.dot(all, { y: "row", x: (d: Dot) => inside(d.at), r: 4, stroke: "color", strokeWidth: 1.5, fill: (d: Dot) => (d.filled ? d.color : theme.panel), dy }),
      Plot.text(rows, { y: (row: string) => row, text: (row: string) => fit(row, narrow ? width - 16 : names), frameAnchor: "left", textAnchor: "start", lineAnchor: "middle", dx: narrow ? -10 : -names - 4, dy: narrow ? -10 : 0, fill: theme.fg, ...(narrow ? { stroke: theme.panel, strokeWidth: 4 } : {}) }),
    ],
  });
  const [xAt, yAt] = [places(plot, "x"), places(plot, "y")];
  return { plot, reach: 200, points: all.map((d) => ({ x: xAt(inside(d.at)), y: yAt(d.row) + dy, lines: [d.row, d.words] })) };
}

function falseAlarms(calibration: Calibration, theme: Theme, width: number): Drawing {
  const several = calibration.false_alarms.length > 1;
  const row = (what: string, family: TestFamily) => (several ? `${what}, ${SHORT[family]}` : what);
  const all = calibration.false_alarms.flatMap((of): Dot[] => [
    { row: row("Any survives", of.family), ...spreadOf(of.runs_survive), color: of.holds ? theme.fact : theme.hall, filled: true, words: interval(of.runs_survive) },
    { row: row("Any, before the control", of.family), ...spreadOf(of.runs_found), color: theme.muted, filled: false, words: interval(of.runs_found) },
  ]);
  const nominal = calibration.false_alarms[0]?.nominal ?? 0.05;
  const most = Math.min(1, Math.max(0.12, ...all.map((d) => d.high)) * 1.05);
  const table = () => ({
    columns: ["What", "Tests", "Share", "95 % from", "95 % to"],
    rows: calibration.false_alarms.flatMap((of) => [
      line("Copies in which any survives", of.family, of.runs_survive),
      line("Rows that survive", of.family, of.rows_survive),
      line("Copies in which any is found before the control", of.family, of.runs_found),
      line("Rows that are found before the control", of.family, of.rows_found),
    ]),
  });
  const line = (what: string, family: TestFamily, of: Share) => [what, FAMILIES[family], of.share, of.low, of.high];
  if (all.length === 0) return { plot: null, empty: "No metric here varies over enough samples to be compared.", caption: "", table };
  const { swaps, samples, clusters, median_chains } = calibration.swaps;
  const wrong = calibration.false_alarms.some((of) => !of.holds);
  return {
    ...dots(all, all.map((d) => d.row), theme, width, [0, most], nominal, (value) => percent(value)),
    legend: [key(wrong ? theme.hall : theme.fact, "after the length control"), key(theme.muted, "before it", "ring")],
    caption: `${counted(swaps, "copy", "copies")} of ${counted(samples, "sample")} in ${counted(clusters, "cluster")}, swapped by clusters; a median of ${counted(median_chains, "closed chain")}.`,
    table,
  };
}

const spreadOf = (of: Share) => ({ at: of.share, low: of.low, high: of.high });

function planted(calibration: Calibration, theme: Theme, width: number): Drawing {
  const of = calibration.planted.filter((one) => one.family === "metrics");
  const table = () => ({
    columns: ["Metric", "d_z", "Survives", "95 % from", "95 % to", "Found before the control"],
    rows: of.flatMap((one) => one.metrics.map((m) => [nameInWords(m.metric), one.dz, m.survive.share, m.survive.low, m.survive.high, m.found.share])),
  });
  if (of.length === 0) return { plot: null, empty: "No metric here varies over enough samples to be compared.", caption: "", table };
  const row = (dz: number, control: boolean) => `d_z ${dz}${control ? "" : ", before the control"}`;
  const all = of.flatMap((one): Dot[] => [
    { row: row(one.dz, true), at: one.survive.median.share, low: one.survive.min.share, high: one.survive.max.share, color: theme.fact, filled: true, words: `median ${percent(one.survive.median.share)}; ${percent(one.survive.min.share)} (${nameInWords(one.survive.min_metric)}) to ${percent(one.survive.max.share)}` },
    { row: row(one.dz, false), at: one.found.median.share, low: one.found.min.share, high: one.found.max.share, color: theme.muted, filled: false, words: `median ${percent(one.found.median.share)}; ${percent(one.found.min.share)} (${nameInWords(one.found.min_metric)}) to ${percent(one.found.max.share)}` },
  ]);
  return {
    ...dots(all, all.map((d) => d.row), theme, width, [0, 1], 0.8, (value) => percent(value)),
    legend: [key(theme.fact, "survives the length control"), key(theme.muted, "found before it", "ring")],
    caption: `An effect in one metric alone, in standard deviations of its differences; the line is 80 %. The bars reach from the least to the most sensitive of ${counted(of[0]?.metrics.length ?? 0, "metric")}.`,
    table,
  };
}

interface ProbedSet {
  name: string;
  layers: readonly ProbedLayer[];
  best: MetricArea | null;
}

function probes(calibration: Calibration): ProbedSet[] {
  const of = calibration.positive_controls.map(({ name, layers, best_metric }): ProbedSet => ({ name: setName(name), layers, best: best_metric ?? null }));
  const own = calibration.ceiling;
  return own ? [...of, { name: OWN, layers: own.layers, best: own.best_metric ?? null }] : of;
}

function probeDrawing(calibration: Calibration, theme: Theme, width: number): Drawing {
  const sets = probes(calibration);
  const color = { residual: theme.hall, features: theme.fact };
  const label = { residual: "residual stream", features: "SAE features" };
  const all: Dot[] = [];
  for (const set of sets) {
    for (const kind of ["residual", "features"] as const) {
      for (const layer of set.layers) {
        const probed = layer[kind];
        if (!probed) continue;
        all.push({ row: `${set.name}: ${label[kind]}, layer ${layer.layer}`, at: probed.auroc, low: probed.low ?? probed.auroc, high: probed.high ?? probed.auroc, color: color[kind], filled: overLayers(probed) <= 0.05, words: `${areaText(probed)}, p ${probability(probed.p)}, over layers ${probability(overLayers(probed))}; 95 % of permuted labels are below ${number(probed.floor)}` });
      }
    }
    if (set.best) all.push({ row: `${set.name}: best metric`, at: set.best.auroc, low: set.best.low ?? set.best.auroc, high: set.best.high ?? set.best.auroc, color: theme.muted, filled: false, words: `${nameInWords(set.best.metric)}: ${areaText(set.best)}` });
  }
  const low = Math.min(0.4, ...all.map((d) => d.low));
  return {
    ...dots(all, all.map((d) => d.row), theme, width, [Math.max(0, low), 1], 0.5, (value) => number(value)),
    legend: [key(color.residual, "probe on the residual stream"), key(color.features, "probe on the SAE’s features"), key(theme.muted, "best metric alone", "ring")],
    caption: "Filled where p ≤ 0.05, over all layers, against labels swapped at random. No pair, and no relation of statements, is both fitted and scored.",
    table: () => ({ columns: ["What", "AUROC", "95 % from", "95 % to"], rows: all.map((d) => [d.row, d.at, d.low, d.high]) }),
  };
}

const areaText = (of: { auroc: number; low?: number | null; high?: number | null }) => `AUROC ${number(of.auroc)}${of.low == null || of.high == null ? "" : ` (95 % ${number(of.low)} to ${number(of.high)})`}`;
