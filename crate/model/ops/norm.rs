//! Normalisation layers, row by row, f32.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::sums::{dot, sum};
use super::{Compute, Form, Meter, Op, host_values, kernels, residual_add};
use crate::checkpoint::HostTensor;
use crate::platform;

/// Every row of a tensor in host memory, changed in place.
fn each_row(x: Tensor<2>, f: impl Fn(&mut [f32]) + Send + Sync) -> Tensor<2> {
    let (shape, device) = (x.dims(), x.device());
    let mut values = host_values(x);
    platform::par_chunks_mut(&mut values, shape[1], |_, row| f(row));
    Tensor::from_data(TensorData::new(values, shape), &device)
}

/// `x / √(mean(x²) + ε) · w` (Zhang & Sennrich 2019). Gemma stores `w − 1`: load it with
/// [`RmsNorm::unit_offset`].
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Scale,
    eps: f64,
    meter: Meter,
}

/// A weight `[d]`, where the form that runs wants it.
#[derive(Debug, Clone)]
enum Scale {
    Host(Arc<[f32]>),
    Plain(Box<Tensor<1>>),
    Kernel(Box<Tensor<1>>),
}

impl RmsNorm {
    /// From a weight `[d]` used as it is.
    pub fn new(weight: HostTensor, eps: f64, compute: &Compute) -> Self {
        let weight = match compute.form(Op::Norm) {
            Form::Host => Scale::Host(weight.data.into()),
            Form::Kernel if weight.data.len().is_multiple_of(4) => {
                Scale::Kernel(Box::new(compute.tensor1(weight.data)))
            }
            Form::Plain | Form::Kernel => Scale::Plain(Box::new(compute.tensor1(weight.data))),
        };
        Self { weight, eps, meter: compute.meter().clone() }
    }

    /// From a stored weight `[d]` to which 1 is added (Gemma).
    pub fn unit_offset(mut weight: HostTensor, eps: f64, compute: &Compute) -> Self {
        weight.data.iter_mut().for_each(|w| *w += 1.0);
        Self::new(weight, eps, compute)
    }

    /// # Shapes
    /// `x` `[n, d]` → `[n, d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.meter.time(Op::Norm, || match &self.weight {
            Scale::Host(weight) => each_row(x, |row| {
                let scale = (dot(row, row) / row.len() as f32 + self.eps as f32).sqrt();
                row.iter_mut().zip(weight.iter()).for_each(|(x, w)| *x = *x / scale * w);
            }),
            Scale::Plain(weight) => {
                let mean_square = x.clone().square().mean_dim(1);
                x / (mean_square + self.eps).sqrt() * weight.as_ref().clone().unsqueeze::<2>()
            }
            Scale::Kernel(weight) => kernels::rms_norm(x, weight.as_ref().clone(), self.eps as f32),
        })
    }

    /// `residual + forward(x)`.
    ///
    /// # Shapes
    /// both `[n, d]` → the same.
    pub fn add_to(&self, residual: Tensor<2>, x: Tensor<2>, compute: &Compute) -> Tensor<2> {
        match &self.weight {
            Scale::Kernel(weight) => kernels::rms_norm_added(residual, x, weight.as_ref().clone(), self.eps as f32),
            _ => residual_add(residual, self.forward(x), compute),
        }
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
    affine: Affine,
    eps: f64,
    meter: Meter,
}

/// Weight and bias `[d]`, where the form that runs wants them.
#[derive(Debug, Clone)]
enum Affine {
    Host(Arc<[(f32, f32)]>),
    Plain(Box<(Tensor<1>, Tensor<1>)>),
    Kernel(Box<(Tensor<1>, Tensor<1>)>),
}

impl LayerNorm {
    /// From weight and bias `[d]`.
    pub fn new(weight: HostTensor, bias: HostTensor, eps: f64, compute: &Compute) -> Self {
        let affine = match compute.form(Op::Norm) {
            Form::Host => Affine::Host(weight.data.into_iter().zip(bias.data).collect()),
            form => {
                let kernel = form == Form::Kernel && weight.data.len().is_multiple_of(4);
                let affine = Box::new((compute.tensor1(weight.data), compute.tensor1(bias.data)));
                if kernel { Affine::Kernel(affine) } else { Affine::Plain(affine) }
            }
        };
        Self { affine, eps, meter: compute.meter().clone() }
    }

    /// # Shapes
    /// `x` `[n, d]` → `[n, d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.meter.time(Op::Norm, || match &self.affine {
            Affine::Host(affine) => each_row(x, |row| {
                let n = row.len() as f32;
                let mean = sum(row) / n;
                row.iter_mut().for_each(|x| *x -= mean);
                let scale = (dot(row, row) / n + self.eps as f32).sqrt();
                row.iter_mut().zip(affine.iter()).for_each(|(x, (w, b))| *x = *x / scale * w + b);
            }),
            Affine::Plain(affine) => {
                let (weight, bias) = affine.as_ref();
                let centred = x.clone() - x.mean_dim(1);
                let variance = centred.clone().square().mean_dim(1);
                centred / (variance + self.eps).sqrt() * weight.clone().unsqueeze::<2>() + bias.clone().unsqueeze::<2>()
            }
            Affine::Kernel(affine) => {
                let (weight, bias) = affine.as_ref();
                kernels::layer_norm(x, weight.clone(), bias.clone(), self.eps as f32)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::tests_support::{assert_close, random};

    #[test]
    fn forms_agree() {
        let plain = Compute::cpu().with(Op::Norm, Form::Plain).unwrap();
        for (n, d) in [(1, 1), (3, 5), (7, 64), (2, 577)] {
            let vector = |seed| HostTensor { shape: vec![d], data: random(d, seed) };
            let run = |compute: &Compute| {
                let x = compute.tensor2(random(n * d, 1), n, d);
                let rms = RmsNorm::unit_offset(vector(2), 1e-6, compute).forward(x.clone());
                let layer = LayerNorm::new(vector(2), vector(3), 1e-5, compute).forward(x);
                [host_values(rms), host_values(layer)]
            };
            let (host, plain) = (run(&Compute::cpu()), run(&plain));
            for (name, host, plain) in [("rms norm", &host[0], &plain[0]), ("layer norm", &host[1], &plain[1])] {
                assert_close(name, host, plain, 2e-6);
            }
        }
    }
}
