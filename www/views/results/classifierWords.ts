// What a run's classifiers say, in words: how well all features of a layer together, and the residual stream itself, tell
// facts from hallucinations, beside what length and swapped labels do.

import { shown } from "../../foreign";
import type { ClassifierInfo } from "../../generated/manifest";
import { number, probability } from "../../ui/format";

/** How to read them. */
export const HOW =
  "Area under the ROC curve: the chance that a hallucination has a higher score than a fact. Each text is scored by a fit to other triples (logistic regression with an L1 penalty, of the residual stream a ridge regression; five folds, clusters kept together). 0.5: no better than a coin; the cross is what labels swapped at random give. Features that do no better than length say nothing about truth; the residual stream is what a linear reading of the model itself finds.";

const WORDS: Record<string, string> = { features: "all features", l0: "number of features (L0)", n_tokens: "length (token count)", logprob: "log-probability", residual: "residual stream" };

/** What a classifier reads, in words. */
export function readsOf(one: ClassifierInfo): string {
  const words = Object.hasOwn(WORDS, one.reads) ? (WORDS[one.reads] as string) : shown(one.reads);
  return typeof one.layer === "number" ? `${words}, layer ${one.layer}` : words;
}

/** The best layer of a kind, and of how many it is the best. */
function bestOf(all: readonly ClassifierInfo[], reads: string): { best: ClassifierInfo; layers: number } | null {
  const kind = all.filter((one) => one.reads === reads);
  const area = (one: ClassifierInfo) => one.auroc ?? NaN;
  const [best] = kind.filter((one) => Number.isFinite(area(one))).sort((a, b) => area(b) - area(a));
  return best === undefined ? null : { best, layers: kind.length };
}

/** The share of swapped labels with which some layer does as well, since of many layers one is good by chance. Runs of
 *  earlier versions have that of this layer alone: Bonferroni's correction of it. */
export function overLayers(one: ClassifierInfo, layers: number): number {
  if (typeof one.swapped_p_over_layers === "number") return one.swapped_p_over_layers;
  return typeof one.swapped_p === "number" ? Math.min(1, one.swapped_p * Math.max(1, layers)) : NaN;
}

/** Whether labels swapped at random do as well; empty where it is not known. */
function byChance(one: ClassifierInfo, layers: number): string {
  const p = overLayers(one, layers);
  if (Number.isNaN(p)) return "";
  const told = `p ${probability(p)}${layers > 1 ? `, corrected for the ${layers} layers` : ""}`;
  if (p <= 0.05) return `labels swapped at random do worse: ${told}`;
  // with few swaps no p of one layer is small enough to be corrected
  return typeof one.swapped_p_over_layers !== "number" && (one.swapped_p as number) <= 0.05 ? `with so few swaps, labels swapped at random are not shown to do worse: ${told}` : `labels swapped at random do as well: ${told}`;
}

const inBrackets = (words: string) => (words === "" ? "" : ` (${words})`);

/** What a linear reading of the model finds, whatever the metrics say: one sentence, empty where the run has no probe. */
export function probeWords(all: readonly ClassifierInfo[]): string {
  const found = bestOf(all, "residual");
  if (found === null) return "";
  const { best, layers } = found;
  const layer = typeof best.layer === "number" ? ` at layer ${best.layer}${layers > 1 ? `, the best of ${layers}` : ""}` : "";
  const equal = typeof best.auroc_at_equal_length === "number" ? `; at equal length it is ${number(best.auroc_at_equal_length)}` : "";
  return `A linear probe of the raw residual stream tells hallucinations from facts with an AUROC of ${number(best.auroc)}${layer}${inBrackets(byChance(best, layers))}${equal}.`;
}

/** The best layer of features beside length, and the probe. */
export function captionOf(all: readonly ClassifierInfo[]): string {
  const found = bestOf(all, "features");
  const length = all.find((one) => one.reads === "n_tokens");
  const probe = probeWords(all);
  const words = [found === null ? "There is no classifier by features." : featureWords(found.best, found.layers, length), probe];
  return words.filter(Boolean).join(" ");
}

function featureWords(best: ClassifierInfo, layers: number, length: ClassifierInfo | undefined): string {
  const told = `All features of layer ${best.layer ?? "–"} together tell hallucinations from facts with an AUROC of ${number(best.auroc)}${layers > 1 ? `, the best of ${layers} layers` : ""}`;
  const beside = length === undefined ? "" : `; length alone with ${number(length.auroc)}`;
  const equal = typeof best.auroc_at_equal_length === "number" ? `. At equal length the features’ is ${number(best.auroc_at_equal_length)}` : "";
  return `${told}${inBrackets(byChance(best, layers))}${beside}${equal}.`;
}
