//! Feature by feature: whether it is active more often, or more strongly, at the end of hallucinations than of
//! their facts, and whether that survives the length control, and those beside length.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::auroc::{Auroc, auroc};
use super::chains::{TokenCounts, closed_chains};
use super::classifier::{Classifier, classifiers};
use super::clusters::Clusters;
use super::controls::{self, Control, Controlled};
use super::effect::{cohens_dz, mean, pearson, standard_deviation, varies};
use super::equivalence::{Equivalence, equivalence};
use super::exact::{sign_flip_exact, sign_test};
use super::gather::{FeatureSource, Listed, MIN_ACTIVE, Pair, gather, listed, pieces};
use super::grounds::Grounds;
use super::length::{Adjusted, MIN_CHAINS, adjust_by, mean_over};
use super::multiple::benjamini_hochberg;
use super::samples::Samples;
use super::settings::Settings;
use super::verdict::{Evidence, Verdict, by_controls};
use crate::error::Result;
use crate::platform::par_map;

#[cfg(test)]
mod tests;

/// Domains up to which features are counted in each of them.
pub const MOST_DOMAINS: usize = 64;

/// What features say, one by one and together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Features {
    /// `stats_features.parquet` before it was encoded.
    pub rows: Vec<FeatureRow>,
    /// Classifiers of all features of a layer, and their baselines.
    pub classifiers: Vec<Classifier>,
}

/// One feature, over all samples or in one domain.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRow {
    /// The SAE layer.
    pub layer: usize,
    /// The feature's number in that layer's dictionary.
    pub feature: u32,
    /// Domain, or what all samples together are called.
    pub domain: Arc<str>,
    /// Where it is active.
    pub activity: Activity,
    /// The comparison over all samples; none in a domain.
    pub tested: Option<FeatureTests>,
}

/// In which texts a feature is active, and how strongly.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Activity {
    /// Samples.
    pub n: usize,
    /// Samples whose fact has it.
    pub n_fact: usize,
    /// Samples whose hallucination has it.
    pub n_hall: usize,
    /// Samples whose hallucination has it and whose fact has not: where it is a ghost.
    pub n_ghost: usize,
    /// Samples whose fact has it and whose hallucination has not.
    pub n_missing: usize,
    /// Sums of activations: in facts, in hallucinations, in ghosts, in missing ones.
    sums: [f64; 4],
}

impl Activity {
    fn add(&mut self, fact: f64, hall: f64) {
        let (in_fact, in_hall) = (fact > 0.0, hall > 0.0);
        self.n_fact += usize::from(in_fact);
        self.n_hall += usize::from(in_hall);
        self.n_ghost += usize::from(in_hall && !in_fact);
        self.n_missing += usize::from(in_fact && !in_hall);
        let (ghost, missing) = (if in_fact { 0.0 } else { hall }, if in_hall { 0.0 } else { fact });
        self.sums.iter_mut().zip([fact, hall, ghost, missing]).for_each(|(sum, value)| *sum += value);
    }

    fn over(&self, sum: usize, n: usize) -> Option<f64> {
        (n > 0).then(|| self.sums[sum] / n as f64)
    }

    /// Mean activation over all facts, 0 where it is not active.
    pub fn mean_fact(&self) -> Option<f64> {
        self.over(0, self.n)
    }

    /// Mean activation over all hallucinations, 0 where it is not active.
    pub fn mean_hall(&self) -> Option<f64> {
        self.over(1, self.n)
    }

    /// Mean activation where it is a ghost.
    pub fn ghost_activation(&self) -> Option<f64> {
        self.over(2, self.n_ghost)
    }

    /// Mean activation where it is missing from the hallucination.
    pub fn missing_activation(&self) -> Option<f64> {
        self.over(3, self.n_missing)
    }
}

/// A feature's comparison over all samples; differences are hallucination − fact, with 0 where it is not active.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTests {
    /// Clusters in which it is active.
    pub n_clusters: usize,
    /// Mean difference of activation.
    pub mean_diff: f64,
    /// Paired Cohen's d of it.
    pub cohens_dz: Option<f64>,
    /// How well its activation tells hallucinations from facts.
    pub auroc: Option<Auroc>,
    /// Exact sign test of presence (McNemar's): of clusters that have it more often on one side.
    pub presence_p: f64,
    /// q of it over all features.
    pub presence_q: Option<f64>,
    /// Sign-flip test of the difference of activation.
    pub p: Option<f64>,
    /// q of it over all features.
    pub q: Option<f64>,
    /// Whether a difference as large as the bound is ruled out.
    pub equivalence: Option<Equivalence>,
    /// Pearson's r of the activation with the token count over fact and hallucination texts.
    pub length_r: Option<f64>,
    /// Chains of equal length in which its differences do not cancel: what the length control rests on.
    pub n_chains: usize,
    /// The difference at equal length.
    pub adjusted: Option<Adjusted>,
    /// q of its p over all features.
    pub adjusted_q: Option<f64>,
    /// The difference with other things than length held equal, by [`Control::ALL`], where the run has them; of its chains
    /// those are counted in which the feature's differences do not cancel.
    pub controls: [Option<Controlled>; Control::ALL.len()],
    /// What it amounts to.
    pub verdict: Verdict,
}

