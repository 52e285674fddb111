// What else than length is held equal: its columns and its words, the same of metrics and of features.

import type { Table } from "../../data/table";

/** Controls beside length: their columns, what is held equal in words, and the head of a column. */
export const CONTROLS = [
  { name: "last_token", words: "equal last tokens", head: "q, last token" },
  { name: "last_token_rank", words: "equally common last tokens", head: "q, its rank" },
  { name: "logprob_per_token", words: "equal log-probability per token", head: "q, log p per token" },
] as const;

/** What is left of a row with one of them held equal; without a verdict where the run has none. */
export interface Held {
  q: number;
  verdict: string;
}

/** A row's, by CONTROLS. */
export function heldOf(table: Table, row: number): Held[] {
  return CONTROLS.map(({ name }) => ({ q: table.number(`${name}_adjusted_q`, row), verdict: table.text(`${name}_verdict`, row) }));
}

/** What becomes of the rows that survive the length control where other things are held equal; empty where there are
 *  none, or the run has nothing to hold equal. */
export function controlWords(survivors: readonly { controls: readonly Held[] }[]): string {
  const parts = CONTROLS.flatMap(({ words }, i) => {
    const verdicts = survivors.map(({ controls }) => controls[i]!.verdict).filter(Boolean);
    const [left, explained] = ["survives", "explained"].map((verdict) => verdicts.filter((of) => of === verdict).length) as [number, number];
    return verdicts.length === 0 ? [] : [`at ${words} ${left} left, ${explained} explained, ${verdicts.length - left - explained} neither`];
  });
  const [n, many] = [survivors.length, survivors.length > 1];
  return parts.length === 0 ? "" : `What becomes of the ${many ? n : "one"} that ${many ? "survive" : "survives"}: ${parts.join("; ")}.`;
}
