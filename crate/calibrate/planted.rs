//! How often an effect of known size is found.

use super::share::{families, of};
use crate::output::{Planted, PlantedMetric, Share, Spread};
use crate::stats::{Outcome, Swapped};

/// By family of tests and by effect: how often it is found, and survives, in each metric.
pub fn planted(swapped: &Swapped, effects: &[f64], swaps: usize) -> Vec<Planted> {
    let mut out = Vec::new();
    for (family, of_family) in families(swapped) {
        for (effect, &dz) in effects.iter().enumerate() {
            let metrics: Vec<PlantedMetric> = of_family
                .iter()
                .map(|metric| {
                    let share = |holds: fn(&Outcome) -> bool| {
                        of(metric.planted[effect].iter().filter(|o| holds(o)).count(), swaps)
                    };
                    let (survive, found) = (share(|o| o.survives), share(|o| o.found));
                    PlantedMetric { metric: metric.metric.clone(), survive, found }
                })
                .collect();
            let spreads = (spread(&metrics, |m| m.survive), spread(&metrics, |m| m.found));
            if let (Some(survive), Some(found)) = spreads {
                out.push(Planted { family, dz, survive, found, metrics });
            }
        }
    }
    out
}

/// The least, the median and the largest share.
fn spread(metrics: &[PlantedMetric], value: fn(&PlantedMetric) -> Share) -> Option<Spread> {
    let mut sorted: Vec<&PlantedMetric> = metrics.iter().collect();
    sorted.sort_by(|a, b| value(a).share.total_cmp(&value(b).share));
    let (first, last) = (sorted.first()?, sorted.last()?);
    let median = sorted[(sorted.len() - 1) / 2];
    Some(Spread { min: value(first), min_metric: first.metric.clone(), median: value(median), max: value(last) })
}
