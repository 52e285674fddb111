//! Attention over ancestors: a workgroup for each node and head.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::AttentionParams;
use super::{F4, GRID, dims, empty, total};

/// Threads of a workgroup, and ancestors taken at once: a thread scores one of them, then sums a part of
/// the head's width over all.
const THREADS: usize = 64;

pub(super) fn launch(
    [q, k, v]: [CubeTensor; 3],
    chains: CubeTensor,
    longest: usize,
    p: &AttentionParams,
) -> CubeTensor {
    let [nodes, _] = dims(&q);
    let out = empty(&q, [nodes, p.heads * p.head_dim]);
    if nodes == 0 {
        return out;
    }
    let count = CubeCount::Static(p.heads as u32, (nodes as u32).min(GRID), (nodes as u32).div_ceil(GRID));
    let client = q.client.clone();
    let window = p.window.unwrap_or(longest).min(longest);
    // SAFETY: nodes past the last are left out in the kernel, `chains` holds nodes of this trie, and the
    // widths were checked by the caller
    unsafe {
        kernel::launch_unchecked(
            &client,
            count,
            CubeDim::new_1d(THREADS as u32),
            q.into_buffer_arg(),
            k.into_buffer_arg(),
            v.into_buffer_arg(),
            chains.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            nodes as u32,
            window as u32,
            window.div_ceil(THREADS) as u32,
            p.scale,
            p.softcap.unwrap_or(1.0),
            p.heads,
            p.kv_heads,
            p.head_dim / 4,
            p.softcap.is_some(),
        );
    }
    out
}

/// Softmax over ancestors in chunks, nearest first, rescaled where a chunk has a larger score (Milakov &
/// Gimelshein, "Online normalizer calculation for softmax", 2018).
#[cube(launch_unchecked)]
fn kernel(
    q: &[F4],
    k: &[F4],
    v: &[F4],
    chains: &[u32],
    out: &mut [F4],
    nodes: u32,
    window: u32,
    chunks: u32,
    scale: f32,
    softcap: f32,
    #[comptime] heads: usize,
    #[comptime] kv_heads: usize,
    #[comptime] width: usize,
    #[comptime] capped: bool,
) {
    let node = (CUBE_POS_Z * GRID + CUBE_POS_Y) as usize;
    if node >= nodes as usize {
        terminate!();
    }
    let head = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let count = min(chains[node * 3 + 2], window) as usize;
    let query = (node * heads + head) * width;
    // heads of one group are neighbours
    let of_head = head / comptime!(heads / kv_heads) * width;
    let row = comptime!(kv_heads * width);

    let mut scores = Shared::<[f32]>::new_slice(THREADS);
    let mut places = Shared::<[u32]>::new_slice(THREADS);
    let columns = comptime!(width.div_ceil(THREADS));
    let mut sums = Array::<F4>::new(columns);
    #[unroll]
    for c in 0..columns {
        sums[c] = F4::new(0.0f32);
    }
    let mut largest = f32::new(-1e30f32);
    let mut weights = f32::new(0.0f32);
    for chunk in 0..chunks as usize {
        let base = chunk * THREADS;
        let mut here = 0usize;
        if base < count {
            here = min(count - base, THREADS);
        }
        if unit < here {
            let place = ancestor(chains, node, base + unit);
            let key = place * row + of_head;
            let mut sum = F4::new(0.0f32);
            for i in 0..width {
                sum = fma(q[query + i], k[key + i], sum);
            }
            let mut score = total(sum) * scale;
            if comptime!(capped) {
                score = tanh(score / softcap) * softcap;
            }
            scores[unit] = score;
            places[unit] = key as u32;
        }
        sync_cube();
        let before = largest;
        for j in 0..here {
            largest = max(largest, scores[j]);
        }
        let kept = (before - largest).exp();
        weights *= kept;
        #[unroll]
        for c in 0..columns {
            sums[c] *= F4::new(kept);
        }
        for j in 0..here {
            let weight = (scores[j] - largest).exp();
            weights += weight;
            let value = places[j] as usize;
            #[unroll]
            for c in 0..columns {
                let column = unit + c * THREADS;
                if column < width {
                    sums[c] = fma(F4::new(weight), v[value + column], sums[c]);
                }
            }
        }
        sync_cube();
    }
    #[unroll]
    for c in 0..columns {
        let column = unit + c * THREADS;
        if column < width {
            out[query + column] = sums[c] / F4::new(weights);
        }
    }
}

/// The ancestor `steps` above a node.
#[cube]
fn ancestor(chains: &[u32], node: usize, steps: usize) -> usize {
    let mut at = node;
    let mut left = steps;
    let mut length = at - chains[at * 3] as usize + 1;
    while left >= length {
        left -= length;
        at = chains[at * 3 + 1] as usize;
        length = at - chains[at * 3] as usize + 1;
    }
    at - left
}

/// tanh to about 4e-7 of itself. Some devices' own is coarser, or gives NaN where its exponential overflows.
#[cube]
fn tanh(x: f32) -> f32 {
    let near = clamp(x, -40.0f32, 40.0f32);
    let far = 1.0f32 - 2.0f32 / (1.0f32 + (near * 2.0f32).exp());
    // the series, where the difference above would lose digits
    let square = near * near;
    let series = near * (1.0f32 - square * (0.333_333_34f32 - square * (0.133_333_34f32 - square * 0.053_968_254f32)));
    select(square < 0.04f32, series, far)
}
