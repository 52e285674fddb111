//! Pairs of columns of `metrics.parquet` that hold one metric for fact and hallucination.

use super::samples::Samples;
use crate::error::Result;
use crate::metrics::{Column, Direction, Family, Form, Kind, Part, TextKind};

/// Token counts as a metric's name.
pub(super) const LENGTH: &str = "n_tokens";

/// Log-probabilities as a metric's name.
pub(super) const LIKELIHOOD: &str = "logprob";

/// One metric of every sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// Name: the metric's with its layer, such as `l5_gini`, or the `*_diff` column's own.
    pub metric: String,
    /// For a `*_diff` column: the metric that it is the difference of.
    pub difference_of: Option<String>,
    /// Among which metrics it is tested.
    pub family: Family,
    /// What a difference of this series is.
    pub direction: Direction,
    /// Columns of the fact and of the hallucination.
    sides: [usize; 2],
    /// For a `*_diff` column: its own.
    stored: Option<usize>,
}

impl Series {
    /// Whether it is what is controlled for: token counts, and the controls beside them.
    pub fn is_control(&self) -> bool {
        self.metric == LENGTH || self.family == Family::Controls
    }

    /// The metric whose question it asks.
    pub fn asks_of(&self) -> &str {
        self.difference_of.as_ref().unwrap_or(&self.metric)
    }

    /// Every sample's values; none where either side is null.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn triples(&self, samples: &Samples) -> Result<impl Fn(usize) -> Option<Triple> + use<>> {
        let [fact, hall] = self.sides;
        let (fact, hall) = (samples.numbers(fact)?, samples.numbers(hall)?);
        let stored = self.stored.map(|column| samples.numbers(column)).transpose()?;
        let there = |numbers: &[f64], i: usize| numbers.get(i).copied().filter(|number| !number.is_nan());
        Ok(move |sample| {
            let (fact, hall) = there(&fact, sample).zip(there(&hall, sample))?;
            let difference = match &stored {
                Some(stored) => there(stored, sample)?,
                None => hall - fact,
            };
            Some(Triple { fact, hall, difference })
        })
    }
}

/// One sample's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Triple {
    pub fact: f64,
    pub hall: f64,
    /// By the series' direction.
    pub difference: f64,
}

/// Every numeric metric that has columns of fact and of hallucination, in the table's order; each is
/// followed by its difference where there is one. Columns say themselves what they are parts of.
pub(super) fn series(columns: &[Column]) -> Vec<Series> {
    let mut found = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let (Kind::Int64 | Kind::Float64, Some(part)) = (column.kind, &column.part) else { continue };
        if part.form != Form::Text(TextKind::Fact) || part.family == Family::None {
            continue;
        }
        let other = |wanted: &dyn Fn(Form) -> bool| {
            columns
                .iter()
                .position(|c| c.part.as_ref().is_some_and(|other| other.metric == part.metric && wanted(other.form)))
        };
        let Some(j) = other(&|form| form == Form::Text(TextKind::Hall)) else { continue };
        let (metric, direction, sides) = (part.metric.clone(), Direction::HallMinusFact, [i, j]);
        let family = part.family;
        found.push(Series { metric, difference_of: None, family, direction, sides, stored: None });
        let Some(k) = other(&|form| matches!(form, Form::Difference(_))) else { continue };
        let difference = &columns[k];
        let Some(Part { form: Form::Difference(direction), .. }) = difference.part else { continue };
        let (metric, difference_of) = (difference.name.clone(), Some(part.metric.clone()));
        found.push(Series { metric, difference_of, family, direction, sides, stored: Some(k) });
    }
    found
}
