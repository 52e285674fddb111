//! Gemma 2 (Gemma Team 2024; transformers `modeling_gemma2.py`).
//!
//! Norms before and after attention and MLP, with weight 1 + w; attention logits soft-capped,
//! scaled by `query_pre_attn_scalar^−½`; every other layer sees a sliding window only; GeGLU MLP;
//! embedding scaled by √d_model.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use serde_json::json;

use super::architecture::{
    Architecture, BatchContext, Block, Dims, Embedding, Family, LayerWeights, TensorSpec, Unembedding, keep_rows,
};
use super::ops::{Activation, AttentionParams, Compute, Linear, RmsNorm, attention, gated_activation};
use super::parts::{self, LinearSpec, NormSpec};
use super::rope_config::Rope;
use super::shared::{self, Sliding, layer_types};
use crate::checkpoint::gguf::Description;
use crate::error::Result;
use crate::json::Fields;

/// Every field of the config that enters the forward pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Sizes.
    pub dims: Dims,
    /// MLP width.
    pub intermediate_size: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Gate of the MLP.
    pub hidden_activation: Activation,
    /// ε of the norms.
    pub rms_norm_eps: f64,
    /// Rotary table.
    pub rope: Rope,
    /// Attention scores are scaled by its inverse square root.
    pub query_pre_attn_scalar: f64,
    /// Window of the sliding layers.
    pub sliding_window: usize,
    /// Which layers slide.
    pub sliding: Sliding,
    /// Soft cap of attention scores.
    pub attn_logit_softcapping: Option<f32>,
    /// Soft cap of the final logits.
    pub final_logit_softcapping: Option<f32>,
    /// Biases on q, k, v, o.
    pub attention_bias: bool,
    /// Unembedding is the embedding.
    pub tie_word_embeddings: bool,
}

impl Config {
    /// Reads a config.json.
    ///
    /// # Errors
    /// Missing, mistyped or unknown fields, by name.
    pub fn read(mut f: Fields) -> Result<Self> {
        let n_layers = f.required("num_hidden_layers")?;
        let config = Self {
            dims: Dims {
                d_model: f.required("hidden_size")?,
                n_layers,
                vocab_size: f.required("vocab_size")?,
                max_positions: f.or("max_position_embeddings", 8192)?,
            },
            intermediate_size: f.required("intermediate_size")?,
            num_attention_heads: f.required("num_attention_heads")?,
            num_key_value_heads: f.required("num_key_value_heads")?,
            head_dim: f.or("head_dim", 256)?,
            hidden_activation: shared::activation(&mut f, "gelu_pytorch_tanh")?,
            rms_norm_eps: f.or("rms_norm_eps", 1e-6)?,
            rope: Rope::read(&mut f, 10_000.0)?,
            query_pre_attn_scalar: f.or("query_pre_attn_scalar", 256.0)?,
            sliding_window: sliding_window(&mut f)?,
            sliding: layer_types(&mut f, n_layers, 2)?,
            attn_logit_softcapping: f.default_or_null("attn_logit_softcapping", 50.0)?,
            final_logit_softcapping: f.default_or_null("final_logit_softcapping", 30.0)?,
            attention_bias: f.or("attention_bias", false)?,
            tie_word_embeddings: f.or("tie_word_embeddings", true)?,
        };
        f.only("use_bidirectional_attention", json!(false))?;
        shared::check_heads(f.file(), config.num_attention_heads, config.num_key_value_heads, config.head_dim)?;
        f.finish()?;
        Ok(config)
    }
}

/// `sliding_window`; the hub's configs repeat it as `sliding_window_size`, which nobody reads.
fn sliding_window(f: &mut Fields) -> Result<usize> {
    let window = shared::window(f)?;
    f.only("sliding_window_size", json!(window))?;
    Ok(window)
}

/// What is true of the whole family.
pub static FAMILY: Family = Family {
    name: "gemma2",
    gguf: "gemma2",
    multimodal: None,
    bos: Some("<bos>"),
    centred_residual: false,
    prefixes: shared::PREFIXES,
    blocks: "layers",
    read: |fields| Ok(Arc::new(Gemma2(Config::read(fields)?))),
};

