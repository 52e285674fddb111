//! The engine: layer-by-layer streaming, SAEs at their layers, log-probabilities.

mod analyze;
mod fit;
mod health;
mod logprob;
mod ordinary;
mod progress;
mod resident;
mod residuals;
mod sae_pass;
mod self_test;
mod stream;

pub use analyze::{Batching, FailedSample, Options, Outcome, analyze};
pub use fit::{SaeAt, fit};
pub use health::{CrossEntropy, HealthOptions, SaeHealth, health};
pub use logprob::{Answer, Question, next_token_logprobs, promoted};
pub use ordinary::ordinary_texts;
pub use progress::{Observer, Progress, Silent, Stage, Timings};
pub use resident::Resident;
pub use residuals::residuals;
pub use sae_pass::encode;
pub use self_test::{TOLERANCE, self_test};
