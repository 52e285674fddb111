//! Llama-style models: Llama 2 and 3, SmolLM2 (Touvron et al. 2023; transformers
//! `modeling_llama.py`).
//!
//! RMS norms before attention and MLP, rotary positions, grouped-query attention, gated SiLU MLP.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};

use super::architecture::{
    Architecture, BatchContext, Block, Dims, Embedding, Family, LayerWeights, TensorSpec, Unembedding, keep_rows,
};
use super::ops::{Activation, AttentionParams, Compute, Linear, RmsNorm, attention, gated_activation, residual_add};
use super::parts::{self, LinearSpec, NormSpec};
use super::rope_config::Rope;
use super::shared;
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
    pub hidden_act: Activation,
    /// ε of the norms.
    pub rms_norm_eps: f64,
    /// Rotary table.
    pub rope: Rope,
    /// Biases on q, k, v, o.
    pub attention_bias: bool,
    /// Biases on gate, up, down.
    pub mlp_bias: bool,
    /// Unembedding is the embedding.
    pub tie_word_embeddings: bool,
}

impl Config {
    /// Reads a config.json.
    ///
    /// # Errors
    /// Missing, mistyped or unknown fields, by name.
    pub fn read(mut f: Fields) -> Result<Self> {
        let d_model: usize = f.required("hidden_size")?;
        let heads: usize = f.required("num_attention_heads")?;
        let config = Self {
            dims: Dims {
                d_model,
                n_layers: f.required("num_hidden_layers")?,
                vocab_size: f.required("vocab_size")?,
                max_positions: f.or("max_position_embeddings", 2048)?,
            },
            intermediate_size: f.required("intermediate_size")?,
            num_attention_heads: heads,
            num_key_value_heads: f.or("num_key_value_heads", heads)?,
            head_dim: f.or("head_dim", d_model / heads.max(1))?,
            hidden_act: shared::activation(&mut f, "silu")?,
            rms_norm_eps: f.or("rms_norm_eps", 1e-6)?,
            rope: Rope::read(&mut f, 10_000.0)?,
            attention_bias: f.or("attention_bias", false)?,
            mlp_bias: f.or("mlp_bias", false)?,
            tie_word_embeddings: f.or("tie_word_embeddings", false)?,
        };
        // pretraining_tp splits the matmuls of the original training and changes no result;
        // is_llama_config and rope_interleaved are leftovers of SmolLM2's conversion
        f.harmless(&["pretraining_tp", "is_llama_config"]);
        f.only("rope_interleaved", serde_json::json!(false))?;
        shared::check_heads(f.file(), config.num_attention_heads, config.num_key_value_heads, config.head_dim)?;
        f.finish()?;
        Ok(config)
    }
}

/// What is true of the whole family.
pub static FAMILY: Family = Family {
    name: "llama",
    gguf: "llama",
    multimodal: None,
    bos: None,
    centred_residual: false,
    prefixes: shared::PREFIXES,
    blocks: "layers",
    read: |fields| Ok(Arc::new(Llama(Config::read(fields)?))),
};

/// A model of the family: its config.
#[derive(Debug, Clone)]
pub struct Llama(pub Config);

impl Llama {
    fn linears(&self) -> [LinearSpec; 7] {
        let c = &self.0;
        shared::linears(&self.attention(0), c.dims.d_model, c.intermediate_size, c.attention_bias, c.mlp_bias)
    }

    fn norms(&self) -> [NormSpec; 2] {
        shared::norms(["input_layernorm", "post_attention_layernorm"], self.0.dims.d_model)
    }
}

impl Architecture for Llama {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn dims(&self) -> &Dims {
        &self.0.dims
    }

    fn embedding(&self) -> Embedding {
        Embedding { tokens: shared::EMBEDDING, positions: None, scale: None }
    }

    fn unembedding(&self) -> Unembedding {
        shared::unembedding(self.0.tie_word_embeddings, self.0.dims.d_model, None)
    }

    fn layer_tensors(&self, _layer: usize) -> Vec<TensorSpec> {
        parts::tensors(&self.linears(), &self.norms())
    }

    fn attention(&self, _layer: usize) -> AttentionParams {
        let c = &self.0;
        AttentionParams {
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            scale: (c.head_dim as f64).powf(-0.5) as f32,
            softcap: None,
            window: None,
        }
    }

    fn rotary_frequencies(&self) -> Vec<Vec<f32>> {
        vec![self.0.rope.frequencies(self.0.head_dim)]
    }

    fn gguf(&self) -> Result<Description, &'static str> {
        let c = &self.0;
        if c.hidden_act != Activation::Silu {
            return Err("an activation other than silu");
        }
        let mut d = shared::described(&c.dims, c.intermediate_size, &self.attention(0), c.rms_norm_eps);
        c.rope.describe(&mut d, c.head_dim)?;
        Ok(d)
    }

    fn block(&self, layer: usize, mut w: LayerWeights, compute: &Compute) -> Result<Box<dyn Block>> {
        let mut norm = |spec: NormSpec| spec.rms(&mut w, self.0.rms_norm_eps, compute);
        let [input_layernorm, post_attention_layernorm] = parts::norms(self.norms(), &mut norm)?;
        Ok(Box::new(Layer {
            input_layernorm,
            post_attention_layernorm,
            linears: parts::linears(self.linears(), &mut w, compute)?,
            params: self.attention(layer),
            activation: self.0.hidden_act,
        }))
    }

    fn final_norm(&self, mut w: LayerWeights, x: Tensor<2>, compute: &Compute) -> Result<Tensor<2>> {
        let norm = shared::final_norm(self.0.dims.d_model);
        Ok(norm.rms(&mut w, self.0.rms_norm_eps, compute)?.forward(x))
    }
}

/// One block.
struct Layer {
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
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
        let x = residual_add(keep_rows(x, rows), o_proj.forward(mixed), compute);

        let h = self.post_attention_layernorm.forward(x.clone());
        let [gate, up] = Linear::forward_each([gate_proj, up_proj], h);
        let h = gated_activation(gate, up, self.activation, compute);
        residual_add(x, down_proj.forward(h), compute)
    }
}