/// A model of the family: its config.
#[derive(Debug, Clone)]
pub struct Gemma2(pub Config);

impl Gemma2 {
    fn linears(&self) -> [LinearSpec; 7] {
        let c = &self.0;
        shared::linears(&self.attention(0), c.dims.d_model, c.intermediate_size, c.attention_bias, false)
    }

    fn norms(&self) -> [NormSpec; 4] {
        shared::norms(
            ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"],
            self.0.dims.d_model,
        )
    }
}

impl Architecture for Gemma2 {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn dims(&self) -> &Dims {
        &self.0.dims
    }

    fn embedding(&self) -> Embedding {
        Embedding { tokens: shared::EMBEDDING, positions: None, scale: Some((self.0.dims.d_model as f32).sqrt()) }
    }

    fn unembedding(&self) -> Unembedding {
        shared::unembedding(self.0.tie_word_embeddings, self.0.dims.d_model, self.0.final_logit_softcapping)
    }

    fn layer_tensors(&self, _layer: usize) -> Vec<TensorSpec> {
        parts::tensors(&self.linears(), &self.norms())
    }

    fn attention(&self, layer: usize) -> AttentionParams {
        let c = &self.0;
        AttentionParams {
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            scale: c.query_pre_attn_scalar.powf(-0.5) as f32,
            softcap: c.attn_logit_softcapping,
            window: c.sliding.holds(layer).then_some(c.sliding_window),
        }
    }

    fn rotary_frequencies(&self) -> Vec<Vec<f32>> {
        vec![self.0.rope.frequencies(self.0.head_dim)]
    }

    fn gguf(&self) -> Result<Description, &'static str> {
        let c = &self.0;
        if c.hidden_activation != Activation::GeluTanh {
            return Err("an activation other than gelu_pytorch_tanh");
        }
        let mut d = shared::described(&c.dims, c.intermediate_size, &self.attention(0), c.rms_norm_eps);
        c.rope.describe(&mut d, c.head_dim)?;
        d.count("attention.sliding_window", c.sliding_window);
        shared::describe_softcaps(&mut d, c.attn_logit_softcapping, c.final_logit_softcapping);
        Ok(d)
    }

    fn block(&self, layer: usize, mut w: LayerWeights, compute: &Compute) -> Result<Box<dyn Block>> {
        let mut norm = |spec: NormSpec| spec.rms_unit_offset(&mut w, self.0.rms_norm_eps, compute);
        let [input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm] =
            parts::norms(self.norms(), &mut norm)?;
        Ok(Box::new(Layer {
            input_layernorm,
            post_attention_layernorm,
            pre_feedforward_layernorm,
            post_feedforward_layernorm,
            linears: parts::linears(self.linears(), &mut w, compute)?,
            params: self.attention(layer),
            activation: self.0.hidden_activation,
        }))
    }

    fn final_norm(&self, mut w: LayerWeights, x: Tensor<2>, compute: &Compute) -> Result<Tensor<2>> {
        let norm = shared::final_norm(self.0.dims.d_model);
        Ok(norm.rms_unit_offset(&mut w, self.0.rms_norm_eps, compute)?.forward(x))
    }
}

/// One block.
struct Layer {
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    pre_feedforward_layernorm: RmsNorm,
    post_feedforward_layernorm: RmsNorm,
    /// q, k, v, o, gate, up, down
    linears: [Linear; 7],
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
        let [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj] = &self.linears;
        let rope = &batch.rope[0];
        let h = self.input_layernorm.forward(x.clone());
        let [q, k, v] = Linear::forward_each([q_proj, k_proj, v_proj], h);
        let (q, k) = (rope.apply(q, self.params.heads), rope.apply(k, self.params.kv_heads));
        let mixed = keep_rows(attention(q, k, v, &batch.trie, &self.params, compute), rows.clone());
        let x = self.post_attention_layernorm.add_to(keep_rows(x, rows), o_proj.forward(mixed), compute);

        let h = self.pre_feedforward_layernorm.forward(x.clone());
        let [gate, up] = Linear::forward_each([gate_proj, up_proj], h);
        let h = gated_activation(gate, up, self.activation, compute);
        self.post_feedforward_layernorm.add_to(x, down_proj.forward(h), compute)
    }
}
