//! GPT-2 (Radford et al. 2019; transformers `modeling_gpt2.py`).
//!
//! Layer norms with bias, learned positions, full multi-head attention, a plain GELU MLP. Linear
//! maps are stored `[in, out]` (`Conv1D`), q, k and v side by side in one of them.

use burn::tensor::{Int, Tensor};
use serde_json::json;

use super::architecture::{
    Architecture, BatchContext, Block, Dims, Embedding, LayerWeights, TensorSpec, Unembedding, keep_rows,
};
use super::fields::Fields;
use super::ops::{Activation, AttentionParams, Compute, LayerNorm, Linear, activate, attention};
use crate::error::{Error, Result};

/// Every field of the config that enters the forward pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Sizes.
    pub dims: Dims,
    /// Heads.
    pub n_head: usize,
    /// MLP width.
    pub n_inner: usize,
    /// MLP activation.
    pub activation_function: Activation,
    /// ε of the norms.
    pub layer_norm_epsilon: f64,
    /// Scale attention scores by `head_dim^−½`.
    pub scale_attn_weights: bool,
    /// Divide attention scores by the layer's number, counted from 1.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// Unembedding is the embedding.
    pub tie_word_embeddings: bool,
}

impl Config {
    /// Reads a config.json.
    ///
    /// # Errors
    /// Missing, mistyped or unknown fields, by name.
    pub fn read(mut f: Fields) -> Result<Self> {
        let n_embd: usize = f.required("n_embd")?;
        let n_head: usize = f.required("n_head")?;
        let name: String = f.or("activation_function", "gelu_new".to_owned())?;
        let activation_function = Activation::from_name(&name).ok_or_else(|| {
            Error::unsupported(format!("{}: activation \"{name}\"", f.file()), "known: gelu, gelu_new, silu, relu")
        })?;
        let config = Self {
            dims: Dims {
                d_model: n_embd,
                n_layers: f.required("n_layer")?,
                vocab_size: f.required("vocab_size")?,
                max_positions: f.or("n_positions", 1024)?,
            },
            n_head,
            n_inner: f.or("n_inner", 4 * n_embd)?,
            activation_function,
            layer_norm_epsilon: f.or("layer_norm_epsilon", 1e-5)?,
            scale_attn_weights: f.or("scale_attn_weights", true)?,
            scale_attn_by_inverse_layer_idx: f.or("scale_attn_by_inverse_layer_idx", false)?,
            tie_word_embeddings: f.or("tie_word_embeddings", true)?,
        };
        f.only("add_cross_attention", json!(false))?;
        // dropout is off at inference; n_ctx repeats n_positions; the summary fields belong to
        // another head; reorder_and_upcast_attn changes the order of half-precision arithmetic only
        f.harmless(&[
            "attn_pdrop",
            "embd_pdrop",
            "resid_pdrop",
            "n_ctx",
            "reorder_and_upcast_attn",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
        ]);
        if n_head == 0 || !n_embd.is_multiple_of(n_head) {
            return Err(Error::mismatch(
                format!("{}: n_embd", f.file()),
                format!("a multiple of n_head = {n_head}"),
                n_embd.to_string(),
                "check the config",
            ));
        }
        f.finish()?;
        Ok(config)
    }
}

/// The family with its config.
#[derive(Debug, Clone)]
pub struct Gpt2(pub Config);

