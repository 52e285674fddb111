//! Kernels of this program's own for graphics devices, written once in cubecl and compiled there to the
//! device's language; each is the third form of an operation whose plain twin stands in the file beside
//! this folder.
//!
//! They enter burn through its backend extension: the trait [`Kernels`] has an implementation for the
//! backend of all cubecl runtimes, and burn's dispatch finds it by the tensors' device.
//!
//! What they rely on: values four by four (`F4`), so widths that are multiples of four; a workgroup's
//! shared memory of at most 16 KiB; no subgroups, no atomics, no 64-bit numbers, which browsers may lack.
//! Barriers stand only in loops whose bounds are scalars of the launch: WGSL wants them in uniform flow.

mod active;
mod attention;
mod elementwise;
mod matmul;
mod norm;
mod unpack;

pub use matmul::{Format, Tile};

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Int, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::prelude::*;

use crate::checkpoint::BlockType;

use super::{Activation, AttentionParams, Order, Threshold};

/// Four values that are loaded and computed with together.
type F4 = Vector<f32, Const<4>>;

/// Most workgroups along one axis of a launch (WebGPU's own limit is 65,535).
const GRID: u32 = 1 << 15;

/// A trie as the attention kernel walks it. Nodes that follow each other by number, each the parent of the next,
/// are one chain.
#[derive(Debug, Clone)]
pub(super) struct Chains {
    /// `[3 n]`: of every node the first one of its chain, the parent of that one, and how many there are above the
    /// node, itself included.
    pub(super) nodes: Tensor<1, Int>,
    /// The largest of those numbers.
    pub(super) longest: usize,
}

/// The operations, on a backend's own tensors: f32 and `[rows, width]`. Kernels do not look at lengths, so the
/// functions below hold them against each other; anything else is a bug of their caller.
#[backend_extension(Cube)]
trait Kernels: Backend {
    /// See [`super::attention`].
    fn trie_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        nodes: IntTensor<Self>,
        longest: usize,
        params: AttentionParams,
    ) -> FloatTensor<Self>;

    /// See [`super::Linear`]; `w` are the words that W is stored in.
    fn matmul(
        x: FloatTensor<Self>,
        w: IntTensor<Self>,
        d_out: usize,
        format: Format,
        order: Order,
        tile: Tile,
    ) -> FloatTensor<Self>;

    /// Values of blocks of a type, as words of a format.
    fn unpacked(blocks: IntTensor<Self>, values: usize, kind: BlockType, format: Format) -> IntTensor<Self>;

    /// See [`super::RmsNorm`].
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;

    /// See [`super::RmsNorm::add_to`].
    fn rms_norm_added(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;

    /// See [`super::LayerNorm`].
    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;

    /// See [`super::RopeTable`]; `turns` is `[n, head_dim]`: the cosines, then the sines.
    fn rope(x: FloatTensor<Self>, turns: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;

    /// See [`super::activate`].
    fn activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// See [`super::gated_activation`].
    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// See [`super::Active`].
    fn active(
        pre: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        threshold: Threshold,
        scaled: bool,
        most: usize,
    ) -> IntTensor<Self>;
}

impl Kernels for CubeBackend {
    fn trie_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        nodes: IntTensor<Self>,
        longest: usize,
        params: AttentionParams,
    ) -> FloatTensor<Self> {
        attention::launch([q, k, v].map(into_contiguous), nodes, longest, &params)
    }

    fn matmul(
        x: FloatTensor<Self>,
        w: IntTensor<Self>,
        d_out: usize,
        format: Format,
        order: Order,
        tile: Tile,
    ) -> FloatTensor<Self> {
        matmul::launch(into_contiguous(x), w, d_out, format, order, tile)
    }

    fn unpacked(blocks: IntTensor<Self>, values: usize, kind: BlockType, format: Format) -> IntTensor<Self> {
        unpack::launch(blocks, values, kind, format)
    }

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        norm::launch(into_contiguous(x), weight, None, eps)
    }

    fn rms_norm_added(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::launch(into_contiguous(x), weight, Some(into_contiguous(residual)), eps)
    }

    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::launch_centred(into_contiguous(x), weight, bias, eps)
    }

    fn rope(x: FloatTensor<Self>, turns: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        elementwise::rope(into_contiguous(x), turns, heads)
    }

    fn activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        elementwise::alone(into_contiguous(x), activation)
    }

    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        elementwise::gated(into_contiguous(gate), into_contiguous(up), activation)
    }

    fn active(
        pre: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        threshold: Threshold,
        scaled: bool,
        most: usize,
    ) -> IntTensor<Self> {
        active::launch(into_contiguous(pre), [first, second, third], threshold, scaled, most)
    }
}

/// Attention of every node over its ancestors; head widths must be multiples of four.
pub(super) fn trie_attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    chains: &Chains,
    params: &AttentionParams,
) -> Tensor<2> {
    let Chains { nodes, longest } = chains;
    let n = nodes.dims()[0] / 3;
    let kv = [n, params.kv_heads * params.head_dim];
    assert_eq!([q.dims(), k.dims(), v.dims()], [[n, params.heads * params.head_dim], kv, kv], "attention");
    Tensor::from_dispatch(Dispatch::trie_attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        nodes.clone().into_dispatch(),
        *longest,
        *params,
    ))
}

