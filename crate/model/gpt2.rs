//! GPT-2 (Radford et al. 2019; transformers `modeling_gpt2.py`).
//!
//! Layer norms with bias, learned positions, full multi-head attention, a plain GELU MLP. Linear
//! maps are stored `[in, out]` (`Conv1D`), q, k and v side by side in one of them.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use serde_json::json;

use super::architecture::{
    Architecture, BatchContext, Block, Dims, Embedding, Family, LayerWeights, TensorSpec, Unembedding, keep_rows,
};
use super::ops::{Activation, AttentionParams, Compute, LayerNorm, Linear, Order, activate, attention, residual_add};
use super::parts::{self, LinearSpec, NormSpec};
use crate::checkpoint::gguf::Description;
use crate::error::{Error, Result};
use crate::json::Fields;

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
            // an absurd width is found out by the embedding's
            n_inner: f.or("n_inner", n_embd.saturating_mul(4))?,
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

/// What is true of the whole family.
pub static FAMILY: Family = Family {
    name: "gpt2",
    gguf: "gpt2",
    multimodal: None,
    bos: Some("<|endoftext|>"),
    centred_residual: true,
    prefixes: &["transformer.", ""],
    blocks: "h",
    read: |fields| Ok(Arc::new(Gpt2(Config::read(fields)?))),
};

/// A model of the family: its config.
#[derive(Debug, Clone)]
pub struct Gpt2(pub Config);

impl Gpt2 {
    fn linears(&self) -> [LinearSpec; 4] {
        let (d, inner) = (self.0.dims.d_model, self.0.n_inner);
        [("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d), ("mlp.c_fc", d, inner), ("mlp.c_proj", inner, d)]
            .map(|(name, d_in, d_out)| LinearSpec { name, order: Order::InOut, d_in, d_out, bias: true })
    }

    fn norms(&self) -> [NormSpec; 2] {
        ["ln_1", "ln_2"].map(|name| self.norm(name))
    }

    fn final_norm_spec(&self) -> NormSpec {
        self.norm("ln_f")
    }

    fn norm(&self, name: &'static str) -> NormSpec {
        NormSpec { name, width: self.0.dims.d_model, bias: true }
    }
}

impl Architecture for Gpt2 {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn dims(&self) -> &Dims {
        &self.0.dims
    }

    fn embedding(&self) -> Embedding {
        Embedding { tokens: "wte.weight", positions: Some("wpe.weight"), scale: None }
    }

    fn unembedding(&self) -> Unembedding {
        Unembedding {
            matrix: (!self.0.tie_word_embeddings).then_some("lm_head.weight"),
            norm: self.final_norm_spec().tensors().collect(),
            softcap: None,
        }
    }

    fn layer_tensors(&self, _layer: usize) -> Vec<TensorSpec> {
        parts::tensors(&self.linears(), &self.norms())
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

    fn gguf(&self) -> Result<Description, &'static str> {
        let c = &self.0;
        if c.activation_function != Activation::GeluTanh {
            return Err("an activation other than gelu_new");
        }
        let mut d = Description::default();
        d.count("block_count", c.dims.n_layers);
        d.count("context_length", c.dims.max_positions);
        d.count("embedding_length", c.dims.d_model);
        d.count("feed_forward_length", c.n_inner);
        d.count("attention.head_count", c.n_head);
        d.number("attention.layer_norm_epsilon", c.layer_norm_epsilon);
        Ok(d)
    }

    fn block(&self, layer: usize, mut w: LayerWeights, compute: &Compute) -> Result<Box<dyn Block>> {
        let eps = self.0.layer_norm_epsilon;
        let [ln_1, ln_2] = parts::norms(self.norms(), |spec| spec.layer_norm(&mut w, eps, compute))?;
        let [c_attn, attn_proj, c_fc, mlp_proj] = parts::linears(self.linears(), &mut w, compute)?;
        Ok(Box::new(Layer {
            ln_1,
            ln_2,
            c_attn,
            attn_proj,
            c_fc,
            mlp_proj,
            params: self.attention(layer),
            activation: self.0.activation_function,
        }))
    }

    fn final_norm(&self, mut w: LayerWeights, x: Tensor<2>, compute: &Compute) -> Result<Tensor<2>> {
        Ok(self.final_norm_spec().layer_norm(&mut w, self.0.layer_norm_epsilon, compute)?.forward(x))
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
        let x = residual_add(keep_rows(x, rows), self.attn_proj.forward(mixed), compute);

        let h = activate(self.c_fc.forward(self.ln_2.forward(x.clone())), self.activation, compute);
        residual_add(x, self.mlp_proj.forward(h), compute)
    }
}
