//! Models of a real one's shape with random weights, for speed and memory: written as an ordinary
//! Hugging Face folder in BF16 with Gemma Scope style SAEs beside it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::bf16;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Map, Value, json};

use super::args::ShapeArg;
use super::{inputs, say};
use crate::engine;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::ops::Compute;
use crate::platform;

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

/// Writes the folder: `config.json`, `tokenizer.json`, `model.safetensors`, `sae_LAYER/params.npz`.
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
    write_weights(&path, &s).map_err(|e| failed(&path, e))?;

    // thresholds that leave a realistic number of features active need the residuals' size
    let model = Model::open(inputs::model_files(folder, None)?).await?;
    let texts = ["The tower stands in", "Water boils at a temperature of", "She was born in the year"];
    let tokens = texts.iter().map(|t| model.tokenizer.encode(t)).collect::<Result<Vec<_>>>()?;
    let residuals = engine::residuals(&model, &Compute::cpu(), &tokens, &s.sae_layers).await?;
    for (layer, rows) in residuals {
        let norms = rows.iter().map(|r| {
            let last = &r[r.len() - s.d_model..];
            last.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
        });
        let norm = norms.sum::<f64>() / texts.len() as f64;
        let path = folder.join(format!("sae_{layer}")).join("params.npz");
        std::fs::create_dir_all(folder.join(format!("sae_{layer}"))).map_err(|e| failed(&path, e))?;
        say(&format!("writing {}", path.display()));
        write_sae(&path, &s, layer, norm).map_err(|e| failed(&path, e))?;
    }
    Ok(())
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
struct Normal(ChaCha8Rng);

impl Normal {
    fn next(&mut self) -> f32 {
        let bits = self.0.next_u64();
        let sum: u32 = (0..4).map(|i| (bits >> (16 * i)) as u16 as u32).sum();
        // variance of a sum of four uniforms on [0, 1) is 1/3
        (sum as f32 / 65536.0 - 2.0) * 1.732_050_8
    }
}

/// Streams the safetensors file: a header, then tensor after tensor.
fn write_weights(path: &Path, s: &Shape) -> std::io::Result<()> {
    let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![s.vocab, s.d_model], 0.02)];
    for l in 0..s.layers {
        for (name, out, input) in [
            ("self_attn.q_proj", q, s.d_model),
            ("self_attn.k_proj", kv, s.d_model),
            ("self_attn.v_proj", kv, s.d_model),
            ("self_attn.o_proj", s.d_model, q),
            ("mlp.gate_proj", s.d_mlp, s.d_model),
            ("mlp.up_proj", s.d_mlp, s.d_model),
            ("mlp.down_proj", s.d_model, s.d_mlp),
        ] {
            let scale = 1.0 / (input as f32).sqrt();
            tensors.push((format!("model.layers.{l}.{name}.weight"), vec![out, input], scale));
        }
        for norm in ["input", "post_attention", "pre_feedforward", "post_feedforward"] {
            tensors.push((format!("model.layers.{l}.{norm}_layernorm.weight"), vec![s.d_model], 0.1));
        }
    }
    tensors.push(("model.norm.weight".to_owned(), vec![s.d_model], 0.1));

    let mut header = Map::new();
    let mut at = 0;
    for (name, shape, _) in &tensors {
        let bytes = shape.iter().product::<usize>() * 2;
        header.insert(name.clone(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [at, at + bytes]}));
        at += bytes;
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (i, (_, shape, scale)) in tensors.iter().enumerate() {
        let mut random = Normal(ChaCha8Rng::seed_from_u64(i as u64));
        for _ in 0..shape.iter().product::<usize>() {
            file.write_all(&bf16::from_f32(random.next() * scale).to_le_bytes())?;
        }
    }
    file.flush()
}

/// A Gemma Scope `params.npz`, stored, f32.
fn write_sae(path: &Path, s: &Shape, layer: usize, norm: f64) -> std::io::Result<()> {
    let (d, f) = (s.d_model, s.d_sae);
    let scale = 1.0 / (d as f32).sqrt();
    // a pre-activation is x · w with w of variance 1/d: normal with deviation ‖x‖/√d
    let threshold = (ACTIVE_Z * norm / (d as f64).sqrt()) as f32;
    let mut zip = zip::ZipWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(true);
    let mut member = |name: &str, shape: &[usize], seed: Option<u64>, constant: f32| -> std::io::Result<()> {
        zip.start_file(format!("{name}.npy"), stored)?;
        let dims: Vec<String> = shape.iter().map(|n| format!("{n},")).collect();
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims.join(" "));
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        zip.write_all(b"\x93NUMPY\x01\x00")?;
        zip.write_all(&(header.len() as u16).to_le_bytes())?;
        zip.write_all(header.as_bytes())?;
        let mut random = seed.map(|seed| Normal(ChaCha8Rng::seed_from_u64(seed)));
        let mut buffer = Vec::with_capacity(1 << 16);
        for _ in 0..shape.iter().product::<usize>() {
            let value = random.as_mut().map_or(constant, |r| r.next() * scale);
            buffer.extend_from_slice(&value.to_le_bytes());
            if buffer.len() >= 1 << 16 {
                zip.write_all(&buffer)?;
                buffer.clear();
            }
        }
        zip.write_all(&buffer)
    };
    let seed = 1_000_000 + layer as u64;
    member("W_enc", &[d, f], Some(seed), 0.0)?;
    member("W_dec", &[f, d], Some(seed + 1000), 0.0)?;
    member("b_enc", &[f], None, 0.0)?;
    member("b_dec", &[d], None, 0.0)?;
    member("threshold", &[f], None, threshold)?;
    zip.finish()?.flush()
}
