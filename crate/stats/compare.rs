//! One comparison per metric and domain.

use std::collections::{BTreeMap, BTreeSet};

use super::auroc::{Auroc, auroc};
use super::bootstrap::Draws;
use super::chains::{TokenCounts, closed_chains};
use super::clusters::Clusters;
use super::controls::{self, Control, Controlled};
use super::effect::{cohens_dz, hedges_correction, mean, pearson, standard_deviation, varies};
use super::equivalence::{Equivalence, equivalence};
use super::grounds::Grounds;
use super::length::{Adjusted, MIN_CHAINS, adjust_for_length, mean_over};
use super::likelihood::grades;
use super::multiple::{benjamini_hochberg, holm};
use super::power::{smallest_detectable_dz, smallest_detectable_dz_in_chains};
use super::rank::wilcoxon_signed_rank;
use super::resample::{sign_flip_p, stream};
use super::samples::Samples;
use super::series::{LIKELIHOOD, Series, Triple, series};
use super::settings::Settings;
use super::verdict::{Verdict, judge};
use crate::error::Result;
use crate::metrics::{Direction, Family, Table};
use crate::platform::par_map;
use crate::random::Stream;

/// Level of every test and of the false-discovery rate.
pub const ALPHA: f64 = 0.05;

/// One metric in one domain. Differences have the sign that `direction` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// `l5_gini`, `centroid_drift`, `centroid_drift_diff`, …
    pub metric: String,
    /// For a `*_diff` row: the metric that it is the difference of, whose question it asks again.
    pub difference_of: Option<String>,
    /// Domain, or `all`.
    pub domain: String,
    /// Sign of the differences: hallucination − fact, except that a `*_diff` metric keeps its
    /// column's.
    pub direction: Direction,
    /// Samples that have the metric on both sides.
    pub n: usize,
    /// Clusters that they are in: what counts as independent.
    pub n_clusters: usize,
    /// Mean over facts.
    pub mean_fact: Option<f64>,
    /// Mean over hallucinations.
    pub mean_hall: Option<f64>,
    /// Mean difference.
    pub mean_diff: Option<f64>,
    /// Paired Cohen's d.
    pub cohens_dz: Option<f64>,
    /// Hedges' g of it.
    pub hedges_g: Option<f64>,
    /// Cohen's d with the pooled standard deviation of facts and hallucinations.
    pub cohens_d: Option<f64>,
    /// How well the metric tells hallucinations from facts, in the row's direction.
    pub auroc: Option<Auroc>,
    /// 95 % bootstrap interval (BCa) of the mean difference; over all samples, drawn within domains.
    pub interval: Option<(f64, f64)>,
    /// Sign-flip permutation p.
    pub p_permutation: Option<f64>,
    /// Wilcoxon signed-rank p.
    pub p_wilcoxon: Option<f64>,
    /// Benjamini–Hochberg q of `p_permutation` over the domain's metrics. A `*_diff` row is the
    /// same hypothesis as its metric and shares its q; token counts are no member.
    pub q_value: Option<f64>,
    /// Holm's adjusted p of the same family.
    pub p_holm: Option<f64>,
    /// Whether a difference as large as the bound is ruled out.
    pub equivalence: Option<Equivalence>,
    /// The smallest |d_z| that so many clusters show in a single test ([`super::POWER`]).
    pub detectable_dz: Option<f64>,
    /// Pearson's r of the metric with the token count over fact and hallucination texts; of a
    /// `*_diff` metric, with the difference (hallucination − fact) in token counts.
    pub length_r: Option<f64>,
    /// Triples in closed chains ([`closed_chains`]): those that carry the length control.
    pub n_matched: usize,
    /// Those chains.
    pub n_chains: usize,
    /// The difference over them; none for fewer chains than [`super::MIN_CHAINS`].
    pub adjusted: Option<Adjusted>,
    /// q of its p over the domain's metrics.
    pub adjusted_q: Option<f64>,
    /// The smallest |d_z| that so many matched triples show in a single test.
    pub adjusted_detectable_dz: Option<f64>,
    /// Triples in chains in which facts and hallucinations are equally likely; none without
    /// log-probabilities, and of them themselves.
    pub n_likely_matched: Option<usize>,
    /// The difference over those, as `adjusted` is at equal length.
    pub likely: Option<Adjusted>,
    /// q of its p over the domain's metrics.
    pub likely_q: Option<f64>,
    /// The same with other things held equal, by [`Control::ALL`]; none where the run lacks what is needed, and in the
    /// control's own row.
    pub controls: [Option<Controlled>; Control::ALL.len()],
    /// Samples whose fact and hallucination have equally many tokens.
    pub n_equal: usize,
    /// Mean difference over those.
    pub equal_diff: Option<f64>,
    /// Sign-flip p over those.
    pub equal_p: Option<f64>,
    /// q of it over the domain's metrics.
    pub equal_q: Option<f64>,
    /// What it amounts to.
    pub verdict: Verdict,
}