/// Whether [`matmul`] takes matrices of these sizes.
pub(super) fn multiplies(d_in: usize, d_out: usize) -> bool {
    d_in.is_multiple_of(matmul::DEPTH) && d_out.is_multiple_of(4)
}

/// `X · W`, of sizes that [`multiplies`] takes; `w` are the words that W is stored in.
pub(super) fn matmul(
    x: Tensor<2>,
    w: Tensor<1, Int>,
    [d_in, d_out]: [usize; 2],
    format: Format,
    order: Order,
    tile: Tile,
) -> Tensor<2> {
    assert_eq!((x.dims()[1], w.dims()[0] * 4), (d_in, d_in * d_out * format.bytes()), "matmul");
    Tensor::from_dispatch(Dispatch::matmul(x.into_dispatch(), w.into_dispatch(), d_out, format, order, tile))
}

/// The values that blocks hold, as words of f32 or f16; `blocks` are their bytes in words.
pub(super) fn unpacked(blocks: Tensor<1, Int>, values: usize, kind: BlockType, format: Format) -> Tensor<1, Int> {
    assert_ne!(format, Format::Bf16, "a format that blocks are unpacked to");
    let bytes = values / kind.values() * kind.bytes();
    assert!(values.is_multiple_of(kind.values()) && bytes <= blocks.dims()[0] * 4, "blocks");
    Tensor::from_dispatch(Dispatch::unpacked(blocks.into_dispatch(), values, kind, format))
}

/// `x / √(mean(x²) + ε) · w` of every row; the width must be a multiple of four.
pub(super) fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    assert_eq!(x.dims()[1], weight.dims()[0], "norm");
    Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), weight.into_dispatch(), eps))
}

/// `residual + x / √(mean(x²) + ε) · w` of every row; the width must be a multiple of four.
pub(super) fn rms_norm_added(residual: Tensor<2>, x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    assert_eq!((x.dims(), x.dims()[1]), (residual.dims(), weight.dims()[0]), "norm");
    let (residual, x) = (residual.into_dispatch(), x.into_dispatch());
    Tensor::from_dispatch(Dispatch::rms_norm_added(residual, x, weight.into_dispatch(), eps))
}

/// `(x − mean) / √(var + ε) · w + b` of every row; the width must be a multiple of four.
pub(super) fn layer_norm(x: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, eps: f32) -> Tensor<2> {
    assert_eq!([x.dims()[1]; 2], [weight.dims()[0], bias.dims()[0]], "norm");
    let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::layer_norm(x.into_dispatch(), weight, bias, eps))
}

/// Rotates heads; half a head's width must be a multiple of four.
pub(super) fn rope(x: Tensor<2>, turns: Tensor<2>, heads: usize) -> Tensor<2> {
    assert_eq!(x.dims(), [turns.dims()[0], turns.dims()[1] * heads], "rope");
    Tensor::from_dispatch(Dispatch::rope(x.into_dispatch(), turns.into_dispatch(), heads))
}

/// `act(x)`; the width must be a multiple of four.
pub(super) fn activated(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::activated(x.into_dispatch(), activation))
}

/// `act(gate) · up`; the width must be a multiple of four.
pub(super) fn gated(gate: Tensor<2>, up: Tensor<2>, activation: Activation) -> Tensor<2> {
    assert_eq!(gate.dims(), up.dims(), "gate");
    Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch(), activation))
}

/// `[n, 1 + 2 · most]` words: a row's number of active features, `most` indices, `most` activations' bits.
pub(super) fn active(
    pre: Tensor<2>,
    vectors: [Tensor<1>; 3],
    threshold: Threshold,
    scaled: bool,
    most: usize,
) -> Tensor<2, Int> {
    assert!(vectors.iter().all(|vector| vector.dims()[0] == pre.dims()[1]), "active features");
    let [first, second, third] = vectors.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::active(pre.into_dispatch(), first, second, third, threshold, scaled, most))
}

/// A result's tensor, not yet written.
fn empty(like: &CubeTensor, shape: [usize; 2]) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::from(shape), DType::F32)
}

/// Rows and width of a tensor.
fn dims(tensor: &CubeTensor) -> [usize; 2] {
    let shape = tensor.meta.shape();
    [shape[0], shape[1]]
}

/// Workgroups for `n` pieces of work, over two axes where one is too short; see [`linear`].
fn grid(n: usize) -> CubeCount {
    let n = n as u32;
    CubeCount::Static(n.min(GRID), n.div_ceil(GRID), 1)
}

/// Number of this workgroup among those of [`grid`].
#[cube]
fn linear() -> usize {
    (CUBE_POS_Y * GRID + CUBE_POS_X) as usize
}

/// The sum of a vector's four values.
#[cube]
fn total(v: F4) -> f32 {
    (v.extract(0usize) + v.extract(1usize)) + (v.extract(2usize) + v.extract(3usize))
}
