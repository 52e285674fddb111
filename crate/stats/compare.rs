//! One comparison per metric and domain, and its verdict.

use std::collections::{BTreeMap, BTreeSet};

use super::chains::{TokenCounts, closed_chains};
use super::effect::{cohens_dz, hedges_correction, mean, pearson, varies};
use super::length::{Adjusted, adjust_for_length};
use super::multiple::benjamini_hochberg;
use super::rank::wilcoxon_signed_rank;
use super::resample::{bootstrap_interval, sign_flip_p, stream};
use super::samples::{Samples, lacks};
use super::series::{LENGTH, Series, Triple, series};
use crate::error::Result;
use crate::metrics::{Direction, Table};
use crate::platform::par_map;

/// Level of every test and of the false-discovery rate.
pub const ALPHA: f64 = 0.05;

/// What a comparison amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Fewer than three pairs.
    TooFewSamples,
    /// The differences are all the same (mostly: all zero).
    NoVariation,
    /// q > 0.05: no difference was found, nor one at equal length.
    NoDifference,
    /// A difference was found, and these triples cannot tell it apart from token counts.
    NoLengthControl,
    /// A difference was found that is not the one at equal length.
    ExplainedByLength,
    /// There is a difference at equal length (q ≤ 0.05).
    SurvivesLengthControl,
    /// The row is the token count itself.
    Control,
}

impl Verdict {
    /// Name as it stands in `stats.parquet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooFewSamples => "too_few_samples",
            Self::NoVariation => "no_variation",
            Self::NoDifference => "no_difference",
            Self::NoLengthControl => "no_length_control",
            Self::ExplainedByLength => "explained_by_length",
            Self::SurvivesLengthControl => "survives_length_control",
            Self::Control => "control",
        }
    }

    /// `survives_length_control`: null where there is nothing to judge by.
    pub fn survives(self) -> Option<bool> {
        match self {
            Self::SurvivesLengthControl => Some(true),
            Self::ExplainedByLength | Self::NoDifference => Some(false),
            Self::TooFewSamples | Self::NoVariation | Self::NoLengthControl | Self::Control => None,
        }
    }
}

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
    /// 95 % bootstrap interval (BCa, 2,000 resamples) of the mean difference.
    pub interval: Option<(f64, f64)>,
    /// Sign-flip permutation p.
    pub p_permutation: Option<f64>,
    /// Wilcoxon signed-rank p.
    pub p_wilcoxon: Option<f64>,
    /// Benjamini–Hochberg q of `p_permutation` over the domain's metrics. A `*_diff` row is the
    /// same hypothesis as its metric and shares its q; token counts are no member.
    pub q_value: Option<f64>,
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
/// - else shows **no difference** where the raw one has q > 0.05;
/// - else is **explained by length** where the raw difference lies outside the 95 % interval of the
///   one at equal length;
/// - else has **no length control**: there are fewer than [`super::MIN_CHAINS`] chains, or what they
///   say is too vague to tell the raw difference from none.
///
/// With m triples in chains, 80 % power needs a d_z at equal length of about
/// [`smallest_detectable_dz`](super::smallest_detectable_dz)(m) in a single test, and half as much
/// again where one metric of eighty differs. Where half of the metrics differ by d_z = 0.5, simulation
/// (`simulation.rs`) finds 72 % of them with m = 42, 88 % with m = 60, 98 % with m = 90.
///
/// `n_tokens_prompt` is read where the table has it; without it, prompts count as equally long.
///
/// # Errors
/// [`crate::error::Error::Mismatch`] where the table lacks `domain`, `n_tokens_fact` or `n_tokens_hall`.
pub fn compare(metrics: &Table, seed: u64) -> Result<Vec<Comparison>> {
    compare_samples(&metrics.try_into()?, seed)
}

/// [`compare`], of samples without a table.
///
/// # Errors
/// As [`compare`].
pub fn compare_samples(samples: &Samples, seed: u64) -> Result<Vec<Comparison>> {
    judge(samples, seed, true)
}

