//! What a comparison amounts to: the one place where that is decided.

use super::compare::{ALPHA, Comparison};
use super::length::Adjusted;
use super::series::LENGTH;

/// What a comparison amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Fewer than three independent pairs.
    TooFewSamples,
    /// The differences are all the same (mostly: all zero).
    NoVariation,
    /// No difference was found, nor one at equal length, and one as large as the bound is ruled out.
    NoDifference,
    /// No difference was found, and one as large as the bound is not ruled out.
    Undecided,
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
            Self::Undecided => "undecided",
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
            Self::TooFewSamples | Self::NoVariation | Self::Undecided | Self::NoLengthControl | Self::Control => None,
        }
    }
}

/// What a verdict rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// The row is the token count itself.
    pub is_length: bool,
    pub n_clusters: usize,
    pub mean_diff: Option<f64>,
    /// q of the raw difference.
    pub q: Option<f64>,
    /// The difference at equal length, and its q.
    pub at_equal: Option<(Adjusted, f64)>,
    /// p of equivalence.
    pub equivalence_p: Option<f64>,
}

impl Evidence {
    /// Whether the raw difference is found.
    pub fn found(&self) -> bool {
        self.q.is_some_and(|q| q <= ALPHA)
    }

    /// The rule of [`super::compare()`].
    pub fn verdict(&self) -> Verdict {
        if self.is_length {
            return Verdict::Control;
        }
        let Some(difference) = self.mean_diff.filter(|_| self.n_clusters > 2) else { return Verdict::TooFewSamples };
        if self.q.is_none() {
            return Verdict::NoVariation;
        }
        let found = self.found();
        let same_sign = |other: f64| other * difference.signum() > 0.0;
        match self.at_equal {
            Some((at_equal, q)) if q <= ALPHA && (!found || same_sign(at_equal.difference)) => {
                Verdict::SurvivesLengthControl
            }
            _ if !found && self.equivalence_p.is_some_and(|p| p <= ALPHA) => Verdict::NoDifference,
            _ if !found => Verdict::Undecided,
            Some((at_equal, _)) if !at_equal.may_be(difference) => Verdict::ExplainedByLength,
            _ => Verdict::NoLengthControl,
        }
    }
}

/// The verdict of a row, from its numbers.
pub(super) fn verdict(c: &Comparison) -> Verdict {
    let evidence = Evidence {
        is_length: c.metric == LENGTH,
        n_clusters: c.n_clusters,
        mean_diff: c.mean_diff,
        q: c.q_value,
        at_equal: c.adjusted.zip(c.adjusted_q),
        equivalence_p: c.equivalence.map(|e| e.p),
    };
    evidence.verdict()
}
