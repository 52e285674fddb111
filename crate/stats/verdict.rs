//! What a comparison amounts to: the one place where that is decided.

use super::compare::{ALPHA, Comparison};
use super::equivalence::Equivalence;
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

/// What a verdict reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    /// Mean difference; none without samples.
    pub difference: Option<f64>,
    /// Independent clusters.
    pub n_clusters: usize,
    /// q of the difference; none where it was not tested.
    pub q: Option<f64>,
    /// The difference at equal length, with its q.
    pub at_equal: Option<(Adjusted, f64)>,
    /// Whether a difference as large as the bound is ruled out.
    pub equivalence: Option<Equivalence>,
}

/// The rule of [`super::compare()`], from the numbers of a row.
pub(super) fn verdict(c: &Comparison) -> Verdict {
    if c.metric == LENGTH {
        return Verdict::Control;
    }
    judge(&Evidence {
        difference: c.mean_diff,
        n_clusters: c.n_clusters,
        q: c.q_value,
        at_equal: c.adjusted.zip(c.adjusted_q),
        equivalence: c.equivalence,
    })
}

/// The rule, whatever is compared.
pub(super) fn judge(evidence: &Evidence) -> Verdict {
    let Some(difference) = evidence.difference.filter(|_| evidence.n_clusters > 2) else {
        return Verdict::TooFewSamples;
    };
    let Some(q) = evidence.q else { return Verdict::NoVariation };
    let found = q <= ALPHA;
    let same_sign = |other: f64| other * difference.signum() > 0.0;
    match evidence.at_equal {
        Some((at_equal, q)) if q <= ALPHA && (!found || same_sign(at_equal.difference)) => {
            Verdict::SurvivesLengthControl
        }
        _ if !found && evidence.equivalence.is_some_and(|e| e.p <= ALPHA) => Verdict::NoDifference,
        _ if !found => Verdict::Undecided,
        Some((at_equal, _)) if !at_equal.may_be(difference) => Verdict::ExplainedByLength,
        _ => Verdict::NoLengthControl,
    }
}
