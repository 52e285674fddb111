//! Shares with their intervals, and the families of tests.

use crate::metrics::Family;
use crate::output::{MetricArea, Share, TestFamily};
use crate::stats::{Auroc, Swapped, SwappedMetric, wilson};

/// A share of `n` independent trials, or sets of trials.
pub fn share(share: f64, n: usize) -> Share {
    let (low, high) = wilson(share, n).unwrap_or((0.0, 1.0));
    Share { share, low, high }
}

/// `hits` of `n`.
pub fn of(hits: usize, n: usize) -> Share {
    share(if n == 0 { 0.0 } else { hits as f64 / n as f64 }, n)
}

/// The metrics of each family that has any that could be tested.
pub fn families(swapped: &Swapped) -> Vec<(TestFamily, Vec<&SwappedMetric>)> {
    let of = |family| swapped.metrics.iter().filter(|m| m.family == family && m.tested).collect::<Vec<_>>();
    let both = [(TestFamily::Metrics, of(Family::Metrics)), (TestFamily::Nulls, of(Family::Nulls))];
    both.into_iter().filter(|(_, metrics)| !metrics.is_empty()).collect()
}

/// An area, above one half whichever way the metric points.
pub fn area(metric: &str, auroc: Auroc) -> MetricArea {
    let auroc = if auroc.area < 0.5 { auroc.turned() } else { auroc };
    let (low, high) = auroc.interval.unzip();
    MetricArea { metric: metric.to_owned(), auroc: auroc.area, low, high }
}

/// The largest of them.
pub fn best(areas: impl Iterator<Item = MetricArea>) -> Option<MetricArea> {
    areas.reduce(|best, one| if one.auroc > best.auroc { one } else { best })
}
