//! What a comparison amounts to: the one place where that is decided.

use super::compare::{ALPHA, Comparison};
use super::controls::Controlled;
use super::length::Adjusted;

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
    /// The row is the token count itself, or another thing that is controlled for.
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

    /// The same of a control beside length: what length is not there for has a name without it.
    pub fn of_control(self) -> &'static str {
        match self {
            Self::NoLengthControl => "no_control",
            Self::ExplainedByLength => "explained",
            Self::SurvivesLengthControl => "survives",
            other => other.as_str(),
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
    /// The row is the token count itself, or another control.
    pub is_control: bool,
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
        if self.is_control {
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

/// The verdict of a row, from its numbers, and those by the controls beside length. `is_control` says whether it is the
/// row of one.
pub(super) fn judge(c: &mut Comparison, is_control: bool) {
    let evidence = |at_equal| Evidence {
        is_control,
        n_clusters: c.n_clusters,
        mean_diff: c.mean_diff,
        q: c.q_value,
        at_equal,
        equivalence_p: c.equivalence.map(|e| e.p),
    };
    let verdict = evidence(c.adjusted.zip(c.adjusted_q)).verdict();
    let controls = by_controls(c.controls, evidence);
    (c.verdict, c.controls) = (verdict, controls);
}

/// Controls beside length with their verdicts; `evidence` is that of the row, given its difference with one thing held
/// equal.
pub(super) fn by_controls<const N: usize>(
    controls: [Option<Controlled>; N],
    evidence: impl Fn(Option<(Adjusted, f64)>) -> Evidence,
) -> [Option<Controlled>; N] {
    controls.map(|control| control.map(|of| Controlled { verdict: evidence(of.adjusted.zip(of.q)).verdict(), ..of }))
}
