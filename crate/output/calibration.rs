//! `calibration.json`: whether the instrument works on a run's model, SAEs and data.

use serde::{Deserialize, Serialize};

use super::manifest::{FileInfo, ProgramInfo};
use crate::error::{Error, Result};

/// Name of the file in a run's folder; no manifest names it, it names the run's `metrics.parquet`.
pub const CALIBRATION_FILE: &str = "calibration.json";

/// Version of its format.
pub const CALIBRATION_VERSION: u32 = 1;

/// What the instrument says where the truth is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Calibration {
    /// [`CALIBRATION_VERSION`] of the program that wrote it.
    pub calibration_version: u32,
    /// What wrote it.
    pub program: ProgramInfo,
    /// The run.
    pub run_id: String,
    /// Its `metrics.parquet`: a calibration speaks of a run with this file alone.
    pub metrics: FileInfo,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// What was swapped.
    pub swaps: SwapInfo,
    /// Fact and hallucination swapped at random: what survives is a false alarm. By family of tests.
    pub false_alarms: Vec<FalseAlarms>,
    /// Effects of known size in swapped data, one metric at a time.
    pub planted: Vec<Planted>,
    /// Fact and neutral words against fact and more of them; absent where it was left out.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub length_trap: Option<LengthTrap>,
    /// Built-in pairs that differ in what the model represents; empty where they were left out.
    pub positive_controls: Vec<PositiveControl>,
    /// What the run's own residuals tell; absent where it was left out.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub ceiling: Option<Ceiling>,
    /// Parts that were left out, and why.
    pub left_out: Vec<LeftOut>,
}

/// What was swapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SwapInfo {
    /// How often the data were swapped.
    pub swaps: usize,
    /// Samples in each.
    pub samples: usize,
    /// Their clusters: what is swapped together.
    pub clusters: usize,
    /// Median number of closed chains: what the length control has to go by.
    pub median_chains: usize,
    /// Whether clusters counted as one, as in the run's comparisons; else every sample was one.
    pub clustered: bool,
}

/// A share of trials.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Share {
    /// The share.
    pub share: f64,
    /// Lower end of its 95 % interval (Wilson's).
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Families of tests that are corrected together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum TestFamily {
    /// What is measured.
    Metrics,
    /// Where that stands among nulls.
    Nulls,
}

/// What the verdict says of swapped data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FalseAlarms {
    /// Which metrics.
    pub family: TestFamily,
    /// How many of them could be tested.
    pub metrics: usize,
    /// Share of the swaps in which any of them survives its length control. Where nothing differs, every discovery
    /// is a false one, so that a false-discovery rate of 5 % is this share: it must not exceed `nominal`.
    pub runs_survive: Share,
    /// Share of all their rows that survive; its interval is that of as many trials as there are swaps, since
    /// metrics of one swap are not independent.
    pub rows_survive: Share,
    /// Share of the swaps in which any has a raw q ≤ 0.05.
    pub runs_found: Share,
    /// Share of all their rows that have.
    pub rows_found: Share,
    /// What `runs_survive` and `runs_found` must not exceed.
    pub nominal: f64,
    /// Whether the interval of `runs_survive` reaches down to it.
    pub holds: bool,
}

/// An effect in one metric of swapped data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Planted {
    /// Which metrics; the others of the family are tested with it and have no effect.
    pub family: TestFamily,
    /// The effect, in standard deviations of the metric's differences.
    pub dz: f64,
    /// How often it survives, over metrics.
    pub survive: Spread,
    /// How often it is found before the length control, over metrics.
    pub found: Spread,
    /// By metric.
    pub metrics: Vec<PlantedMetric>,
}

/// Shares over metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Spread {
    /// Of the metric that is found least often.
    pub min: Share,
    /// Its name.
    pub min_metric: String,
    /// The median metric's.
    pub median: Share,
    /// Of the metric that is found most often.
    pub max: Share,
}

/// An effect in one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PlantedMetric {
    /// Name with its layer.
    pub metric: String,
    /// How often it survives.
    pub survive: Share,
    /// How often it is found before the length control.
    pub found: Share,
}

/// Facts with a few neutral words against the same with more of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LengthTrap {
    /// Pairs measured.
    pub pairs: usize,
    /// Of these, pairs whose hallucination is the longer one; in the others the fact is, so that chains close.
    pub longer_hallucinations: usize,
    /// Metrics tested.
    pub metrics: usize,
    /// Those with a raw q ≤ 0.05: what the trap catches.
    pub found: usize,
    /// Those that survive the length control: it did not see through the trap.
    pub survive: usize,
    /// Those that length explains.
    pub explained: usize,
    /// Those for which there is no control: no failure, but no answer.
    pub no_control: usize,
    /// Triples in closed chains.
    pub matched: usize,
    /// Names of those that survive.
    pub survivors: Vec<String>,
    /// Whether something was found and nothing survived.
    pub holds: bool,
}