/// What does not depend on a feature.
pub(super) struct Design {
    /// By sample, its place among those that have token counts.
    pub place: Vec<Option<u32>>,
    /// The rest is by that place.
    pub domain: Vec<usize>,
    pub counts: Vec<TokenCounts>,
    /// Token counts of facts, then of hallucinations.
    lengths: Vec<f64>,
    pub clusters: Clusters,
    sizes: Vec<f64>,
    chains: Vec<Vec<usize>>,
    /// The same with other things held equal, by [`Control::ALL`].
    controls: Vec<Option<Vec<Vec<usize>>>>,
    /// Samples by domain.
    by_domain: Vec<usize>,
    everything: Arc<str>,
    /// Names of the domains that are told apart; empty where there is one, or too many.
    domains: Vec<Arc<str>>,
    bound: f64,
}

impl Design {
    fn new(samples: &Samples, grounds: &Grounds, settings: Settings) -> Self {
        let rows: Vec<usize> = (0..samples.len()).filter(|&sample| grounds.tokens[sample].is_some()).collect();
        let mut place = vec![None; samples.len()];
        rows.iter().zip(0..).for_each(|(&row, at)| place[row] = Some(at));
        let counts: Vec<TokenCounts> = rows.iter().filter_map(|&row| grounds.tokens[row]).collect();
        let label = |&row: &usize| if settings.clusters { samples.cluster(row) } else { row as u32 };
        let labels: Vec<u32> = rows.iter().map(label).collect();
        let domain: Vec<usize> = rows.iter().map(|&row| grounds.domain_of[row]).collect();
        let clusters = Clusters::new(&labels, &domain.iter().map(|&domain| domain as u32).collect::<Vec<_>>());
        let mut by_domain = vec![0; grounds.domains.len()];
        domain.iter().for_each(|&domain| by_domain[domain] += 1);
        let told = (2..=MOST_DOMAINS).contains(&grounds.domains.len());
        Self {
            place,
            lengths: counts.iter().map(|c| c.fact as f64).chain(counts.iter().map(|c| c.hall as f64)).collect(),
            sizes: clusters.sizes(),
            chains: clusters.joined(closed_chains(&counts)),
            controls: controls::chains_of_all(&rows, &grounds.controls, &clusters),
            clusters,
            domain,
            counts,
            by_domain,
            everything: grounds.everything().into(),
            domains: grounds.domains.iter().filter(|_| told).map(|domain| domain.as_str().into()).collect(),
            bound: settings.bound,
        }
    }
}

/// Compares fact and hallucination for every feature that is active in at least [`MIN_ACTIVE`] clusters at the
/// last token of either ([`super::MOST_FEATURES`] of a layer at most: those active in the most samples), over all
/// samples; in each domain a feature is counted, not tested. Rows are by layer in the order of `layers`, by
/// feature, and by domain, all samples first.
///
/// Presence is compared by the exact sign test of clusters, activation (0 where a feature is not active) by the
/// sign-flip test of their differences ([`sign_flip_exact`]), at equal length by the same test of the sums over
/// [`closed_chains`], and with what the other controls hold equal ([`Control`]) by theirs. q-values are over all features
/// of all layers. Verdicts are those of [`super::compare()`], of the difference of activation. Features together are read
/// by classifiers, see [`Classifier`].
///
/// # Errors
/// [`crate::error::Error::Mismatch`] where `samples` lack token counts; those of the source.
pub fn compare_features(
    samples: &Samples,
    layers: &[usize],
    source: &dyn FeatureSource,
    settings: impl Into<Settings>,
) -> Result<Features> {
    let settings = settings.into();
    let design = Design::new(samples, &Grounds::new(samples)?, settings);
    let listed = listed(source, layers)?;
    let mut rows = Vec::new();
    for piece in pieces(&listed) {
        let listed = &listed[piece];
        let pairs = gather(source, listed, |sample| design.place.get(sample).is_some_and(Option::is_some))?;
        let of_feature = par_map(listed.len(), |i| one(listed[i], &pairs[i], &design));
        rows.extend(of_feature.into_iter().flatten());
    }
    add_q(&mut rows);
    let classifiers = classifiers(samples, layers, &listed, source, &design, settings)?;
    Ok(Features { rows, classifiers })
}

