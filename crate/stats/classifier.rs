//! How well facts and hallucinations are told apart: by all of a layer's features together, and by what has
//! nothing to do with features. A classifier that does not beat the length of its texts says nothing of truth.

use super::auroc::{Auroc, auroc};
use super::chains::closed_chains;
use super::clusters::Clusters;
use super::compare::ALPHA;
use super::effect::{mean, standard_deviation};
use super::features::Design;
use super::gather::{FeatureSource, Listed, Pair, gather};
use super::logistic::{Column, fit, largest_penalty};
use super::resample::stream;
use super::residual::residual_classifiers;
use super::samples::Samples;
use super::settings::Settings;
use crate::error::Result;
use crate::platform::par_map;
use crate::random::below;

/// Parts that the clusters are dealt into; each is told by a fit to the others.
pub const FOLDS: usize = 5;

/// Share of the smallest penalty that would leave no weight: the penalty of every fit.
pub const PENALTY_SHARE: f64 = 0.2;

/// Fits to labels that are swapped at random: as few as can show a chance of one in twenty.
pub const SWAPS: usize = 19;

/// Steps of the linear predictor that no area under a curve knows of.
const TOLERANCE: f64 = 1e-3;

/// Triples that take part at most: of more, every so many.
pub const MOST_TRIPLES: usize = 2000;

/// Activations of a layer that are in memory at most, 16 bytes each and nearly as much again for a fold. Of features that
/// have more, those that are active in fewer samples are left out; an SAE that does not fit its model has
/// thousands of features in every text.
pub const MOST_ENTRIES: usize = 1 << 22;

/// One classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// What it reads: `features`, `l0`, `n_tokens`, `logprob`, `residual`.
    pub reads: &'static str,
    /// The SAE layer; none of what has none.
    pub layer: Option<usize>,
    /// Triples.
    pub n: usize,
    /// Columns that it may use.
    pub columns: usize,
    /// Columns that a fold's fit uses, on average.
    pub kept: f64,
    /// How well the scores of texts that it was not fitted to tell hallucinations from facts.
    pub auroc: Option<Auroc>,
    /// Triples in closed chains of equal length.
    pub n_matched: usize,
    /// The same scores among those, where length tells nothing.
    pub matched: Option<Auroc>,
    /// Area with labels that are swapped at random.
    pub swapped: Option<Chance>,
}

/// What chance gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Mean area.
    pub mean: f64,
    /// Share of the areas, its own among them, that are at least its own.
    pub p: f64,
    /// The same for the largest area over all layers under the same swaps: of many layers one is good by chance.
    ///
    /// Source: P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", 1993, §2.3 (single step).
    pub p_over_layers: f64,
}

impl Chance {
    /// Whether chance does as well more often than one time in twenty, over all layers.
    pub fn is_chance(&self) -> bool {
        self.p_over_layers > ALPHA
    }
}

/// A classifier, and its areas with swapped labels, by swap.
pub(super) type WithSwaps = (Classifier, Vec<f64>);

/// The classifiers, each beside the largest area of those that read the same at any layer.
pub(super) fn over_layers(found: Vec<WithSwaps>) -> Vec<Classifier> {
    let largest = |reads: &str, swap: usize| {
        let same = found.iter().filter(|(one, _)| one.reads == reads);
        same.filter_map(|(_, areas)| areas.get(swap)).fold(f64::NEG_INFINITY, |most, area| most.max(*area))
    };
    let p = |one: &Classifier, areas: &[f64]| {
        Some(share(one.auroc?.area, (0..areas.len()).map(|swap| largest(one.reads, swap))))
    };
    let over: Vec<Option<f64>> = found.iter().map(|(one, areas)| p(one, areas)).collect();
    let of = |((mut one, _), over): (WithSwaps, Option<f64>)| {
        if let (Some(swapped), Some(over)) = (&mut one.swapped, over) {
            swapped.p_over_layers = over;
        }
        one
    };
    found.into_iter().zip(over).map(of).collect()
}

