//! Linear maps: `y = x Wᵀ + b`, or `y = x W + b` where the checkpoint stores `[in, out]`.

use std::sync::Arc;

use super::gemm::{Matrix, Panels, Rows};
use super::{Compute, Form, Op, Precision, host_values};
use crate::checkpoint::{HostTensor, Weights};
use crate::error::Result;
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};

/// The weight of a linear map, where its form wants it.
// one a matrix: its few hundred bytes are nothing beside the values
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
enum Weight {
    /// In host memory.
    Host(Arc<Panels>),
    /// On the device, as stored, in pieces along `d_out` that each fit a buffer; mostly one.
    Device(Vec<Tensor<2>>),
}

/// How a checkpoint stores the matrix of a linear map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `[d_out, d_in]`: torch's `nn.Linear`.
    OutIn,
    /// `[d_in, d_out]`: GPT-2's `Conv1D`, SAE encoders.
    InOut,
}

impl Order {
    /// The stored shape.
    pub fn shape(self, d_in: usize, d_out: usize) -> [usize; 2] {
        match self {
            Self::OutIn => [d_out, d_in],
            Self::InOut => [d_in, d_out],
        }
    }

    /// A stored matrix, as the host multiplies with it.
    fn panels(self, values: &[f32], d_in: usize, d_out: usize, precision: Precision) -> Panels {
        let (by_in, by_out) = match self {
            Self::OutIn => (1, d_in),
            Self::InOut => (d_out, 1),
        };
        let matrix = Matrix { values, d_in, d_out, by_in, by_out };
        match precision {
            Precision::Bf16 => Panels::bf16(matrix),
            Precision::F32 | Precision::F16 => Panels::f32(matrix),
        }
    }
}

/// A linear map from `d_in` to `d_out`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor<1>>,
    d_in: usize,
    d_out: usize,
    order: Order,
}

impl Linear {
    /// From weights as they were read. No form computes with packed ones, so these are unpacked here.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] for a packed value that is not finite.
    pub fn new(weight: Weights, order: Order, bias: Option<HostTensor>, compute: &Compute) -> Result<Self> {
        Ok(Self::dense(weight.dense()?, order, bias, compute))
    }

    /// From a dense weight `[d_out, d_in]`; see [`Order::OutIn`].
    pub fn out_in(weight: HostTensor, bias: Option<HostTensor>, compute: &Compute) -> Self {
        Self::dense(weight, Order::OutIn, bias, compute)
    }

    /// From a dense weight `[d_in, d_out]`; see [`Order::InOut`].
    pub fn in_out(weight: HostTensor, bias: Option<HostTensor>, compute: &Compute) -> Self {
        Self::dense(weight, Order::InOut, bias, compute)
    }

    fn dense(weight: HostTensor, order: Order, bias: Option<HostTensor>, compute: &Compute) -> Self {
        let (first, second) = (weight.shape[0], weight.shape[1]);
        let (d_in, d_out) = match order {
            Order::OutIn => (second, first),
            Order::InOut => (first, second),
        };
        let weight = match compute.form(Op::Linear) {
            Form::Host => Weight::Host(Arc::new(order.panels(&weight.data, d_in, d_out, compute.precision))),
            Form::Plain => Weight::Device(
                pieces(weight.data, d_in, d_out, order, compute)
                    .into_iter()
                    .map(|data| match compute.precision {
                        Precision::F32 | Precision::Bf16 => Tensor::from_data(data, &compute.device),
                        Precision::F16 => {
                            Tensor::from_data(data.convert_dtype(DType::F16), (&compute.device, DType::F16))
                        }
                    })
                    .collect(),
            ),
        };
        Self { weight, bias: bias.map(|b| compute.tensor1(b.data)), d_in, d_out, order }
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
        let [y] = Self::forward_each([self], x);
        y
    }

    /// Applies several maps to the same rows, which the host form makes ready once.
    ///
    /// # Shapes
    /// `x` `[n, d_in]` → `[n, d_out]` of each.
    pub fn forward_each<const N: usize>(maps: [&Self; N], x: Tensor<2>) -> [Tensor<2>; N] {
        let device = x.device();
        let rows = x.dims()[0];
        let mut input = Input { x, rows: None };
        maps.map(|map| {
            let y = match &map.weight {
                Weight::Host(weight) => {
                    let y = weight.multiply(input.rows());
                    Tensor::from_data(TensorData::new(y, [rows, map.d_out]), &device)
                }
                Weight::Device(pieces) => map.plain(input.tensor(&device), pieces),
            };
            match &map.bias {
                Some(bias) => y + bias.clone().unsqueeze::<2>(),
                None => y,
            }
        })
    }

