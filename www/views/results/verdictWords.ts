// What a run's comparisons come to, in the words over its verdicts: what differs, what is left of it where other things
// are held equal, what is ruled out, and what length, likelihood and the residual stream tell.

import type { Run } from "../../data/run";
import { counted, number } from "../../ui/format";
import { probeWords } from "./classifierWords";
import { differ, tests } from "./families";
import { controlWords } from "./heldEqual";
import { compared, comparisons, everything, FOUND, UNTESTED, type Comparison } from "./verdicts";

/** Their names in stats.parquet. */
export const namesOf = (all: readonly Comparison[]): string[] => all.map(({ metric }) => metric);

/** The words, as the parts of one paragraph. */
export function verdictWords(run: Run): string[] {
  const all = compared(run);
  const survivors = all.filter(({ verdict }) => verdict === "survives_length_control");
  const probe = probeWords(run.manifest?.statistics?.classifiers ?? []);
  return [headline(run, all, survivors), controlWords(survivors), excluded(all), lengths(run), baselines(run), probe].filter(Boolean);
}

/** How many differ, by the rule of the verdicts: those that survive do so at equal length, whatever they do over all samples. */
export function foundWords(found: readonly string[], asked: readonly string[]): string {
  const where = "over all samples or at equal length (q ≤ 0.05)";
  return found.length === 0 ? `In none of ${tests(asked)} is a difference between fact and hallucination found ${where}` : `${differ(found, asked)} between fact and hallucination ${where}`;
}

function headline(run: Run, all: readonly Comparison[], survivors: readonly Comparison[]): string {
  if (all.every(({ verdict }) => verdict === "too_few_samples")) {
    return `Too few samples to compare fact and hallucination: a comparison needs at least three independent pairs, this run has ${counted(run.metrics.rows, "sample")}.`;
  }
  const asked = namesOf(all.filter(({ verdict }) => !UNTESTED.includes(verdict)));
  if (asked.length === 0) return "Fact and hallucination cannot be compared: there are too few samples, or nothing varies.";
  const found = namesOf(all.filter(({ verdict }) => FOUND.includes(verdict)));
  const words = foundWords(found, asked);
  return found.length === 0 ? `${words}.` : `${words}; ${left(namesOf(survivors), found)} the length control.`;
}

/** How many survive, as what a sentence is about. */
function left(survivors: readonly string[], found: readonly string[]): string {
  if (survivors.length === 0) return "none survives";
  if (survivors.length === found.length) return found.length === 1 ? "it survives" : found.length === 2 ? "both survive" : "all survive";
  return `${tests(survivors)} ${survivors.length === 1 ? "survives" : "survive"}`;
}

/** How large a difference is ruled out where none was found. */
function excluded(all: readonly Comparison[]): string {
  const none = all.filter((c) => c.verdict === "no_difference" && Number.isFinite(c.excluded));
  if (none.length === 0) return "";
  const largest = none.reduce((most, c) => Math.max(most, c.excluded), 0);
  return `In ${tests(namesOf(none))} a difference above |d_z| ${number(largest)} is ruled out.`;
}

/** What length alone tells, and likelihood alone where the run has it. */
function baselines(run: Run): string {
  const all = everything(run);
  const area = (metric: string) => {
    const found = comparisons(run).find((c) => c.domain === all && c.metric === metric)?.auroc ?? NaN;
    return Math.max(found, 1 - found);
  };
  const [length, likelihood] = [area("n_tokens"), area("logprob")];
  if (Number.isNaN(length)) return "";
  return `Length alone tells them apart with an AUROC of ${number(length)}${Number.isNaN(likelihood) ? "" : `, log-probability alone with ${number(likelihood)}`}.`;
}

/** What the length control rests on. */
export function lengths(run: Run): string {
  const equal = `Both texts have equally many tokens in ${equalLength(run)} of ${counted(run.metrics.rows, "sample")}`;
  const all = everything(run);
  const matched = comparisons(run).reduce((most, c) => (c.domain === all && c.matched > most ? c.matched : most), -1);
  return matched >= 0 ? `${equal}; the length control rests on ${matched}.` : `${equal}.`;
}

function equalLength(run: Run): number {
  const hall = run.metrics.numbers("n_tokens_hall");
  return run.metrics.numbers("n_tokens_fact")?.filter((n, row) => n === hall?.[row]).length ?? 0;
}