/// The share of these areas, the own one among them, that are at least the own one.
fn share(own: f64, areas: impl ExactSizeIterator<Item = f64>) -> f64 {
    let all = areas.len() + 1;
    (areas.filter(|area| *area >= own).count() + 1) as f64 / all as f64
}

/// The triples that take part, and their folds. Row 2 i is the fact of triple i, the next its hallucination; run 0 has
/// the labels as they are, and each further one swaps some.
pub(super) struct Triples {
    /// By triple: its place in the design.
    rows: Vec<usize>,
    clusters: Clusters,
    /// By triple.
    fold: Vec<usize>,
    /// By draw and triple: whether fact and hallucination are swapped; whole clusters are.
    swaps: Vec<Vec<bool>>,
    /// Those in closed chains.
    matched: Vec<usize>,
}

impl Triples {
    /// At `most` so many, every so many of more; none where there are too few clusters for folds of two.
    pub(super) fn new(design: &Design, settings: Settings, most: usize) -> Option<Self> {
        let n = design.counts.len();
        let every = n.div_ceil(most).max(1);
        let rows: Vec<usize> = (0..n).step_by(every).collect();
        let clusters = clusters_of(design, &rows);
        if clusters.len() < 2 * FOLDS {
            return None;
        }
        let mut order: Vec<usize> = (0..clusters.len()).collect();
        let mut random = stream("folds", settings.seed, "all");
        (1..order.len()).rev().for_each(|i| order.swap(i, below(&mut random, i + 1)));
        let mut fold_of = vec![0; clusters.len()];
        order.iter().enumerate().for_each(|(i, &cluster)| fold_of[cluster] = i % FOLDS);
        let mut random = stream("swaps", settings.seed, "all");
        let mut swap = || {
            let of: Vec<bool> = (0..clusters.len()).map(|_| below(&mut random, 2) == 1).collect();
            (0..rows.len()).map(|i| of[clusters.of(i)]).collect()
        };
        let counts: Vec<_> = rows.iter().map(|&row| design.counts[row]).collect();
        let mut matched = closed_chains(&counts).concat();
        matched.sort_unstable();
        Some(Self {
            fold: (0..rows.len()).map(|i| fold_of[clusters.of(i)]).collect(),
            swaps: (0..SWAPS).map(|_| swap()).collect(),
            rows,
            clusters,
            matched,
        })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The labels as they are, and swapped.
    pub(super) fn runs(&self) -> usize {
        SWAPS + 1
    }

    /// The fold of a row.
    pub(super) fn fold_of(&self, row: usize) -> usize {
        self.fold[row / 2]
    }

    /// Whether a row counts as a hallucination in a run; a swapped fact does.
    pub(super) fn is_hall(&self, row: usize, run: usize) -> bool {
        (row % 2 == 1) != self.is_swapped(row / 2, run)
    }

    fn is_swapped(&self, triple: usize, run: usize) -> bool {
        run.checked_sub(1).is_some_and(|swap| self.swaps[swap][triple])
    }

    /// By sample: which triple it is.
    pub(super) fn places<'a>(&self, design: &'a Design) -> impl Fn(usize) -> Option<usize> + use<'a> {
        let mut at = vec![None; design.counts.len()];
        self.rows.iter().enumerate().for_each(|(i, &row)| at[row] = Some(i));
        move |sample| at[design.place.get(sample).copied().flatten()? as usize]
    }
}

/// The clusters of some of the design's triples.
fn clusters_of(design: &Design, rows: &[usize]) -> Clusters {
    let label = |&row: &usize| design.clusters.of(row) as u32;
    let domain = |&row: &usize| design.domain[row] as u32;
    Clusters::new(&rows.iter().map(label).collect::<Vec<_>>(), &rows.iter().map(domain).collect::<Vec<_>>())
}

