// Reads calibration.json. Its shape is that of crate/output/calibration.rs, from which it is written.

import { CALIBRATION_VERSION, type Calibration, type Ceiling, type FalseAlarms, type LeftOut, type LengthTrap, type MetricArea, type Planted, type PlantedMetric, type PositiveControl, type Probed, type ProbedLayer, type Seen, type Share, type Spread, type SwapInfo } from "../generated/calibration";
import type { FileInfo } from "../generated/manifest";
import { failure, wordsOf } from "../engine/failure";
import { flag, list, maybe, number, object, oneOf, text, whole } from "./shape";
import type { Manifest } from "./manifest";

export type { Calibration } from "../generated/calibration";

/** More than any run has: layers times metrics, built-in sets of pairs. */
const MOST_METRICS = 20_000;
const MOST_SETS = 50;
const MOST_LAYERS = 256;

const family = oneOf("metrics", "nulls");
const share = object<Share>({ share: number, low: number, high: number });
const spread = object<Spread>({ min: share, min_metric: text, median: share, max: share });
const probed = object<Probed>({ auroc: number, low: maybe(number), high: maybe(number), floor: number, p: number, p_corrected: maybe(number) });
const area = object<MetricArea>({ metric: text, auroc: number, low: maybe(number), high: maybe(number) });
const layers = list(object<ProbedLayer>({ layer: whole, residual: maybe(probed), features: maybe(probed) }), MOST_LAYERS);
const CALIBRATION = object<Calibration>({
  run_id: text,
  metrics: object<FileInfo>({ path: text, sha256: maybe(text) }),
  swaps: object<SwapInfo>({ swaps: whole, samples: whole, clusters: whole, median_chains: whole, clustered: flag }),
  false_alarms: list(object<FalseAlarms>({ family, metrics: whole, runs_survive: share, rows_survive: share, runs_found: share, rows_found: share, nominal: number, holds: flag }), MOST_SETS),
  planted: list(object<Planted>({ family, dz: number, survive: spread, found: spread, metrics: list(object<PlantedMetric>({ metric: text, survive: share, found: share }), MOST_METRICS) }), MOST_SETS),
  length_trap: maybe(object<LengthTrap>({ pairs: whole, metrics: whole, found: whole, survive: whole, explained: whole, no_control: whole, survivors: list(text, MOST_METRICS), holds: flag })),
  positive_controls: list(
    object<PositiveControl>({
      name: text,
      what: text,
      pairs: whole,
      equal_length: whole,
      metrics: whole,
      survive: whole,
      survivors: list(object<Seen>({ metric: text, dz: maybe(number), q: maybe(number) })),
      best_metric: maybe(area),
      layers,
      seen_by_metrics: flag,
      seen_by_features: flag,
      seen_by_probe: flag,
    }),
    MOST_SETS,
  ),
  ceiling: maybe(object<Ceiling>({ pairs: whole, clusters: whole, layers, best_metric: maybe(area), length: maybe(area) })),
  left_out: list(object<LeftOut>({ part: text, reason: text }), MOST_SETS),
});

/** Reads a calibration of the run with this manifest, or says why there is none.
 *
 *  Rejects with EngineFailure: what is damaged is `malformed`, what is of another run `mismatch`. */
export function readCalibration(source: string, manifest: Manifest | null): Calibration {
  const hint = "make another: calibrate the run here, or with saescope calibrate RUN";
  const malformed = (words: string) => failure("malformed", `calibration.json: ${words}`, hint);
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (reason) {
    throw malformed(wordsOf(reason));
  }
  const version = (value as Record<string, unknown> | null)?.calibration_version;
  if (version !== CALIBRATION_VERSION) throw malformed(`expected calibration_version ${CALIBRATION_VERSION}, found another`);
  try {
    CALIBRATION(value, "");
  } catch (reason) {
    throw malformed(wordsOf(reason));
  }
  const calibration = value as Calibration;
  const own = manifest?.files?.find((file) => file.path === "metrics.parquet")?.sha256;
  if (!own || own !== calibration.metrics.sha256) throw failure("mismatch", "calibration.json: it is of another metrics.parquet than this run’s", hint);
  if (calibration.swaps.clustered !== (manifest?.statistics?.clusters ?? true)) throw failure("mismatch", "calibration.json: the run’s comparisons were made anew since, with other clusters", hint);
  return calibration;
}

/** A calibration as it may be given away: folders of the machine that made it are nobody else’s business. */
export function shareable(calibration: Calibration): Calibration {
  const left_out = calibration.left_out.map(({ part, reason }) => ({ part, reason: /[/\\]/.test(reason) ? "not found, or not the run's, where the calibration was made" : reason }));
  return { ...calibration, left_out };
}
