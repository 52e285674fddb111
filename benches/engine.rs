//! `cargo bench`: the parts that a run's time is made of, each beside the form it replaces.

use divan::{Bencher, black_box};
use saescope::batch::Trie;
use saescope::geometry::Cloud;
use saescope::model::ops::{
    Activation, AttentionParams, Compute, Matrix, Panels, Rows, TrieContext, attention, gated_activation,
};

fn main() {
    divan::main();
}

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut s = seed | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// A Gemma-2-2B MLP matmul: 2304 → 9216.
mod matmul {
    use super::*;

    const ROWS: &[usize] = &[16, 96, 512];

    fn panels(bencher: Bencher, rows: usize, panels: impl Fn(Matrix<'_, f32>) -> Panels) {
        let (x, values) = (values(rows * 2304, 1), values(2304 * 9216, 2));
        let w = panels(Matrix { values: &values, d_in: 2304, d_out: 9216, by_in: 1, by_out: 2304 });
        bencher.with_inputs(|| Rows::new(x.clone(), rows)).bench_local_refs(|x| w.multiply(black_box(x)));
    }

    #[divan::bench(args = ROWS)]
    fn host(bencher: Bencher, rows: usize) {
        panels(bencher, rows, Panels::f32);
    }

    #[divan::bench(args = ROWS)]
    fn host_bf16(bencher: Bencher, rows: usize) {
        panels(bencher, rows, Panels::bf16);
    }

    #[divan::bench(args = ROWS)]
    fn burn_flex(bencher: Bencher, rows: usize) {
        let c = Compute::cpu_plain();
        let x = c.tensor2(values(rows * 2304, 1), rows, 2304);
        let w = c.tensor2(values(2304 * 9216, 2), 9216, 2304);
        bencher.bench_local(|| x.clone().matmul(w.clone().transpose()).into_data());
    }
}

/// Trie attention with Gemma-2-2B's heads, over 100 texts of 16 tokens that share half their tokens.
mod trie_attention {
    use super::*;

    fn run(bencher: Bencher, c: &Compute) {
        let mut trie = Trie::new();
        for text in 0..100 {
            let tokens: Vec<u32> = (0..16).map(|t| if t < 8 { t } else { 100 + text * 16 + t }).collect();
            trie.insert(&tokens);
        }
        let n = trie.len();
        let p =
            AttentionParams { heads: 8, kv_heads: 4, head_dim: 256, scale: 0.06, softcap: Some(50.0), window: None };
        let ctx = TrieContext::new(&trie, &[None], c);
        let q = c.tensor2(values(n * 2048, 1), n, 2048);
        let (k, v) = (c.tensor2(values(n * 1024, 2), n, 1024), c.tensor2(values(n * 1024, 3), n, 1024));
        bencher.bench_local(|| attention(q.clone(), k.clone(), v.clone(), &ctx, &p, c).into_data());
    }

    #[divan::bench]
    fn host(bencher: Bencher) {
        run(bencher, &Compute::cpu());
    }

    #[divan::bench]
    fn dense_masked(bencher: Bencher) {
        run(bencher, &Compute::cpu_plain());
    }
}

/// GeGLU over 512 rows of 9216.
mod gated {
    use super::*;

    fn run(bencher: Bencher, c: &Compute) {
        let gate = c.tensor2(values(512 * 9216, 1), 512, 9216);
        let up = c.tensor2(values(512 * 9216, 2), 512, 9216);
        bencher.bench_local(|| gated_activation(gate.clone(), up.clone(), Activation::GeluTanh, c).into_data());
    }

    #[divan::bench]
    fn host(bencher: Bencher) {
        run(bencher, &Compute::cpu());
    }

    #[divan::bench]
    fn plain(bencher: Bencher) {
        run(bencher, &Compute::cpu_plain());
    }
}

/// Spectrum of n active features in 2304 dimensions.
#[divan::bench(args = [20, 60, 100, 200])]
fn geometry(bencher: Bencher, n: usize) {
    let rows = values(n * 2304, 1);
    let masses: Vec<f32> = values(n, 2).iter().map(|m| m.abs() + 0.01).collect();
    bencher.bench_local(|| Cloud::new(black_box(&rows), &masses, 2304));
}

/// What is wanted of a prompt's features at an attention sink: the axis, alone and out of the whole spectrum.
mod axis_at_a_sink {
    use super::*;

    /// 1,700 features in 576 dimensions, each less wide than the one before.
    fn cloud() -> (Vec<f32>, Vec<f32>) {
        let rows = values(1700 * 576, 1).iter().enumerate().map(|(i, r)| r * 0.97f32.powi(i as i32 % 576)).collect();
        (rows, values(1700, 2).iter().map(|m| m.abs() + 0.01).collect())
    }

    #[divan::bench]
    fn alone(bencher: Bencher) {
        let (rows, masses) = cloud();
        bencher.bench_local(|| Cloud::centroid_and_axis(black_box(&rows), &masses, 576));
    }

    #[divan::bench]
    fn spectrum(bencher: Bencher) {
        let (rows, masses) = cloud();
        bencher.bench_local(|| Cloud::new(black_box(&rows), &masses, 576));
    }
}