/// Compares fact and hallucination for every metric of `metrics.parquet`, over all samples
/// (domain `all`) and in each domain. Where there is one domain only, it is tested once, as `all`.
///
/// The **length control**: triples are sorted into [closed chains](closed_chains), in each of which
/// facts and hallucinations have the same token counts and prompts have nearly the same, so that an
/// effect of length cancels from the chain's sum; triples that fit into no chain take no part. The
/// difference at equal length is the mean over the triples in chains (over `all` samples: in the
/// chains of all domains), tested by flipping the signs of whole chains ([`adjust_for_length`]).
/// Chains depend on token counts alone: nothing is fitted, and nothing is extrapolated. A row
/// - **survives** where the difference at equal length has q ≤ 0.05 and not the other sign than a raw
///   difference with q ≤ 0.05 (a difference that length had hidden counts: its raw q may be large);
/// - else shows **no difference** where the raw one has q > 0.05, and one as large as the bound
///   ([`Settings::bound`]) is ruled out by two one-sided tests (p ≤ 0.05);
/// - else is **undecided** where the raw one has q > 0.05: neither found nor ruled out;
/// - else is **explained by length** where the raw difference lies outside the 95 % interval of the
///   one at equal length;
/// - else has **no length control**: there are fewer than [`super::MIN_CHAINS`] chains, or what they
///   say is too vague to tell the raw difference from none.
///
/// With m triples in chains, 80 % power needs a d_z at equal length of about
/// [`smallest_detectable_dz`](super::smallest_detectable_dz)(m) in a single test (more where the chains are few: their signs
/// are flipped as wholes), and half as much
/// again where one metric of eighty differs. Where half of the metrics differ by d_z = 0.5 and about 80 triples or
/// more are in chains, simulation (`simulation.rs`) finds at least 95 % of them.
///
/// **Clusters** (column `cluster`; without it every sample is one) are what is resampled and what has its signs
/// flipped; chains that share one are joined, and errors are those of sums over clusters. So copies of a sample
/// add nothing. Where a table has log-probabilities, every metric is also compared **at equal likelihood**: by
/// the same chains, of triples whose facts and hallucinations are of the same grade of log-probability
/// ([`super::LIKELIHOOD_GRADES`]); no verdict reads that. Where it says at which **tokens** texts are read, and how likely
/// completions are by token, the same chains hold those equal, each with a verdict of its own by the same rule
/// ([`Control`]).
///
/// `n_tokens_prompt` is read where the table has it; without it, prompts count as equally long.
///
/// # Errors
/// [`crate::error::Error::Mismatch`] where the table lacks `domain`, `n_tokens_fact` or `n_tokens_hall`.
pub fn compare(metrics: &Table, settings: impl Into<Settings>) -> Result<Vec<Comparison>> {
    compare_samples(&metrics.try_into()?, settings)
}

