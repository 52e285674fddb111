//! What an analysis is of.

use super::fit::SaeAt;
use super::options::Options;
use super::schedule::Schedule;
use crate::dataset::Sample;
use crate::model::Model;
use crate::model::ops::Compute;

/// What an analysis is of.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The model.
    pub model: &'a Model,
    /// Where it is computed; micro-batches are dealt out among them.
    pub computes: &'a [Compute],
    /// The SAEs, which must have gone through [`super::fit()`].
    pub saes: &'a [SaeAt],
    /// The triples.
    pub samples: &'a [Sample],
    /// Settings.
    pub options: &'a Options,
}

impl Inputs<'_> {
    /// What will be done, in which order.
    pub fn schedule(&self) -> Schedule {
        let on_host = self.computes.iter().all(Compute::on_host);
        Schedule::new(self.model, self.samples, self.options, on_host)
    }
}
