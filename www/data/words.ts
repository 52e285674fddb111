// What features stand for, beside what is measured: somebody's words, the tokens that they promote, and their page.

import { KNOWN_SAES } from "../generated/known";
import type { Manifest } from "./manifest";

/** What a feature is said to stand for, its page, and what it promotes. */
export interface FeatureWords {
  label: string | null;
  url: string | null;
  /** Tokens that it promotes, the likeliest first. */
  promotes: string[];
}

/** Declared L0 differ by less between a name and a config; another SAE of the layer differs by more. */
const SAME_L0 = 0.01;

/** The name on Neuronpedia of a run's SAE, where the registry knows it: model, layer and declared L0 are the same. */
export function neuronpediaId(manifest: Manifest | null, layer: number): string | undefined {
  const declared = manifest?.saes.find((sae) => sae.layer === layer)?.declared_l0;
  if (!manifest || declared === null || declared === undefined) return undefined;
  return KNOWN_SAES.find((known) => known.model === manifest.model.name && known.layer === layer && Math.abs(declared - known.l0) <= SAME_L0 * known.l0)?.id;
}

/** Where features of the SAE of this name have their pages; the number is put behind it. */
export function neuronpediaPages(id: string): string {
  return `https://www.neuronpedia.org/${id}/`;
}
