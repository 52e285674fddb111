//! Whether a device computes right: one small transformer block against known numbers.
//!
//! Some browsers' and drivers' shaders give wrong values without saying so. A run on such a device
//! would look like any other, so a device is asked before it is used.

use crate::batch::{BatchLimit, pack};
use crate::error::Result;
use crate::model::fields::fields;
use crate::model::llama::{Config, Llama};
use crate::model::ops::{Compute, kernels_are_exact, read_back};
use crate::model::{Architecture, BatchContext, LayerWeights};

/// Largest relative difference that passes.
pub const TOLERANCE: f64 = 1e-3;

const D_MODEL: usize = 64;

/// What the block gives: the first eight dimensions of the last token of each text, from f64
/// arithmetic (`reference/self_test.py`).
const KNOWN: [[f64; 8]; 2] = [
    [1.47930747, -2.17291557, -1.87792546, 1.23006768, 0.663180999, 0.196991454, 0.16000798, -0.424060712],
    [0.381443628, -0.304353001, -1.54341965, 0.454972323, 2.93364729, 1.36949854, 1.04025419, -1.17636673],
];

/// Runs the block and returns the largest difference, relative to the largest known number; infinity where
/// something is wrong that has to be exact.
///
/// # Errors
/// Device errors.
pub async fn self_test(compute: &Compute) -> Result<f64> {
    if !kernels_are_exact(compute).await? {
        return Ok(f64::INFINITY);
    }
    let llama = Llama(config()?);
    let mut weights = LayerWeights::default();
    for (i, (name, shape)) in llama.layer_tensors(0).into_iter().enumerate() {
        let n: usize = shape.iter().product();
        // norm weights lie around 1, matrices are small
        let (centre, scale) = if shape.len() == 1 { (1.0, 0.2) } else { (0.0, 0.25) };
        let data = numbers(n, i as u32 + 1).map(|v| centre + scale * v).collect();
        weights.put(name, shape, data);
    }
    // two texts that part after two tokens, so that the mask matters
    let texts: [&[u32]; 2] = [&[1, 2, 3, 4], &[1, 2, 5]];
    let batches = pack(&[texts.to_vec()], BatchLimit::Groups(1));
    let mut worst = 0.0f64;
    let scale = KNOWN.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
    for batch in &batches {
        let n = batch.trie.tokens.len();
        let embedded: Vec<f32> = batch.trie.tokens.iter().flat_map(|&token| numbers(D_MODEL, 100 + token)).collect();
        let context = BatchContext::new(&batch.trie, &llama, compute);
        let block = llama.block(0, weights.clone(), compute)?;
        let x = block.forward(compute.tensor2(embedded, n, D_MODEL), None, &context, compute);
        let values = read_back(x).await?;
        for slot in &batch.texts {
            let end = slot.path.last().copied().unwrap_or_default() as usize;
            for (value, known) in values[end * D_MODEL..].iter().zip(KNOWN[slot.text]) {
                let off = (f64::from(*value) - known).abs();
                worst = if off.is_finite() { worst.max(off / scale) } else { f64::INFINITY };
            }
        }
    }
    Ok(worst)
}

fn config() -> Result<Config> {
    let config = serde_json::json!({
        "hidden_size": D_MODEL,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 1,
        "vocab_size": 8,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "hidden_act": "silu",
    });
    Config::read(fields("self-test", config, &[])?)
}

/// Values in [−1, 1) of 16 bits, the same everywhere.
fn numbers(n: usize, seed: u32) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..n).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / 32_768.0 - 1.0
    })
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::model::ops::Precision;

    #[test]
    fn both_forms_of_the_cpu_pass() {
        for compute in [Compute::cpu(), Compute::cpu_plain()] {
            let worst = block_on(self_test(&compute)).unwrap();
            assert!(worst < 1e-5, "{worst:e}");
        }
    }

    #[test]
    fn a_less_exact_device_is_seen() {
        let mut rounded = Compute::cpu_plain();
        rounded.precision = Precision::F16;
        let worst = block_on(self_test(&rounded)).unwrap();
        assert!(worst > 1e-5, "{worst:e}");
    }
}
