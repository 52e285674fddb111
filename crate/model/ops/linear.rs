//! Linear maps: `y = x Wᵀ + b`, or `y = x W + b` where the checkpoint stores `[in, out]`.

use std::sync::Arc;

use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef};

use super::{Compute, Kernels, Precision, host_values};
use crate::checkpoint::HostTensor;
use crate::platform;

/// The weight of a linear map, where its kernel wants it.
// one a matrix: its few hundred bytes are nothing beside the values
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
enum Weight {
    /// Row-major host values.
    Host(Arc<Vec<f32>>),
    /// On the device, as stored, in pieces along `d_out` that each fit a buffer; mostly one.
    Device(Vec<Tensor<2>>),
}

/// A linear map from `d_in` to `d_out`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor<1>>,
    d_in: usize,
    d_out: usize,
    /// stored `[out, in]` (torch's `nn.Linear`) rather than `[in, out]` (GPT-2's `Conv1D`, SAEs)
    out_major: bool,
}

impl Linear {
    /// From a weight `[d_out, d_in]` as `nn.Linear` stores it.
    pub fn out_in(weight: HostTensor, bias: Option<HostTensor>, compute: &Compute) -> Self {
        let (d_out, d_in) = (weight.shape[0], weight.shape[1]);
        Self::new(weight.data, bias, d_in, d_out, true, compute)
    }

    /// From a weight `[d_in, d_out]`, as GPT-2's `Conv1D` and SAE encoders store it.
    pub fn in_out(weight: HostTensor, bias: Option<HostTensor>, compute: &Compute) -> Self {
        let (d_in, d_out) = (weight.shape[0], weight.shape[1]);
        Self::new(weight.data, bias, d_in, d_out, false, compute)
    }

    fn new(
        data: Vec<f32>,
        bias: Option<HostTensor>,
        d_in: usize,
        d_out: usize,
        out_major: bool,
        compute: &Compute,
    ) -> Self {
        let weight = match compute.kernels {
            Kernels::Host => Weight::Host(Arc::new(data)),
            Kernels::Tensor => Weight::Device(
                pieces(data, d_in, d_out, out_major, compute)
                    .into_iter()
                    .map(|data| match compute.precision {
                        Precision::F32 => Tensor::from_data(data, &compute.device),
                        Precision::F16 => {
                            Tensor::from_data(data.convert_dtype(DType::F16), (&compute.device, DType::F16))
                        }
                    })
                    .collect(),
            ),
        };
        Self { weight, bias: bias.map(|b| compute.tensor1(b.data)), d_in, d_out, out_major }
    }

    /// Input width.
    pub fn d_in(&self) -> usize {
        self.d_in
    }

    /// Output width.
    pub fn d_out(&self) -> usize {
        self.d_out
    }

    /// Applies the map to every row.
    ///
    /// # Shapes
    /// `x` `[n, d_in]` → `[n, d_out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(x, self)
    }
}

/// See [`Linear::forward`].
pub fn linear(x: Tensor<2>, map: &Linear) -> Tensor<2> {
    let y = match &map.weight {
        Weight::Host(weight) => {
            let device = x.device();
            let rows = x.dims()[0];
            let y = matmul_host(&host_values(x), weight, rows, map.d_in, map.d_out, map.out_major);
            Tensor::from_data(TensorData::new(y, [rows, map.d_out]), &device)
        }
        Weight::Device(pieces) => {
            let mut parts = pieces.iter().map(|weight| {
                let weight = if map.out_major { weight.clone().transpose() } else { weight.clone() };
                let x = x.clone();
                if weight.dtype() == x.dtype() {
                    x.matmul(weight)
                } else {
                    x.cast(FloatDType::F16).matmul(weight).cast(FloatDType::F32)
                }
            });
            match (parts.next(), pieces.len()) {
                (Some(only), 1) => only,
                (first, _) => Tensor::cat(first.into_iter().chain(parts).collect(), 1),
            }
        }
    };
    match &map.bias {
        Some(bias) => y + bias.clone().unsqueeze::<2>(),
        None => y,
    }
}

/// A matrix cut along `d_out` so that no piece is larger than a buffer of the device may be.
fn pieces(data: Vec<f32>, d_in: usize, d_out: usize, out_major: bool, compute: &Compute) -> Vec<TensorData> {
    let bytes_per_output = d_in as u64 * compute.precision.bytes();
    let most = compute.max_buffer.map_or(d_out as u64, |most| most / bytes_per_output.max(1));
    let width = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, d_out.max(1));
    let shape = |width: usize| if out_major { [width, d_in] } else { [d_in, width] };
    if width >= d_out {
        return vec![TensorData::new(data, shape(d_out))];
    }
    let starts = (0..d_out).step_by(width);
    starts
        .map(|start| {
            let end = (start + width).min(d_out);
            let part = if out_major {
                data[start * d_in..end * d_in].to_vec()
            } else {
                data.chunks_exact(d_out).flat_map(|row| &row[start..end]).copied().collect()
            };
            TensorData::new(part, shape(end - start))
        })
        .collect()
}

