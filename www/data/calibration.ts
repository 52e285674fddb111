// Reads calibration.json. Its shape is that of crate/output/calibration.rs, from which it is written.

import { CALIBRATION_VERSION, type Calibration, type Ceiling, type FalseAlarms, type LeftOut, type LengthTrap, type MetricArea, type Planted, type PlantedMetric, type PositiveControl, type Probed, type ProbedLayer, type Seen, type Share, type Spread, type SwapInfo } from "../generated/calibration";
import type { FileInfo } from "../generated/manifest";
import { flag, list, maybe, number, object, text, whole } from "./shape";
import type { Manifest } from "./manifest";

export type { Calibration } from "../generated/calibration";

const share = object<Share>({ share: number, low: number, high: number });
const spread = object<Spread>({ min: share, min_metric: text, median: share, max: share });
const probed = object<Probed>({ auroc: number, low: maybe(number), high: maybe(number), floor: number, p: number });
const area = object<MetricArea>({ metric: text, auroc: number, low: maybe(number), high: maybe(number) });
const layers = list(object<ProbedLayer>({ layer: whole, residual: maybe(probed), features: maybe(probed) }));
const CALIBRATION = object<Calibration>({
  run_id: text,
  metrics: object<FileInfo>({ path: text, sha256: maybe(text) }),
  swaps: object<SwapInfo>({ swaps: whole, samples: whole, clusters: whole, median_chains: whole, clustered: flag }),
  false_alarms: list(object<FalseAlarms>({ family: text, metrics: whole, runs_survive: share, rows_survive: share, runs_found: share, rows_found: share, nominal: number, holds: flag })),
  planted: list(object<Planted>({ family: text, dz: number, survive: spread, found: spread, metrics: list(object<PlantedMetric>({ metric: text, survive: share, found: share })) })),
  length_trap: maybe(object<LengthTrap>({ pairs: whole, metrics: whole, found: whole, survive: whole, explained: whole, no_control: whole, survivors: list(text), holds: flag })),
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
  ),
  ceiling: maybe(object<Ceiling>({ pairs: whole, clusters: whole, layers, best_metric: maybe(area), length: maybe(area) })),
  left_out: list(object<LeftOut>({ part: text, reason: text })),
});

/** Reads a calibration of the run with this manifest; an Error says in words why there is none. */
export function readCalibration(source: string, manifest: Manifest | null): Calibration {
  const value: unknown = JSON.parse(source);
  const version = (value as Record<string, unknown> | null)?.calibration_version;
  if (version !== CALIBRATION_VERSION) throw new Error(`calibration.json: expected calibration_version ${CALIBRATION_VERSION}, found another`);
  CALIBRATION(value, "");
  const calibration = value as Calibration;
  const own = manifest?.files?.find((file) => file.path === "metrics.parquet")?.sha256;
  if (!own || own !== calibration.metrics.sha256) throw new Error("calibration.json: it is of another metrics.parquet than this run’s");
  if (calibration.swaps.clustered !== (manifest?.statistics?.clusters ?? true)) throw new Error("calibration.json: the run’s comparisons were made anew since, with other clusters");
  return calibration;
}
