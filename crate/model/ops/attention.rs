//! Attention over a token trie: a node sees itself and its ancestors, nothing else.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};

use super::kernels::{self, Chains};
use super::sums::dot;
use super::{Compute, Form, Op, host_values};
use crate::batch::{NO_PARENT, Trie};
use crate::platform;

/// Added to the scores of pairs that must not see each other (not −∞: shaders may assume that
/// infinities do not occur).
const MASKED: f32 = -1e30;
/// most score elements held at once by the plain-tensor form
const SCORE_ELEMENTS: usize = 1 << 24;

/// What an attention layer's arithmetic depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionParams {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads` (grouped-query attention).
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Factor on `q · k`.
    pub scale: f32,
    /// `c · tanh(score / c)` before the mask (Gemma 2).
    pub softcap: Option<f32>,
    /// A node sees itself and at most `window − 1` nodes above it.
    pub window: Option<usize>,
}

/// The shape of one micro-batch's trie, and the masks made from it.
#[derive(Debug, Clone)]
pub struct TrieContext {
    parents: Vec<u32>,
    depths: Vec<u32>,
    /// additive masks `[n, n]` per window; only for the plain-tensor form
    masks: Vec<(Option<usize>, Tensor<2>)>,
    /// only for the kernel
    chains: Option<Chains>,
}

impl TrieContext {
    /// Prepares a trie for attention with the given windows.
    pub fn new(trie: &Trie, windows: &[Option<usize>], compute: &Compute) -> Self {
        let mut windows = windows.to_vec();
        windows.sort_unstable();
        windows.dedup();
        let mut context =
            Self { parents: trie.parents.clone(), depths: trie.depths.clone(), masks: Vec::new(), chains: None };
        match compute.form(Op::Attention) {
            Form::Plain => context.masks = windows.into_iter().map(|w| (w, context.mask(w, compute))).collect(),
            Form::Kernel => context.chains = Some(context.chains(compute)),
            Form::Host => {}
        }
        context
    }

    /// `node`, its parent, and so on to the root or the window's end.
    fn seen_by(&self, node: usize, window: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(node as u32), |&n| Some(self.parents[n as usize]).filter(|&p| p != NO_PARENT))
            .take(window.unwrap_or(usize::MAX))
            .map(|n| n as usize)
    }

    /// `[n, n]`: 0 where the column's node is the row's or its ancestor within the window.
    fn mask(&self, window: Option<usize>, compute: &Compute) -> Tensor<2> {
        let n = self.parents.len();
        let mut values = vec![MASKED; n * n];
        for node in 0..n {
            for seen in self.seen_by(node, window) {
                values[node * n + seen] = 0.0;
            }
        }
        compute.tensor2(values, n, n)
    }

    /// The trie in pieces without a branch, each with its place above: as much memory as nodes, however long the
    /// texts are.
    fn chains(&self, compute: &Compute) -> Chains {
        let (mut nodes, mut longest): (Vec<[usize; 3]>, _) = (Vec::with_capacity(self.parents.len()), 0);
        for (node, (&parent, &depth)) in self.parents.iter().zip(&self.depths).enumerate() {
            let count = depth as usize + 1;
            longest = longest.max(count);
            nodes.push(match nodes.last() {
                Some(&[first, above, _]) if parent as usize + 1 == node => [first, above, count],
                // nothing looks above a root
                _ => [node, if parent == NO_PARENT { node } else { parent as usize }, count],
            });
        }
        Chains { nodes: compute.indices(nodes.as_flattened()), longest }
    }

    /// Positions of the nodes in their texts.
    pub fn positions(&self) -> &[u32] {
        &self.depths
    }
}

/// Softmax attention of every node over its ancestors and itself.
///
/// # Shapes
/// `q` `[n, heads · head_dim]`, `k`, `v` `[n, kv_heads · head_dim]` → `[n, heads · head_dim]`.
pub fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    trie: &TrieContext,
    params: &AttentionParams,
    compute: &Compute,
) -> Tensor<2> {
    compute.meter().time(Op::Attention, || match compute.form(Op::Attention) {
        Form::Host => {
            let shape = q.dims();
            let out = host(&host_values(q), &host_values(k), &host_values(v), trie, params);
            Tensor::from_data(TensorData::new(out, shape), &compute.device)
        }
        Form::Kernel if params.head_dim.is_multiple_of(4) => match &trie.chains {
            Some(chains) => kernels::trie_attention(q, k, v, chains, params),
            // a trie that was prepared for another form: correct, only slower
            None => kernels::trie_attention(q, k, v, &trie.chains(compute), params),
        },
        Form::Plain | Form::Kernel => plain(q, k, v, trie, params, compute),
    })
}

