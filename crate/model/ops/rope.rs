//! Rotary position embedding (Su et al. 2021), in the "rotate half" layout of Hugging Face.

use std::f64::consts::PI;

use burn::tensor::{Tensor, TensorData};

use super::{Compute, Form, Meter, Op, host_values, kernels};
use crate::platform;

/// How a checkpoint stretches its rotary frequencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// All frequencies divided by the factor (Gemma 3's global layers).
    Linear {
        /// Division factor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided, high ones kept, a smooth passage between.
    Llama3 {
        /// Division factor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of the pre-training.
        original_context: f64,
    },
}

/// Rotary frequencies of one head, `head_dim / 2` of them: `base^(−2i/d)`, then scaled as
/// transformers' `modeling_rope_utils` does.
pub fn inverse_frequencies(head_dim: usize, base: f64, scaling: RopeScaling) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|i| {
            // f32 here, as the reference computes them: the angles of late positions depend on it
            let plain = f64::from(1.0f32 / (base as f32).powf(2.0 * i as f32 / head_dim as f32));
            let scaled = match scaling {
                RopeScaling::None => plain,
                RopeScaling::Linear { factor } => plain / factor,
                RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                    let wavelength = 2.0 * PI / plain;
                    if wavelength < original_context / high_freq_factor {
                        plain
                    } else if wavelength > original_context / low_freq_factor {
                        plain / factor
                    } else {
                        let smooth =
                            (original_context / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        (1.0 - smooth) * plain / factor + smooth * plain
                    }
                }
            };
            scaled as f32
        })
        .collect()
}

/// Cosines and sines of every node's position.
#[derive(Debug, Clone)]
pub struct RopeTable(Table, Meter);

/// Where the form that runs wants them.
#[derive(Debug, Clone)]
enum Table {
    /// `[n, head_dim/2]`, row-major: cosine and sine.
    Host(Vec<(f32, f32)>),
    /// `[n, 1, head_dim/2]` each: cosines, and sines.
    Plain(Box<(Tensor<3>, Tensor<3>)>),
    /// `[n, head_dim]`: cosines, then sines.
    Kernel(Box<Tensor<2>>),
}

impl RopeTable {
    /// For nodes at `positions`, with [`inverse_frequencies`].
    pub fn new(positions: &[u32], frequencies: &[f32], compute: &Compute) -> Self {
        let angles = positions.iter().flat_map(|&p| frequencies.iter().map(move |f| p as f32 * f));
        let turns = angles.map(libm::sincosf);
        let table = match compute.form(Op::Rope) {
            Form::Host => Table::Host(turns.map(|(sin, cos)| (cos, sin)).collect()),
            form => {
                let (sin, cos): (Vec<f32>, Vec<f32>) = turns.unzip();
                let (n, half) = (positions.len(), frequencies.len());
                let table = |values| compute.tensor2(values, n, half).reshape([n, 1, half]);
                let (cos, sin) = (table(cos), table(sin));
                if form == Form::Kernel && half.is_multiple_of(4) {
                    Table::Kernel(Box::new(Tensor::cat(vec![cos, sin], 2).reshape([n, 2 * half])))
                } else {
                    Table::Plain(Box::new((cos, sin)))
                }
            }
        };
        Self(table, compute.meter().clone())
    }

    /// Rotates every head of `x`.
    ///
    /// # Shapes
    /// `x` `[n, heads · head_dim]` → the same.
    pub fn apply(&self, x: Tensor<2>, heads: usize) -> Tensor<2> {
        self.1.time(Op::Rope, || self.rotated(x, heads))
    }

    fn rotated(&self, x: Tensor<2>, heads: usize) -> Tensor<2> {
        let [n, width] = x.dims();
        let half = width / heads.max(1) / 2;
        let (cos, sin) = match &self.0 {
            Table::Host(turns) => return turned(x, turns, half),
            Table::Kernel(turns) => return kernels::rope(x, turns.as_ref().clone(), heads),
            Table::Plain(table) => (&table.0, &table.1),
        };
        let x = x.reshape([n, heads, 2 * half]);
        let first = x.clone().slice([0..n, 0..heads, 0..half]);
        let second = x.slice([0..n, 0..heads, half..2 * half]);
        let rotated = Tensor::cat(
            vec![
                first.clone() * cos.clone() - second.clone() * sin.clone(),
                second * cos.clone() + first * sin.clone(),
            ],
            2,
        );
        rotated.reshape([n, width])
    }
}

/// The host form of [`RopeTable::apply`].
fn turned(x: Tensor<2>, turns: &[(f32, f32)], half: usize) -> Tensor<2> {
    let (shape, device) = (x.dims(), x.device());
    let mut values = host_values(x);
    platform::par_chunks_mut(&mut values, shape[1], |node, row| {
        let turns = &turns[node * half..][..half];
        for head in row.chunks_exact_mut((2 * half).max(1)) {
            let (first, second) = head.split_at_mut(half);
            for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    });
    Tensor::from_data(TensorData::new(values, shape), &device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::tests_support::random;

    #[test]
    fn forms_agree() {
        let plain = Compute::cpu().with(Op::Rope, Form::Plain).unwrap();
        for (heads, head_dim) in [(1, 2), (3, 8), (4, 64)] {
            let positions = [0, 1, 7, 3000];
            let width = heads * head_dim;
            let run = |c: &Compute| {
                let table = RopeTable::new(&positions, &inverse_frequencies(head_dim, 1e4, RopeScaling::None), c);
                host_values(table.apply(c.tensor2(random(4 * width, 1), 4, width), heads))
            };
            assert_eq!(run(&Compute::cpu()), run(&plain));
        }
    }

    #[test]
    fn rotation_keeps_norms_and_position_zero() {
        let c = Compute::cpu();
        let table = RopeTable::new(&[0, 5], &inverse_frequencies(4, 1e4, RopeScaling::None), &c);
        let x = vec![1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0];
        let y = host_values(table.apply(c.tensor2(x.clone(), 2, 4), 1));
        assert_eq!(y[..4], x[..4]);
        let norm = |v: &[f32]| v.iter().map(|a| a * a).sum::<f32>();
        assert!((norm(&y[4..]) - 30.0).abs() < 1e-4 && y[4..] != x[4..]);
        // pair (0, 2) turns by 5 radians
        assert!((y[4] - (5f32.cos() - 3.0 * 5f32.sin())).abs() < 1e-5);
    }

    #[test]
    fn llama3_scaling_keeps_high_and_divides_low_frequencies() {
        let s =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192.0 };
        let plain = inverse_frequencies(64, 5e5, RopeScaling::None);
        let scaled = inverse_frequencies(64, 5e5, s);
        assert_eq!(plain[0], scaled[0]);
        assert!((plain[31] / scaled[31] - 8.0).abs() < 1e-4);
    }
}
