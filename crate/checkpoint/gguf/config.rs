//! GGUF metadata as a Hugging Face config.json.
//!
//! llama.cpp keeps some values in its source rather than in the file; each is marked below with
//! where it stands there (`src/llama-model.cpp`, `src/llama-hparams.h`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::header::MetaValue;
use super::keys::Keys;
use super::names::Architecture;
use super::rope::Scaling;
use crate::error::{Error, Result};

/// What the tensors say that the metadata does not.
pub(super) struct Tensors<'a> {
    /// Rows of the embedding.
    pub(super) vocab_size: usize,
    /// No output matrix: the embedding is used.
    pub(super) tied: bool,
    /// Whether any layer has a bias on its queries.
    pub(super) attention_bias: bool,
    /// Whether any layer has a bias in its MLP.
    pub(super) mlp_bias: bool,
    /// Divisors of the rotary frequencies (`rope_freqs.weight`).
    pub(super) rope_factors: Option<&'a [f32]>,
}

/// The config.json of the model, all keys of the architecture accounted for.
pub(super) fn config(
    arch: Architecture,
    file: &str,
    metadata: &BTreeMap<String, MetaValue>,
    tensors: &Tensors<'_>,
) -> Result<Value> {
    let keys = Keys::new(file, arch.prefix(), metadata);
    // a count of zero experts is a dense model
    for key in ["expert_count", "expert_used_count"] {
        if !matches!(keys.get(key), None | Some(MetaValue::Int(0))) {
            return Err(keys.refuse(format!("a mixture of experts ({}.{key})", arch.prefix())));
        }
    }
    let mut config = match arch {
        Architecture::Llama => llama(&keys, tensors)?,
        Architecture::Gemma2 => gemma2(&keys)?,
        Architecture::Gemma3 => gemma3(&keys)?,
        Architecture::Gpt2 => gpt2(&keys)?,
    };
    keys.refuse_rest()?;
    if arch != Architecture::Llama && tensors.rope_factors.is_some() {
        return Err(keys.refuse("tensor rope_freqs.weight in this architecture"));
    }
    config["vocab_size"] = json!(tensors.vocab_size);
    config["tie_word_embeddings"] = json!(tensors.tied);
    for (name, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("eos_token_id", "tokenizer.ggml.eos_token_id"),
        ("pad_token_id", "tokenizer.ggml.padding_token_id"),
    ] {
        if let Some(MetaValue::Int(id)) = metadata.get(key) {
            config[name] = json!(id);
        }
    }
    Ok(config)
}

/// The sizes that the rotary architectures share.
struct Sizes {
    hidden: usize,
    layers: usize,
    heads: usize,
    head_dim: usize,
}

/// Sizes, as fields of a config and as numbers.
fn sizes(keys: &Keys<'_>, model_type: &str) -> Result<(Value, Sizes)> {
    let hidden = keys.need_count("embedding_length")?;
    let layers = keys.need_count("block_count")?;
    let heads = keys.need_count("attention.head_count")?;
    let kv_heads = keys.count("attention.head_count_kv")?.unwrap_or(heads);
    if heads % kv_heads != 0 {
        return Err(Error::malformed(
            keys.file(),
            format!("metadata {}.attention.head_count_kv", keys.prefix()),
            format!("a divisor of the {heads} heads"),
            kv_heads.to_string(),
            "the file was made by an old or broken converter; fetch another",
        ));
    }
    let rotary = keys.count("rope.dimension_count")?;
    let head_dim = match keys.count("attention.key_length")? {
        Some(length) => length,
        None if hidden.is_multiple_of(heads) => hidden / heads,
        None => return Err(keys.missing("attention.key_length")),
    };
    if keys.count("attention.value_length")?.is_some_and(|length| length != head_dim) {
        return Err(keys.refuse("attention.value_length other than attention.key_length"));
    }
    if rotary.is_some_and(|rotary| rotary != head_dim) {
        return Err(keys.refuse("rope.dimension_count other than the head's size (partly rotary heads)"));
    }
    // general words about the file; vocab_size is counted from the embedding instead
    keys.harmless(&["vocab_size"]);
    let mut config = json!({
        "model_type": model_type,
        "hidden_size": hidden,
        "intermediate_size": keys.need_count("feed_forward_length")?,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "rms_norm_eps": keys.need_positive("attention.layer_norm_rms_epsilon")?,
        "attention_bias": false,
    });
    if let Some(length) = keys.count("context_length")? {
        config["max_position_embeddings"] = json!(length);
    }
    Ok((config, Sizes { hidden, layers, heads, head_dim }))
}

