//! What is known of a run only once all of its samples are measured.

use serde::{Deserialize, Serialize};

/// What is known of a run only once all of its samples are measured, by SAE layer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pooled {
    /// In the run's layer order.
    pub layers: Vec<LayerPooled>,
}

/// One SAE layer of [`Pooled`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayerPooled {
    /// μ: mean of x over the fact and hallucination texts, shape \[d\]; empty without texts.
    pub mean: Vec<f64>,
    /// The same without texts that are read at attention sinks.
    pub ordinary_mean: Vec<f64>,
}