/// The rows of one feature, without q-values and verdict; none where it is active in too few clusters.
fn one(Listed { layer, feature, .. }: Listed, pairs: &[Pair], design: &Design) -> Vec<FeatureRow> {
    let Design { clusters, chains, .. } = design;
    let n = design.counts.len();
    let row =
        |domain: &Arc<str>, activity, tested| FeatureRow { layer, feature, domain: domain.clone(), activity, tested };
    let mut values = vec![0.0; 2 * n];
    let mut whole = Activity { n, ..Activity::default() };
    let mut parts: BTreeMap<usize, Activity> = BTreeMap::new();
    // by cluster: whether it is active there, and in how many more hallucinations than facts
    let mut presence: BTreeMap<usize, i64> = BTreeMap::new();
    for pair in pairs {
        let Some(at) = design.place.get(pair.sample as usize).copied().flatten() else { continue };
        let at = at as usize;
        let (fact, hall) = (f64::from(pair.fact), f64::from(pair.hall));
        (values[at], values[n + at]) = (fact, hall);
        whole.add(fact, hall);
        let domain = design.domain[at];
        parts.entry(domain).or_insert(Activity { n: design.by_domain[domain], ..Activity::default() }).add(fact, hall);
        *presence.entry(clusters.of(at)).or_default() += i64::from(hall > 0.0) - i64::from(fact > 0.0);
    }
    if presence.len() < MIN_ACTIVE {
        return Vec::new();
    }
    let (fact, hall) = values.split_at(n);
    let scale = values.iter().fold(0.0, |most: f64, value| most.max(*value));
    let differences: Vec<f64> = hall.iter().zip(fact).map(|(hall, fact)| hall - fact).collect();
    let tested = clusters.len() > 2 && varies(&differences, scale);
    let sums = clusters.sums(differences.iter().copied());
    let uneven = |sign: i64| presence.values().filter(|net| net.signum() == sign).count();
    let at_equal = |chains: &Vec<Vec<usize>>| {
        adjust_by(&differences, chains, scale, |sums| Some(sign_flip_exact(sums).unwrap_or(1.0)))
    };
    let spread = standard_deviation(&differences).filter(|_| tested);
    let uncancelled = |chains: &[Vec<usize>]| {
        chains.iter().filter(|chain| chain.iter().map(|&i| differences[i]).sum::<f64>() != 0.0).count()
    };
    let adjusted = |chains: &Vec<Vec<usize>>| {
        // where it is never active, nothing is controlled
        let live = chains.iter().filter(|chain| chain.iter().any(|&i| fact[i] > 0.0 || hall[i] > 0.0)).count();
        (tested && live >= MIN_CHAINS).then(|| at_equal(chains)).flatten()
    };
    let controlled = |chains: &Vec<Vec<usize>>| Controlled {
        n_matched: chains.iter().map(Vec::len).sum(),
        n_chains: uncancelled(chains),
        adjusted: adjusted(chains),
        q: None,
        verdict: Verdict::Undecided,
    };
    let tests = FeatureTests {
        n_clusters: presence.len(),
        mean_diff: mean(&differences).unwrap_or_default(),
        cohens_dz: cohens_dz(&differences).filter(|_| tested),
        auroc: auroc(fact, hall, clusters),
        presence_p: sign_test(uneven(1), uneven(-1)),
        presence_q: None,
        p: tested.then(|| sign_flip_exact(&sums)).flatten(),
        q: None,
        equivalence: spread.and_then(|sd| equivalence(mean_over(&sums, &design.sizes).0, sd, design.bound)),
        length_r: pearson(&values, &design.lengths),
        n_chains: uncancelled(chains),
        adjusted: adjusted(chains),
        adjusted_q: None,
        controls: std::array::from_fn(|i| design.controls.get(i)?.as_ref().map(controlled)),
        verdict: Verdict::Undecided,
    };
    let mut rows = vec![row(&design.everything, whole, Some(tests))];
    let named = parts.into_iter().filter_map(|(domain, activity)| Some((design.domains.get(domain)?, activity)));
    rows.extend(named.map(|(domain, activity)| row(domain, activity, None)));
    rows
}

/// q-values over all features of all layers, and verdicts.
fn add_q(rows: &mut [FeatureRow]) {
    let mut tests: Vec<&mut FeatureTests> = rows.iter_mut().filter_map(|row| row.tested.as_mut()).collect();
    let family = |tests: &[&mut FeatureTests], p: fn(&FeatureTests) -> Option<f64>| {
        benjamini_hochberg(&tests.iter().map(|tests| p(tests)).collect::<Vec<_>>())
    };
    let presence = family(&tests, |tests| Some(tests.presence_p));
    let activation = family(&tests, |tests| tests.p);
    let adjusted = family(&tests, |tests| Some(tests.adjusted?.p));
    let by_control = |place: usize| {
        let p = |tests: &&mut FeatureTests| Some(tests.controls[place]?.adjusted?.p);
        benjamini_hochberg(&tests.iter().map(p).collect::<Vec<_>>())
    };
    let controls: [_; Control::ALL.len()] = std::array::from_fn(by_control);
    for (i, tests) in tests.iter_mut().enumerate() {
        (tests.presence_q, tests.q, tests.adjusted_q) = (presence[i], activation[i], adjusted[i]);
        let evidence = |at_equal| Evidence {
            is_control: false,
            n_clusters: tests.n_clusters,
            mean_diff: Some(tests.mean_diff),
            q: tests.q,
            at_equal,
            equivalence_p: tests.equivalence.map(|e| e.p),
        };
        let verdict = evidence(tests.adjusted.zip(tests.adjusted_q)).verdict();
        let with_q = |place: usize| Some(Controlled { q: controls[place][i], ..tests.controls[place]? });
        let controls = by_controls(std::array::from_fn(with_q), evidence);
        (tests.verdict, tests.controls) = (verdict, controls);
    }
}
