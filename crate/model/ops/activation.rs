//! MLP activations, alone and as the gate of a gated linear unit.

use burn::tensor::{Tensor, TensorData, activation as act};

use super::{Compute, Form, Op, host_values, kernels};
use crate::platform;

/// √(2/π)
pub(super) const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// elements per parallel chunk: large enough to pay for a task, small enough to stay in cache
const CHUNK: usize = 1 << 14;

/// The activations that the supported families use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x · Φ(x)` through the error function (torch's `gelu`).
    Gelu,
    /// The tanh approximation, `gelu_pytorch_tanh` and `gelu_new` (Hendrycks & Gimpel 2016).
    GeluTanh,
    /// `x · σ(x)`, `silu` or `swish`.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// From the name a Hugging Face config uses.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Self::GeluTanh,
            "silu" | "swish" => Self::Silu,
            "relu" => Self::Relu,
            _ => return None,
        })
    }

    fn scalar(self, x: f32) -> f32 {
        match self {
            Self::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
            // 0.5·(1 + tanh u) = σ(2u): one exponential and no cancellation
            Self::GeluTanh => x * sigmoid(2.0 * SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)),
            Self::Silu => x * sigmoid(x),
            Self::Relu => x.max(0.0),
        }
    }

    fn tensor(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Gelu => act::gelu(x),
            Self::GeluTanh => {
                let inner = (x.clone() + x.clone().powi_scalar(3) * 0.044_715) * SQRT_2_OVER_PI;
                // 0.5·(1 + tanh u) = σ(2u), as above; some devices' tanh is no number where its exponential overflows
                x * act::sigmoid(inner * 2.0)
            }
            Self::Silu => act::silu(x),
            Self::Relu => act::relu(x),
        }
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `eˣ` to about 2 ulp, in straight-line code that the compiler vectorises (the libm call does
/// not): Cephes' reduction by ln 2 in two parts and its degree-5 polynomial. Saturates instead of
/// overflowing.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5·2²³: adding it rounds to an integer
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    let p = p * r * r + r + 1.0;
    let power = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    p * f32::from_bits(power)
}

/// `act(x)`, element by element.
pub fn activate(x: Tensor<2>, activation: Activation, compute: &Compute) -> Tensor<2> {
    compute.meter().time(Op::Activation, || match compute.form(Op::Activation) {
        Form::Kernel if x.dims()[1].is_multiple_of(4) => kernels::activated(x, activation),
        Form::Plain | Form::Kernel => activation.tensor(x),
        Form::Host => {
            let shape = x.dims();
            let mut values = host_values(x);
            platform::par_chunks_mut(&mut values, CHUNK, |_, chunk| {
                apply(activation, chunk);
            });
            Tensor::from_data(TensorData::new(values, shape), &compute.device)
        }
    })
}

/// `act(gate) · up`, the gated linear unit's middle (Shazeer 2020).
///
/// # Shapes
/// `gate`, `up` `[n, d_mlp]` → `[n, d_mlp]`.
pub fn gated_activation(gate: Tensor<2>, up: Tensor<2>, activation: Activation, compute: &Compute) -> Tensor<2> {
    compute.meter().time(Op::Activation, || match compute.form(Op::Activation) {
        Form::Kernel if gate.dims()[1].is_multiple_of(4) => kernels::gated(gate, up, activation),
        Form::Plain | Form::Kernel => activation.tensor(gate) * up,
        Form::Host => {
            let shape = gate.dims();
            let mut values = host_values(gate);
            let up = host_values(up);
            platform::par_chunks_mut(&mut values, CHUNK, |i, chunk| {
                apply(activation, chunk);
                let up = &up[i * CHUNK..i * CHUNK + chunk.len()];
                chunk.iter_mut().zip(up).for_each(|(v, u)| *v *= u);
            });
            Tensor::from_data(TensorData::new(values, shape), &compute.device)
        }
    })
}

/// One loop per activation, so that each vectorises.
fn apply(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::GeluTanh => values.iter_mut().for_each(|v| *v = Activation::GeluTanh.scalar(*v)),
        Activation::Silu => values.iter_mut().for_each(|v| *v = Activation::Silu.scalar(*v)),
        other => values.iter_mut().for_each(|v| *v = other.scalar(*v)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::tests_support::{assert_close, random};

    #[test]
    fn exponential_is_accurate() {
        let mut worst = 0f64;
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let want = f64::from(x).exp();
            worst = worst.max(((f64::from(exp(x)) - want) / want).abs());
        }
        assert!(worst < 3e-7, "largest relative error {worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e9) < 1e-37 && exp(1e9).is_finite());
    }

    #[test]
    fn forms_agree() {
        let (n, d) = (37, 1001);
        let wide: Vec<f32> = random(n * d, 1).iter().map(|v| v * 12.0).collect();
        let up = random(n * d, 2);
        for a in [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Relu] {
            let run = |c: &Compute| {
                let x = c.tensor2(wide.clone(), n, d);
                let alone = host_values(activate(x.clone(), a, c));
                let gated = host_values(gated_activation(x, c.tensor2(up.clone(), n, d), a, c));
                (alone, gated)
            };
            let plain = Compute::cpu().with(Op::Activation, Form::Plain).unwrap();
            let (host, plain) = (run(&Compute::cpu()), run(&plain));
            assert_close("activation", &host.0, &plain.0, 1e-6);
            assert_close("gated activation", &host.1, &plain.1, 1e-6);
        }
    }
}
