//! Normalisation layers, row by row, f32.

use burn::tensor::Tensor;

use super::Compute;
use crate::checkpoint::HostTensor;

/// `x / √(mean(x²) + ε) · w` (Zhang & Sennrich 2019). Gemma stores `w − 1`: load it with
/// [`RmsNorm::unit_offset`].
#[derive(Debug, Clone)]
pub struct RmsNorm {
    /// `[d]`
    weight: Tensor<1>,
    eps: f64,
}

impl RmsNorm {
    /// From a weight `[d]` used as it is.
    pub fn new(weight: HostTensor, eps: f64, compute: &Compute) -> Self {
        Self { weight: compute.tensor1(weight.data), eps }
    }

    /// From a stored weight `[d]` to which 1 is added (Gemma).
    pub fn unit_offset(mut weight: HostTensor, eps: f64, compute: &Compute) -> Self {
        weight.data.iter_mut().for_each(|w| *w += 1.0);
        Self::new(weight, eps, compute)
    }

    /// # Shapes
    /// `x` `[n, d]` → `[n, d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mean_square = x.clone().square().mean_dim(1);
        x / (mean_square + self.eps).sqrt() * self.weight.clone().unsqueeze::<2>()
    }

    /// The same over the last axis of heads (QK-norm).
    ///
    /// # Shapes
    /// `x` `[n, heads · d]` → `[n, heads · d]`, each head on its own.
    pub fn forward_heads(&self, x: Tensor<2>, heads: usize) -> Tensor<2> {
        let [n, width] = x.dims();
        self.forward(x.reshape([n * heads, width / heads.max(1)])).reshape([n, width])
    }
}

/// `(x − mean) / √(var + ε) · w + b` (Ba et al. 2016), the biased variance as in torch.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `[d]`
    weight: Tensor<1>,
    /// `[d]`
    bias: Tensor<1>,
    eps: f64,
}

impl LayerNorm {
    /// From weight and bias `[d]`.
    pub fn new(weight: HostTensor, bias: HostTensor, eps: f64, compute: &Compute) -> Self {
        Self { weight: compute.tensor1(weight.data), bias: compute.tensor1(bias.data), eps }
    }

    /// # Shapes
    /// `x` `[n, d]` → `[n, d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1);
        centred / (variance + self.eps).sqrt() * self.weight.clone().unsqueeze::<2>()
            + self.bias.clone().unsqueeze::<2>()
    }
}
