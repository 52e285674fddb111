//! What else than length may explain a difference, held equal by the same chains: the token that a text is read at,
//! how common that token is, and how likely the model holds the completion, token by token.
//!
//! Chains need a label of each side, and close where facts and hallucinations have the same ones
//! ([`super::closed_chains`]). With the last token itself as the label, any function of that token cancels from a chain's
//! sum, whatever it is; with sixteen grades of a number in its place, what is left is what differs within a grade.
//! Nothing is fitted. The rule of the verdict is that of the length control.

use super::chains::{TokenCounts, closed_chains_within};
use super::clusters::Clusters;
use super::length::Adjusted;
use super::likelihood::grades;
use super::samples::Samples;
use super::verdict::Verdict;
use crate::error::Result;

/// A control beside length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The token that a text is read at.
    LastToken,
    /// How common that token is.
    LastTokenRank,
    /// Mean log-probability of the completion's tokens.
    LogprobPerToken,
}

impl Control {
    /// All of them, in the order of [`super::Comparison::controls`] and [`super::FeatureTests::controls`].
    pub const ALL: [Self; 3] = [Self::LastToken, Self::LastTokenRank, Self::LogprobPerToken];

    /// Name as it stands in `metrics.parquet` (before the text) and `stats.parquet`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LastToken => "last_token",
            Self::LastTokenRank => "last_token_rank",
            Self::LogprobPerToken => "logprob_per_token",
        }
    }

    /// What is held equal, in words.
    pub fn what(self) -> &'static str {
        match self {
            Self::LastToken => "equal last tokens",
            Self::LastTokenRank => "equally common last tokens",
            Self::LogprobPerToken => "equal log-probability per token",
        }
    }

    /// Steps of the search for chains of three and more triples: tokens may be as many as triples, and a search among
    /// hundreds of thousands of them would not end. Grades are few.
    pub(super) fn steps(self) -> usize {
        if self == Self::LastToken { 1 << 24 } else { usize::MAX }
    }

    /// By sample, the labels of both sides in the place of token counts; none of a sample that lacks one, and none at
    /// all where every sample does.
    pub(super) fn labels(self, samples: &Samples, domain_of: &[usize]) -> Result<Option<Vec<Option<TokenCounts>>>> {
        let side = |text: &str| samples.numbers_of(&format!("{}_{text}", self.name()));
        let Some((fact, hall)) = side("fact")?.zip(side("hall")?) else { return Ok(None) };
        let of = |i: usize| {
            let there = !fact[i].is_nan() && !hall[i].is_nan();
            there.then(|| TokenCounts { domain: domain_of[i], prompt: 0, fact: fact[i] as i64, hall: hall[i] as i64 })
        };
        let labels = match self {
            Self::LastToken => (0..samples.len()).map(of).collect(),
            Self::LastTokenRank | Self::LogprobPerToken => grades(domain_of, &fact, &hall),
        };
        Ok(Some(labels).filter(|labels| labels.iter().any(Option::is_some)))
    }
}

/// Closed chains of every control, by [`Control::ALL`]; none where the run has no labels for it.
pub(super) fn chains_of_all(
    rows: &[usize],
    labels: &[Option<Vec<Option<TokenCounts>>>],
    clusters: &Clusters,
) -> Vec<Option<Vec<Vec<usize>>>> {
    let of = |(control, labels): (&Control, &Option<Vec<_>>)| {
        labels.as_ref().map(|labels| chains(rows, labels, clusters, control.steps()))
    };
    Control::ALL.iter().zip(labels).map(of).collect()
}

/// Closed chains of the rows that have labels, by positions in `rows`; found in so many `steps`.
pub(super) fn chains(
    rows: &[usize],
    labels: &[Option<TokenCounts>],
    clusters: &Clusters,
    steps: usize,
) -> Vec<Vec<usize>> {
    let (places, labels): (Vec<usize>, Vec<TokenCounts>) =
        rows.iter().enumerate().filter_map(|(i, &row)| Some((i, labels[row]?))).unzip();
    let chains = closed_chains_within(&labels, steps).into_iter();
    clusters.joined(chains.map(|chain| chain.into_iter().map(|i| places[i]).collect()).collect())
}

