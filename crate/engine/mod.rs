//! The engine: layer-by-layer streaming, SAEs at their layers, log-probabilities.

mod analyze;
mod counters;
mod features;
mod fit;
mod health;
mod inputs;
mod logprob;
mod needs;
mod options;
mod ordinary;
mod pass;
mod progress;
mod resident;
mod residuals;
mod sae_pass;
mod schedule;
mod self_test;
mod stream;
mod timeline;

pub use analyze::{Analysis, FailedSample, Outcome, Turns, analyze};
pub use counters::Counters;
pub use features::{Positions, TextFeatures, features};
pub use fit::{SaeAt, fit};
pub use health::{CrossEntropy, HealthOptions, SaeHealth, health};
pub use inputs::Inputs;
pub use logprob::{Answer, Question, next_token_logprobs, promoted};
pub use needs::Needs;
pub use options::{Batching, Options};
pub use ordinary::ordinary_texts;
pub use progress::{Observer, Progress, Silent, Stage, Timings};
pub use resident::Resident;
pub use residuals::residuals;
pub use sae_pass::encode;
pub use schedule::{MOST_HALVINGS, Schedule, Work};
pub use self_test::{TOLERANCE, self_test};
pub use timeline::{Lane, Span, busy};