/// Classifiers of hallucination against fact: of each layer's `listed` features together and of their number, and,
/// of no layer, of token counts and log-probabilities; then of each layer's residual stream, where the source has it
/// ([`residual_classifiers`]). Empty where there are too few clusters.
///
/// All but those of the residual stream are a logistic regression with an L1 penalty on columns of unit standard
/// deviation, [`PENALTY_SHARE`] of the penalty that would leave nothing; both are of the texts that are fitted to. Clusters are dealt into [`FOLDS`]
/// parts, and the texts of each are scored by a fit to the others, so that no triple, nor any of its cluster, is on
/// both sides. The area under the ROC curve is that of all scores together, with an interval by clusters. What
/// chance gives is shown by the same fits to labels that are swapped within triples, whole clusters at a time. Of
/// more than [`MOST_TRIPLES`] triples, every so many take part.
///
/// # Errors
/// Of the source, or of the scratch file.
pub(super) fn classifiers(
    samples: &Samples,
    layers: &[usize],
    listed: &[Listed],
    source: &dyn FeatureSource,
    design: &Design,
    settings: Settings,
) -> Result<Vec<Classifier>> {
    let Some(triples) = Triples::new(design, settings, MOST_TRIPLES) else { return Ok(Vec::new()) };
    let n = triples.len();
    let triple = triples.places(design);
    let mut found: Vec<WithSwaps> = Vec::new();
    for &layer in layers {
        let of_layer: Vec<Listed> = listed.iter().copied().filter(|one| one.layer == layer).collect();
        let listed = most_active(of_layer, n as f64 / design.counts.len() as f64, MOST_ENTRIES);
        let pairs = gather(source, &listed, |sample| triple(sample).is_some())?;
        let columns = pairs.iter().map(|pairs| column(pairs, &triple)).collect();
        found.push(classifier("features", Some(layer), columns, &triples, design));
        let l0 = dense(samples, [&format!("l{layer}_fact_l0_norm"), &format!("l{layer}_hall_l0_norm")], &triple, n)?;
        found.extend(l0.map(|column| classifier("l0", Some(layer), vec![column], &triples, design)));
    }
    for (reads, columns) in
        [("n_tokens", ["n_tokens_fact", "n_tokens_hall"]), ("logprob", ["logprob_fact", "logprob_hall"])]
    {
        let column = dense(samples, columns, &triple, n)?;
        found.extend(column.map(|column| classifier(reads, None, vec![column], &triples, design)));
    }
    found.extend(residual_classifiers(layers, source, design, settings)?);
    Ok(over_layers(found))
}

/// The features that are active in the most samples, in their order, as many as have so many activations where a
/// `share` of the samples takes part.
fn most_active(mut listed: Vec<Listed>, share: f64, most: usize) -> Vec<Listed> {
    // both sides of a sample may have it
    let entries = |one: &Listed| (2.0 * share * one.samples as f64).ceil() as usize;
    if listed.iter().map(entries).sum::<usize>() > most {
        listed.sort_unstable_by_key(|one| (std::cmp::Reverse(one.samples), one.feature));
        let mut sum = 0;
        let fits = listed.iter().take_while(|one| {
            sum += entries(one);
            sum <= most
        });
        listed.truncate(fits.count());
        listed.sort_unstable_by_key(|one| one.feature);
    }
    listed
}

/// A feature's entries: the fact of triple i is row 2 i, its hallucination the next.
fn column(pairs: &[Pair], triple: &impl Fn(usize) -> Option<usize>) -> Column {
    let entries = pairs.iter().filter_map(|pair| Some((triple(pair.sample as usize)?, pair)));
    let rows = entries.flat_map(|(i, pair)| [(2 * i, pair.fact), (2 * i + 1, pair.hall)]);
    rows.filter(|(_, value)| *value != 0.0).map(|(row, value)| (row as u32, f64::from(value))).collect()
}

