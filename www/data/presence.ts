// Features by presence: in how many facts and in how many hallucinations each is active, pair by pair.

import type { FeatureIndex, LayerFeatures } from "./features";

/** One feature of one layer, over all samples. */
export interface Presence {
  layer: number;
  feature: number;
  /** Samples of the run. */
  pairs: number;
  /** Samples whose fact has it, whose hallucination has it, and those where it is in one of them alone. */
  fact: number;
  hall: number;
  factOnly: number;
  hallOnly: number;
  /** Mean activation where it is active; NaN where it never is. */
  factMean: number;
  hallMean: number;
}

/** Every feature that is active in a fact or a hallucination of these samples. */
export function presenceOf(index: FeatureIndex, sampleIds: readonly string[]): Presence[] {
  const found = new Map<number, Map<number, Presence & { factSum: number; hallSum: number }>>();
  for (const id of new Set(sampleIds)) {
    const parts = index.sample(id)?.parts ?? [];
    for (const layer of new Set(parts.map((part) => part.layer))) {
      const [fact, hall] = [active(parts, layer, "fact"), active(parts, layer, "hall")];
      let features = found.get(layer);
      if (features === undefined) found.set(layer, (features = new Map()));
      for (const feature of new Set([...fact.keys(), ...hall.keys()])) {
        let one = features.get(feature);
        if (one === undefined) {
          one = { layer, feature, pairs: 0, fact: 0, hall: 0, factOnly: 0, hallOnly: 0, factMean: NaN, hallMean: NaN, factSum: 0, hallSum: 0 };
          features.set(feature, one);
        }
        const [inFact, inHall] = [fact.get(feature), hall.get(feature)];
        if (inFact !== undefined) [one.fact, one.factSum] = [one.fact + 1, one.factSum + inFact];
        if (inHall !== undefined) [one.hall, one.hallSum] = [one.hall + 1, one.hallSum + inHall];
        if (inHall === undefined) one.factOnly += 1;
        if (inFact === undefined) one.hallOnly += 1;
      }
    }
  }
  const pairs = new Set(sampleIds).size;
  return [...found.values()].flatMap((features) =>
    [...features.values()].map(({ factSum, hallSum, ...one }) => ({
      ...one,
      pairs,
      factMean: one.fact === 0 ? NaN : factSum / one.fact,
      hallMean: one.hall === 0 ? NaN : hallSum / one.hall,
    })),
  );
}

function active(parts: readonly LayerFeatures[], layer: number, text: "fact" | "hall"): Map<number, number> {
  const found = new Map<number, number>();
  for (const part of parts) {
    if (part.layer !== layer || part.text !== text) continue;
    part.features.forEach((feature, i) => found.set(feature, part.activations[i] as number));
  }
  return found;
}
