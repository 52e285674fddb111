//! How often the verdict finds something where there is nothing.

use super::share::{families, of, share};
use crate::output::FalseAlarms;
use crate::stats::{ALPHA, Outcome, Swapped};

/// By family of tests: what is found, and survives, in swapped data.
///
/// The corrections hold the false-discovery rate of a family at 5 %: the expected share of false discoveries among
/// all. Where nothing differs every discovery is false, and that share is 1 in a run with any, else 0. So the number
/// to hold against 5 % is the share of *runs* with any survivor; the share of rows is far below it.
pub fn false_alarms(swapped: &Swapped, swaps: usize) -> Vec<FalseAlarms> {
    let of_family = |(family, metrics): (_, Vec<&crate::stats::SwappedMetric>)| {
        let runs = |holds: fn(&Outcome) -> bool| {
            of((0..swaps).filter(|&swap| metrics.iter().any(|m| holds(&m.nothing[swap]))).count(), swaps)
        };
        let rows = |holds: fn(&Outcome) -> bool| {
            let hits: usize = metrics.iter().map(|m| m.nothing.iter().filter(|o| holds(o)).count()).sum();
            share(hits as f64 / (metrics.len() * swaps).max(1) as f64, swaps)
        };
        let runs_survive = runs(|o| o.survives);
        FalseAlarms {
            family,
            metrics: metrics.len(),
            runs_survive,
            rows_survive: rows(|o| o.survives),
            runs_found: runs(|o| o.found),
            rows_found: rows(|o| o.found),
            nominal: ALPHA,
            holds: runs_survive.low <= ALPHA,
        }
    };
    families(swapped).into_iter().map(of_family).collect()
}