/// A metric's two columns as one; none where the run lacks it, or a triple has none.
fn dense(
    samples: &Samples,
    names: [&str; 2],
    triple: &impl Fn(usize) -> Option<usize>,
    n: usize,
) -> Result<Option<Column>> {
    let [fact, hall] = names.map(|name| samples.numbers_of(name));
    let Some((fact, hall)) = fact?.zip(hall?) else { return Ok(None) };
    let mut column = Vec::with_capacity(2 * n);
    for (sample, (fact, hall)) in fact.into_iter().zip(hall).enumerate() {
        let Some(i) = triple(sample) else { continue };
        column.extend([(2 * i as u32, fact), (2 * i as u32 + 1, hall)]);
    }
    Ok((!column.iter().any(|(_, value)| value.is_nan())).then_some(column))
}

/// A fold: the columns of the rows that are fitted to, scaled to a standard deviation of one.
struct Fold {
    /// Rows that are fitted to, of all.
    rows: Vec<usize>,
    fitted: Vec<Column>,
    /// What was taken off each column: its mean where it has no zeros, which would be as many entries, and else
    /// nothing. The intercept is not penalised: the optimum is the same, and a mean that is large beside the
    /// deviation would take steps without number.
    centre: Vec<f64>,
    scale: Vec<f64>,
}

