// The two families of tests, each corrected by itself: metrics, and where the geometry stands among draws of its nulls.
// Whoever counts comparisons in words counts them apart, as calibration.json does.

import { isNull } from "../../data/metrics";
import { counted } from "../../ui/format";

/** What a row of the second family is called. */
export const Z_SCORE = "z-score against nulls";
/** Several of them. */
export const Z_SCORES = "z-scores against nulls";

/** The families that are there, each with its names, and what one and many of it are called. */
function families(names: readonly string[]): { of: string[]; one: string; many: string }[] {
  const all = [
    { of: names.filter((name) => !isNull(name)), one: "metric", many: "metrics" },
    { of: names.filter(isNull), one: Z_SCORE, many: Z_SCORES },
  ];
  return all.filter(({ of }, i) => of.length > 0 || (i === 0 && names.length === 0));
}

/** `39 metrics and 36 z-scores against nulls`: of these names of stats.parquet; a family that is not there is not named. */
export function tests(names: readonly string[]): string {
  return families(names).map(({ of, one, many }) => counted(of.length, one, many)).join(" and ");
}

/** `2 of 39 metrics and none of 36 z-scores against nulls`: how many of each family are among `found`. */
export function share(found: readonly string[], names: readonly string[]): string {
  const among = new Set(found);
  if (found.length === 0) return `none of ${tests(names)}`;
  const parts = families(names).map(({ of, one, many }) => {
    const n = of.filter((name) => among.has(name)).length;
    return `${n === 0 ? "none" : n} of ${counted(of.length, one, many)}`;
  });
  return parts.join(" and ");
}

/** `2 of 39 metrics and none of 36 z-scores against nulls differ`: how a sentence begins; `found` are not none. */
export function differ(found: readonly string[], names: readonly string[]): string {
  const words = share(found, names);
  const one = found.length === 1 && families(names).length === 1;
  return `${words.charAt(0).toUpperCase()}${words.slice(1)} ${one ? "differs" : "differ"}`;
}
