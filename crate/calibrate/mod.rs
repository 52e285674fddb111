//! Does the instrument work here: what a run's statistics, model and SAEs say where the truth is known.
//!
//! From the run's metrics alone ([`of_metrics`]): fact and hallucination swapped at random, where every discovery
//! is a false alarm, and effects of known size planted there. With the model
//! ([`of_model`]): a length trap, positive controls, and on the run's own texts a linear
//! probe as the ceiling of what any metric could tell.

mod ceiling;
mod false_alarms;
mod length_trap;
mod measured;
mod planted;
mod positive;
mod probe;
mod share;
mod whole;

#[cfg(test)]
mod tests;

pub use measured::{OfModel, Subject, of_model};
pub use probe::folds;
pub use whole::{OF_DATA, OF_MODEL, left_out, whole};

use crate::error::Result;
use crate::output::{FalseAlarms, Planted, SwapInfo};
use crate::stats::{Samples, SwapObserver, SwapSettings, swapped};

/// Swaps where nobody says otherwise.
pub const SWAPS: usize = 200;

/// Samples of the run that the length trap and the ceiling are made of at most, where nobody says otherwise.
pub const LIMIT: usize = 100;

/// Effects that are planted, in d_z.
pub const PLANTED: [f64; 3] = [0.2, 0.5, 0.8];

/// Clusters that are swapped at most: of a larger run as many are drawn.
pub const MOST_CLUSTERS: usize = 2000;

/// What the statistics say of the run's own numbers, swapped.
#[derive(Debug, Clone, PartialEq)]
pub struct OfMetrics {
    /// What was swapped.
    pub swaps: SwapInfo,
    /// With nothing planted.
    pub false_alarms: Vec<FalseAlarms>,
    /// With an effect in one metric.
    pub planted: Vec<Planted>,
}

/// Swaps a run's numbers and asks what survives, with and without planted effects; `observer` is told of every swap.
///
/// # Errors
/// As [`crate::stats::compare_samples`].
pub fn of_metrics(
    samples: &Samples,
    swaps: usize,
    seed: u64,
    clusters: bool,
    observer: &dyn SwapObserver,
) -> Result<OfMetrics> {
    let settings = SwapSettings { seed, swaps, planted: PLANTED.to_vec(), most_clusters: MOST_CLUSTERS, clusters };
    let swapped = swapped(samples, &settings, observer)?;
    let mut chains = swapped.chains.clone();
    chains.sort_unstable();
    Ok(OfMetrics {
        swaps: SwapInfo {
            swaps,
            samples: swapped.samples,
            clusters: swapped.clusters,
            clustered: clusters,
            median_chains: chains.get(chains.len() / 2).copied().unwrap_or_default(),
        },
        false_alarms: false_alarms::false_alarms(&swapped, swaps),
        planted: planted::planted(&swapped, &PLANTED, swaps),
    })
}
