//! Models of a real one's shape with random weights, for speed and memory: written as an ordinary
//! Hugging Face folder in BF16 with SAELens folders beside it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::bf16;
use rand_chacha::rand_core::RngCore;
use serde_json::{Map, Value, json};

use super::args::ShapeArg;
use super::{inputs, say};
use crate::engine;
use crate::error::{Error, Result};
use crate::model::fields::fields;
use crate::model::gemma2::{Config, Gemma2};
use crate::model::ops::Compute;
use crate::model::{Architecture, Model, TensorSpec};
use crate::platform;
use crate::random::{Stream, seeded};

/// Upper quantile of the normal distribution that leaves 71 of 16,384 features active: the L0 of
/// the canonical SAE of layer 20.
const ACTIVE_Z: f64 = 2.63;

/// Sizes of a random Gemma 2.
struct Shape {
    d_model: usize,
    d_mlp: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab: usize,
    sae_layers: [usize; 3],
    d_sae: usize,
}

/// Writes the folder: `config.json`, `tokenizer.json`, `model.safetensors`, and an SAE
/// folder per layer, `sae_LAYER`.
///
/// # Errors
/// Writing errors.
pub async fn write(folder: &Path, shape: ShapeArg, tokenizer: &[u8], vocab: usize) -> Result<()> {
    let s = match shape {
        ShapeArg::Gemma2_2b => Shape {
            d_model: 2304,
            d_mlp: 9216,
            layers: 26,
            heads: 8,
            kv_heads: 4,
            head_dim: 256,
            vocab: 256_000,
            sae_layers: [5, 12, 20],
            d_sae: 16_384,
        },
        ShapeArg::Tiny => Shape {
            d_model: 64,
            d_mlp: 256,
            layers: 4,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            vocab: vocab + 8,
            sae_layers: [1, 2, 3],
            d_sae: 512,
        },
    };
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let config = json!({
        "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "torch_dtype": "bfloat16",
        "hidden_size": s.d_model, "intermediate_size": s.d_mlp, "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim,
        "vocab_size": s.vocab, "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": s.head_dim, "sliding_window": 4096,
        "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "attention_bias": false,
        "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    });
    let text = serde_json::to_vec_pretty(&config).map_err(|e| failed(folder, e.into()))?;
    platform::write_atomic(folder.join("config.json"), &text)?;
    platform::write_atomic(folder.join("tokenizer.json"), &with_bos(tokenizer)?)?;
    let path = folder.join("model.safetensors");
    say(&format!("writing {}", path.display()));
    let family = Gemma2(Config::read(fields("config.json", config, &[])?)?);
    write_weights(&path, &family).map_err(|e| failed(&path, e))?;

    // thresholds that leave a realistic number of features active need the residuals' size
    let model = Model::open(inputs::model_files(folder, None).await?).await?;
    let texts = ["The tower stands in", "Water boils at a temperature of", "She was born in the year"];
    let tokens = texts.iter().map(|t| model.tokenizer.encode(t)).collect::<Result<Vec<_>>>()?;
    let residuals = engine::residuals(&model, &Compute::cpu(), &tokens, &s.sae_layers).await?;
    for (layer, rows) in residuals {
        let norms = rows.iter().map(|r| {
            let last = &r[r.len() - s.d_model..];
            last.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
        });
        let norm = norms.sum::<f64>() / texts.len() as f64;
        let path = folder.join(format!("sae_{layer}"));
        std::fs::create_dir_all(&path).map_err(|e| failed(&path, e))?;
        say(&format!("writing {}", path.display()));
        write_random_sae(&path, s.d_model, s.d_sae, layer, norm)?;
    }
    Ok(())
}

/// Writes an SAE with random weights for a residual stream of about this norm, in SAELens's folder form.
///
/// # Errors
/// Writing errors.
pub(super) fn write_random_sae(folder: &Path, d_in: usize, d_sae: usize, layer: usize, norm: f64) -> Result<()> {
    write_sae(folder, [d_in, d_sae], layer, norm).map_err(|e| failed(folder, e))
}

fn failed(path: &Path, e: std::io::Error) -> Error {
    Error::io(path.display().to_string(), "write", e, "free some space, or choose another folder")
}

/// The tokenizer with a `<bos>` token, which Gemma wants, in place of the first special token.
fn with_bos(tokenizer: &[u8]) -> Result<Vec<u8>> {
    let malformed = |e: String| Error::malformed("tokenizer", "json", "a tokenizer.json", e, "please report this");
    let mut value: Value = serde_json::from_slice(tokenizer).map_err(|e| malformed(e.to_string()))?;
    let added = value
        .get_mut("added_tokens")
        .and_then(Value::as_array_mut)
        .ok_or_else(|| malformed("no added_tokens".into()))?;
    if !added.iter().any(|t| t.get("content") == Some(&json!("<bos>"))) {
        let first = added.first_mut().ok_or_else(|| malformed("no special token".into()))?;
        let old = first.get("content").cloned().unwrap_or_default();
        first["content"] = json!("<bos>");
        let vocab = value.pointer_mut("/model/vocab").and_then(Value::as_object_mut);
        if let (Some(vocab), Some(old)) = (vocab, old.as_str())
            && let Some(id) = vocab.remove(old)
        {
            vocab.insert("<bos>".to_owned(), id);
        }
    }
    serde_json::to_vec(&value).map_err(|e| malformed(e.to_string()))
}

/// Normal values, quick rather than exact: the sum of four uniform ones has the right mean and
/// variance, and nothing here depends on the tails.
struct Normal(Stream);

impl Normal {
    fn next(&mut self) -> f32 {
        let bits = self.0.next_u64();
        let sum: u32 = (0..4).map(|i| (bits >> (16 * i)) as u16 as u32).sum();
        // variance of a sum of four uniforms on [0, 1) is 1/3
        (sum as f32 / 65536.0 - 2.0) * 1.732_050_8
    }
}

/// What a tensor is filled with.
enum Fill {
    /// Normal values of this deviation, from this seed.
    Random(f32, u64),
    /// One value.
    Constant(f32),
}

/// A tensor to be written.
struct Spec {
    name: String,
    shape: Vec<usize>,
    fill: Fill,
}

/// The model, BF16.
fn write_weights(path: &Path, model: &Gemma2) -> std::io::Result<()> {
    let (family, dims) = (model.family(), model.dims());
    let prefix = family.prefixes[0];
    let mut tensors = vec![Spec {
        name: format!("{prefix}{}", model.embedding().tokens),
        shape: vec![dims.vocab_size, dims.d_model],
        fill: Fill::Random(0.02, 0),
    }];
    let mut add = |prefix: &str, (name, shape): TensorSpec| {
        let deviation = match shape[..] {
            [_, input] => 1.0 / (input as f32).sqrt(),
            _ => 0.1,
        };
        let seed = tensors.len() as u64;
        tensors.push(Spec { name: format!("{prefix}{name}"), shape, fill: Fill::Random(deviation, seed) });
    };
    for layer in 0..dims.n_layers {
        let prefix = format!("{prefix}{}.{layer}.", family.blocks);
        model.layer_tensors(layer).into_iter().for_each(|tensor| add(&prefix, tensor));
    }
    model.unembedding().norm.into_iter().for_each(|tensor| add(prefix, tensor));
    write_safetensors(path, "BF16", &tensors)
}

/// An SAE in SAELens's folder form: JumpReLU, F32.
fn write_sae(folder: &Path, [d, f]: [usize; 2], layer: usize, norm: f64) -> std::io::Result<()> {
    let deviation = 1.0 / (d as f32).sqrt();
    // a pre-activation is x · w with w of variance 1/d: normal with deviation ‖x‖/√d
    let threshold = (ACTIVE_Z * norm / (d as f64).sqrt()) as f32;
    let seed = 1_000_000 + layer as u64;
    let spec = |name: &str, shape: &[usize], fill| Spec { name: name.to_owned(), shape: shape.to_vec(), fill };
    let cfg = json!({
        "architecture": "jumprelu", "d_in": d, "d_sae": f, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": false, "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {"hook_name": format!("blocks.{layer}.hook_resid_post"), "prepend_bos": true},
    });
    std::fs::write(folder.join("cfg.json"), serde_json::to_vec_pretty(&cfg)?)?;
    write_safetensors(
        &folder.join("sae_weights.safetensors"),
        "F32",
        &[
            spec("W_enc", &[d, f], Fill::Random(deviation, seed)),
            spec("W_dec", &[f, d], Fill::Random(deviation, seed + 1000)),
            spec("b_enc", &[f], Fill::Constant(0.0)),
            spec("b_dec", &[d], Fill::Constant(0.0)),
            spec("threshold", &[f], Fill::Constant(threshold)),
        ],
    )
}

/// Streams a safetensors file: a header, then tensor after tensor.
fn write_safetensors(path: &Path, dtype: &str, tensors: &[Spec]) -> std::io::Result<()> {
    let width = if dtype == "BF16" { 2 } else { 4 };
    let mut header = Map::new();
    let mut at = 0;
    for Spec { name, shape, .. } in tensors {
        let bytes = shape.iter().product::<usize>() * width;
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [at, at + bytes]}));
        at += bytes;
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for Spec { shape, fill, .. } in tensors {
        let (mut random, deviation, constant) = match *fill {
            Fill::Random(deviation, seed) => (Some(Normal(seeded(seed))), deviation, 0.0),
            Fill::Constant(value) => (None, 0.0, value),
        };
        for _ in 0..shape.iter().product::<usize>() {
            let value = random.as_mut().map_or(constant, |r| r.next() * deviation);
            if width == 2 {
                file.write_all(&bf16::from_f32(value).to_le_bytes())?;
            } else {
                file.write_all(&value.to_le_bytes())?;
            }
        }
    }
    file.flush()
}
