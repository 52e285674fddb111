//! Whether fact and hallucination differ, and whether the difference survives its length control.
//!
//! [`compare`] takes `metrics.parquet` as a plain table and gives one [`Comparison`] per metric and
//! domain: effect sizes, a bootstrap interval, two tests, a false-discovery rate, and the same
//! difference with token counts held equal ([`closed_chains`]). No difference is to be read without
//! the latter: the published experiment that this program generalises was retracted because length
//! explained it.
//!
//! Deterministic by seed, independent of threads and of the order of metrics. Degenerate input
//! (fewer than three pairs, no variation, equal lengths) gives nulls, never NaN.

mod chains;
mod compare;
mod effect;
mod length;
mod multiple;
mod power;
mod rank;
mod resample;
mod samples;
mod series;
mod table;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use chains::{FULL_STRATUM, MAX_PROMPT_SPAN, TokenCounts, closed_chains};
pub use compare::{ALPHA, Comparison, Verdict, compare, compare_samples};
pub use effect::{cohens_dz, hedges_correction, mean, pearson, standard_deviation};
pub use length::{Adjusted, MIN_CHAINS, adjust_for_length};
pub use multiple::benjamini_hochberg;
pub use power::{POWER, smallest_detectable_dz};
pub use rank::wilcoxon_signed_rank;
pub use resample::{PERMUTATIONS, RESAMPLES, bca_interval, bootstrap_interval, sign_flip_p, stream};
pub use samples::Samples;
pub use table::{STAT_COLUMNS, StatColumn, stats_table};
