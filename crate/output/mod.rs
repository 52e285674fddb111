//! The run's files as bytes: Parquet tables and the manifest, on any [`std::io::Write`].
//!
//! Nothing here opens a file: the native side writes the bytes whole or not at all
//! (`platform::write_run`), the web side hands them to the user.

mod calibration;
mod features;
mod layout;
mod manifest;
mod tables;
mod timeline;

#[cfg(test)]
pub(crate) mod tests;

pub use calibration::{
    CALIBRATION_FILE, CALIBRATION_VERSION, Calibration, Ceiling, FalseAlarms, LeftOut, LengthTrap, MetricArea, Planted,
    PlantedMetric, PositiveControl, Probed, ProbedLayer, Seen, Share, Spread, SwapInfo, TestFamily, calibration_json,
    read_calibration,
};
pub use features::{FEATURE_COLUMNS, FeatureColumn, FeaturesWriter, features_parquet, write_features};
pub use manifest::{
    Backend, BatchInfo, ClassifierInfo, ComputeInfo, DatasetInfo, DecoderRows, FailedSample, FileInfo, IgnoredField,
    Manifest, ModelInfo, MovedInfo, NoiseInfo, NullsInfo, Precision, ProgramInfo, SCHEMA_VERSION, SaeInfo, StageTiming,
    StatisticsInfo, Timings, TokenizerInfo, Weights, manifest_json,
};
pub use tables::{
    COLUMNS_KEY, METRICS_FILE, STATS_FEATURES_FILE, STATS_FILE, TableWriter, metrics_parquet, stats_parquet,
    write_rows, write_table,
};
pub use timeline::{LaneTime, Timeline, TimelinePart, TimelineSpan};

/// Name of the features' file in a run's folder.
pub const FEATURES_FILE: &str = features::FILE;

/// Name of the manifest in a run's folder; written last, so that a folder with one is complete.
pub const MANIFEST_FILE: &str = manifest::FILE;