/// `x · W` on host memory, `x` `[rows, d_in]`, `W` `[d_out, d_in]` if `out_major`, else
/// `[d_in, d_out]`; all row-major, f32.
///
/// A row's result does not depend on which other rows are there, to the last bit: every output
/// element is accumulated over `d_in` in the same order whatever the number of rows. (Only a
/// single row takes another path in the library; it is doubled.) That is what makes a batch of
/// any size give the same numbers.
pub fn matmul_host(x: &[f32], weight: &[f32], rows: usize, d_in: usize, d_out: usize, out_major: bool) -> Vec<f32> {
    if rows == 0 {
        return Vec::new();
    }
    if rows == 1 {
        let mut y = matmul_host(&x.repeat(2), weight, 2, d_in, d_out, out_major);
        y.truncate(d_out);
        return y;
    }
    let mut y = vec![0.0; rows * d_out];
    let weight = if out_major {
        MatRef::from_row_major_slice(weight, d_out, d_in).transpose()
    } else {
        MatRef::from_row_major_slice(weight, d_in, d_out)
    };
    matmul(
        MatMut::from_row_major_slice_mut(&mut y, rows, d_out),
        Accum::Replace,
        MatRef::from_row_major_slice(x, rows, d_in),
        weight,
        1.0,
        platform::matmul_parallelism(),
    );
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::tests_support::{assert_close, random};

    #[test]
    fn host_matmul_agrees_with_plain_tensors() {
        for (rows, d_in, d_out) in [(1, 16, 8), (2, 33, 7), (17, 64, 130), (130, 96, 64)] {
            for out_major in [true, false] {
                let x = random(rows * d_in, 1);
                let shape = if out_major { vec![d_out, d_in] } else { vec![d_in, d_out] };
                let w = HostTensor { shape, data: random(d_in * d_out, 2) };
                let b = HostTensor { shape: vec![d_out], data: random(d_out, 3) };
                let run = |compute: &Compute| {
                    let map = if out_major {
                        Linear::out_in(w.clone(), Some(b.clone()), compute)
                    } else {
                        Linear::in_out(w.clone(), Some(b.clone()), compute)
                    };
                    host_values(map.forward(compute.tensor2(x.clone(), rows, d_in)))
                };
                assert_close("linear", &run(&Compute::cpu()), &run(&Compute::cpu_plain()), 1e-5);
            }
        }
    }

    #[test]
    fn a_matrix_in_pieces_is_the_same_map() {
        let (rows, d_in, d_out) = (5, 24, 70);
        for out_major in [true, false] {
            let x = random(rows * d_in, 6);
            let shape = if out_major { vec![d_out, d_in] } else { vec![d_in, d_out] };
            let w = HostTensor { shape, data: random(d_in * d_out, 7) };
            let run = |max_buffer: Option<u64>| {
                let compute = Compute { max_buffer, ..Compute::cpu_plain() };
                let map = if out_major {
                    Linear::out_in(w.clone(), None, &compute)
                } else {
                    Linear::in_out(w.clone(), None, &compute)
                };
                if let (Weight::Device(pieces), Some(most)) = (&map.weight, max_buffer) {
                    assert!(pieces.len() > 1);
                    let largest = pieces.iter().map(|p| p.dims().iter().product::<usize>() * 4).max().unwrap();
                    assert!(largest as u64 <= most.max(d_in as u64 * 4), "{largest} of {most}");
                }
                host_values(map.forward(compute.tensor2(x.clone(), rows, d_in)))
            };
            let whole = run(None);
            for most in [1, 24 * 4, 24 * 4 * 32, 24 * 4 * 69] {
                assert_close("pieces", &run(Some(most)), &whole, 1e-6);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        for (d_in, d_out) in [(16, 40), (33, 7), (64, 48), (576, 300), (2304, 257)] {
            let rows = 131;
            let x = random(rows * d_in, 4);
            for out_major in [true, false] {
                let w = random(d_in * d_out, 5);
                let all = matmul_host(&x, &w, rows, d_in, d_out, out_major);
                for (start, n) in [(0, 1), (0, 2), (3, 1), (5, 7), (17, 16), (64, 33), (100, 31), (130, 1), (1, 130)] {
                    let part = matmul_host(&x[start * d_in..(start + n) * d_in], &w, n, d_in, d_out, out_major);
                    assert!(
                        part == all[start * d_out..(start + n) * d_out],
                        "rows {start}+{n} of {d_in}x{d_out} out_major={out_major} differ from the whole batch"
                    );
                }
            }
        }
    }
}
