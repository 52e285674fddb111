// Resampled pairs: how the mean of paired differences would have come out with other samples, drawn as the statistics draw
// them (crate/stats/bootstrap.rs). For drawing; intervals and tests are those of stats.parquet.

import type { Clusters } from "./clusters";

/** Resamples of a distribution that is drawn. */
export const RESAMPLES = 5000;

/** Uniform numbers in [0, 1) that are the same everywhere (Marsaglia's xorshift, 32 bits). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** Means of resampled differences, ascending. Clusters of pairs are drawn whole and with replacement, from each stratum as
 *  many as it has. */
export function resampledMeans(differences: ArrayLike<number>, clusters: Clusters, resamples = RESAMPLES, seed = 1): Float64Array {
  const sums = new Float64Array(clusters.count);
  const sizes = new Float64Array(clusters.count);
  clusters.of.forEach((cluster, row) => {
    sums[cluster]! += differences[row] as number;
    sizes[cluster]! += 1;
  });
  const next = uniform(seed);
  const means = new Float64Array(resamples);
  if (clusters.count === 0) return means.fill(NaN);
  for (let i = 0; i < resamples; i++) {
    let [sum, size] = [0, 0];
    for (const stratum of clusters.strata) {
      for (let k = 0; k < stratum.length; k++) {
        const drawn = stratum[Math.floor(next() * stratum.length)] as number;
        sum += sums[drawn] as number;
        size += sizes[drawn] as number;
      }
    }
    means[i] = sum / size;
  }
  return means.sort();
}

/** A density at `points` places from end to end: a Gaussian kernel, its width by Silverman's rule. */
export function density(sorted: Float64Array, points = 80): { at: number; height: number }[] {
  const n = sorted.length;
  const mean = sorted.reduce((sum, x) => sum + x, 0) / n;
  const sd = Math.sqrt(sorted.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, n - 1));
  if (!(sd > 0)) return [];
  const width = 1.06 * sd * n ** -0.2;
  const [low, high] = [(sorted[0] as number) - 2 * width, (sorted[n - 1] as number) + 2 * width];
  return Array.from({ length: points }, (_, i) => {
    const at = low + ((high - low) * i) / (points - 1);
    // beyond five widths a kernel is nothing that could be drawn
    let height = 0;
    for (let k = firstAbove(sorted, at - 5 * width); k < n && (sorted[k] as number) < at + 5 * width; k++) {
      height += Math.exp(-0.5 * (((sorted[k] as number) - at) / width) ** 2);
    }
    return { at, height: height / (n * width * Math.sqrt(2 * Math.PI)) };
  });
}

function firstAbove(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
