// Which features differ between facts and hallucinations: the rows of stats_features.parquet over all samples, and what
// they come to in words. The page's table and the report's are made of them.

import type { FeatureWords } from "../../data/words";
import type { Table } from "../../data/table";
import { counted } from "../../ui/format";
import { ghostDomains, type GhostDomain } from "./ghosts";
import { controlWords, heldOf, type Held } from "./heldEqual";
import { VERDICTS } from "./verdicts";

/** A feature over all samples. */
export interface FeatureLine {
  layer: number;
  feature: number;
  fact: number;
  hall: number;
  ghost: number;
  missing: number;
  /** Mean activation over all facts, over all hallucinations. */
  meanFact: number;
  meanHall: number;
  presenceQ: number;
  dz: number;
  q: number;
  adjustedQ: number;
  verdict: string;
  /** What is left with other things than length held equal, by CONTROLS. */
  controls: Held[];
  /** Mean activation where it is a ghost; NaN where it never is. */
  meanGhost: number;
  /** Domains in which it is one; none where the file does not tell them apart. */
  ghostIn: GhostDomain[];
}

/** Verdicts in the order in which their features are listed. */
const ORDER = Object.keys(VERDICTS);

/** A verdict's place in that order. */
export const place = (verdict: string): number => (ORDER.includes(verdict) ? ORDER.indexOf(verdict) : ORDER.length);

/** The tested features, by verdict, then by how sure their difference is. */
export function featureLines(table: Table): FeatureLine[] {
  const lines: FeatureLine[] = [];
  const ghostIn = ghostDomains(table);
  for (let row = 0; row < table.rows; row++) {
    const verdict = table.text("verdict", row);
    // rows of domains are not tested
    if (verdict === "") continue;
    const of = (name: string) => table.number(name, row);
    lines.push({
      layer: of("layer"), feature: of("feature"), fact: of("n_fact"), hall: of("n_hall"), ghost: of("n_ghost"), missing: of("n_missing"),
      meanFact: of("mean_fact"), meanHall: of("mean_hall"),
      presenceQ: of("presence_q"), dz: of("cohens_dz"), q: of("q_value"), adjustedQ: of("length_adjusted_q"), verdict,
      controls: heldOf(table, row),
      meanGhost: of("ghost_activation"),
      ghostIn: ghostIn(of("layer"), of("feature")),
    });
  }
  const sure = (line: FeatureLine) => {
    const q = line.verdict === "survives_length_control" ? line.adjustedQ : line.q;
    return Number.isFinite(q) ? q : 1;
  };
  const size = (line: FeatureLine) => (Number.isFinite(line.dz) ? Math.abs(line.dz) : 0);
  return lines.sort((a, b) => place(a.verdict) - place(b.verdict) || sure(a) - sure(b) || size(b) - size(a) || a.layer - b.layer || a.feature - b.feature);
}

/** How to read them. */
export const HOW =
  "Features that are active at the last token of either text. Ghost: active in the hallucination and not in its fact; missing: the other way round; where the file tells domains apart, the number behind a domain says in how many of its hallucinations it is a ghost. d_z: paired difference of activation, hallucination − fact. q over all features of all layers. The verdicts are those of the metrics, of the difference of activation; presence has no length control. q, last token, its rank, log p per token: the same with those held equal in the place of length.";

/** What they come to, in a sentence. */
export function wordsOf(all: readonly FeatureLine[]): string {
  if (all.length === 0) return "No feature is active in enough samples to be compared.";
  const of = (verdict: string) => all.filter((line) => line.verdict === verdict).length;
  const survive = of("survives_length_control");
  const left = controlWords(all.filter(({ verdict }) => verdict === "survives_length_control"));
  return (
    `Of ${counted(all.length, "feature")} that ${all.length === 1 ? "is" : "are"} active in at least six independent samples, ` +
    `${survive === 0 ? "none survives" : survive === 1 ? "one survives" : `${survive} survive`} the length control; ` +
    `${of("explained_by_length")} ${of("explained_by_length") === 1 ? "is" : "are"} explained by length, ${of("no_length_control")} ${of("no_length_control") === 1 ? "has" : "have"} no length control.` +
    (left === "" ? "" : ` ${left}`)
  );
}

/** What is known of features in words, by layer and feature. */
export const wordsKey = (layer: number, feature: number): string => `${layer} ${feature}`;

/** Words of a feature, and nothing in the place of what is not known. */
export const NO_WORDS: FeatureWords = { label: null, url: null, promotes: [] };