/// [`compare`], with or without the bootstrap intervals of raw differences, which no verdict reads.
pub(super) fn judge(samples: &Samples, seed: u64, bootstrap: bool) -> Result<Vec<Comparison>> {
    let column = |name: &str| samples.position(name).ok_or_else(|| lacks(name));
    let (facts, halls) = (samples.numbers(column("n_tokens_fact")?)?, samples.numbers(column("n_tokens_hall")?)?);
    let prompts = samples.position("n_tokens_prompt").map(|column| samples.numbers(column)).transpose()?;
    let domains: BTreeSet<String> = samples.domains().iter().cloned().collect();
    let number: BTreeMap<&str, usize> = domains.iter().enumerate().map(|(i, domain)| (domain.as_str(), i)).collect();
    let counts = |sample: usize| {
        let count = |numbers: &Vec<f64>| Some(numbers[sample].round() as i64).filter(|_| !numbers[sample].is_nan());
        let prompt = prompts.as_ref().map_or(Some(0), count)?;
        let domain = *number.get(samples.domain(sample))?;
        Some(TokenCounts { domain, prompt, fact: count(&facts)?, hall: count(&halls)? })
    };
    let tokens: Vec<Option<TokenCounts>> = (0..samples.len()).map(counts).collect();
    let one_domain = domains.len() == 1;
    let everything = if domains.contains("all") && !one_domain { "(all)" } else { "all" };
    let mut groups: Vec<(String, Vec<usize>)> = vec![(everything.to_owned(), (0..samples.len()).collect())];
    for domain in domains.into_iter().filter(|_| !one_domain) {
        let rows = (0..samples.len()).filter(|&sample| samples.domain(sample) == domain).collect();
        groups.push((domain, rows));
    }

    let all_series = series(&samples.columns);
    let groups: Vec<Group> = groups
        .iter()
        .map(|(domain, rows)| {
            let complete: Option<Vec<TokenCounts>> = rows.iter().map(|&row| tokens[row]).collect();
            let chains = complete.map(|counts| closed_chains(&counts));
            Group { domain, rows, tokens: &tokens, bootstrap, chains }
        })
        .collect();
    // a metric's columns are read once for all domains
    let of_metric = |i: usize| {
        let values = all_series[i].triples(samples)?;
        Ok(groups.iter().map(|group| one(&all_series[i], &values, group, seed)).collect())
    };
    let by_metric = par_map(all_series.len(), of_metric).into_iter().collect::<Result<Vec<Vec<Comparison>>>>()?;
    let mut by_metric: Vec<_> = by_metric.into_iter().map(Vec::into_iter).collect();
    let mut comparisons = Vec::with_capacity(groups.len() * all_series.len());
    for _ in &groups {
        let mut group: Vec<Comparison> = by_metric.iter_mut().filter_map(Iterator::next).collect();
        add_q(&mut group, &all_series);
        for comparison in &mut group {
            comparison.verdict = verdict(comparison);
        }
        comparisons.extend(group);
    }
    Ok(comparisons)
}

/// The samples of one domain.
struct Group<'a> {
    domain: &'a str,
    /// Which of the run's samples they are.
    rows: &'a [usize],
    /// Of every sample.
    tokens: &'a [Option<TokenCounts>],
    /// Whether intervals of raw differences are asked for.
    bootstrap: bool,
    /// Closed chains of all of `rows`, for the metrics (nearly all) that every sample has.
    chains: Option<Vec<Vec<usize>>>,
}