/// [`compare`], of samples without a table.
///
/// # Errors
/// As [`compare`].
pub fn compare_samples(samples: &Samples, settings: impl Into<Settings>) -> Result<Vec<Comparison>> {
    let settings = settings.into();
    let grounds = Grounds::new(samples)?;
    let Grounds { domains, domain_of, tokens, controls } = &grounds;
    let logprobs = samples.numbers_of("logprob_fact")?.zip(samples.numbers_of("logprob_hall")?);
    let likelihoods = logprobs.map(|(fact, hall)| grades(domain_of, &fact, &hall));
    let one_domain = domains.len() == 1;
    let mut groups: Vec<(&str, Vec<usize>)> = vec![(grounds.everything(), (0..samples.len()).collect())];
    for domain in domains.iter().filter(|_| !one_domain && settings.by_domain) {
        let rows = (0..samples.len()).filter(|&sample| samples.domain(sample) == domain).collect();
        groups.push((domain, rows));
    }
    let likelihoods = likelihoods.as_deref();
    let data = Data { samples, tokens, likelihoods, controls, domain_of, settings };

    let all_series = series(&samples.columns);
    let groups: Vec<Group> = groups.iter().map(|(domain, rows)| Group::new(domain, rows, &data)).collect();
    // a metric's columns are read once for all domains
    let of_metric = |i: usize| {
        let values = all_series[i].triples(samples)?;
        Ok(groups.iter().map(|group| one(&all_series[i], &values, group, &data)).collect())
    };
    let by_metric = par_map(all_series.len(), of_metric).into_iter().collect::<Result<Vec<Vec<Comparison>>>>()?;
    let mut by_metric: Vec<_> = by_metric.into_iter().map(Vec::into_iter).collect();
    let mut comparisons = Vec::with_capacity(groups.len() * all_series.len());
    for _ in &groups {
        let mut group: Vec<Comparison> = by_metric.iter_mut().filter_map(Iterator::next).collect();
        add_q(&mut group, &all_series);
        for (comparison, series) in group.iter_mut().zip(&all_series) {
            judge(comparison, series.is_control());
        }
        comparisons.extend(group);
    }
    Ok(comparisons)
}

/// What is known of all samples.
struct Data<'a> {
    samples: &'a Samples,
    tokens: &'a [Option<TokenCounts>],
    /// Grades of log-probability, where they were measured.
    likelihoods: Option<&'a [Option<TokenCounts>]>,
    /// Labels of the controls beside length, where the run has them.
    controls: &'a [Option<Vec<Option<TokenCounts>>>],
    /// Numbers of their domains.
    domain_of: &'a [usize],
    settings: Settings,
}

/// The samples of one domain.
struct Group<'a> {
    domain: &'a str,
    /// Which of the run's samples they are.
    rows: &'a [usize],
    /// Of all of `rows`, for the metrics (nearly all) that every sample has.
    complete: Option<Design>,
}

impl<'a> Group<'a> {
    fn new(domain: &'a str, rows: &'a [usize], data: &Data) -> Self {
        let complete = rows.iter().all(|&row| data.tokens[row].is_some());
        Self { domain, rows, complete: complete.then(|| Design::new(rows, domain, data)) }
    }
}

/// What does not depend on a metric's values, only on which samples have it.
struct Design {
    counts: Vec<TokenCounts>,
    clusters: Clusters,
    draws: Draws<Stream>,
    /// Closed chains, by positions in `counts`.
    chains: Vec<Vec<usize>>,
    /// The same at equal likelihood.
    likely: Option<Vec<Vec<usize>>>,
    /// The same with other things held equal, by [`Control::ALL`].
    controls: Vec<Option<Vec<Vec<usize>>>>,
    detectable_dz: Option<f64>,
    chains_detectable_dz: Option<f64>,
}

impl Design {
    /// Of samples that have token counts.
    fn new(rows: &[usize], domain: &str, data: &Data) -> Self {
        let Data { samples, tokens, likelihoods, controls, domain_of, settings } = *data;
        let counts: Vec<TokenCounts> = rows.iter().filter_map(|&row| tokens[row]).collect();
        let label = |&row: &usize| if settings.clusters { samples.cluster(row) } else { row as u32 };
        let labels: Vec<u32> = rows.iter().map(label).collect();
        let domains: Vec<u32> = rows.iter().map(|&row| domain_of[row] as u32).collect();
        let clusters = Clusters::new(&labels, &domains);
        let draws = Draws::new(&clusters, settings.resamples, stream("bootstrap", settings.seed, domain));
        let chains = clusters.joined(closed_chains(&counts));
        let likely = likelihoods.map(|likelihoods| controls::chains(rows, likelihoods, &clusters, usize::MAX));
        let controls = controls::chains_of_all(rows, controls, &clusters);
        let matched: BTreeSet<usize> = chains.iter().flatten().map(|&row| clusters.of(row)).collect();
        Self {
            detectable_dz: smallest_detectable_dz(clusters.len()),
            chains_detectable_dz: smallest_detectable_dz_in_chains(matched.len(), chains.len())
                .filter(|_| chains.len() >= MIN_CHAINS),
            counts,
            clusters,
            draws,
            chains,
            likely,
            controls,
        }
    }
}