/// The plain form: dense masked scores, a chunk of queries at a time.
fn plain(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    trie: &TrieContext,
    p: &AttentionParams,
    compute: &Compute,
) -> Tensor<2> {
    let n = q.dims()[0];
    let (hq, hkv, d) = (p.heads, p.kv_heads, p.head_dim);
    let built;
    let mask = match trie.masks.iter().find(|(w, _)| *w == p.window) {
        Some((_, mask)) => mask,
        None => {
            // a window that was not announced: correct, only slower
            built = trie.mask(p.window, compute);
            &built
        }
    };
    let q = (q * p.scale).reshape([n, hq, d]).swap_dims(0, 1);
    let k = k.reshape([n, hkv, d]).swap_dims(0, 1).swap_dims(1, 2);
    let v = v.reshape([n, hkv, d]).swap_dims(0, 1);
    let chunk = (SCORE_ELEMENTS / (hq * n).max(1)).clamp(1, n.max(1));
    let mut outputs = Vec::new();
    for start in (0..n).step_by(chunk) {
        let end = (start + chunk).min(n);
        let c = end - start;
        // query head h reads key head h / (hq / hkv): heads of one group are neighbours
        let queries = q.clone().slice([0..hq, start..end, 0..d]).reshape([hkv, hq / hkv * c, d]);
        let mut scores = queries.matmul(k.clone()).reshape([hq, c, n]);
        if let Some(cap) = p.softcap {
            // tanh u = 2σ(2u) − 1: some devices' own is no number where its exponential overflows
            scores = (sigmoid(scores * (2.0 / cap)) * 2.0 - 1.0) * cap;
        }
        let scores = scores + mask.clone().slice([start..end, 0..n]).reshape([1, c, n]);
        let weights = softmax(scores, 2).reshape([hkv, hq / hkv * c, n]);
        outputs.push(weights.matmul(v.clone()).reshape([hq, c, d]).swap_dims(0, 1).reshape([c, hq * d]));
    }
    Tensor::cat(outputs, 0)
}

/// The host form: each node walks its ancestors, so that work and memory follow the texts'
/// lengths, not the square of the batch. The order of summation is a text's own, nearest first.
fn host(q: &[f32], k: &[f32], v: &[f32], trie: &TrieContext, p: &AttentionParams) -> Vec<f32> {
    let d = p.head_dim;
    let (q_width, kv_width) = (p.heads * d, p.kv_heads * d);
    let group = p.heads / p.kv_heads;
    let mut out = vec![0.0; q.len()];
    platform::par_chunks_mut(&mut out, q_width, |node, out| {
        let seen: Vec<usize> = trie.seen_by(node, p.window).collect();
        let mut scores = vec![0.0f32; seen.len()];
        for head in 0..p.heads {
            let query = &q[node * q_width + head * d..][..d];
            let kv = head / group * d;
            for (score, &s) in scores.iter_mut().zip(&seen) {
                *score = dot(query, &k[s * kv_width + kv..][..d]) * p.scale;
            }
            if let Some(cap) = p.softcap {
                scores.iter_mut().for_each(|s| *s = cap * libm::tanhf(*s / cap));
            }
            let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|s| *s = libm::expf(*s - max));
            let total: f32 = scores.iter().sum();
            let out = &mut out[head * d..][..d];
            for (&score, &s) in scores.iter().zip(&seen) {
                let weight = score / total;
                let value = &v[s * kv_width + kv..][..d];
                out.iter_mut().zip(value).for_each(|(o, x)| *o += weight * x);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::tests_support::{assert_close, random};

    fn trie() -> Trie {
        let mut trie = Trie::new();
        for text in [&[0, 1, 2, 3, 4, 5, 6][..], &[0, 1, 2, 9, 9, 9], &[0, 7], &[5, 5, 5, 5], &[0, 1, 2, 3, 8]] {
            trie.insert(text);
        }
        trie
    }

    #[test]
    fn forms_agree() {
        let switched = Compute::cpu().with(Op::Attention, Form::Plain).unwrap();
        let trie = trie();
        let n = trie.len();
        for (heads, kv_heads, head_dim) in [(4, 2, 12), (3, 3, 8), (8, 1, 16)] {
            for softcap in [None, Some(2.0)] {
                for window in [None, Some(1), Some(3)] {
                    let p = AttentionParams { heads, kv_heads, head_dim, scale: 0.4, softcap, window };
                    let (qw, kw) = (heads * head_dim, kv_heads * head_dim);
                    let run = |c: &Compute| {
                        let q = c.tensor2(random(n * qw, 1), n, qw);
                        let k = c.tensor2(random(n * kw, 2), n, kw);
                        let v = c.tensor2(random(n * kw, 3), n, kw);
                        let ctx = TrieContext::new(&trie, &[None, Some(3)], c);
                        host_values(attention(q, k, v, &ctx, &p, c))
                    };
                    assert_close("attention", &run(&Compute::cpu()), &run(&switched), 2e-6);
                }
            }
        }
    }

    #[test]
    fn a_node_sees_nothing_but_its_ancestors() {
        let trie = trie();
        let n = trie.len();
        let p = AttentionParams { heads: 1, kv_heads: 1, head_dim: 4, scale: 1.0, softcap: None, window: None };
        let ctx = TrieContext::new(&trie, &[], &Compute::cpu());
        let (q, k, v) = (random(n * 4, 1), random(n * 4, 2), random(n * 4, 3));
        let before = host(&q, &k, &v, &ctx, &p);
        for changed in 0..n {
            let mut v = v.clone();
            v[changed * 4] += 1.0;
            let after = host(&q, &k, &v, &ctx, &p);
            for node in 0..n {
                let sees = trie.ancestors(node as u32).any(|a| a as usize == changed);
                assert_eq!(before[node * 4..][..4] != after[node * 4..][..4], sees, "node {node}, changed {changed}");
            }
        }
    }
}
