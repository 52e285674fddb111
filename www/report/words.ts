// What a run shows, in plain words, and no more than stats.parquet has.

import { isNull, nameInWords } from "../data/metrics";
import type { Run } from "../data/run";
import { counted, number, probability, signed } from "../ui/format";
import { probeWords } from "../views/results/classifierWords";
import { differ, share, Z_SCORE } from "../views/results/families";
import { controlWords } from "../views/results/heldEqual";
import { compared, FOUND, tally, UNTESTED, type Comparison } from "../views/results/verdicts";
import { foundWords, lengths, namesOf } from "../views/results/verdictWords";

export interface Words {
  /** The finding in one sentence. */
  headline: string;
  /** What stands behind it, a paragraph each. */
  paragraphs: string[];
  /** Metrics that differ at equal length, a line each, the largest difference first. */
  survivors: string[];
}

/** Survivors that are told one by one. */
const MOST_SURVIVORS = 5;

/** Two-sided 5 %, 80 %: the sum of the two normal quantiles. */
const DETECTABLE = 1.959964 + 0.841621;

/** The words. */
export function wordsOf(run: Run): Words {
  const all = compared(run);
  if (run.stats === null || all.length === 0) {
    return { headline: "Nothing is compared in this run.", paragraphs: ["The run has no comparisons (stats.parquet)."], survivors: [] };
  }
  const counts = tally(all);
  const of = (verdict: string) => counts.get(verdict) ?? 0;
  const tested = namesOf(all.filter((c) => !UNTESTED.includes(c.verdict)));
  if (tested.length === 0) {
    return {
      headline: "Nothing can be said: there are too few samples, or nothing varies.",
      paragraphs: [`A comparison needs at least three pairs that vary; this run has ${counted(run.metrics.rows, "sample")}.`],
      survivors: [],
    };
  }
  const size = (c: Comparison) => Math.abs(Number.isFinite(c.adjusted) ? c.adjusted : c.g);
  const surviving = all.filter((c) => c.verdict === "survives_length_control").sort((a, b) => size(b) - size(a));
  return {
    headline: headline(tested, namesOf(surviving), of("explained_by_length") + of("no_length_control"), of("no_length_control") + of("undecided") > 0),
    paragraphs: [
      [behind(tested, all, of), controlWords(surviving)].filter(Boolean).join(" "),
      seen(run, all, of("undecided")),
      lengths(run),
      probeWords(run.manifest?.statistics?.classifiers ?? []),
      REACH,
    ].filter((text) => text !== ""),
    survivors: [
      ...surviving.slice(0, MOST_SURVIVORS).map(survivor),
      ...(surviving.length > MOST_SURVIVORS ? [`and ${surviving.length - MOST_SURVIVORS} more: the forest plots have all`] : []),
    ],
  };
}

function headline(tested: string[], surviving: string[], found: number, open: boolean): string {
  if (surviving.length > 0) return `${differ(surviving, tested)} between fact and hallucination at equal length.`;
  const what = tested.some(isNull) ? `metric or ${Z_SCORE}` : "metric";
  // what has no control, or is neither found nor ruled out, may yet be a difference
  const none = `No ${what} ${open ? "is shown to separate" : "separates"} fact from hallucination`;
  return found > 0 ? `${none} after the length control.` : `${none}, before the length control or after it.`;
}

/** How many differ, and what becomes of them. */
function behind(tested: string[], all: Comparison[], of: (verdict: string) => number): string {
  const words = foundWords(namesOf(all.filter(({ verdict }) => FOUND.includes(verdict))), tested);
  const [surviving, explained, uncontrolled] = FOUND.map(of) as [number, number, number];
  const parts = [
    surviving > 0 && `${surviving} ${surviving === 1 ? "differs" : "differ"} at equal token counts`,
    explained > 0 && `${explained} ${explained === 1 ? "is" : "are"} explained by text length`,
    uncontrolled > 0 && `of ${uncontrolled} these triples cannot tell whether length explains ${uncontrolled === 1 ? "it" : "them"}`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? `${words}.` : `${words}: ${parts.join("; ")}.`;
}

/** What the run would have seen, and what it rules out. */
function seen(run: Run, all: Comparison[], undecided: number): string {
  const texts: string[] = [];
  const bound = run.manifest?.statistics?.equivalence_bound ?? BOUND;
  const n = Math.max(...all.map((c) => c.n));
  const stored = Math.max(...column(run, all, "detectable_dz"));
  // without the column: what it holds, but for a few hundredths where there are few pairs
  const least = Number.isFinite(stored) ? stored : n >= 10 ? DETECTABLE / Math.sqrt(n) : NaN;
  if (Number.isFinite(least)) {
    // pairs of one cluster count once
    const clusters = Math.max(...column(run, all, "n_clusters"));
    const pairs = Number.isFinite(clusters) && clusters < n ? `${counted(n, "pair")} in ${counted(clusters, "cluster")}` : counted(n, "pair");
    const equal = Math.max(...column(run, all, "length_detectable_dz"));
    const controlled = Number.isFinite(equal) ? `, at equal length |d_z| ${equal.toFixed(2)}` : "";
    texts.push(`The smallest difference that a single test would have seen here with a chance of 80 % is |d_z| ${least.toFixed(2)} (${pairs})${controlled}; over many metrics at once it has to be larger.`);
  }
  if (all.some((c) => Number.isFinite(c.excluded))) {
    texts.push(`Differences above |d_z| ${bound} are ruled out for ${share(namesOf(all.filter((c) => c.excluded <= bound)), namesOf(all))}.`);
  }
  if (undecided > 0) texts.push(`${undecided} ${undecided === 1 ? "is" : "are"} undecided: no difference was found, and one of |d_z| ${bound} is not ruled out.`);
  return texts.join(" ");
}

/** The program's own bound of equivalence, of a run whose manifest does not say it. */
const BOUND = 0.3;

/** The numbers of a column that runs of later versions have; none where it is not there. */
function column(run: Run, all: Comparison[], name: string): number[] {
  return all.map((c) => run.stats?.number(name, c.row) ?? NaN).filter(Number.isFinite);
}

const REACH =
  "A difference says that the two kinds of text differ on average on this metric, in this model, under these SAEs, on these triples. It is not a detector of hallucinations, and not a cause.";

function survivor(c: Comparison): string {
  const raw = `g ${signed(c.g)} (95 % ${number(c.gLow)} to ${number(c.gHigh)}, q ${probability(c.q)})`;
  const equal = Number.isFinite(c.adjusted) ? `, at equal length ${signed(c.adjusted)} (${number(c.adjustedLow)} to ${number(c.adjustedHigh)}, q ${probability(c.adjustedQ)})` : "";
  return `${nameInWords(c.metric)}: ${raw}${equal}`;
}
