//! What the Llama-shaped families (Llama, Gemma 2, Gemma 3) have in common: names and shapes of
//! their tensors, and config fields of the same meaning.

use super::architecture::{Dims, Unembedding};
use super::ops::{Activation, AttentionParams, Order};
use super::parts::{LinearSpec, NormSpec};
use crate::checkpoint::gguf::Description;
use crate::error::{Error, Result};
use crate::json::Fields;

/// Prefixes of causal, bare, and multimodal checkpoints.
pub const PREFIXES: &[&str] = &["model.", "", "language_model.model.", "model.language_model."];

/// Name of the token embedding.
pub const EMBEDDING: &str = "embed_tokens.weight";

/// q, k, v, o, gate, up, down.
pub fn linears(
    p: &AttentionParams,
    d_model: usize,
    d_mlp: usize,
    attention_bias: bool,
    mlp_bias: bool,
) -> [LinearSpec; 7] {
    let (q, kv) = (p.heads * p.head_dim, p.kv_heads * p.head_dim);
    [
        ("self_attn.q_proj", d_model, q, attention_bias),
        ("self_attn.k_proj", d_model, kv, attention_bias),
        ("self_attn.v_proj", d_model, kv, attention_bias),
        ("self_attn.o_proj", q, d_model, attention_bias),
        ("mlp.gate_proj", d_model, d_mlp, mlp_bias),
        ("mlp.up_proj", d_model, d_mlp, mlp_bias),
        ("mlp.down_proj", d_mlp, d_model, mlp_bias),
    ]
    .map(|(name, d_in, d_out, bias)| LinearSpec { name, order: Order::OutIn, d_in, d_out, bias })
}

/// RMS norms of one width.
pub fn norms<const N: usize>(names: [&'static str; N], width: usize) -> [NormSpec; N] {
    names.map(|name| NormSpec { name, width, bias: false })
}

/// The norm before the unembedding.
pub fn final_norm(d_model: usize) -> NormSpec {
    NormSpec { name: "norm", width: d_model, bias: false }
}

/// The unembedding of a Llama-shaped checkpoint: tied, or `lm_head`.
pub fn unembedding(tied: bool, d_model: usize, softcap: Option<f32>) -> Unembedding {
    Unembedding { matrix: (!tied).then_some("lm_head.weight"), norm: final_norm(d_model).tensors().collect(), softcap }
}

/// What a GGUF file says of the sizes and norms of such a model.
pub fn described(dims: &Dims, d_mlp: usize, attention: &AttentionParams, eps: f64) -> Description {
    let mut d = Description::default();
    d.count("block_count", dims.n_layers);
    d.count("context_length", dims.max_positions);
    d.count("embedding_length", dims.d_model);
    d.count("feed_forward_length", d_mlp);
    d.count("vocab_size", dims.vocab_size);
    d.count("attention.head_count", attention.heads);
    d.count("attention.head_count_kv", attention.kv_heads);
    d.count("attention.key_length", attention.head_dim);
    d.count("attention.value_length", attention.head_dim);
    d.number("attention.layer_norm_rms_epsilon", eps);
    d
}

/// Its soft caps, where it has any.
pub fn describe_softcaps(d: &mut Description, attention: Option<f32>, logits: Option<f32>) {
    // their shortest decimals, as a config has them
    let caps = [("attn_logit_softcapping", attention), ("final_logit_softcapping", logits)];
    for (key, cap) in caps.into_iter().filter_map(|(key, cap)| Some((key, cap?))) {
        d.number(key, cap.to_string().parse().unwrap_or(f64::from(cap)));
    }
}

/// `hidden_activation` (Gemma) or `hidden_act`; Gemma's own field wins, as in transformers.
///
/// # Errors
/// [`Error::Unsupported`] for an activation this program does not compute.
pub fn activation(f: &mut Fields, default: &str) -> Result<Activation> {
    let old: Option<String> = f.optional("hidden_act")?;
    let new: Option<String> = f.optional("hidden_activation")?;
    let name = new.or(old).unwrap_or_else(|| default.to_owned());
    Activation::from_name(&name).ok_or_else(|| {
        Error::unsupported(
            format!("{}: activation \"{name}\"", f.file()),
            "known: gelu, gelu_pytorch_tanh, gelu_new, silu, relu",
        )
    })
}

/// Which layers see a window only.
#[derive(Debug, Clone, PartialEq)]
pub enum Sliding {
    /// Those that the config lists as such.
    Listed(Vec<bool>),
    /// All but each so-many-th; 0: all.
    AllBut(usize),
}

impl Sliding {
    /// Whether block `layer` does.
    pub fn holds(&self, layer: usize) -> bool {
        match self {
            Self::Listed(list) => list.get(layer).copied().unwrap_or(false),
            Self::AllBut(pattern) => *pattern == 0 || layer % pattern != pattern - 1,
        }
    }
}

/// Which layers slide: `layer_types` where the config lists them, else every layer but each
/// `pattern`-th.
///
/// # Errors
/// [`Error::Unsupported`] for another kind of layer, [`Error::Mismatch`] for a list of another length.
pub fn layer_types(f: &mut Fields, n_layers: usize, pattern: usize) -> Result<Sliding> {
    let pattern = f.optional("sliding_window_pattern")?.or(f.optional("_sliding_window_pattern")?).unwrap_or(pattern);
    let Some(types) = f.optional::<Vec<String>>("layer_types")? else {
        return Ok(Sliding::AllBut(pattern));
    };
    if types.len() != n_layers {
        return Err(Error::mismatch(
            format!("{}: layer_types", f.file()),
            format!("{n_layers} entries (num_hidden_layers)"),
            types.len().to_string(),
            "check the config",
        ));
    }
    types
        .iter()
        .map(|t| match t.as_str() {
            "sliding_attention" => Ok(true),
            "full_attention" => Ok(false),
            other => Err(Error::unsupported(
                format!("{}: layer type \"{other}\"", f.file()),
                "known: sliding_attention, full_attention",
            )),
        })
        .collect::<Result<_>>()
        .map(Sliding::Listed)
}

/// The width of a window; one of 0 would hide a token from itself.
///
/// # Errors
/// [`Error::Mismatch`] for 0.
pub fn window(f: &mut Fields) -> Result<usize> {
    match f.or("sliding_window", 4096)? {
        0 => Err(Error::mismatch(format!("{}: sliding_window", f.file()), "at least 1", "0", "check the config")),
        window => Ok(window),
    }
}

/// Heads must divide into groups, rotary embedding needs an even width, and all heads together have to be
/// a width that can be counted.
///
/// # Errors
/// [`Error::Mismatch`] naming the field.
pub fn check_heads(file: &str, heads: usize, kv_heads: usize, head_dim: usize) -> Result<()> {
    if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(Error::mismatch(
            format!("{file}: num_attention_heads"),
            format!("a multiple of num_key_value_heads = {kv_heads}"),
            heads.to_string(),
            "check the config",
        ));
    }
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        return Err(Error::mismatch(
            format!("{file}: head_dim"),
            "an even number",
            head_dim.to_string(),
            "check the config",
        ));
    }
    // the query heads are at least as many as the others
    if heads.checked_mul(head_dim).is_none() {
        return Err(Error::mismatch(
            format!("{file}: num_attention_heads times head_dim"),
            "a width that a model can have",
            format!("{heads} times {head_dim}"),
            "check the config",
        ));
    }
    Ok(())
}
