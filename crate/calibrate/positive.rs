//! Pairs that do differ in what the model represents: what the metrics, the SAE's features and the residual stream
//! say of them.

use super::share::{area, best};
use crate::output::{PositiveControl, ProbedLayer, Seen};
use crate::stats::{ALPHA, Comparison, Verdict};

/// Survivors that are named.
const NAMED: usize = 10;

/// Puts together what was found; `comparisons` are over all pairs, without token counts and `*_diff` rows.
pub fn judged(
    (name, what): (&str, &str),
    comparisons: &[&Comparison],
    pairs: usize,
    equal_length: usize,
    layers: Vec<ProbedLayer>,
) -> PositiveControl {
    let mut survivors: Vec<&&Comparison> =
        comparisons.iter().filter(|c| c.verdict == Verdict::SurvivesLengthControl).collect();
    let strength = |c: &Comparison| c.cohens_dz.unwrap_or_default().abs();
    survivors.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
    let seen = |c: &&&Comparison| Seen { metric: c.metric.clone(), dz: c.cohens_dz, q: c.adjusted_q };
    let by = |probe: fn(&ProbedLayer) -> Option<&crate::output::Probed>| {
        layers.iter().filter_map(probe).any(|probed| probed.auroc > 0.5 && probed.p_corrected <= ALPHA)
    };
    PositiveControl {
        name: name.to_owned(),
        what: what.to_owned(),
        pairs,
        equal_length,
        metrics: comparisons.iter().filter(|c| c.q_value.is_some()).count(),
        found: comparisons.iter().filter(|c| c.q_value.is_some_and(|q| q <= ALPHA)).count(),
        survive: survivors.len(),
        survivors: survivors.iter().take(NAMED).map(seen).collect(),
        best_metric: best(comparisons.iter().filter_map(|c| Some(area(&c.metric, c.auroc?)))),
        seen_by_metrics: !survivors.is_empty(),
        seen_by_features: by(|layer| layer.features.as_ref()),
        seen_by_probe: by(|layer| layer.residual.as_ref()),
        layers,
    }
}
