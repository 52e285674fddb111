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
    /// All of them, in the order of [`super::Comparison::controls`].
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
    /// all where the run does.
    pub(super) fn labels(self, samples: &Samples, domain_of: &[usize]) -> Result<Option<Vec<Option<TokenCounts>>>> {
        let side = |text: &str| samples.numbers_of(&format!("{}_{text}", self.name()));
        let Some((fact, hall)) = side("fact")?.zip(side("hall")?) else { return Ok(None) };
        if self != Self::LastToken {
            return Ok(Some(grades(domain_of, &fact, &hall)));
        }
        let of = |i: usize| {
            let there = !fact[i].is_nan() && !hall[i].is_nan();
            there.then(|| TokenCounts { domain: domain_of[i], prompt: 0, fact: fact[i] as i64, hall: hall[i] as i64 })
        };
        Ok(Some((0..samples.len()).map(of).collect()))
    }
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

/// A row's difference with one thing held equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Controlled {
    /// Triples in closed chains.
    pub n_matched: usize,
    /// Those chains.
    pub n_chains: usize,
    /// The difference over them; none for fewer chains than [`super::MIN_CHAINS`].
    pub adjusted: Option<Adjusted>,
    /// q of its p over the domain's metrics.
    pub q: Option<f64>,
    /// What the row amounts to by this control, in the place of length.
    pub verdict: Verdict,
}
