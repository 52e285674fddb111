// About how long a calibration takes here, said before it is begun.

import { CONTROL_PAIRS, LIMIT, SWAPS } from "../../generated/calibration";
import type { Run } from "../../data/run";
import { bytes, count, counted, duration } from "../../ui/format";
import { comparisons, everything, isDifference } from "./verdicts";

/** Seconds that a swap of one sample takes a thread of the native program in one metric, its three effects with it:
 *  what `saescope calibrate` says of the built-in triples on two threads of a server's processor, divided. */
const SWAP_SECONDS = 3e-7;
/** A browser's worker beside such a thread, about. */
const SLOWER = 2.5;
/** Where the page itself has measured a run. */
const OF_PAGE = new Set(["flex (wasm simd)", "wgpu (webgpu)"]);

/** In a sentence or two. */
export function costOf(run: Run, withModel: boolean): string {
  const swaps = `About ${rough(swapSeconds(run))} for ${SWAPS} swaps of ${count(run.metrics.rows)} samples and the effects that are planted there`;
  const { manifest } = run;
  if (!withModel || manifest === null) return `${swaps}; nothing is downloaded.`;
  const { compute, timings } = manifest;
  const here = OF_PAGE.has(compute.backend);
  const gpu = compute.device !== "cpu";
  const threads = Math.max(1, compute.threads || 1);
  const pairs = 2 * Math.min(LIMIT, run.metrics.rows) + CONTROL_PAIRS;
  const each = ((timings.total_seconds * ofModel(timings.stages)) / Math.max(1, run.metrics.rows)) * (gpu ? 1 : threads);
  const seconds = each * pairs * (here ? 1 : SLOWER);
  const by = here ? "this page took for the run" : `the run took on ${gpu ? "a GPU" : counted(threads, "thread")} elsewhere`;
  const weights = manifest.model.files.reduce((sum, file) => sum + file.bytes, 0);
  return `${swaps}; then about ${rough(seconds)} for ${count(pairs)} pairs of texts through the model, judged by what ${by}${gpu && !here ? ", and much longer without a GPU here" : ""}. The model’s files (${bytes(weights)}) are read again, from this browser’s storage where they were kept. Texts stay on this machine.`;
}

/** Stages that the pairs go through as the run's texts did: neither nulls nor log-probabilities are computed of them. */
const SAME = new Set(["tokenize", "weights", "model", "sae"]);

/** The share of a run's time in those. */
function ofModel(stages: readonly { stage: string; seconds: number }[]): number {
  const sum = (of: typeof stages) => of.reduce((all, { seconds }) => all + seconds, 0);
  const all = sum(stages);
  return all > 0 ? sum(stages.filter(({ stage }) => SAME.has(stage))) / all : 1;
}

function swapSeconds(run: Run): number {
  const all = everything(run);
  const metrics = comparisons(run).filter((c) => c.domain === all && !isDifference(run, c.metric)).length;
  return SWAPS * run.metrics.rows * metrics * SWAP_SECONDS * SLOWER;
}

/** A time that is no more exact than it is known: 1, 2, 5, 10, 20 s, …; minutes likewise. */
function rough(seconds: number): string {
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  return duration(steps.find((step) => seconds <= step * 1.2) ?? Math.ceil(seconds / 3600) * 3600).replace(/\.0 s$/, " s");
}
