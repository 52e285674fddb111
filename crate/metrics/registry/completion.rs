//! A completion as a whole: its reconstructions across layers, and how likely the model holds it.

use crate::error::Result;
use crate::metrics::layer::{LayerMeasure, lacking};
use crate::metrics::metric::{BLANK, Compute, Group, Metric, OneText};

pub(super) const GROUP: Group = Group { title: "Completions", metrics: &[CROSS_LAYER_RECONSTRUCTION_COSINE, LOGPROB] };

const CROSS_LAYER_RECONSTRUCTION_COSINE: Metric = Metric {
    name: "cross_layer_reconstruction_cosine",
    label: "Cross-layer reconstruction cosine",
    unit: "cosine",
    null: Some("the run has fewer than three SAE layers"),
    range: "−1 to 1",
    meaning: "How alike the reconstructions at the second and third SAE layers are",
    formula: "cosine of x̂ at the second and third SAE layers; 0 with a zero vector",
    confounded: "what all residuals have in common: the cosine is high for any text, and higher the nearer the layers",
    compute: Compute::Text(|of| Ok(reconstruction_cosine(of)?.into())),
    ..BLANK
};

const LOGPROB: Metric = Metric {
    name: "logprob",
    label: "Log-probability",
    unit: "nats",
    null: Some("it was not computed"),
    with_logprob: true,
    range: "≤ 0",
    meaning: "How likely the model holds the completion given the prompt: the baseline that any geometric signal has \
              to beat",
    formula: "Σ log p of the tokens after the longest token prefix that text and prompt share, each given all before \
              it; a text's very first token has no probability and is left out",
    confounded: "the number of the completion's tokens: every one more lowers it",
    compute: Compute::Text(|of| Ok(of.text.logprob.into())),
    ..BLANK
};

fn reconstruction_cosine(of: &OneText<'_>) -> Result<Option<f64>> {
    let Some((second, third)) = of.text.layers.get(1).zip(of.text.layers.get(2)) else { return Ok(None) };
    let (a, b) = (reconstruction(second, of)?, reconstruction(third, of)?);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    Ok(Some(if norms == 0.0 { 0.0 } else { dot(a, b) / norms }))
}

/// The kept reconstruction, shape \[d\].
fn reconstruction<'a>(measured: &'a LayerMeasure, of: &OneText<'_>) -> Result<&'a [f64]> {
    measured.x_hat.as_deref().ok_or_else(|| lacking("reconstruction", &of.sample.sample_id, measured.layer))
}
