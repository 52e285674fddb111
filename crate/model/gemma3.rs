//! Gemma 3, the text model (Gemma Team 2025; transformers `modeling_gemma3.py`).
//!
//! Like Gemma 2, but queries and keys are RMS-normed per head instead of soft-capped, five sliding
//! layers come to one global one, and the two kinds have rotary tables of their own.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use serde_json::json;

use super::architecture::{
    Architecture, BatchContext, Block, Dims, Embedding, Family, LayerWeights, TensorSpec, Unembedding, keep_rows,
};
use super::ops::{Activation, AttentionParams, Compute, Linear, RmsNorm, RopeScaling, attention, gated_activation};
use super::parts::{self, LinearSpec, NormSpec};
use super::rope_config::{Rope, refuse_both};
use super::shared::{self, Sliding, layer_types};
use crate::checkpoint::gguf::{Description, MetaValue};
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
    /// Rotary table of the global layers.
    pub global_rope: Rope,
    /// Rotary table of the sliding layers.
    pub local_rope: Rope,
    /// Attention scores are scaled by its inverse square root.
    pub query_pre_attn_scalar: f64,
    /// Window of the sliding layers.
    pub sliding_window: usize,
    /// Which layers slide.
    pub sliding: Sliding,
    /// Soft cap of the final logits.
    pub final_logit_softcapping: Option<f32>,
    /// Biases on q, k, v, o.
    pub attention_bias: bool,
    /// Unembedding is the embedding.
    pub tie_word_embeddings: bool,
}

impl Config {
    /// Reads the text part of a config.json.
    ///
    /// # Errors
    /// Missing, mistyped or unknown fields, by name.
    pub fn read(mut f: Fields) -> Result<Self> {
        let n_layers = f.required("num_hidden_layers")?;
        let (global_rope, local_rope) = ropes(&mut f)?;
        let config = Self {
            dims: Dims {
                d_model: f.required("hidden_size")?,
                n_layers,
                vocab_size: f.or("vocab_size", 262_208)?,
                max_positions: f.or("max_position_embeddings", 131_072)?,
            },
            intermediate_size: f.required("intermediate_size")?,
            num_attention_heads: f.or("num_attention_heads", 8)?,
            num_key_value_heads: f.or("num_key_value_heads", 4)?,
            head_dim: f.or("head_dim", 256)?,
            hidden_activation: shared::activation(&mut f, "gelu_pytorch_tanh")?,
            rms_norm_eps: f.or("rms_norm_eps", 1e-6)?,
            global_rope,
            local_rope,
            query_pre_attn_scalar: f.or("query_pre_attn_scalar", 256.0)?,
            sliding_window: shared::window(&mut f)?,
            sliding: layer_types(&mut f, n_layers, 6)?,
            final_logit_softcapping: f.optional("final_logit_softcapping")?,
            attention_bias: f.or("attention_bias", false)?,
            tie_word_embeddings: f.or("tie_word_embeddings", true)?,
        };
        f.only("use_bidirectional_attention", json!(false))?;
        // transformers' forward pass never reads it for this family, so a set value has no reference
        f.only("attn_logit_softcapping", json!(null))?;
        shared::check_heads(f.file(), config.num_attention_heads, config.num_key_value_heads, config.head_dim)?;
        f.finish()?;
        Ok(config)
    }
}

/// Global and local rotary settings, in the hub's or transformers 5's spelling.
fn ropes(f: &mut Fields) -> Result<(Rope, Rope)> {
    let global_theta = f.or("rope_theta", 1e6)?;
    let local_theta = f.or("rope_local_base_freq", 1e4)?;
    refuse_both(f)?;
    let old = f.object("rope_scaling")?;
    let (mut global, mut local) = (Rope::plain(global_theta), Rope::plain(local_theta));
    if let Some(mut parameters) = f.object("rope_parameters")? {
        if let Some(p) = parameters.object("full_attention")? {
            global = Rope::from_parameters(p, global_theta)?;
        }
        if let Some(p) = parameters.object("sliding_attention")? {
            local = Rope::from_parameters(p, local_theta)?;
        }
        parameters.finish()?;
    } else if let Some(p) = old {
        global = Rope::from_parameters(p, global_theta)?;
    }
    Ok((global, local))
}

