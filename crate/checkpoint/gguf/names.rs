//! From llama.cpp's tensor names and layout to those of Hugging Face.
//!
//! The inverse of llama.cpp's `convert_hf_to_gguf.py`.

use super::super::layout::Transform;

/// The architectures whose tensors are presented under Hugging Face names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    Llama,
    Gemma2,
    Gemma3,
    Gpt2,
}

impl Architecture {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "llama" => Self::Llama,
            "gemma2" => Self::Gemma2,
            "gemma3" => Self::Gemma3,
            "gpt2" => Self::Gpt2,
            _ => return None,
        })
    }

    /// Prefix of this architecture's metadata keys.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3",
            Self::Gpt2 => "gpt2",
        }
    }
}

/// What is undone on reading; heads are counted by the caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Undo {
    Nothing,
    /// Norm weights were stored with the 1 of Gemma's `1 + w` already added.
    PlusOne,
    QueryRows,
    KeyRows,
    Transpose,
}

/// Where a tensor goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// Presented under this name.
    Named(String, Undo),
    /// Not a weight: made again from the configuration.
    Derived,
    /// Not part of what this architecture computes here.
    Unknown,
    /// Of a block past the last.
    Beyond,
}

/// Where the tensor `name` of a model with `layers` layers goes.
pub(super) fn place(arch: Architecture, name: &str, layers: u64) -> Place {
    let gpt2 = arch == Architecture::Gpt2;
    if let Some(rest) = name.strip_prefix("blk.") {
        let Some((layer, part)) = rest.split_once('.') else { return Place::Unknown };
        // llama.cpp writes plain decimals: no sign, no leading zero
        let Some(layer) = layer.parse::<u64>().ok().filter(|l| l.to_string() == layer) else {
            return Place::Unknown;
        };
        if layer >= layers {
            return Place::Beyond;
        }
        if part == "attn_rot_embd.weight" {
            return Place::Derived;
        }
        let Some((part, kind)) = part.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias")) else {
            return Place::Unknown;
        };
        let Some((part, undo)) = in_layer(arch, part, kind == "bias") else { return Place::Unknown };
        let stem = if gpt2 { "transformer.h" } else { "model.layers" };
        return Place::Named(format!("{stem}.{layer}.{part}.{kind}"), undo);
    }
    let norm = if matches!(arch, Architecture::Gemma2 | Architecture::Gemma3) { Undo::PlusOne } else { Undo::Nothing };
    let (name, undo) = match (name, gpt2) {
        ("rope_freqs.weight" | "rot_embd.weight", _) => return Place::Derived,
        ("output.weight", _) => ("lm_head.weight", Undo::Nothing),
        ("token_embd.weight", false) => ("model.embed_tokens.weight", Undo::Nothing),
        ("output_norm.weight", false) => ("model.norm.weight", norm),
        ("token_embd.weight", true) => ("transformer.wte.weight", Undo::Nothing),
        ("position_embd.weight", true) => ("transformer.wpe.weight", Undo::Nothing),
        ("output_norm.weight", true) => ("transformer.ln_f.weight", Undo::Nothing),
        ("output_norm.bias", true) => ("transformer.ln_f.bias", Undo::Nothing),
        _ => return Place::Unknown,
    };
    Place::Named(name.to_owned(), undo)
}

/// The parts of a layer, of all architectures.
const PARTS: [&str; 14] = [
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",
    "attn_q_norm",
    "attn_k_norm",
    "attn_output",
    "post_attention_norm",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "post_ffw_norm",
];

/// The tensors outside the layers.
const OUTER: [&str; 5] =
    ["token_embd.weight", "position_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight"];

