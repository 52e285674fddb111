//! What is kept of a text and of a sample while the run goes on.

use serde::{Deserialize, Serialize};

use super::layer::LayerMeasure;
use super::text_kind::TextKind;

/// One text's measures at all SAE layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextMeasure {
    /// Token count, BOS included.
    pub n_tokens: usize,
    /// The token that the text is read at.
    pub last_token: u32,
    /// How common that token is: see [`crate::model::TextTokenizer::ranks()`]; none where its tokenizer does not say.
    pub last_token_rank: Option<u32>,
    /// One entry per SAE layer, in the run's layer order.
    pub layers: Vec<LayerMeasure>,
    /// Active features (index, activation) of x + noise at the first SAE layer, for `stability`;
    /// none where it was not computed (prompts).
    pub noisy: Option<(Vec<u32>, Vec<f32>)>,
    /// Σ log p of the completion's tokens given the prompt, in nats; none unless asked for.
    pub logprob: Option<f64>,
    /// How many tokens that is the sum over.
    pub scored_tokens: usize,
}

/// One sample: a triple of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleMeasure {
    /// The data set's id.
    pub sample_id: String,
    /// The data set's domain.
    pub domain: String,
    /// The data set's complexity grade.
    pub complexity: i64,
    /// What it is not independent of: see [`crate::dataset::Sample::cluster()`].
    pub cluster: String,
    /// The prompt alone.
    pub prompt: TextMeasure,
    /// Prompt and fact.
    pub fact: TextMeasure,
    /// Prompt and hallucination.
    pub hall: TextMeasure,
}

impl SampleMeasure {
    /// The text of this kind.
    pub fn text(&self, kind: TextKind) -> &TextMeasure {
        match kind {
            TextKind::Prompt => &self.prompt,
            TextKind::Fact => &self.fact,
            TextKind::Hall => &self.hall,
        }
    }
}
