//! Whether the SAEs fit the model: L0, unexplained variance, dead samples.

use serde::{Deserialize, Serialize};

use super::layer::squared_deviation;
use super::passes::{FirstPass, check, check_pooled};
use super::pooled::Pooled;
use super::text::SampleMeasure;
use super::text_kind::COMPARED;
use crate::error::Result;

/// L0 may differ from the declared one by this factor, either way, before the run warns.
pub const L0_FACTOR: f64 = 5.0;

/// Texts below which a variance is no yardstick: two near-equal residuals have next to none, and any
/// reconstruction looks bad beside it.
const FEW_TEXTS: usize = 20;

/// Health of one SAE over a run's fact and hallucination texts (prompts are a part of both, and
/// would count the shared positions a third time), those that are read at attention sinks left out:
/// no SAE is trained on such positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LayerHealth {
    /// Block number.
    pub layer: usize,
    /// Texts that were looked at.
    pub texts: usize,
    /// Texts that were left out, since they are read at an attention sink; absent in runs of version 1.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<_>", optional))]
    pub sinks: usize,
    /// Median residual norm of ordinary text at this layer; a norm above twice that is a sink's. Absent in
    /// runs of version 1.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable))]
    pub median_norm: Option<f64>,
    /// Mean number of active features per text; none without texts.
    pub mean_l0: Option<f64>,
    /// The L0 that the SAE's name or config declares, where it does.
    pub declared_l0: Option<f64>,
    /// Pooled fraction of variance unexplained, Σ‖x − x̂‖² / Σ‖x − μ‖² with μ the mean of x over
    /// the texts looked at; none where the residuals do not vary.
    pub fvu: Option<f64>,
    /// Share of texts without any active feature; none without texts.
    pub dead_share: Option<f64>,
    /// What to be loud about; empty where the SAE fits.
    pub warnings: Vec<String>,
}

/// Health of every SAE of a run whose samples are in memory. `declared_l0` is by layer order; missing
/// entries count as undeclared.
///
/// # Errors
/// As [`FirstPass::add`].
pub fn health(samples: &[SampleMeasure], layers: &[usize], declared_l0: &[Option<f64>]) -> Result<Vec<LayerHealth>> {
    let mut first = FirstPass::new(layers);
    samples.iter().try_for_each(|sample| first.add(sample))?;
    let mut second = HealthPass::new(layers, declared_l0, &first.finish())?;
    samples.iter().try_for_each(|sample| second.add(sample))?;
    Ok(second.finish())
}

/// Health of every SAE of a run, sample by sample, once the first pass is done.
#[derive(Debug, Clone)]
pub struct HealthPass {
    layers: Vec<usize>,
    counts: Vec<Counts>,
}

/// One layer's figures in the making.
#[derive(Debug, Clone, Default)]
struct Counts {
    declared_l0: Option<f64>,
    /// mean of x over the texts looked at
    mean: Vec<f64>,
    /// none before the first sample
    median_norm: Option<Option<f64>>,
    texts: usize,
    sinks: usize,
    active: usize,
    dead: usize,
    error: f64,
    deviation: f64,
}

impl HealthPass {
    /// Of a run with SAEs at these `layers`; `declared_l0` is by layer order, missing entries count as
    /// undeclared.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] where `pooled` is of other layers.
    pub fn new(layers: &[usize], declared_l0: &[Option<f64>], pooled: &Pooled) -> Result<Self> {
        check_pooled(pooled, layers)?;
        let counts = pooled.layers.iter().enumerate().map(|(order, pooled)| Counts {
            declared_l0: declared_l0.get(order).copied().flatten(),
            mean: pooled.ordinary_mean.clone(),
            ..Counts::default()
        });
        Ok(Self { layers: layers.to_vec(), counts: counts.collect() })
    }

    /// Takes one sample, in the data set's order.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] where it lacks a layer or a residual.
    pub fn add(&mut self, sample: &SampleMeasure) -> Result<()> {
        check(sample, &self.layers)?;
        for (order, counts) in self.counts.iter_mut().enumerate() {
            counts.median_norm.get_or_insert(sample.fact.layers[order].median_norm);
            for &kind in COMPARED {
                let measured = &sample.text(kind).layers[order];
                if measured.is_sink() {
                    counts.sinks += 1;
                    continue;
                }
                counts.texts += 1;
                counts.active += measured.indices.len();
                counts.dead += usize::from(measured.indices.is_empty());
                counts.error += measured.squared_error;
                counts.deviation += squared_deviation(measured, &counts.mean, &sample.sample_id)?;
            }
        }
        Ok(())
    }