impl Fold {
    fn new(columns: &[Column], fold: &[usize], this: usize) -> Self {
        let rows: Vec<usize> = (0..2 * fold.len()).filter(|row| fold[row / 2] != this).collect();
        let mut place = vec![u32::MAX; 2 * fold.len()];
        rows.iter().zip(0..).for_each(|(&row, at)| place[row] = at);
        let (mut fitted, mut centres, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        for column in columns {
            let of_fit = column.iter().map(|&(row, value)| (place[row as usize], value));
            let mut of_fit: Vec<(u32, f64)> = of_fit.filter(|(at, _)| *at != u32::MAX).collect();
            let mut values: Vec<f64> = of_fit.iter().map(|(_, value)| *value).collect();
            values.resize(rows.len(), 0.0);
            let deviation = standard_deviation(&values).filter(|deviation| *deviation > 0.0);
            let scale = deviation.map_or(0.0, f64::recip);
            let centre = if column.len() == place.len() { mean(&values).unwrap_or_default() } else { 0.0 };
            of_fit.iter_mut().for_each(|(_, value)| *value = (*value - centre) * scale);
            fitted.push(of_fit);
            centres.push(centre);
            scales.push(scale);
        }
        Self { rows, fitted, centre: centres, scale: scales }
    }
}

/// One classifier, with its swapped twins.
fn classifier(
    reads: &'static str,
    layer: Option<usize>,
    columns: Vec<Column>,
    triples: &Triples,
    design: &Design,
) -> WithSwaps {
    let n = triples.len();
    let mut scores = vec![vec![0.0; 2 * n]; triples.runs()];
    let mut kept = 0.0;
    // one fold after the other: a fold's columns are as large as all of them
    for this in 0..FOLDS {
        let fold = Fold::new(&columns, &triples.fold, this);
        let fits = par_map(triples.runs(), |run| {
            let labels: Vec<bool> = fold.rows.iter().map(|&row| triples.is_hall(row, run)).collect();
            let penalty = PENALTY_SHARE * largest_penalty(&fold.fitted, &labels);
            let fit = fit(&fold.fitted, &labels, penalty, TOLERANCE);
            (fit.kept(), fit.of_unscaled(&fold.centre, &fold.scale).scores(&columns, 2 * n))
        });
        kept += fits.first().map_or(0.0, |(kept, _)| *kept as f64);
        for (scores, (_, fitted)) in scores.iter_mut().zip(fits) {
            let of_fold = (0..2 * n).filter(|&row| triples.fold_of(row) == this);
            of_fold.for_each(|row| scores[row] = fitted[row]);
        }
    }
    let scores = Scores { reads, layer, columns: columns.len(), kept: kept / FOLDS as f64, runs: scores };
    scores.classifier(triples, design)
}

/// What a classifier says of every text, each by a fit to others.
pub(super) struct Scores {
    pub(super) reads: &'static str,
    pub(super) layer: Option<usize>,
    pub(super) columns: usize,
    pub(super) kept: f64,
    /// By run and row of [`Triples`].
    pub(super) runs: Vec<Vec<f64>>,
}

impl Scores {
    /// How well they tell hallucinations from facts, beside those of swapped labels.
    pub(super) fn classifier(self, triples: &Triples, design: &Design) -> WithSwaps {
        let Self { reads, layer, columns, kept, runs } = self;
        let n = triples.len();
        let areas = par_map(runs.len(), |run| {
            let score = |i: usize, hall: bool| runs[run][2 * i + usize::from(hall != triples.is_swapped(i, run))];
            let side = |hall: bool| (0..n).map(|i| score(i, hall)).collect::<Vec<_>>();
            (side(false), side(true))
        });
        let whole = areas.first().map_or((&[][..], &[][..]), |(fact, hall)| (fact, hall));
        let own = auroc(whole.0, whole.1, &triples.clusters);
        // where one swap has an area, all have
        let of_swap =
            |(fact, hall): &(Vec<f64>, Vec<f64>)| auroc(fact, hall, &triples.clusters).map(|found| found.area);
        let chance: Vec<f64> = areas.iter().skip(1).filter_map(of_swap).collect();
        let swapped = own.zip(mean(&chance)).map(|(own, mean)| {
            let p = share(own.area, chance.iter().copied());
            Chance { mean, p, p_over_layers: p }
        });
        let matched_rows: Vec<usize> = triples.matched.iter().map(|&i| triples.rows[i]).collect();
        let among = |values: &[f64]| triples.matched.iter().map(|&i| values[i]).collect::<Vec<_>>();
        let of = Classifier {
            reads,
            layer,
            n,
            columns,
            kept,
            auroc: own,
            n_matched: triples.matched.len(),
            matched: auroc(&among(whole.0), &among(whole.1), &clusters_of(design, &matched_rows)),
            swapped,
        };
        (of, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_stands_beside_the_largest_area_of_all_layers() {
        let of = |reads, layer, area: f64, areas: [f64; 3]| {
            let p = share(area, areas.into_iter());
            let swapped = Some(Chance { mean: 0.5, p, p_over_layers: p });
            let auroc = Some(Auroc { area, interval: None });
            let (n, columns, kept, n_matched, matched) = (9, 1, 1.0, 0, None);
            (
                Classifier { reads, layer: Some(layer), n, columns, kept, auroc, n_matched, matched, swapped },
                areas.to_vec(),
            )
        };
        let found = over_layers(vec![
            of("features", 1, 0.7, [0.5, 0.4, 0.6]),
            of("features", 2, 0.6, [0.8, 0.4, 0.5]),
            of("l0", 1, 0.7, [0.2, 0.3, 0.1]),
        ]);
        let p: Vec<f64> = found.iter().map(|one| one.swapped.unwrap().p).collect();
        let over: Vec<f64> = found.iter().map(|one| one.swapped.unwrap().p_over_layers).collect();
        // the largest of each swap: 0.8, 0.4, 0.6
        assert_eq!((p, over), (vec![0.25, 0.5, 0.25], vec![0.5, 0.75, 0.25]));
    }

    #[test]
    fn what_has_no_room_is_what_is_active_least() {
        let listed: Vec<Listed> =
            [7, 9, 2, 9, 5].iter().zip(0..).map(|(&samples, feature)| Listed { layer: 1, feature, samples }).collect();
        let kept =
            |share, most| most_active(listed.clone(), share, most).iter().map(|one| one.feature).collect::<Vec<u32>>();
        assert_eq!(kept(1.0, 64), [0, 1, 2, 3, 4]);
        assert_eq!(kept(1.0, 63), [0, 1, 3, 4]);
        assert_eq!(kept(1.0, 49), [1, 3]);
        assert_eq!(kept(0.5, 33), [0, 1, 2, 3, 4]);
        assert_eq!(kept(1.0, 10), [0; 0]);
    }
}
