// stats.parquet: comparisons by metric and domain, and what their verdicts mean.

import { shown } from "../../foreign";
import { differenceOf } from "../../data/metrics";
import type { Run } from "../../data/run";
import { heldOf, type Held } from "./heldEqual";

/** The column of how many triples carry the length control. */
export const MATCHED = "n_length_matched";

/** One row of stats.parquet, as far as the page draws it. */
export interface Comparison {
  row: number;
  metric: string;
  domain: string;
  n: number;
  /** Mean difference, hallucination less fact. */
  diff: number;
  /** Hedges' g of the paired difference, and the 95 % interval of the mean difference in its units. */
  g: number;
  gLow: number;
  gHigh: number;
  /** The difference at equal length, in the same units. */
  adjusted: number;
  adjustedLow: number;
  adjustedHigh: number;
  q: number;
  adjustedQ: number;
  lengthR: number;
  /** Triples that carry the length control; NaN in runs of versions that did not count them. */
  matched: number;
  /** Pairs with equally many tokens, and their difference in the same units. */
  nEqual: number;
  equal: number;
  /** Area under the ROC curve of the metric alone; NaN in runs of earlier versions. */
  auroc: number;
  /** The |d_z| that is ruled out; NaN in runs of earlier versions. */
  excluded: number;
  verdict: string;
  /** What is left with other things than length held equal, by CONTROLS. */
  controls: Held[];
}

/** The column of the difference that is ruled out, which runs of earlier versions lack. */
export const EXCLUDED = "excluded_dz";

/** Verdicts that speak of a difference: a row that survives has its q at equal length, the others theirs over all samples. */
export const FOUND: readonly string[] = ["survives_length_control", "explained_by_length", "no_length_control"];

/** Verdicts that say that nothing was found. */
export const NOT_FOUND: readonly string[] = ["undecided", "no_difference", "no_variation", "too_few_samples"];

/** Verdicts of what nothing can be said of by a test. */
export const UNTESTED: readonly string[] = ["too_few_samples", "no_variation"];

/** Verdicts in the order of their weight: the word (and its form of many), the heading over several, and what it says. */
export const VERDICTS: Record<string, { word: string; many?: string; heading: string; meaning: string }> = {
  survives_length_control: {
    word: "survives",
    many: "survive",
    heading: "Survives the length control",
    meaning: "a difference that is there at equal token counts (q ≤ 0.05)",
  },
  explained_by_length: {
    word: "explained by length",
    heading: "Explained by length",
    meaning: "a difference that is not there at equal token counts",
  },
  no_length_control: {
    word: "no length control",
    heading: "No length control",
    meaning: "a difference that these triples cannot tell apart from token counts",
  },
  undecided: {
    word: "undecided",
    heading: "Undecided",
    meaning: "no difference was found (q > 0.05), and one as large as the bound (|d_z| 0.3 by default) is not ruled out: too few samples to say",
  },
  no_difference: {
    word: "no difference",
    heading: "No difference",
    meaning: "no difference was found (q > 0.05); where the file has a ruled-out |d_z|, a larger one than that is ruled out",
  },
  no_variation: { word: "no variation", heading: "No variation", meaning: "all differences are the same" },
  too_few_samples: { word: "too few samples", heading: "Too few samples", meaning: "fewer than three pairs" },
  control: { word: "the control itself", heading: "The control itself", meaning: "what the others are checked against: length, or how usual the text is" },
};

/** A verdict's class: what a file calls otherwise gets none of the page's. */
export function verdictClass(verdict: string): string {
  return Object.hasOwn(VERDICTS, verdict) ? `verdict ${verdict}` : "verdict";
}

/** A verdict's word. */
export function verdictWord(verdict: string): string {
  return VERDICTS[verdict]?.word ?? shown(verdict.replaceAll("_", " "));
}

const names = new WeakMap<Run, string>();

/** Name that stats.parquet gives to all samples together: `(all)` where a domain beside others is
 *  called `all`. */
export function everything(run: Run): string {
  let name = names.get(run);
  if (name === undefined) {
    const domains = run.stats?.texts("domain");
    const taken = domains ? domains.includes("(all)") : run.domains.includes("all");
    names.set(run, (name = taken ? "(all)" : "all"));
  }
  return name;
}

/** Name that stats.parquet gives to a domain (null: all of them). An only domain is tested once, as all;
 *  earlier versions of the format hold it under its own name too. */
export function group(run: Run, domain: string | null): string {
  return domain === null || run.domains.length === 1 ? everything(run) : domain;
}

const known = new WeakMap<Run, Comparison[]>();

/** All comparisons of a run, in file order; empty without stats.parquet. */
export function comparisons(run: Run): readonly Comparison[] {
  let found = known.get(run);
  if (found === undefined) known.set(run, (found = read(run)));
  return found;
}

function read(run: Run): Comparison[] {
  const stats = run.stats;
  if (stats === null) return [];
  return Array.from({ length: stats.rows }, (_, row) => {
    const value = (name: string) => stats.number(name, row);
    const g = value("hedges_g");
    const diff = value("mean_diff");
    // g is the mean difference over the (bias-corrected) spread of differences: the same factor
    // takes the interval and the adjusted difference into its units.
    const factor = diff === 0 ? NaN : g / diff;
    return {
      row,
      metric: stats.text("metric", row),
      domain: stats.text("domain", row),
      n: value("n"),
      diff,
      g,
      gLow: value("ci_low") * factor,
      gHigh: value("ci_high") * factor,
      adjusted: value("length_adjusted_diff") * factor,
      adjustedLow: value("length_adjusted_ci_low") * factor,
      adjustedHigh: value("length_adjusted_ci_high") * factor,
      q: value("q_value"),
      adjustedQ: value("length_adjusted_q"),
      lengthR: value("length_r"),
      matched: value(MATCHED),
      nEqual: value("n_equal_length"),
      equal: value("equal_length_diff") * factor,
      auroc: value("auroc"),
      excluded: value(EXCLUDED),
      verdict: stats.text("verdict", row),
      controls: heldOf(stats, row),
    };
  });
}

/** Pearson's r of a metric with token counts, as stats.parquet has it; NaN where it does not. */
export function lengthR(run: Run, metric: string, domain: string | null): number {
  const wanted = domain ?? everything(run);
  return comparisons(run).find((c) => c.metric === metric && c.domain === wanted)?.lengthR ?? NaN;
}

/** The comparisons over all samples, each hypothesis once: `*_diff` rows ask their metric's question again and are left
 *  out, as are the controls. */
export function compared(run: Run): Comparison[] {
  const all = everything(run);
  return comparisons(run).filter((c) => c.domain === all && c.verdict !== "control" && !isDifference(run, c.metric));
}

/** How many of them have which verdict. */
export function tally(all: readonly Comparison[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { verdict } of all) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  return counts;
}

/** Whether a metric of stats.parquet is a `*_diff` column. */
export function isDifference(run: Run, metric: string): boolean {
  return differenceOf(metric) !== null && run.metrics.has(metric);
}