/// What is true of the whole family.
pub static FAMILY: Family = Family {
    name: "gemma3_text",
    gguf: "gemma3",
    multimodal: Some("gemma3"),
    bos: Some("<bos>"),
    centred_residual: false,
    prefixes: shared::PREFIXES,
    blocks: "layers",
    read: |fields| Ok(Arc::new(Gemma3(Config::read(fields)?))),
};

/// A model of the family: its config.
#[derive(Debug, Clone)]
pub struct Gemma3(pub Config);

impl Gemma3 {
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

    fn head_norms(&self) -> [NormSpec; 2] {
        shared::norms(["self_attn.q_norm", "self_attn.k_norm"], self.0.head_dim)
    }
}

impl Architecture for Gemma3 {
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
        parts::tensors(&self.linears(), &[&self.norms()[..], &self.head_norms()].concat())
    }

    fn attention(&self, layer: usize) -> AttentionParams {
        let c = &self.0;
        AttentionParams {
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            scale: c.query_pre_attn_scalar.powf(-0.5) as f32,
            softcap: None,
            window: c.sliding.holds(layer).then_some(c.sliding_window),
        }
    }

    fn rotary_frequencies(&self) -> Vec<Vec<f32>> {
        let c = &self.0;
        vec![c.global_rope.frequencies(c.head_dim), c.local_rope.frequencies(c.head_dim)]
    }

    fn gguf(&self) -> Result<Description, &'static str> {
        let c = &self.0;
        if c.hidden_activation != Activation::GeluTanh {
            return Err("an activation other than gelu_pytorch_tanh");
        }
        if c.local_rope.scaling != RopeScaling::None {
            return Err("scaled rotary frequencies of the sliding layers");
        }
        let mut d = shared::described(&c.dims, c.intermediate_size, &self.attention(0), c.rms_norm_eps);
        c.global_rope.describe(&mut d, c.head_dim)?;
        d.number("rope.freq_base_swa", c.local_rope.theta);
        shared::describe_softcaps(&mut d, None, c.final_logit_softcapping);
        let slides: Vec<bool> = (0..c.dims.n_layers).map(|layer| c.sliding.holds(layer)).collect();
        // without a window no layer slides
        if slides.contains(&true) {
            d.count("attention.sliding_window", c.sliding_window);
            d.own.push(("attention.sliding_window_pattern", MetaValue::Bools(slides)));
        }
        Ok(d)
    }

    fn block(&self, layer: usize, mut w: LayerWeights, compute: &Compute) -> Result<Box<dyn Block>> {
        let mut norm = |spec: NormSpec| spec.rms_unit_offset(&mut w, self.0.rms_norm_eps, compute);
        let [input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm] =
            parts::norms(self.norms(), &mut norm)?;
        let [q_norm, k_norm] = parts::norms(self.head_norms(), &mut norm)?;
        Ok(Box::new(Layer {
            input_layernorm,
            post_attention_layernorm,
            pre_feedforward_layernorm,
            post_feedforward_layernorm,
            q_norm,
            k_norm,
            linears: parts::linears(self.linears(), &mut w, compute)?,
            params: self.attention(layer),
            rope: usize::from(self.0.sliding.holds(layer)),
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
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    /// q, k, v, o, gate, up, down
    linears: [Linear; 7],
    params: AttentionParams,
    /// index into the batch's rotary tables
    rope: usize,
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
        let (heads, kv_heads) = (self.params.heads, self.params.kv_heads);
        let rope = &batch.rope[self.rope];
        let h = self.input_layernorm.forward(x.clone());
        let [q, k, v] = Linear::forward_each([q_proj, k_proj, v_proj], h);
        let q = rope.apply(self.q_norm.forward_heads(q, heads), heads);
        let k = rope.apply(self.k_norm.forward_heads(k, kv_heads), kv_heads);
        let mixed = keep_rows(attention(q, k, v, &batch.trie, &self.params, compute), rows.clone());
        let x = self.post_attention_layernorm.add_to(keep_rows(x, rows), o_proj.forward(mixed), compute);

        let h = self.pre_feedforward_layernorm.forward(x.clone());
        let [gate, up] = Linear::forward_each([gate_proj, up_proj], h);
        let h = gated_activation(gate, up, self.activation, compute);
        self.post_feedforward_layernorm.add_to(x, down_proj.forward(h), compute)
    }
}
