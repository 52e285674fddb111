// The sign test of discordant pairs (McNemar's, exact), and q-values over many of them.

/** Fewer discordant pairs than this cannot give p ≤ 0.05 in either direction. */
export const FEWEST_DISCORDANT = 6;

/** Two-sided p of `a` against `b` under even odds: twice the smaller tail of Binomial(a + b, ½), at most 1. */
export function signTest(a: number, b: number): number {
  const n = a + b;
  if (n === 0) return 1;
  const fewer = Math.min(a, b);
  // the terms as logarithms: 2^-n underflows where there are very many
  let term = -n * Math.LN2;
  let tail = Math.exp(term);
  for (let k = 1; k <= fewer; k++) {
    term += Math.log((n - k + 1) / k);
    tail += Math.exp(term);
  }
  return Math.min(1, 2 * tail);
}

/** Benjamini and Hochberg's q of each p, in their order. */
export function qValues(p: readonly number[]): number[] {
  const order = p.map((_, i) => i).sort((i, j) => (p[j] as number) - (p[i] as number));
  const q = new Array<number>(p.length).fill(1);
  let least = 1;
  order.forEach((i, place) => {
    least = Math.min(least, ((p[i] as number) * p.length) / (p.length - place));
    q[i] = least;
  });
  return q;
}
