//! One comparison per metric and domain, and its verdict.

use std::collections::BTreeSet;

use super::effect::{cohens_dz, hedges_correction, mean, pearson, varies};
use super::length::{Adjusted, adjust_for_length};
use super::multiple::benjamini_hochberg;
use super::rank::wilcoxon_signed_rank;
use super::resample::{bootstrap_interval, sign_flip_p, stream};
use super::series::{LENGTH, Series, Triple, series};
use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Table};
use crate::platform::par_map;

/// Level of every test and of the false-discovery rate.
pub const ALPHA: f64 = 0.05;

/// Triples of equal length below which their subset is no control: a sign-flip test of fewer
/// cannot reach [`ALPHA`].
pub const MIN_EQUAL: usize = 6;

/// What a comparison amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Fewer than three pairs.
    TooFewSamples,
    /// The differences are all the same (mostly: all zero).
    NoVariation,
    /// q > 0.05: no difference was found to begin with.
    NoDifference,
    /// A difference was found and token counts cannot be told apart from it.
    NoLengthControl,
    /// A difference was found and a length control takes it away.
    ExplainedByLength,
    /// A difference was found and every length control leaves it.
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

/// One metric in one domain. Differences are hallucination − fact, except that a `*_diff` metric
/// keeps the sign of its column.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// `l5_gini`, `centroid_drift`, `centroid_drift_diff`, …
    pub metric: String,
    /// Domain, or `all`.
    pub domain: String,
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
    /// The difference with the token-count difference regressed out.
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
/// (domain `all`) and in each domain.
///
/// A difference **survives the length control** when
/// 1. it is there: q ≤ 0.05;
/// 2. it is there at equal length: the intercept of difference ~ token difference has q ≤ 0.05 and
///    the sign of the raw difference (where token differences vary, so that there is such a line);
/// 3. texts of equal length do not contradict it: over the triples whose fact and hallucination
///    have equally many tokens, where there are at least six, the mean difference has the sign of
///    the raw one; where there is no line (2), it must also have q ≤ 0.05.
///
/// Where neither control can be computed the verdict is that there is none.
///
/// # Errors
/// [`Error::Mismatch`] where the table lacks `domain`, `n_tokens_fact` or `n_tokens_hall`.
pub fn compare(metrics: &Table, seed: u64) -> Result<Vec<Comparison>> {
    let column = |name: &str| {
        metrics.position(name).ok_or_else(|| {
            Error::mismatch("metrics table", format!("a column {name}"), "none", "give a whole metrics.parquet")
        })
    };
    let domain_column = column("domain")?;
    let (fact_column, hall_column) = (column("n_tokens_fact")?, column("n_tokens_hall")?);
    let tokens: Vec<Option<(f64, f64)>> =
        metrics.rows.iter().map(|row| row.get(fact_column)?.number().zip(row.get(hall_column)?.number())).collect();
    let domain_of = |row: &Vec<Cell>| match row.get(domain_column) {
        Some(Cell::Text(domain)) => domain.clone(),
        _ => String::new(),
    };
    let domains: BTreeSet<String> = metrics.rows.iter().map(domain_of).collect();
    let everything = if domains.contains("all") { "(all)" } else { "all" };
    let mut groups: Vec<(String, Vec<usize>)> = vec![(everything.to_owned(), (0..metrics.rows.len()).collect())];
    for domain in domains {
        let rows = metrics.rows.iter().enumerate().filter(|(_, row)| domain_of(row) == domain).map(|(i, _)| i);
        let rows = rows.collect();
        groups.push((domain, rows));
    }

    let all_series = series(metrics);
    let mut comparisons = Vec::with_capacity(groups.len() * all_series.len());
    for (domain, rows) in &groups {
        let mut group = par_map(all_series.len(), |i| one(&all_series[i], domain, rows, &tokens, seed));
        add_q(&mut group, &all_series);
        for comparison in &mut group {
            comparison.verdict = verdict(comparison);
        }
        comparisons.extend(group);
    }
    Ok(comparisons)
}

