//! Whether fact and hallucination differ, and whether the difference survives its length control.
//!
//! [`compare()`] takes `metrics.parquet` as a plain table and gives one [`Comparison`] per metric and
//! domain: effect sizes, a bootstrap interval, the area under the ROC curve, tests of a difference and of
//! equivalence, corrections for many tests, and the same difference with token counts held equal
//! ([`closed_chains`]). No difference is to be read without the latter: the published experiment that this
//! program generalises was retracted because length explained it.
//!
//! Samples of one cluster (a data set's own, or all that share a prompt) are drawn, and have their signs
//! flipped, together.
//!
//! Deterministic by seed, independent of threads and of the order of metrics. Degenerate input
//! (fewer than three pairs, no variation, equal lengths) gives nulls, never NaN.

mod areas;
mod auroc;
mod bootstrap;
mod chains;
mod classifier;
mod clusters;
mod compare;
mod controls;
mod effect;
mod equivalence;
mod exact;
mod feature_table;
mod features;
mod gather;
mod grounds;
mod length;
mod likelihood;
mod logistic;
mod multiple;
mod power;
mod proportion;
mod rank;
mod resample;
mod residual;
mod ridge;
mod samples;
mod series;
mod settings;
mod swaps;
mod table;
mod verdict;

#[cfg(test)]
mod known_truth;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use areas::{metric_areas, paired_auroc};
pub use auroc::Auroc;
pub use chains::{FULL_STRATUM, MAX_PROMPT_SPAN, TokenCounts, closed_chains};
pub use classifier::{Chance, Classifier, FOLDS, MOST_ENTRIES, MOST_TRIPLES, PENALTY_SHARE, SWAPS};
pub use clusters::SMALLEST_STRATUM;
pub use compare::{ALPHA, Comparison, compare, compare_samples};
pub use controls::{Control, Controlled};
pub use effect::{cohens_dz, hedges_correction, mean, pearson, standard_deviation};
pub use equivalence::Equivalence;
pub use exact::{EXACT_DIFFERENCES, sign_flip_exact, sign_test};
pub use feature_table::{FEATURE_STAT_COLUMNS, feature_cells, feature_columns};
pub use features::{Activity, FeatureRow, FeatureTests, Features, MOST_DOMAINS, compare_features};
pub use gather::{Active, FeatureSource, MIN_ACTIVE, MOST_FEATURES};
pub use length::{Adjusted, MIN_CHAINS, adjust_for_length};
pub use likelihood::LIKELIHOOD_GRADES;
pub use multiple::{benjamini_hochberg, holm};
pub use power::{POWER, smallest_detectable_dz};
pub use proportion::wilson;
pub use rank::wilcoxon_signed_rank;
pub use resample::{PERMUTATIONS, RESAMPLES, bca_interval, sign_flip_p, stream};
pub use residual::{MOST_PROBED, RESIDUAL};
pub use ridge::{Kernel, Probe};
pub use samples::Samples;
pub use settings::{EQUIVALENCE_BOUND, Settings};
pub use swaps::{Outcome, SwapObserver, SwapSettings, Swapped, SwappedMetric, swapped};
pub use table::{STAT_COLUMNS, StatColumn, stats_table};
pub use verdict::Verdict;