/// The difference of a metric, or of a feature, with one thing held equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Controlled {
    /// Triples in closed chains.
    pub n_matched: usize,
    /// Those chains; of a feature, those in which its differences do not cancel.
    pub n_chains: usize,
    /// The difference over them; none for fewer chains (of a feature: that it is active in) than [`super::MIN_CHAINS`].
    pub adjusted: Option<Adjusted>,
    /// q of its p over the domain's metrics, or over all features.
    pub q: Option<f64>,
    /// What the row amounts to by this control, in the place of length.
    pub verdict: Verdict,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::compare::compare;
    use super::*;
    use crate::metrics::{Cell, Column, Family, Form, Kind, Table, TextKind};

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    #[test]
    fn a_run_without_labels_has_no_control() {
        let mut columns = vec![Column::new("domain", Kind::Utf8)];
        columns.extend(["fact", "hall"].map(|text| Column::new(format!("last_token_rank_{text}"), Kind::Float64)));
        let labels = |cell: Cell| {
            let rows = vec![vec![Cell::Text("a".into()), cell.clone(), cell]; 8];
            let samples: Samples = (&Table { columns: columns.clone(), rows }).try_into().unwrap();
            Control::LastTokenRank.labels(&samples, &[0; 8]).unwrap()
        };
        assert!(labels(Cell::Null).is_none());
        assert_eq!(labels(Cell::Float(3.0)).unwrap().len(), 8);
    }

    /// Chains, differences and intervals are those of the reference (reference/golden_controls.py).
    #[test]
    fn controls_agree_with_the_reference() {
        let golden: Value = serde_json::from_str(include_str!("../../tests/golden/metrics/controls.json")).unwrap();
        let domain: Vec<&str> = golden["domain"].as_array().unwrap().iter().map(|d| d.as_str().unwrap()).collect();
        let mut columns = vec![Column::new("domain", Kind::Utf8)];
        let mut values: Vec<Vec<f64>> = Vec::new();
        let names = Control::ALL.map(Control::name);
        let metrics: Vec<&String> = golden["metrics"].as_object().unwrap().keys().collect();
        let tokens = |text: TextKind| Column::new(format!("n_tokens_{}", text.short()), Kind::Float64);
        for text in [TextKind::Fact, TextKind::Hall] {
            columns.push(tokens(text).part("n_tokens", Form::Text(text)));
            values.push(vec![8.0; domain.len()]);
        }
        let of = |name: &str, sides: &Value, family: Family, columns: &mut Vec<Column>, values: &mut Vec<Vec<f64>>| {
            for (i, text) in [TextKind::Fact, TextKind::Hall].into_iter().enumerate() {
                let mut column =
                    Column::new(format!("{name}_{}", text.short()), Kind::Float64).part(name, Form::Text(text));
                column.part.iter_mut().for_each(|part| part.family = family);
                columns.push(column);
                values.push(numbers(&sides[i]));
            }
        };
        for name in names {
            let family = if name == "last_token" { Family::None } else { Family::Controls };
            of(name, &golden["controls"][name], family, &mut columns, &mut values);
        }
        for name in &metrics {
            of(name, &golden["metrics"][name.as_str()], Family::Metrics, &mut columns, &mut values);
        }
        let row = |i: usize| {
            let numbers = values.iter().map(|column| Cell::Float(column[i]));
            std::iter::once(Cell::Text(domain[i].into())).chain(numbers).collect()
        };
        let found = compare(&Table { rows: (0..domain.len()).map(row).collect(), columns }, 3).unwrap();
        let all = |metric: &str| found.iter().find(|c| c.metric == metric && c.domain == "all").unwrap();
        for (i, control) in names.into_iter().enumerate() {
            for metric in &metrics {
                let expected = &golden["expected"][format!("{metric}/{control}")];
                let of = all(metric).controls[i].unwrap();
                let counts = [&expected["matched"], &expected["chains"]].map(|n| n.as_u64().unwrap() as usize);
                assert_eq!([of.n_matched, of.n_chains], counts, "{metric} {control}");
                let adjusted = of.adjusted.unwrap();
                let (low, high) = adjusted.interval.unwrap();
                for (found, name) in [(adjusted.difference, "estimate"), (low, "low"), (high, "high")] {
                    let wanted = expected[name].as_f64().unwrap();
                    assert!((found - wanted).abs() < 1e-9, "{metric} {control} {name}: {found} {wanted}");
                }
                let p = expected["p"].as_f64().unwrap();
                assert!((adjusted.p - p).abs() < 0.02, "{metric} {control}: {} {p}", adjusted.p);
                assert!(of.q.unwrap() >= adjusted.p - 1e-12);
            }
        }
        // of the controls themselves there is a row, and no correction knows of it
        let rank = all("last_token_rank");
        assert_eq!((rank.verdict, rank.q_value, rank.controls[1]), (Verdict::Control, None, None));
        assert!(rank.p_permutation.is_some() && found.iter().all(|c| c.metric != "last_token"));
    }
}
