//! Log-probabilities of completions: final norm and unembedding in vocabulary chunks, only at the
//! positions that predict a completion's tokens.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::model::Model;
use crate::model::ops::{Compute, Linear};
use crate::platform;
use crate::sae::Sae;

/// Rows of the unembedding read and multiplied at once.
const VOCAB_CHUNK: usize = 8192;

/// What is asked of one position.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Tokens whose log-probability is wanted.
    pub targets: Vec<u32>,
    /// How many of the likeliest tokens are wanted.
    pub top: usize,
}

/// The answer: natural-log probabilities.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// log p of each target, in the order asked.
    pub targets: Vec<f64>,
    /// The likeliest tokens with log p, likeliest first.
    pub top: Vec<(u32, f64)>,
}

/// What features promote: their decoder rows through final norm and unembedding, the likeliest
/// tokens first (the logit lens, nostalgebraist 2020).
///
/// # Errors
/// Reading and device errors; a feature past the dictionary's end.
pub async fn promoted(
    model: &Model,
    sae: &Sae,
    features: &[usize],
    top: usize,
    compute: &Compute,
) -> Result<Vec<Vec<(u32, f64)>>> {
    if features.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sae.decoder_rows(features).await?;
    let directions = compute.tensor2(rows.data, features.len(), sae.d_in);
    let lens = vec![Question { targets: Vec::new(), top }; features.len()];
    let answers = next_token_logprobs(model, directions, &lens, compute).await?;
    Ok(answers.into_iter().map(|answer| answer.top).collect())
}

/// Running log-sum-exp and best tokens of one position.
struct Running {
    max: f64,
    sum: f64,
    targets: Vec<f64>,
    top: Vec<(u32, f64)>,
}

/// Next-token log-probabilities at rows of the last residual stream.
///
/// # Shapes
/// `x` `[rows, d_model]` after the last block, before the final norm; one question a row.
///
/// # Errors
/// Reading and device errors.
pub async fn next_token_logprobs(
    model: &Model,
    x: Tensor<2>,
    questions: &[Question],
    compute: &Compute,
) -> Result<Vec<Answer>> {
    let spec = model.architecture.unembedding();
    let matrix = model.unembedding_matrix();
    let vocab = model.dims().vocab_size;
    let x = model.architecture.final_norm(model.read_final_norm().await?, x, compute)?;
    let mut running: Vec<Running> = questions
        .iter()
        .map(|q| Running {
            max: f64::NEG_INFINITY,
            sum: 0.0,
            targets: vec![f64::NAN; q.targets.len()],
            top: Vec::new(),
        })
        .collect();
    for start in (0..vocab).step_by(VOCAB_CHUNK) {
        let end = (start + VOCAB_CHUNK).min(vocab);
        let rows: Vec<usize> = (start..end).collect();
        let weight = model.checkpoint.read_rows(&matrix, &rows).await?;
        let logits = compute.read_back(Linear::out_in(weight, None, compute).forward(x.clone())).await?;
        let width = end - start;
        platform::par_chunks_mut(&mut running, 1, |i, one| {
            for running in one {
                running.add(&logits[i * width..(i + 1) * width], start as u32, spec.softcap, &questions[i]);
            }
        });
        platform::yield_now().await;
    }
    Ok(running.into_iter().map(Running::finish).collect())
}

impl Running {
    fn add(&mut self, logits: &[f32], first: u32, softcap: Option<f32>, question: &Question) {
        let capped = |l: f32| match softcap {
            Some(cap) => f64::from(cap) * libm::tanh(f64::from(l) / f64::from(cap)),
            None => f64::from(l),
        };
        let values: Vec<f64> = logits.iter().map(|&l| capped(l)).collect();
        let max = values.iter().copied().fold(self.max, f64::max);
        self.sum *= libm::exp(self.max - max);
        self.sum += values.iter().map(|v| libm::exp(v - max)).sum::<f64>();
        self.max = max;
        for (slot, &target) in self.targets.iter_mut().zip(&question.targets) {
            if let Some(v) = target.checked_sub(first).and_then(|t| values.get(t as usize)) {
                *slot = *v;
            }
        }
        if question.top > 0 {
            self.top.extend(values.iter().enumerate().map(|(i, &v)| (first + i as u32, v)));
            // ties go to the lower id, so that the order does not depend on chunking
            self.top.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            self.top.truncate(question.top);
        }
    }

    fn finish(self) -> Answer {
        let log_total = self.max + libm::log(self.sum);
        Answer {
            targets: self.targets.iter().map(|v| v - log_total).collect(),
            top: self.top.into_iter().map(|(id, v)| (id, v - log_total)).collect(),
        }
    }
}