impl Architecture for Gpt2 {
    fn name(&self) -> &'static str {
        "gpt2"
    }

    fn dims(&self) -> &Dims {
        &self.0.dims
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["transformer.", ""]
    }

    fn embedding(&self) -> Embedding {
        Embedding { tokens: "wte.weight".to_owned(), positions: Some("wpe.weight".to_owned()), scale: None }
    }

    fn unembedding(&self) -> Unembedding {
        let d = self.0.dims.d_model;
        Unembedding {
            matrix: if self.0.tie_word_embeddings { "wte.weight" } else { "lm_head.weight" }.to_owned(),
            norm: vec![("ln_f.weight".to_owned(), vec![d]), ("ln_f.bias".to_owned(), vec![d])],
            softcap: None,
        }
    }

    fn layer_prefix(&self, layer: usize) -> String {
        format!("h.{layer}.")
    }

    fn layer_tensors(&self, _layer: usize) -> Vec<TensorSpec> {
        let (d, inner) = (self.0.dims.d_model, self.0.n_inner);
        let mut tensors = Vec::new();
        for (name, d_in, d_out) in
            [("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d), ("mlp.c_fc", d, inner), ("mlp.c_proj", inner, d)]
        {
            tensors.push((format!("{name}.weight"), vec![d_in, d_out]));
            tensors.push((format!("{name}.bias"), vec![d_out]));
        }
        for name in ["ln_1", "ln_2"] {
            tensors.push((format!("{name}.weight"), vec![d]));
            tensors.push((format!("{name}.bias"), vec![d]));
        }
        tensors
    }

    fn attention(&self, layer: usize) -> AttentionParams {
        let c = &self.0;
        let head_dim = c.dims.d_model / c.n_head;
        let mut scale = if c.scale_attn_weights { (head_dim as f64).powf(-0.5) } else { 1.0 };
        if c.scale_attn_by_inverse_layer_idx {
            scale /= (layer + 1) as f64;
        }
        AttentionParams {
            heads: c.n_head,
            kv_heads: c.n_head,
            head_dim,
            scale: scale as f32,
            softcap: None,
            window: None,
        }
    }

    fn rotary_frequencies(&self) -> Vec<Vec<f32>> {
        Vec::new()
    }

    fn block(&self, layer: usize, mut w: LayerWeights, compute: &Compute) -> Result<Box<dyn Block>> {
        let eps = self.0.layer_norm_epsilon;
        let norm = |name: &str, w: &mut LayerWeights| -> Result<LayerNorm> {
            Ok(LayerNorm::new(w.take(&format!("{name}.weight"))?, w.take(&format!("{name}.bias"))?, eps, compute))
        };
        let map = |name: &str, w: &mut LayerWeights| -> Result<Linear> {
            let weight = w.take(&format!("{name}.weight"))?;
            Ok(Linear::in_out(weight, Some(w.take(&format!("{name}.bias"))?), compute))
        };
        Ok(Box::new(Layer {
            ln_1: norm("ln_1", &mut w)?,
            ln_2: norm("ln_2", &mut w)?,
            c_attn: map("attn.c_attn", &mut w)?,
            attn_proj: map("attn.c_proj", &mut w)?,
            c_fc: map("mlp.c_fc", &mut w)?,
            mlp_proj: map("mlp.c_proj", &mut w)?,
            params: self.attention(layer),
            activation: self.0.activation_function,
        }))
    }

    fn final_norm(&self, mut w: LayerWeights, x: Tensor<2>, compute: &Compute) -> Result<Tensor<2>> {
        let norm = LayerNorm::new(w.take("ln_f.weight")?, w.take("ln_f.bias")?, self.0.layer_norm_epsilon, compute);
        Ok(norm.forward(x))
    }
}

/// One block.
struct Layer {
    ln_1: LayerNorm,
    ln_2: LayerNorm,
    c_attn: Linear,
    attn_proj: Linear,
    c_fc: Linear,
    mlp_proj: Linear,
    params: AttentionParams,
    activation: Activation,
}

impl Block for Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        rows: Option<Tensor<1, Int>>,
        batch: &BatchContext,
        compute: &Compute,
    ) -> Tensor<2> {
        let [n, d] = x.dims();
        let qkv = self.c_attn.forward(self.ln_1.forward(x.clone()));
        let [q, k, v] = [0, 1, 2].map(|i| qkv.clone().slice([0..n, i * d..(i + 1) * d]));
        let mixed = keep_rows(attention(q, k, v, &batch.trie, &self.params, compute), rows.clone());
        let x = keep_rows(x, rows) + self.attn_proj.forward(mixed);

        let h = activate(self.c_fc.forward(self.ln_2.forward(x.clone())), self.activation, compute);
        x + self.mlp_proj.forward(h)
    }
}