/// One metric in one domain, without q-values and verdict; `values` are its samples'.
fn one(series: &Series, values: &impl Fn(usize) -> Option<Triple>, group: &Group, seed: u64) -> Comparison {
    let domain = group.domain;
    let of_row = |&row: &usize| values(row).zip(group.tokens[row]);
    let (triples, counts): (Vec<Triple>, Vec<TokenCounts>) = group.rows.iter().filter_map(of_row).unzip();
    let column = |value: fn(&Triple) -> f64| triples.iter().map(value).collect::<Vec<f64>>();
    let (fact, hall, differences) = (column(|t| t.fact), column(|t| t.hall), column(|t| t.difference));
    let tokens = |count: fn(&TokenCounts) -> i64| counts.iter().map(|c| count(c) as f64).collect::<Vec<f64>>();
    let scale = fact.iter().chain(&hall).fold(0.0, |m: f64, v| m.max(v.abs()));

    let n = differences.len();
    let testable = |d: &[f64]| d.len() > 2 && varies(d, scale);
    let tested = testable(&differences);
    let dz = cohens_dz(&differences).filter(|_| tested);
    let own;
    let chains = match &group.chains {
        Some(chains) if n == group.rows.len() => chains,
        _ => {
            own = closed_chains(&counts);
            &own
        }
    };
    let equal: Vec<f64> = differences.iter().zip(&counts).filter(|(_, c)| c.fact == c.hall).map(|(d, _)| *d).collect();
    let length_r = if series.difference_of.is_some() {
        pearson(&differences, &tokens(|c| c.hall - c.fact))
    } else {
        pearson(&[fact.as_slice(), &hall].concat(), &[tokens(|c| c.fact), tokens(|c| c.hall)].concat())
    };
    // one stream for both tests: where all triples have equal lengths, they are one test
    let signs = || stream("sign-flip", seed, domain);
    let resampled = || bootstrap_interval(&differences, &mut stream("bootstrap", seed, domain));
    Comparison {
        metric: series.metric.clone(),
        difference_of: series.difference_of.clone(),
        domain: domain.to_owned(),
        direction: series.direction,
        n,
        mean_fact: mean(&fact),
        mean_hall: mean(&hall),
        mean_diff: mean(&differences),
        cohens_dz: dz,
        hedges_g: dz.zip(hedges_correction(n.saturating_sub(1))).map(|(d, j)| d * j),
        interval: (tested && group.bootstrap).then(resampled).flatten(),
        p_permutation: tested.then(|| sign_flip_p(&differences, &mut signs())).flatten(),
        p_wilcoxon: tested.then(|| wilcoxon_signed_rank(&differences)).flatten(),
        q_value: None,
        length_r,
        n_matched: chains.iter().map(Vec::len).sum(),
        n_chains: chains.len(),
        adjusted: tested.then(|| adjust_for_length(&differences, chains, scale, &mut signs())).flatten(),
        adjusted_q: None,
        n_equal: equal.len(),
        equal_diff: mean(&equal).filter(|_| equal.len() > 2),
        equal_p: testable(&equal).then(|| sign_flip_p(&equal, &mut stream("equal-length", seed, domain))).flatten(),
        equal_q: None,
        verdict: Verdict::NoDifference,
    }
}

/// q-values over one domain's metrics. The family is the metrics themselves: token counts are the
/// control, and a `*_diff` row asks its metric's question again and shares its answer.
fn add_q(group: &mut [Comparison], series: &[Series]) {
    let member = |i: usize| series[i].difference_of.is_none() && series[i].metric != LENGTH;
    let family = |p: fn(&Comparison) -> Option<f64>| {
        benjamini_hochberg(&group.iter().enumerate().map(|(i, c)| p(c).filter(|_| member(i))).collect::<Vec<_>>())
    };
    let raw = family(|c| c.p_permutation);
    let adjusted = family(|c| Some(c.adjusted?.p));
    let equal = family(|c| c.equal_p);
    for (i, comparison) in group.iter_mut().enumerate() {
        let asked = match &series[i].difference_of {
            Some(metric) => series.iter().position(|s| s.metric == *metric).unwrap_or(i),
            None => i,
        };
        comparison.q_value = raw[asked];
        comparison.adjusted_q = adjusted[asked];
        comparison.equal_q = equal[asked];
    }
}

/// The rule of [`compare`].
fn verdict(c: &Comparison) -> Verdict {
    if c.metric == LENGTH {
        return Verdict::Control;
    }
    let Some(difference) = c.mean_diff.filter(|_| c.n > 2) else { return Verdict::TooFewSamples };
    let Some(q) = c.q_value else { return Verdict::NoVariation };
    let found = q <= ALPHA;
    let at_equal = c.adjusted.zip(c.adjusted_q);
    let same_sign = |other: f64| other * difference.signum() > 0.0;
    match at_equal {
        Some((at_equal, q)) if q <= ALPHA && (!found || same_sign(at_equal.difference)) => {
            Verdict::SurvivesLengthControl
        }
        _ if !found => Verdict::NoDifference,
        Some((at_equal, _)) if !at_equal.may_be(difference) => Verdict::ExplainedByLength,
        _ => Verdict::NoLengthControl,
    }
}
