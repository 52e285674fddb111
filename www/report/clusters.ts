// What is resampled together: the clusters of samples and the strata that they are drawn within, as the statistics have
// them (crate/stats/clusters.rs).

import type { Run } from "../data/run";

/** Clusters below which a domain is no stratum of its own. */
const SMALLEST_STRATUM = 10;

/** The clusters of some rows. */
export interface Clusters {
  /** The cluster of each row, numbered in order of appearance. */
  of: number[];
  /** How many there are. */
  count: number;
  /** Clusters by stratum. */
  strata: number[][];
}

/** Of rows with these labels. Domains are the strata; a cluster is of the domain of its first row. Domains of few clusters
 *  make one stratum; where that has too few as well, it joins the largest. */
export function clustersOf(labels: readonly (string | number)[], domains: readonly string[]): Clusters {
  const known = new Map<string | number, number>();
  const byDomain = new Map<string, number[]>();
  const of = labels.map((label, row) => {
    const cluster = known.get(label) ?? known.size;
    if (cluster < known.size) return cluster;
    known.set(label, cluster);
    const domain = domains[row] as string;
    const stratum = byDomain.get(domain);
    if (stratum === undefined) byDomain.set(domain, [cluster]);
    else stratum.push(cluster);
    return cluster;
  });
  const all = [...byDomain].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, stratum]) => stratum);
  const strata = all.filter((stratum) => stratum.length >= SMALLEST_STRATUM);
  const rest = all.filter((stratum) => stratum.length < SMALLEST_STRATUM).flat();
  const most = Math.max(...strata.map((stratum) => stratum.length));
  // the last of several
  const largest = strata.map((stratum) => stratum.length).lastIndexOf(most);
  if (largest >= 0 && rest.length < SMALLEST_STRATUM) strata[largest] = [...(strata[largest] as number[]), ...rest];
  else if (rest.length > 0) strata.push(rest);
  return { of, count: known.size, strata };
}

/** Whether the run's statistics draw samples of one cluster together. */
export function isClustered(run: Run): boolean {
  return (run.manifest?.statistics?.clusters ?? true) && run.metrics.texts("cluster") !== null;
}

/** The clusters of some rows of metrics.parquet; every row one of its own where the statistics take them so. */
export function clustersOfRows(run: Run, rows: readonly number[]): Clusters {
  const labels = isClustered(run) ? run.metrics.texts("cluster") : null;
  return clustersOf(rows.map((row) => labels?.[row] ?? row), rows.map((row) => run.sampleDomains[row] as string));
}