/// One metric in one domain, without q-values and verdict; `values` are its samples'.
fn one(series: &Series, values: &impl Fn(usize) -> Option<Triple>, group: &Group, data: &Data) -> Comparison {
    let (domain, settings) = (group.domain, data.settings);
    let of_row = |&row: &usize| values(row).zip(data.tokens[row]).map(|(triple, _)| (triple, row));
    let (triples, rows): (Vec<Triple>, Vec<usize>) = group.rows.iter().filter_map(of_row).unzip();
    let n = triples.len();
    let own;
    let design = match &group.complete {
        Some(design) if n == group.rows.len() => design,
        _ => {
            own = Design::new(&rows, domain, data);
            &own
        }
    };
    let Design { counts, clusters, chains, .. } = design;
    let column = |value: fn(&Triple) -> f64| triples.iter().map(value).collect::<Vec<f64>>();
    let (fact, hall, differences) = (column(|t| t.fact), column(|t| t.hall), column(|t| t.difference));
    let tokens = |count: fn(&TokenCounts) -> i64| counts.iter().map(|c| count(c) as f64).collect::<Vec<f64>>();
    let scale = fact.iter().chain(&hall).fold(0.0, |m: f64, v| m.max(v.abs()));

    let tested = clusters.len() > 2 && varies(&differences, scale);
    let dz = cohens_dz(&differences).filter(|_| tested);
    let sums = clusters.sums(differences.iter().copied());
    let sizes = clusters.sizes();
    let means: Vec<f64> = sums.iter().zip(&sizes).map(|(sum, size)| sum / size).collect();
    let equal = equal_length(&differences, counts, clusters);
    let length_r = if series.difference_of.is_some() {
        pearson(&differences, &tokens(|c| c.hall - c.fact))
    } else {
        pearson(&[fact.as_slice(), &hall].concat(), &[tokens(|c| c.fact), tokens(|c| c.hall)].concat())
    };
    let auroc = auroc(&fact, &hall, clusters);
    // one stream for both tests: where all triples have equal lengths, they are one test
    let signs = || stream("sign-flip", settings.seed, domain);
    let likely = design.likely.as_ref().filter(|_| series.asks_of() != LIKELIHOOD);
    let at_equal = |chains: &Vec<Vec<usize>>| adjust_for_length(&differences, chains, scale, &mut signs());
    let controlled = |control: Control, chains: &Vec<Vec<usize>>| {
        (series.asks_of() != control.name()).then(|| Controlled {
            n_matched: chains.iter().map(Vec::len).sum(),
            n_chains: chains.len(),
            adjusted: tested.then(|| at_equal(chains)).flatten(),
            q: None,
            verdict: Verdict::Undecided,
        })
    };
    let spread = standard_deviation(&differences).filter(|_| tested);
    Comparison {
        metric: series.metric.clone(),
        difference_of: series.difference_of.clone(),
        domain: domain.to_owned(),
        direction: series.direction,
        n,
        n_clusters: clusters.len(),
        mean_fact: mean(&fact),
        mean_hall: mean(&hall),
        mean_diff: mean(&differences),
        cohens_dz: dz,
        hedges_g: dz.zip(hedges_correction(n.saturating_sub(1))).map(|(d, j)| d * j),
        cohens_d: mean(&differences).zip(pooled(&fact, &hall)).map(|(d, sd)| d / sd).filter(|_| tested),
        auroc: match series.direction {
            Direction::HallMinusFact => auroc,
            Direction::FactMinusHall => auroc.map(Auroc::turned),
        },
        interval: tested.then(|| design.draws.interval(clusters, &sums)).flatten(),
        p_permutation: tested.then(|| sign_flip_p(&sums, &mut signs())).flatten(),
        p_wilcoxon: tested.then(|| wilcoxon_signed_rank(&means)).flatten(),
        q_value: None,
        p_holm: None,
        equivalence: spread.and_then(|sd| equivalence(mean_over(&sums, &sizes).0, sd, settings.bound)),
        detectable_dz: design.detectable_dz,
        length_r,
        n_matched: chains.iter().map(Vec::len).sum(),
        n_chains: chains.len(),
        adjusted: tested.then(|| at_equal(chains)).flatten(),
        adjusted_q: None,
        adjusted_detectable_dz: design.chains_detectable_dz,
        n_likely_matched: likely.map(|chains| chains.iter().map(Vec::len).sum()),
        likely: likely.filter(|_| tested).and_then(at_equal),
        likely_q: None,
        controls: std::array::from_fn(|i| controlled(Control::ALL[i], design.controls.get(i)?.as_ref()?)),
        n_equal: equal.values.len(),
        equal_diff: mean(&equal.values).filter(|_| equal.values.len() > 2),
        equal_p: (equal.values.len() > 2 && varies(&equal.values, scale))
            .then(|| sign_flip_p(&equal.sums, &mut stream("equal-length", settings.seed, domain)))
            .flatten(),
        equal_q: None,
        verdict: Verdict::Undecided,
    }
}