/// One metric in one domain, without q-values and verdict.
fn one(series: &Series, domain: &str, rows: &[usize], tokens: &[Option<(f64, f64)>], seed: u64) -> Comparison {
    let pairs: Vec<(Triple, (f64, f64))> = rows.iter().filter_map(|&r| series.values[r].zip(tokens[r])).collect();
    let column = |value: fn(&(Triple, (f64, f64))) -> f64| pairs.iter().map(value).collect::<Vec<f64>>();
    let (fact, hall) = (column(|p| p.0.fact), column(|p| p.0.hall));
    let differences = column(|p| p.0.difference);
    let longer = column(|p| p.1.1 - p.1.0);
    let scale = fact.iter().chain(&hall).fold(0.0, |m: f64, v| m.max(v.abs()));

    let n = differences.len();
    let testable = |d: &[f64]| d.len() > 2 && varies(d, scale);
    let tested = testable(&differences);
    let dz = cohens_dz(&differences).filter(|_| tested);
    let equal: Vec<f64> = pairs.iter().filter(|p| p.1.0 == p.1.1).map(|p| p.0.difference).collect();
    let length_r = if series.difference_of.is_some() {
        pearson(&differences, &longer)
    } else {
        let lengths = [column(|p| p.1.0), column(|p| p.1.1)].concat();
        pearson(&[fact.as_slice(), &hall].concat(), &lengths)
    };
    Comparison {
        metric: series.metric.clone(),
        domain: domain.to_owned(),
        n,
        mean_fact: mean(&fact),
        mean_hall: mean(&hall),
        mean_diff: mean(&differences),
        cohens_dz: dz,
        hedges_g: dz.zip(hedges_correction(n.saturating_sub(1))).map(|(d, j)| d * j),
        interval: tested.then(|| bootstrap_interval(&differences, &mut stream("bootstrap", seed, domain))).flatten(),
        p_permutation: tested.then(|| sign_flip_p(&differences, &mut stream("sign-flip", seed, domain))).flatten(),
        p_wilcoxon: tested.then(|| wilcoxon_signed_rank(&differences)).flatten(),
        q_value: None,
        length_r,
        adjusted: tested.then(|| adjust_for_length(&differences, &longer, scale)).flatten(),
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
    let adjusted = family(|c| c.adjusted?.p);
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
    if q > ALPHA {
        return Verdict::NoDifference;
    }
    let same_sign = |other: f64| other * difference.signum() > 0.0;
    let line = c.adjusted.zip(c.adjusted_q).map(|(adjusted, q)| same_sign(adjusted.difference) && q <= ALPHA);
    let subset = c
        .equal_diff
        .filter(|_| c.n_equal >= MIN_EQUAL)
        .map(|equal| same_sign(equal) && (line.is_some() || c.equal_q.is_some_and(|q| q <= ALPHA)));
    match (line, subset) {
        (None, None) => Verdict::NoLengthControl,
        (line, subset) if line.unwrap_or(true) && subset.unwrap_or(true) => Verdict::SurvivesLengthControl,
        _ => Verdict::ExplainedByLength,
    }
}

/// `stats.parquet` of these comparisons, in their order.
pub fn stats_table(comparisons: &[Comparison]) -> Table {
    let numbers = |names: &[&str]| names.iter().map(|n| Column::nullable(*n, Kind::Float64)).collect::<Vec<_>>();
    let mut columns =
        vec![Column::new("metric", Kind::Utf8), Column::new("domain", Kind::Utf8), Column::new("n", Kind::Int64)];
    columns.extend(numbers(&[
        "mean_fact",
        "mean_hall",
        "mean_diff",
        "cohens_dz",
        "hedges_g",
        "ci_low",
        "ci_high",
        "p_permutation",
        "p_wilcoxon",
        "q_value",
        "length_r",
        "length_adjusted_diff",
        "length_adjusted_ci_low",
        "length_adjusted_ci_high",
        "length_adjusted_p",
        "length_adjusted_q",
    ]));
    columns.push(Column::new("n_equal_length", Kind::Int64));
    columns.extend(numbers(&["equal_length_diff", "equal_length_p", "equal_length_q"]));
    columns.push(Column::nullable("survives_length_control", Kind::Bool));
    columns.push(Column::new("verdict", Kind::Utf8));

    let row = |c: &Comparison| {
        let adjusted_interval = c.adjusted.and_then(|a| a.interval);
        vec![
            Cell::Text(c.metric.clone()),
            Cell::Text(c.domain.clone()),
            Cell::count(c.n),
            c.mean_fact.into(),
            c.mean_hall.into(),
            c.mean_diff.into(),
            c.cohens_dz.into(),
            c.hedges_g.into(),
            c.interval.map(|i| i.0).into(),
            c.interval.map(|i| i.1).into(),
            c.p_permutation.into(),
            c.p_wilcoxon.into(),
            c.q_value.into(),
            c.length_r.into(),
            c.adjusted.map(|a| a.difference).into(),
            adjusted_interval.map(|i| i.0).into(),
            adjusted_interval.map(|i| i.1).into(),
            c.adjusted.and_then(|a| a.p).into(),
            c.adjusted_q.into(),
            Cell::count(c.n_equal),
            c.equal_diff.into(),
            c.equal_p.into(),
            c.equal_q.into(),
            c.verdict.survives().map_or(Cell::Null, Cell::Bool),
            Cell::Text(c.verdict.as_str().into()),
        ]
    };
    Table { columns, rows: comparisons.iter().map(row).collect() }
}
