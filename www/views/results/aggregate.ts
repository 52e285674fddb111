// Means and quartiles of a run's columns by domain: what panels draw.

import type { Run } from "../../data/run";

/** The part of a run that is shown. */
export interface View {
  run: Run;
  /** Null: all domains. */
  domain: string | null;
  /** Rows of metrics.parquet in it. */
  rows: number[];
  /** Domains in it, in order of appearance. */
  domains: string[];
  /** Rows by domain. */
  byDomain: Map<string, number[]>;
}

/** More points than this are thinned out evenly before drawing; means always use all. */
export const MOST_POINTS = 800;

/** More domains than this do not stand side by side. */
const MOST_BANDS = 40;

/** The domains that a plot of bands draws, and a sentence for those that it leaves out. */
export function bands(domains: string[]): { drawn: string[]; left: string } {
  const left = domains.length > MOST_BANDS ? ` The first ${MOST_BANDS} of ${domains.length.toLocaleString("en")} domains are drawn: choose one above to see it.` : "";
  return { drawn: domains.slice(0, MOST_BANDS), left };
}

/** The rows of one domain, or of all. */
export function viewOf(run: Run, domain: string | null): View {
  const byDomain = new Map<string, number[]>();
  const rows: number[] = [];
  run.sampleDomains.forEach((name, row) => {
    if (domain !== null && name !== domain) return;
    rows.push(row);
    const list = byDomain.get(name);
    if (list === undefined) byDomain.set(name, [row]);
    else list.push(row);
  });
  return { run, domain, rows, domains: [...byDomain.keys()], byDomain };
}

/** Evenly chosen rows, at most `most`. */
export function thin(rows: number[], most = MOST_POINTS): number[] {
  if (rows.length <= most) return rows;
  return Array.from({ length: most }, (_, i) => rows[Math.floor((i * rows.length) / most)] as number);
}

/** A sentence for a thinned plot; empty where every row is drawn. */
export function thinned(rows: number[], most = MOST_POINTS): string {
  if (rows.length <= most) return "";
  return ` ${most.toLocaleString("en")} of ${rows.length.toLocaleString("en")} samples are drawn, evenly chosen.`;
}

export interface Spread {
  n: number;
  mean: number;
  low: number;
  median: number;
  high: number;
}

/** Mean and quartiles of the finite values of `rows`; null without any. */
export function spread(values: Float64Array, rows: number[]): Spread | null {
  const finite: number[] = [];
  for (const row of rows) {
    const value = values[row] as number;
    if (Number.isFinite(value)) finite.push(value);
  }
  if (finite.length === 0) return null;
  finite.sort((a, b) => a - b);
  const at = (share: number) => {
    const place = share * (finite.length - 1);
    const below = finite[Math.floor(place)] as number;
    const above = finite[Math.ceil(place)] as number;
    return below + (above - below) * (place - Math.floor(place));
  };
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  return { n: finite.length, mean, low: at(0.25), median: at(0.5), high: at(0.75) };
}

/** Whether any of the rows has a number. */
export function anyFinite(values: Float64Array | null, rows: number[]): values is Float64Array {
  return values !== null && rows.some((row) => Number.isFinite(values[row]));
}