/// √((s_f² + s_h²) / 2); none where neither varies.
fn pooled(fact: &[f64], hall: &[f64]) -> Option<f64> {
    let variance = (standard_deviation(fact)?.powi(2) + standard_deviation(hall)?.powi(2)) / 2.0;
    Some(variance.sqrt()).filter(|sd| *sd > 0.0)
}

/// Differences of the samples whose texts have equally many tokens.
struct EqualLength {
    values: Vec<f64>,
    /// Their sums by cluster.
    sums: Vec<f64>,
}

fn equal_length(differences: &[f64], counts: &[TokenCounts], clusters: &Clusters) -> EqualLength {
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    let equal = differences.iter().zip(counts).enumerate().filter(|(_, (_, c))| c.fact == c.hall);
    let values = equal.map(|(row, (&difference, _))| {
        *sums.entry(clusters.of(row)).or_default() += difference;
        difference
    });
    EqualLength { values: values.collect(), sums: sums.into_values().collect() }
}

/// q-values over one domain's metrics. A family is the metrics themselves, or the nulls of their geometry: token
/// counts are the control, and a `*_diff` row asks its metric's question again and shares its answer.
fn add_q(group: &mut [Comparison], series: &[Series]) {
    let member = |i: usize| series[i].difference_of.is_none() && !series[i].is_control();
    let family = |correct: fn(&[Option<f64>]) -> Vec<Option<f64>>, p: &dyn Fn(&Comparison) -> Option<f64>| {
        let of = |family: Family| {
            let own = |i: usize| member(i) && series[i].family == family;
            correct(&group.iter().enumerate().map(|(i, c)| p(c).filter(|_| own(i))).collect::<Vec<_>>())
        };
        let (metrics, nulls) = (of(Family::Metrics), of(Family::Nulls));
        metrics.into_iter().zip(nulls).map(|(metric, null)| metric.or(null)).collect::<Vec<_>>()
    };
    let raw = family(benjamini_hochberg, &|c| c.p_permutation);
    let raw_holm = family(holm, &|c| c.p_permutation);
    let adjusted = family(benjamini_hochberg, &|c| Some(c.adjusted?.p));
    let likely = family(benjamini_hochberg, &|c| Some(c.likely?.p));
    let equal = family(benjamini_hochberg, &|c| c.equal_p);
    let controls: [_; Control::ALL.len()] =
        std::array::from_fn(|i| family(benjamini_hochberg, &|c| Some(c.controls[i]?.adjusted?.p)));
    for (i, comparison) in group.iter_mut().enumerate() {
        let asked = match &series[i].difference_of {
            Some(metric) => series.iter().position(|s| s.metric == *metric).unwrap_or(i),
            None => i,
        };
        comparison.q_value = raw[asked];
        comparison.p_holm = raw_holm[asked];
        comparison.adjusted_q = adjusted[asked];
        comparison.likely_q = likely[asked];
        comparison.equal_q = equal[asked];
        for (control, q) in comparison.controls.iter_mut().zip(&controls) {
            *control = control.map(|of| Controlled { q: q[asked], ..of });
        }
    }
}
