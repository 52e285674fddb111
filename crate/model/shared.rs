//! What the Llama-shaped families (Llama, Gemma 2, Gemma 3) have in common: names and shapes of
//! their tensors, and config fields of the same meaning.

use super::architecture::{LayerWeights, TensorSpec, Unembedding};
use super::fields::Fields;
use super::ops::{Activation, AttentionParams, Compute, Linear};
use crate::error::{Error, Result};

/// Prefixes of causal, bare, and multimodal checkpoints.
pub const PREFIXES: &[&str] = &["model.", "", "language_model.model.", "model.language_model."];

/// q, k, v, o.
pub const ATTENTION_LAYERS: [&str; 4] =
    ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"];

/// gate, up, down.
pub const MLP_LAYERS: [&str; 3] = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];

/// Weights `[out, in]` of q, k, v, o, and biases where the config has them.
pub fn attention_tensors(p: &AttentionParams, d_model: usize, bias: [bool; 4]) -> Vec<TensorSpec> {
    let (q, kv) = (p.heads * p.head_dim, p.kv_heads * p.head_dim);
    let shapes = [[q, d_model], [kv, d_model], [kv, d_model], [d_model, q]];
    named(ATTENTION_LAYERS.iter().zip(shapes).zip(bias))
}

/// Weights `[out, in]` of gate, up, down, and biases where the config has them.
pub fn mlp_tensors(d_model: usize, d_mlp: usize, bias: bool) -> Vec<TensorSpec> {
    let shapes = [[d_mlp, d_model], [d_mlp, d_model], [d_model, d_mlp]];
    named(MLP_LAYERS.iter().zip(shapes).zip([bias; 3]))
}

fn named<'a>(layers: impl Iterator<Item = ((&'a &'a str, [usize; 2]), bool)>) -> Vec<TensorSpec> {
    layers
        .flat_map(|((name, shape), bias)| {
            let weight = (format!("{name}.weight"), shape.to_vec());
            std::iter::once(weight).chain(bias.then(|| (format!("{name}.bias"), vec![shape[0]])))
        })
        .collect()
}

/// Builds linear maps from `NAME.weight` and, if it was read, `NAME.bias`.
///
/// # Errors
/// [`Error::Missing`] when a weight was not read.
pub fn linears<const N: usize>(names: [&str; N], w: &mut LayerWeights, compute: &Compute) -> Result<[Linear; N]> {
    let maps = names
        .iter()
        .map(|name| {
            let weight = w.take(&format!("{name}.weight"))?;
            Ok(Linear::out_in(weight, w.take_optional(&format!("{name}.bias")), compute))
        })
        .collect::<Result<Vec<_>>>()?;
    maps.try_into().map_err(|_| Error::missing("a linear map of this layer", "please report this: it is a bug"))
}

/// The unembedding of a Llama-shaped checkpoint: tied, or `lm_head`.
pub fn unembedding(tied: bool, d_model: usize, softcap: Option<f32>) -> Unembedding {
    Unembedding {
        matrix: if tied { "embed_tokens.weight" } else { "lm_head.weight" }.to_owned(),
        norm: vec![("norm.weight".to_owned(), vec![d_model])],
        softcap,
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

/// Which layers slide: `layer_types` where the config lists them, else every layer but each
/// `pattern`-th.
///
/// # Errors
/// [`Error::Unsupported`] for another kind of layer, [`Error::Mismatch`] for a list of another length.
pub fn layer_types(f: &mut Fields, n_layers: usize, pattern: usize) -> Result<Vec<bool>> {
    let pattern = f.optional("sliding_window_pattern")?.or(f.optional("_sliding_window_pattern")?).unwrap_or(pattern);
    let Some(types) = f.optional::<Vec<String>>("layer_types")? else {
        return Ok((1..=n_layers).map(|l| pattern == 0 || l % pattern != 0).collect());
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
        .collect()
}

/// Heads must divide into groups, and rotary embedding needs an even width.
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
    Ok(())
}