/// The inverse of [`place`]: what the tensor of this Hugging Face name is called in a file.
pub(super) fn stored(arch: Architecture, name: &str, layers: u64) -> Option<(String, Undo)> {
    let stem = if arch == Architecture::Gpt2 { "transformer.h." } else { "model.layers." };
    let layer = name.strip_prefix(stem).and_then(|rest| rest.split('.').next());
    let outer = OUTER.into_iter().map(str::to_owned);
    let inner = layer.into_iter().flat_map(|layer| {
        let kinds = move |part: &'static str| ["weight", "bias"].map(|kind| format!("blk.{layer}.{part}.{kind}"));
        PARTS.into_iter().flat_map(kinds)
    });
    inner.chain(outer).find_map(|candidate| match place(arch, &candidate, layers) {
        Place::Named(found, undo) if found == name => Some((candidate, undo)),
        _ => None,
    })
}

/// The Hugging Face name of a part of a layer.
fn in_layer(arch: Architecture, part: &str, bias: bool) -> Option<(&'static str, Undo)> {
    use Architecture::{Gemma2, Gemma3, Gpt2, Llama};
    let conv = if bias { Undo::Nothing } else { Undo::Transpose };
    let gemma = matches!(arch, Gemma2 | Gemma3);
    // only Llama and GPT-2 have biases
    if bias && gemma {
        return None;
    }
    Some(match (arch, part) {
        (Gpt2, "attn_norm") => ("ln_1", Undo::Nothing),
        (Gpt2, "attn_qkv") => ("attn.c_attn", conv),
        (Gpt2, "attn_output") => ("attn.c_proj", conv),
        (Gpt2, "ffn_norm") => ("ln_2", Undo::Nothing),
        (Gpt2, "ffn_up") => ("mlp.c_fc", conv),
        (Gpt2, "ffn_down") => ("mlp.c_proj", conv),
        (Gpt2, _) => return None,
        (Llama, "attn_q") => ("self_attn.q_proj", Undo::QueryRows),
        (Llama, "attn_k") => ("self_attn.k_proj", Undo::KeyRows),
        (_, "attn_q") => ("self_attn.q_proj", Undo::Nothing),
        (_, "attn_k") => ("self_attn.k_proj", Undo::Nothing),
        (_, "attn_v") => ("self_attn.v_proj", Undo::Nothing),
        (_, "attn_output") => ("self_attn.o_proj", Undo::Nothing),
        (_, "ffn_gate") => ("mlp.gate_proj", Undo::Nothing),
        (_, "ffn_up") => ("mlp.up_proj", Undo::Nothing),
        (_, "ffn_down") => ("mlp.down_proj", Undo::Nothing),
        (Llama, "attn_norm") if !bias => ("input_layernorm", Undo::Nothing),
        (Llama, "ffn_norm") if !bias => ("post_attention_layernorm", Undo::Nothing),
        (Gemma2 | Gemma3, "attn_norm") => ("input_layernorm", Undo::PlusOne),
        (Gemma2 | Gemma3, "post_attention_norm") => ("post_attention_layernorm", Undo::PlusOne),
        (Gemma2 | Gemma3, "ffn_norm") => ("pre_feedforward_layernorm", Undo::PlusOne),
        (Gemma2 | Gemma3, "post_ffw_norm") => ("post_feedforward_layernorm", Undo::PlusOne),
        (Gemma3, "attn_q_norm") => ("self_attn.q_norm", Undo::PlusOne),
        (Gemma3, "attn_k_norm") => ("self_attn.k_norm", Undo::PlusOne),
        _ => return None,
    })
}

/// The transform for a tensor of `rows` rows; `None` when the rows are not whole heads.
pub(super) fn transform(undo: Undo, rows: usize, query_heads: usize, key_heads: usize) -> Option<Transform> {
    let heads = match undo {
        Undo::Nothing => return Some(Transform::None),
        Undo::PlusOne => return Some(Transform::Add(-1.0)),
        Undo::Transpose => return Some(Transform::Transpose),
        Undo::QueryRows => query_heads,
        Undo::KeyRows => key_heads,
    };
    let head = rows.checked_div(heads)?;
    (head * heads == rows && head > 0 && head.is_multiple_of(2)).then_some(Transform::HeadRows { head })
}
