// What of the page is fuzzed: the code that reads a run's files, as its data worker calls it.

export { readCalibration, shareable } from "../../www/data/calibration.ts";
export { readCatalog } from "../../www/data/catalog.ts";
export { FeatureIndex, FEATURES_FILE } from "../../www/data/features.ts";
export { readManifest } from "../../www/data/manifest.ts";
export { layersOf, metricsOf } from "../../www/data/metrics.ts";
export { blobBuffer, readTable } from "../../www/data/parquet.ts";
export { Table } from "../../www/data/table.ts";
export { toCsv, toJson } from "../../www/data/text.ts";
export { EngineFailure } from "../../www/engine/failure.ts";
