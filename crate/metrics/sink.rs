//! Which of a run's texts are read at attention sinks (see [`super::norm`]), and what a reader has to know
//! of them.

use super::layer::LayerMeasure;
use super::norm::SINK_MEDIANS;
use super::text::SampleMeasure;
use super::text_kind::COMPARED;

/// What a reader has to know of texts that are read at attention sinks; empty where none is.
pub fn sink_warnings(samples: &[SampleMeasure]) -> Vec<String> {
    let mut pass = SinkPass::default();
    samples.iter().for_each(|sample| pass.add(sample));
    pass.finish()
}

/// Counts the texts that are read at attention sinks, sample by sample.
#[derive(Debug, Clone, Default)]
pub struct SinkPass {
    samples: usize,
    /// Prompts at a sink of the first SAE layer.
    prompts: usize,
    /// By SAE layer: its number, and fact and hallucination texts at a sink of it.
    layers: Vec<(usize, usize)>,
}

impl SinkPass {
    /// Takes one sample.
    pub fn add(&mut self, sample: &SampleMeasure) {
        if self.samples == 0 {
            self.layers = sample.fact.layers.iter().map(|measured| (measured.layer, 0)).collect();
        }
        self.samples += 1;
        self.prompts += usize::from(sample.prompt.layers.first().is_some_and(LayerMeasure::is_sink));
        for &kind in COMPARED {
            for ((_, sinks), measured) in self.layers.iter_mut().zip(&sample.text(kind).layers) {
                *sinks += usize::from(measured.is_sink());
            }
        }
    }

    /// The warnings.
    pub fn finish(self) -> Vec<String> {
        let mut warnings = Vec::new();
        let at_layer: Vec<String> = self
            .layers
            .iter()
            .filter(|(_, sinks)| *sinks > 0)
            .map(|(layer, sinks)| format!("{sinks} at layer {layer}"))
            .collect();
        if !at_layer.is_empty() {
            warnings.push(format!(
                "of {} fact and hallucination texts {} end at an attention sink (residual norm above {SINK_MEDIANS} \
                 times the layer's median): features that are active there stand for the position, not for the text; \
                 the SAEs' fit is judged without them",
                self.samples * COMPARED.len(),
                at_layer.join(", "),
            ));
        }
        if let (1.., Some((first, _))) = (self.prompts, self.layers.first()) {
            warnings.push(format!(
                "{} of {} prompts end at an attention sink of layer {first}, as prompts of one token do: \
                 centroid_drift and axis_twist of these samples (column prompt_is_sink) start from it and mean little",
                self.prompts, self.samples,
            ));
        }
        warnings
    }
}
