//! Areas under ROC curves, without the other statistics.

use super::auroc::{Auroc, auroc};
use super::clusters::Clusters;
use super::samples::Samples;
use super::series::series;
use crate::error::Result;
use crate::metrics::Family;
use crate::platform::par_map;

/// How well numbers tell hallucinations from facts: `fact[i]` and `hall[i]` are of one sample, which is in the
/// cluster `cluster[i]`. None for fewer than three clusters, or lists of other lengths.
pub fn paired_auroc(fact: &[f64], hall: &[f64], cluster: &[u32]) -> Option<Auroc> {
    if cluster.len() != fact.len() {
        return None;
    }
    auroc(fact, hall, &Clusters::new(cluster, &vec![0; cluster.len()]))
}

/// The area under the ROC curve of every metric over all samples (token counts among them, `*_diff` columns and other
/// controls not),
/// in the table's order, those that have none left out.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub fn metric_areas(samples: &Samples) -> Result<Vec<(String, Auroc)>> {
    let asked = series(&samples.columns).into_iter();
    let asked: Vec<_> = asked.filter(|s| s.difference_of.is_none() && s.family != Family::Controls).collect();
    let of_metric = |i: usize| {
        let triples = asked[i].triples(samples)?;
        let rows: Vec<usize> = (0..samples.len()).filter(|&row| triples(row).is_some()).collect();
        let side = |value: fn(super::series::Triple) -> f64| {
            rows.iter().filter_map(|&row| triples(row).map(value)).collect::<Vec<f64>>()
        };
        let clusters: Vec<u32> = rows.iter().map(|&row| samples.cluster(row)).collect();
        Ok(paired_auroc(&side(|t| t.fact), &side(|t| t.hall), &clusters))
    };
    let areas = par_map(asked.len(), of_metric).into_iter().collect::<Result<Vec<_>>>()?;
    let named = asked.into_iter().zip(areas).filter_map(|(series, area)| Some((series.metric, area?)));
    Ok(named.collect())
}