/// A metric's area under the ROC curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MetricArea {
    /// Name with its layer.
    pub metric: String,
    /// The area, above one half whichever way the metric points.
    pub auroc: f64,
    /// Lower end of its 95 % interval; none where it is 1.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
}

/// How well a linear probe tells the two texts of a pair apart, on pairs that it was not fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Probed {
    /// Area under the ROC curve of its scores.
    pub auroc: f64,
    /// Lower end of its 95 % interval (paired and by clusters); none where it is 0 or 1.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// The same with labels swapped at random within clusters: its 95th percentile.
    pub floor: f64,
    /// Share of such labels (and the true ones) that reach the area.
    pub p: f64,
    /// Share of such labels (and the true ones) with which the best layer's probe reaches it: corrected over the layers.
    #[serde(default = "unknown")]
    pub p_corrected: f64,
}

/// Of files that lack it: nothing is shown.
fn unknown() -> f64 {
    1.0
}

/// The probes of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ProbedLayer {
    /// Block number.
    pub layer: usize,
    /// On the residual stream: what is there.
    pub residual: Option<Probed>,
    /// On the SAE's active features: what the dictionary keeps of it.
    pub features: Option<Probed>,
}

/// A metric that finds a positive control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Seen {
    /// Name with its layer.
    pub metric: String,
    /// Paired Cohen's d.
    pub dz: Option<f64>,
    /// q at equal length.
    pub q: Option<f64>,
}

/// Pairs that differ in what the model represents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PositiveControl {
    /// `truth`, `language`, `register`.
    pub name: String,
    /// What they differ in, in words.
    pub what: String,
    /// Pairs measured.
    pub pairs: usize,
    /// Of these, pairs whose texts have equally many tokens.
    pub equal_length: usize,
    /// Metrics tested.
    pub metrics: usize,
    /// Those with a raw q ≤ 0.05.
    pub found: usize,
    /// Those that survive the length control.
    pub survive: usize,
    /// Those that survive, the strongest first, ten at most.
    pub survivors: Vec<Seen>,
    /// The metric that tells the two best, of all: the best of so many is better than it will be again.
    pub best_metric: Option<MetricArea>,
    /// The probes, by layer.
    pub layers: Vec<ProbedLayer>,
    /// At least one metric survives.
    pub seen_by_metrics: bool,
    /// A probe on features of some layer tells them apart (p ≤ 0.05 over the layers).
    pub seen_by_features: bool,
    /// A probe on the residual stream of some layer does.
    pub seen_by_probe: bool,
}

/// What the run's own texts tell, whatever the metrics say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Ceiling {
    /// Pairs of fact and hallucination that were measured again.
    pub pairs: usize,
    /// Their clusters, which no fold divides.
    pub clusters: usize,
    /// The probes, by layer; they have no length control.
    pub layers: Vec<ProbedLayer>,
    /// The metric of the run that tells facts from hallucinations best, of all.
    pub best_metric: Option<MetricArea>,
    /// Token counts alone.
    pub length: Option<MetricArea>,
}

/// A part that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LeftOut {
    /// `length_trap`, `positive_controls`, `ceiling`.
    pub part: String,
    /// Why.
    pub reason: String,
}

/// `calibration.json` as bytes: pretty-printed, keys in the order of the fields.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn calibration_json(calibration: &Calibration) -> Result<Vec<u8>> {
    let failed = |e: serde_json::Error| Error::io(CALIBRATION_FILE, "write", e.into(), "please report this");
    let mut bytes = serde_json::to_vec_pretty(calibration).map_err(failed)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads `calibration.json`.
///
/// # Errors
/// [`Error::Malformed`] for anything else, another version's among it.
pub fn read_calibration(name: &str, bytes: &[u8]) -> Result<Calibration> {
    let hint = "make it again: saescope calibrate RUN";
    let wrong = |found: String| Error::malformed(name, "contents", "a calibration of this version", found, hint);
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    if value["calibration_version"] != CALIBRATION_VERSION {
        return Err(wrong(format!("calibration_version {}", value["calibration_version"])));
    }
    serde_json::from_value(value).map_err(|e| wrong(e.to_string()))
}
