//! What every comparison of a run stands on, whatever it compares: domains of its samples, and what is held equal among
//! them.

use std::collections::{BTreeMap, BTreeSet};

use super::chains::TokenCounts;
use super::controls::Control;
use super::samples::{Samples, lacks};
use crate::error::Result;

/// Domains, token counts, and labels of the controls beside length, of all samples.
#[derive(Debug)]
pub(super) struct Grounds {
    /// Every domain once, in order.
    pub domains: Vec<String>,
    /// By sample, the place of its domain in `domains`.
    pub domain_of: Vec<usize>,
    /// By sample; none where a count is null.
    pub tokens: Vec<Option<TokenCounts>>,
    /// By [`Control::ALL`], where the run has what it holds equal: labels by sample.
    pub controls: Vec<Option<Vec<Option<TokenCounts>>>>,
}

impl Grounds {
    /// Of these samples.
    ///
    /// # Errors
    /// [`crate::error::Error::Mismatch`] without `n_tokens_fact` or `n_tokens_hall`; [`crate::error::Error::Io`].
    pub fn new(samples: &Samples) -> Result<Self> {
        let column = |name: &str| samples.position(name).ok_or_else(|| lacks(name));
        let (facts, halls) = (samples.numbers(column("n_tokens_fact")?)?, samples.numbers(column("n_tokens_hall")?)?);
        let prompts = samples.numbers_of("n_tokens_prompt")?;
        let domains: BTreeSet<String> = samples.domains().iter().cloned().collect();
        let number: BTreeMap<&str, usize> =
            domains.iter().enumerate().map(|(i, domain)| (domain.as_str(), i)).collect();
        let domain_of: Vec<usize> = (0..samples.len()).map(|sample| number[samples.domain(sample)]).collect();
        let counts = |sample: usize| {
            let count = |numbers: &Vec<f64>| Some(numbers[sample].round() as i64).filter(|_| !numbers[sample].is_nan());
            let prompt = prompts.as_ref().map_or(Some(0), count)?;
            Some(TokenCounts { domain: domain_of[sample], prompt, fact: count(&facts)?, hall: count(&halls)? })
        };
        let tokens = (0..samples.len()).map(counts).collect();
        let controls = Control::ALL.into_iter().map(|control| control.labels(samples, &domain_of));
        let controls = controls.collect::<Result<_>>()?;
        Ok(Self { domains: domains.into_iter().collect(), domain_of, tokens, controls })
    }

    /// What all samples together are called: `(all)` where one of several domains is called `all`.
    pub fn everything(&self) -> &'static str {
        let taken = self.domains.len() > 1 && self.domains.iter().any(|domain| domain == "all");
        if taken { "(all)" } else { "all" }
    }
}