    /// What all samples together say, by layer.
    pub fn finish(self) -> Vec<LayerHealth> {
        self.layers.iter().zip(self.counts).map(|(&layer, counts)| counts.health(layer)).collect()
    }
}

impl Counts {
    fn health(self, layer: usize) -> LayerHealth {
        let share = |count: usize| (self.texts > 0).then(|| count as f64 / self.texts as f64);
        let fvu = (self.deviation > 0.0).then(|| self.error / self.deviation);
        let mut health = LayerHealth {
            layer,
            texts: self.texts,
            sinks: self.sinks,
            median_norm: self.median_norm.flatten(),
            mean_l0: share(self.active),
            declared_l0: self.declared_l0,
            fvu: fvu.filter(|f| f.is_finite()),
            dead_share: share(self.dead),
            warnings: Vec::new(),
        };
        health.warnings = warnings(&health);
        health
    }
}

/// The rule: FVU above 1, or L0 off by more than [`L0_FACTOR`].
fn warnings(health: &LayerHealth) -> Vec<String> {
    let LayerHealth { layer, texts, mean_l0, declared_l0, fvu, .. } = health;
    let mut warnings = Vec::new();
    if let Some(fvu) = fvu.filter(|f| *f > 1.0) {
        let verdict = if *texts < FEW_TEXTS {
            "so few texts hardly vary, so that this says little; judge the SAE by a larger set"
        } else {
            "it does not fit this model or layer, and its geometry is noise"
        };
        warnings.push(format!(
            "layer {layer}: the SAE's reconstruction is worse than the mean residual (FVU {fvu:.3} over {texts} texts): \
             {verdict}"
        ));
    }
    if let (Some(found), Some(declared)) = (mean_l0, declared_l0.filter(|d| *d > 0.0))
        && (*found > declared * L0_FACTOR || *found < declared / L0_FACTOR)
    {
        warnings.push(format!(
            "layer {layer}: mean L0 is {found:.1} where the SAE declares {}: \
             it does not fit this model or layer, and its geometry is noise",
            // configs hold means of f32 sums, such as 45.000003814697266
            (declared * 1e3).round() / 1e3
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mean_l0: f64, declared_l0: Option<f64>, fvu: Option<f64>) -> Vec<String> {
        let dead_share = Some(0.0);
        let health = LayerHealth {
            layer: 5,
            texts: 400,
            sinks: 0,
            median_norm: None,
            mean_l0: Some(mean_l0),
            declared_l0,
            fvu,
            dead_share,
            warnings: vec![],
        };
        warnings(&health)
    }

    #[test]
    fn a_fitting_sae_is_quiet() {
        assert!(found(70.0, Some(68.0), Some(0.2)).is_empty());
        assert!(found(340.0, Some(68.0), Some(1.0)).is_empty());
        assert!(found(1000.0, None, None).is_empty());
    }

    #[test]
    fn a_few_texts_condemn_no_sae() {
        let few = LayerHealth {
            layer: 5,
            texts: 2,
            sinks: 0,
            median_norm: None,
            mean_l0: None,
            declared_l0: None,
            fvu: Some(2.3),
            dead_share: Some(0.0),
            warnings: vec![],
        };
        let [warning] = &warnings(&few)[..] else { panic!("one warning") };
        assert!(warning.contains("FVU 2.300 over 2 texts") && warning.contains("larger set"), "{warning}");
        assert!(!warning.contains("noise"), "{warning}");
    }

    #[test]
    fn a_wrong_sae_is_loud() {
        assert!(found(341.0, Some(68.0), Some(0.2))[0].contains("mean L0 is 341.0"));
        assert!(found(13.0, Some(68.0), None)[0].contains("declares 68:"));
        assert!(found(1.0, Some(45.000003814697266), None)[0].contains("declares 45:"));
        assert!(found(1.0, Some(60.5), None)[0].contains("declares 60.5:"));
        assert!(found(68.0, Some(68.0), Some(1.5))[0].contains("FVU 1.500"));
        assert_eq!(found(0.0, Some(68.0), Some(2.0)).len(), 2);
    }
}
