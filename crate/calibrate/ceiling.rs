//! What the run's own texts tell, whatever the metrics say.

use super::share::{area, best};
use crate::error::Result;
use crate::output::{Ceiling, ProbedLayer};
use crate::stats::{Samples, metric_areas};

/// Token counts as a metric.
const LENGTH: &str = "n_tokens";

/// Puts the probes of some pairs beside the metrics of the whole run.
///
/// # Errors
/// As [`metric_areas`].
pub fn ceiling(samples: &Samples, pairs: usize, clusters: usize, layers: Vec<ProbedLayer>) -> Result<Ceiling> {
    let areas = metric_areas(samples)?;
    Ok(Ceiling {
        pairs,
        clusters,
        layers,
        best_metric: best(areas.iter().filter(|(name, _)| name != LENGTH).map(|(name, auroc)| area(name, *auroc))),
        length: areas.iter().find(|(name, _)| name == LENGTH).map(|(name, auroc)| area(name, *auroc)),
    })
}
