//! The parts of a calibration, put together; and what is said of parts that are not there.

use super::{OfMetrics, OfModel};
use crate::output::{CALIBRATION_VERSION, Calibration, FileInfo, LeftOut, Manifest, ProgramInfo};

/// Parts that need the model.
pub const OF_MODEL: [&str; 3] = ["length_trap", "positive_controls", "ceiling"];

/// Those of them that need the run's texts as well.
pub const OF_DATA: [&str; 2] = ["length_trap", "ceiling"];

/// These parts are left out, for one reason.
pub fn left_out(parts: &[&str], reason: &str) -> Vec<LeftOut> {
    parts.iter().map(|part| LeftOut { part: (*part).to_owned(), reason: reason.to_owned() }).collect()
}

impl OfModel {
    /// Nothing was measured.
    pub fn nothing() -> Self {
        Self { length_trap: None, positive_controls: Vec::new(), ceiling: None, failed: Vec::new() }
    }

    /// What of the run's own samples came to nothing, though they were there.
    pub fn unmeasured(&self) -> Vec<LeftOut> {
        let [trap, ceiling] = OF_DATA;
        let there = [(trap, self.length_trap.is_some()), (ceiling, self.ceiling.is_some())];
        let missing: Vec<&str> = there.into_iter().filter(|(_, there)| !there).map(|(part, _)| part).collect();
        left_out(&missing, "no sample of the run could be measured")
    }
}

/// The calibration of a run with this manifest; `metrics` is its `metrics.parquet`, as it was read.
pub fn whole(
    manifest: &Manifest,
    metrics: FileInfo,
    seed: u64,
    of_metrics: OfMetrics,
    of_model: OfModel,
    left_out: Vec<LeftOut>,
) -> Calibration {
    let OfMetrics { swaps, false_alarms, planted } = of_metrics;
    let OfModel { length_trap, positive_controls, ceiling, failed: _ } = of_model;
    Calibration {
        calibration_version: CALIBRATION_VERSION,
        program: ProgramInfo::this(),
        run_id: manifest.run_id.clone(),
        metrics,
        seed,
        swaps,
        false_alarms,
        planted,
        length_trap,
        positive_controls,
        ceiling,
        left_out,
    }
}