    /// The plain form, piece by piece.
    fn plain(&self, x: Tensor<2>, pieces: &[Tensor<2>]) -> Tensor<2> {
        let mut parts = pieces.iter().map(|weight| {
            let weight = match self.order {
                Order::OutIn => weight.clone().transpose(),
                Order::InOut => weight.clone(),
            };
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
}

/// What several maps are applied to.
struct Input {
    /// Empty once its values are on the host.
    x: Tensor<2>,
    rows: Option<Rows>,
}

impl Input {
    fn rows(&mut self) -> &mut Rows {
        let Self { x, rows } = self;
        rows.get_or_insert_with(|| {
            let rows = x.dims()[0];
            // handed over, not shared: values that nobody else has are not copied
            let x = std::mem::replace(x, Tensor::empty([0, 0], &x.device()));
            Rows::new(host_values(x), rows)
        })
    }

    fn tensor(&self, device: &Device) -> Tensor<2> {
        self.rows.as_ref().map_or_else(|| self.x.clone(), |rows| rows.tensor(device))
    }
}

/// A matrix cut along `d_out` so that no piece is larger than a buffer of the device may be.
fn pieces(data: Vec<f32>, d_in: usize, d_out: usize, order: Order, compute: &Compute) -> Vec<TensorData> {
    let bytes_per_output = d_in as u64 * compute.precision.bytes();
    let most = compute.max_buffer.map_or(d_out as u64, |most| most / bytes_per_output.max(1));
    let width = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, d_out.max(1));
    let shape = |width: usize| order.shape(d_in, width);
    if width >= d_out {
        return vec![TensorData::new(data, shape(d_out))];
    }
    let starts = (0..d_out).step_by(width);
    starts
        .map(|start| {
            let end = (start + width).min(d_out);
            let part = match order {
                Order::OutIn => data[start * d_in..end * d_in].to_vec(),
                Order::InOut => data.chunks_exact(d_out).flat_map(|row| &row[start..end]).copied().collect(),
            };
            TensorData::new(part, shape(end - start))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::model::ops::tests_support::{assert_close, random};
    use crate::platform;

    const ORDERS: [Order; 2] = [Order::OutIn, Order::InOut];

    #[test]
    fn forms_agree() {
        let switched = Compute::cpu().with(Op::Linear, Form::Plain).unwrap();
        for (rows, d_in, d_out) in [(1, 16, 8), (2, 33, 7), (17, 64, 130), (130, 96, 64)] {
            for order in ORDERS {
                let x = random(rows * d_in, 1);
                let w = HostTensor { shape: order.shape(d_in, d_out).to_vec(), data: random(d_in * d_out, 2) };
                let b = HostTensor { shape: vec![d_out], data: random(d_out, 3) };
                let run = |compute: &Compute| {
                    let map = Linear::new(w.clone().into(), order, Some(b.clone()), compute).unwrap();
                    assert_eq!((map.d_in(), map.d_out()), (d_in, d_out));
                    host_values(map.forward(compute.tensor2(x.clone(), rows, d_in)))
                };
                assert_close("linear", &run(&Compute::cpu()), &run(&switched), 1e-5);
            }
        }
    }

    #[test]
    fn packed_weights_give_the_map_of_the_dense_ones() {
        let (rows, d_in, d_out) = (5, 12, 20);
        let stored: Vec<u8> =
            random(d_in * d_out, 8).iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
        let header =
            serde_json::json!({"w": {"dtype": "BF16", "shape": [d_out, d_in], "data_offsets": [0, stored.len()]}});
        let header = header.to_string().into_bytes();
        let file = [&(header.len() as u64).to_le_bytes(), &header[..], &stored].concat();
        let source = Arc::new(platform::MemorySource::new("w.safetensors", file));
        let checkpoint = block_on(Checkpoint::open_safetensors(vec![source])).unwrap();
        let packed = block_on(checkpoint.read_packed("w", &[d_out, d_in])).unwrap();
        assert!(matches!(packed, Weights::Packed(_)), "{packed:?}");
        let dense = block_on(checkpoint.read("w")).unwrap();
        let x = random(rows * d_in, 9);
        for compute in [Compute::cpu(), Compute::cpu_plain()] {
            let run = |weight: Weights| {
                let map = Linear::new(weight, Order::OutIn, None, &compute).unwrap();
                host_values(map.forward(compute.tensor2(x.clone(), rows, d_in)))
            };
            assert_eq!(run(packed.clone()), run(dense.clone().into()));
        }
    }

    #[test]
    fn a_matrix_in_pieces_is_the_same_map() {
        let (rows, d_in, d_out) = (5, 24, 70);
        for order in ORDERS {
            let x = random(rows * d_in, 6);
            let w = HostTensor { shape: order.shape(d_in, d_out).to_vec(), data: random(d_in * d_out, 7) };
            let run = |max_buffer: Option<u64>| {
                let compute = Compute { max_buffer, ..Compute::cpu_plain() };
                let map = Linear::dense(w.clone(), order, None, &compute);
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
}
