// Which features of a layer come first: over the whole sentence, or at one token.

import type { Explore } from "../../engine/protocol";
import { count, counted, short, visible } from "../../ui/format";

export type LayerFeatures = Explore["layers"][number];

/** A sentence's features at one layer, as they are ranked now. */
export interface Ranking {
  layer: LayerFeatures;
  tokens: string[];
  /** The token that ranks; null: the largest activation after the first token does. */
  token: number | null;
  /** Places in `layer.features`, strongest first. */
  order: number[];
}

/** A feature's activation at a token. */
export function activation({ layer, tokens }: Pick<Ranking, "layer" | "tokens">, at: number, token: number): number {
  return layer.activations[at * tokens.length + token] ?? 0;
}

/** A feature's activations, token by token. */
export function ofFeature(layer: LayerFeatures, at: number, tokens: number): number[] {
  return [...layer.activations.subarray(at * tokens, (at + 1) * tokens)];
}

/** Ranks a layer's features. At a token, only those that are active there. */
export function rank(layer: LayerFeatures, tokens: string[], token: number | null): Ranking {
  // the engine sends them by their largest activation after the first token
  const all = layer.features.map((_, at) => at);
  const by = { layer, tokens, token };
  if (token === null) return { ...by, order: all };
  const value = (at: number) => activation(by, at, token);
  return { ...by, order: all.filter((at) => value(at) > 0).sort((a, b) => value(b) - value(a) || a - b) };
}

/** The token where a feature is strongest; the first one only where there is no other. */
export function strongestAt({ layer, tokens }: Ranking, at: number): number {
  const values = ofFeature(layer, at, tokens.length);
  let found = tokens.length > 1 ? 1 : 0;
  for (let token = found; token < values.length; token++) if ((values[token] ?? 0) > (values[found] ?? 0)) found = token;
  return found;
}

/** The ranking in words, with how many features are active, and which of them are not here. */
export function rankingInWords({ layer, tokens, token, order }: Ranking): string {
  if (token === null) return `By the largest activation after the first token: ${counted(order.length, "feature")}.`;
  const active = layer.l0[token] ?? order.length;
  const name = `“${visible(tokens[token] ?? "")}”`;
  const here = `By activation at ${name}, where ${counted(active, "feature")} ${active === 1 ? "is" : "are"} active`;
  if (order.length >= active) return `${here}.`;
  const rest = token === 0 ? "that are active after the first token, too" : "among the sentence’s strongest";
  return `${here}; listed are the ${count(order.length)} ${rest}.`;
}

/** The colour's share of the accent for a value. A square root keeps small activations visible. */
export function shade(value: number, most: number): string {
  return most > 0 && value > 0 ? `${Math.round(8 + 87 * Math.sqrt(Math.min(1, value / most)))}%` : "0%";
}

/** What the colours go up to. The first token's activations may be of another order than all others'
 *  and would take the whole scale: it is left out, where there is another token. */
export function scaleOf(values: number[]): number {
  return Math.max(0, ...(values.length > 1 ? values.slice(1) : values));
}

/** Why the first token is set apart, where it goes beyond the scale; else empty. */
export function firstTokenNote(tokens: string[], layer: LayerFeatures): string {
  const series = layer.features.map((_, at) => ofFeature(layer, at, tokens.length));
  const first = Math.max(0, ...series.map((values) => values[0] ?? 0));
  const most = Math.max(0, ...series.map(scaleOf));
  const sink = "The residual stream at a text’s first token is often far larger than elsewhere, and SAEs are often trained without it";
  if (tokens.length === 1) return `${sink}: a text of one token says little.`;
  if (first <= most || !most) return "";
  return `At the first token activations go up to ${short(first)}, at all others to ${short(most)}. ${sink}: the ranking of the whole sentence and the colours leave it out, and what is beyond the scale there is hatched.`;
}