fn llama(keys: &Keys<'_>, tensors: &Tensors<'_>) -> Result<Value> {
    let (mut config, sizes) = sizes(keys, "llama")?;
    // llama.cpp's default where the file has none
    let theta = keys.positive("rope.freq_base")?.unwrap_or(10_000.0);
    config["hidden_act"] = json!("silu");
    config["attention_bias"] = json!(tensors.attention_bias);
    config["mlp_bias"] = json!(tensors.mlp_bias);
    config["rope_theta"] = json!(theta);
    config["rope_scaling"] = Scaling::read(keys, theta, sizes.head_dim, tensors.rope_factors)?.json();
    Ok(config)
}

fn gemma2(keys: &Keys<'_>) -> Result<Value> {
    let (mut config, sizes) = sizes(keys, "gemma2")?;
    config["hidden_activation"] = json!("gelu_pytorch_tanh");
    // llama.cpp's defaults where the file has none: 10000, 4096, 50, 30
    let theta = keys.positive("rope.freq_base")?.unwrap_or(10_000.0);
    config["rope_theta"] = json!(theta);
    if Scaling::read(keys, theta, sizes.head_dim, None)? != Scaling::None {
        return Err(keys.refuse("rope scaling in Gemma 2"));
    }
    config["sliding_window"] = json!(keys.count("attention.sliding_window")?.unwrap_or(4096));
    config["attn_logit_softcapping"] = json!(keys.positive("attn_logit_softcapping")?.unwrap_or(50.0));
    config["final_logit_softcapping"] = json!(keys.positive("final_logit_softcapping")?.unwrap_or(30.0));
    // llama.cpp: 46 layers make it the 27B, which scales by hidden / heads instead of the head's size
    config["query_pre_attn_scalar"] =
        json!(if sizes.layers == 46 { sizes.hidden / sizes.heads } else { sizes.head_dim });
    // llama.cpp: every second layer is global, beginning with a local one
    config["sliding_window_pattern"] = json!(2);
    Ok(config)
}

fn gemma3(keys: &Keys<'_>) -> Result<Value> {
    let (mut config, sizes) = sizes(keys, "gemma3_text")?;
    config["hidden_activation"] = json!("gelu_pytorch_tanh");
    let theta = keys.need_positive("rope.freq_base")?;
    config["rope_theta"] = json!(theta);
    // applies to the global layers only, as in Hugging Face
    config["rope_scaling"] = Scaling::read(keys, theta, sizes.head_dim, None)?.json();
    // llama.cpp: the local layers' base is 10000 unless the (newer) key says otherwise
    config["rope_local_base_freq"] = json!(keys.positive("rope.freq_base_swa")?.unwrap_or(10_000.0));
    // Gemma 3 has none; llama.cpp takes them if they are there
    config["attn_logit_softcapping"] = json!(keys.positive("attn_logit_softcapping")?);
    config["final_logit_softcapping"] = json!(keys.positive("final_logit_softcapping")?);
    // llama.cpp: 62 layers make it the 27B, which scales by hidden / heads instead of the head's size
    config["query_pre_attn_scalar"] =
        json!(if sizes.layers == 62 { sizes.hidden / sizes.heads } else { sizes.head_dim });
    let window = keys.count("attention.sliding_window")?;
    let pattern = keys.get("attention.sliding_window_pattern");
    // each so-many-th layer is global; nothing here may be as long as the layers are said to be many
    match (window, pattern) {
        // llama.cpp: no window, no local layers
        (None, _) => config["sliding_window_pattern"] = json!(1),
        // llama.cpp: every sixth layer is global
        (Some(_), None) => config["sliding_window_pattern"] = json!(6),
        (Some(_), Some(MetaValue::Int(n @ 1..=1024))) => config["sliding_window_pattern"] = json!(n),
        (Some(_), Some(MetaValue::Bools(local))) if local.len() == sizes.layers => {
            let kind = |local: &bool| if *local { "sliding_attention" } else { "full_attention" };
            config["layer_types"] = local.iter().map(kind).collect();
        }
        (Some(_), Some(other)) => {
            return keys.wrong("attention.sliding_window_pattern", "a period, or a flag for every layer", other);
        }
    }
    if let Some(window) = window {
        config["sliding_window"] = json!(window);
    }
    Ok(config)
}

fn gpt2(keys: &Keys<'_>) -> Result<Value> {
    let hidden = keys.need_count("embedding_length")?;
    let heads = keys.need_count("attention.head_count")?;
    if keys.count("attention.head_count_kv")?.is_some_and(|kv| kv != heads) {
        return Err(keys.refuse("grouped key and value heads in GPT-2"));
    }
    keys.harmless(&["vocab_size"]);
    Ok(json!({
        "model_type": "gpt2",
        "n_embd": hidden,
        "n_inner": keys.need_count("feed_forward_length")?,
        "n_layer": keys.need_count("block_count")?,
        "n_head": heads,
        "n_positions": keys.need_count("context_length")?,
        "layer_norm_epsilon": keys.need_positive("attention.layer_norm_epsilon")?,
        // llama.cpp: LLM_FFN_GELU, the tanh form that GPT-2 was trained with
        "activation_function": "gelu_new",
    }))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
