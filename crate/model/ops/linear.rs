//! Linear maps: `y = x Wᵀ + b`, or `y = x W + b` where the checkpoint stores `[in, out]`.

use std::sync::Arc;

use super::gemm::{Matrix, Panels, Rows};
use super::kernels::{self, Format, Tile};
use super::{Compute, Form, Meter, Op, Precision, host_values};
use crate::checkpoint::{Blocks, Halves, HostTensor, Narrow, Weights};
use crate::error::Result;
use burn::tensor::{Bytes, DType, Device, FloatDType, Int, Tensor, TensorData};

/// The weight of a linear map, where its form wants it.
// one a matrix: its few hundred bytes are nothing beside the values
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
enum Weight {
    /// In host memory.
    Host(Arc<Panels>),
    /// On the device, in the stored order, in pieces along `d_out` that each fit a buffer; mostly one.
    Device(Vec<Tensor<2>>),
    /// On the device, in the stored order and type, each piece with its `d_out`; in all perhaps a few more outputs
    /// than the map has, which are zeros.
    Words(Format, Vec<(Tensor<1, Int>, usize)>),
}

/// How a checkpoint stores the matrix of a linear map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

    /// `d_in` and `d_out` of a matrix of this shape.
    fn sizes(self, shape: &[usize]) -> [usize; 2] {
        match self {
            Self::OutIn => [shape[1], shape[0]],
            Self::InOut => [shape[0], shape[1]],
        }
    }

    /// A stored matrix with zeros for more outputs, `wide` in all: what the kernel takes comes in fours.
    fn filled(self, mut values: Vec<f32>, d_in: usize, d_out: usize, wide: usize) -> Vec<f32> {
        if wide == d_out {
            return values;
        }
        match self {
            Self::OutIn => {
                values.resize(d_in * wide, 0.0);
                values
            }
            Self::InOut => {
                let zeros = || std::iter::repeat_n(0.0, wide - d_out);
                values.chunks_exact(d_out).flat_map(|row| row.iter().copied().chain(zeros())).collect()
            }
        }
    }

    /// A stored matrix, as the host multiplies with it.
    fn panels(self, values: &[f32], d_in: usize, d_out: usize, precision: Precision) -> Panels {
        let matrix = self.matrix(values, d_in, d_out);
        match precision {
            Precision::Bf16 => Panels::bf16(matrix),
            Precision::F32 | Precision::F16 => Panels::f32(matrix),
        }
    }

    /// The same of one that is stored in bf16.
    fn panels_of_bf16(self, bytes: &[u8], d_in: usize, d_out: usize, precision: Precision) -> Panels {
        let copied;
        let values = match bytemuck::try_cast_slice(bytes) {
            Ok(values) => values,
            Err(_) => {
                copied = bytemuck::pod_collect_to_vec::<u8, u16>(bytes);
                &copied
            }
        };
        let matrix = self.matrix(values, d_in, d_out);
        match precision {
            Precision::Bf16 => Panels::bf16_of_bf16(matrix),
            Precision::F32 | Precision::F16 => Panels::f32_of_bf16(matrix),
        }
    }

    fn matrix<T>(self, values: &[T], d_in: usize, d_out: usize) -> Matrix<'_, T> {
        let (by_in, by_out) = match self {
            Self::OutIn => (1, d_in),
            Self::InOut => (d_out, 1),
        };
        Matrix { values, d_in, d_out, by_in, by_out }
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
    tile: Tile,
    meter: Meter,
}

impl Linear {
    /// From weights as they were read: a kernel takes 16-bit ones as they are and unpacks quantised ones itself, the
    /// host takes bf16 ones as they are, and all else is unpacked.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] for a packed value that is not finite.
    pub fn new(weight: Weights, order: Order, bias: Option<HostTensor>, compute: &Compute) -> Result<Self> {
        let sizes = order.sizes(weight.shape());
        let host = compute.form(Op::Linear) == Form::Host && weight.is_bf16();
        let narrow =
            if host || takes_narrow(sizes, compute) { weight.narrow()? } else { Narrow::Dense(weight.dense()?) };
        Ok(Self::narrow(narrow, order, bias, compute))
    }

    /// From weights in few bytes.
    pub fn narrow(weight: Narrow, order: Order, bias: Option<HostTensor>, compute: &Compute) -> Self {
        let shape = match &weight {
            Narrow::Dense(HostTensor { shape, .. }) | Narrow::Blocks(Blocks { shape, .. }) => shape,
            Narrow::Bf16(Halves { shape, .. }) | Narrow::F16(Halves { shape, .. }) => shape,
        };
        let sizes @ [d_in, d_out] = order.sizes(shape);
        let narrow = takes_narrow(sizes, compute);
        let halves = |format, bytes| words(Bytes::from_bytes_vec(bytes), d_in, d_out, order, format, compute);
        let weight = match weight {
            Narrow::Bf16(Halves { bytes, .. }) if compute.form(Op::Linear) == Form::Host => {
                Weight::Host(Arc::new(order.panels_of_bf16(&bytes, d_in, d_out, compute.precision)))
            }
            Narrow::Bf16(Halves { bytes, .. }) if narrow => halves(Format::Bf16, bytes),
            Narrow::F16(Halves { bytes, .. }) if narrow => halves(Format::F16, bytes),
            // in one piece
            Narrow::Blocks(blocks)
                if narrow && piece_width(d_in, d_out, device_format(compute).bytes() as u64, compute) >= d_out =>
            {
                Weight::Words(device_format(compute), vec![(unpacked(blocks, compute), d_out)])
            }
            other => return Self::dense(other.dense(), order, bias, compute),
        };
        let (bias, meter) = (bias.map(|b| compute.tensor1(b.data)), compute.meter().clone());
        Self { weight, bias, d_in, d_out, order, tile: Tile::default(), meter }
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
        let [d_in, d_out] = order.sizes(&weight.shape);
        let fours = d_out.next_multiple_of(4);
        let weight = match compute.form(Op::Linear) {
            Form::Host => Weight::Host(Arc::new(order.panels(&weight.data, d_in, d_out, compute.precision))),
            Form::Kernel if kernels::multiplies(d_in, fours) => {
                let data = order.filled(weight.data, d_in, d_out, fours);
                let format = device_format(compute);
                let bytes = if format == Format::F16 {
                    Bytes::from_elems(data.iter().map(|v| half::f16::from_f32(*v)).collect::<Vec<_>>())
                } else {
                    Bytes::from_elems(data)
                };
                words(bytes, d_in, fours, order, format, compute)
            }
            form => Weight::Device(
                // where there is no kernel for it: in f32, which every device has
                pieces(weight.data, d_in, d_out, order, form == Form::Kernel, compute)
                    .into_iter()
                    .inspect(|data| {
                        let narrow = form != Form::Kernel && compute.precision == Precision::F16;
                        compute.sent(data.num_elements() * if narrow { 2 } else { 4 });
                    })
                    .map(|data| match compute.precision {
                        _ if form == Form::Kernel => Tensor::from_data(data, &compute.device),
                        Precision::F32 | Precision::Bf16 => Tensor::from_data(data, &compute.device),
                        Precision::F16 => {
                            Tensor::from_data(data.convert_dtype(DType::F16), (&compute.device, DType::F16))
                        }
                    })
                    .collect(),
            ),
        };
        let (bias, meter) = (bias.map(|b| compute.tensor1(b.data)), compute.meter().clone());
        Self { weight, bias, d_in, d_out, order, tile: Tile::default(), meter }
    }

    /// The same map with another tile of the device's kernel: the same bits.
    #[must_use]
    pub fn tiled(self, tile: Tile) -> Self {
        Self { tile, ..self }
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
        let meter = maps.first().map(|map| map.meter.clone()).unwrap_or_default();
        meter.time(Op::Linear, || Self::products(maps, x))
    }

    fn products<const N: usize>(maps: [&Self; N], x: Tensor<2>) -> [Tensor<2>; N] {
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
                Weight::Words(format, pieces) => {
                    let x = input.tensor(&device);
                    let product = |(w, d_out): &(Tensor<1, Int>, usize)| {
                        kernels::matmul(x.clone(), w.clone(), [map.d_in, *d_out], *format, map.order, map.tile)
                    };
                    let y = joined(pieces.iter().map(product).collect());
                    if y.dims()[1] == map.d_out { y } else { y.slice([0..rows, 0..map.d_out]) }
                }
            };
            match &map.bias {
                Some(bias) => y + bias.clone().unsqueeze::<2>(),
                None => y,
            }
        })
    }

    /// The plain form, piece by piece.
    fn plain(&self, x: Tensor<2>, pieces: &[Tensor<2>]) -> Tensor<2> {
        let parts = pieces.iter().map(|weight| {
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
        joined(parts.collect())
    }
}

/// Parts of a result, side by side.
fn joined(mut parts: Vec<Tensor<2>>) -> Tensor<2> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 1),
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

/// Whether a matrix of these sizes is used in few bytes.
fn takes_narrow([d_in, d_out]: [usize; 2], compute: &Compute) -> bool {
    compute.form(Op::Linear) == Form::Kernel && kernels::multiplies(d_in, d_out)
}

/// How many outputs a piece has, so that none is larger than a buffer of the device may be.
fn piece_width(d_in: usize, d_out: usize, element_bytes: u64, compute: &Compute) -> usize {
    let most = compute.max_buffer.map_or(d_out as u64, |most| most / (d_in as u64 * element_bytes).max(1));
    usize::try_from(most).unwrap_or(usize::MAX).clamp(1, d_out.max(1))
}

/// A matrix cut along `d_out` into pieces of `width`, each with its own; `size` elements of `data` are one of
/// the matrix.
fn cut<T: Copy>(
    data: &[T],
    size: usize,
    [d_in, d_out]: [usize; 2],
    order: Order,
    width: usize,
) -> Vec<(Vec<T>, usize)> {
    (0..d_out)
        .step_by(width)
        .map(|start| {
            let end = (start + width).min(d_out);
            let part = match order {
                Order::OutIn => data[start * d_in * size..end * d_in * size].to_vec(),
                Order::InOut => {
                    // row by row, not element by element
                    let rows = data.chunks_exact(d_out * size).map(|row| &row[start * size..end * size]);
                    rows.collect::<Vec<_>>().concat()
                }
            };
            (part, end - start)
        })
        .collect()
}

/// A matrix in pieces that a device takes.
fn pieces(data: Vec<f32>, d_in: usize, d_out: usize, order: Order, full: bool, compute: &Compute) -> Vec<TensorData> {
    let bytes = if full { Precision::F32.bytes() } else { compute.precision.bytes() };
    let width = piece_width(d_in, d_out, bytes, compute);
    if width >= d_out {
        return vec![TensorData::new(data, order.shape(d_in, d_out))];
    }
    let parts = cut(&data, 1, [d_in, d_out], order, width);
    parts.into_iter().map(|(part, width)| TensorData::new(part, order.shape(d_in, width))).collect()
}

/// The values of blocks in words, made on the device from the bytes as they are stored.
fn unpacked(blocks: Blocks, compute: &Compute) -> Tensor<1, Int> {
    let Blocks { shape, kind, mut bytes } = blocks;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let words = bytes.len() / 4;
    compute.sent(bytes.len());
    let data = TensorData::from_bytes_vec(bytes, [words], DType::I32);
    let blocks = Tensor::from_data(data, (&compute.device, DType::I32));
    kernels::unpacked(blocks, shape.iter().product(), kind, device_format(compute))
}

/// What a device's kernel takes weights as that are not stored in 16 bits.
fn device_format(compute: &Compute) -> Format {
    match compute.precision {
        Precision::F32 | Precision::Bf16 => Format::F32,
        Precision::F16 => Format::F16,
    }
}

/// What a device makes of blocks, for comparison with what the host makes of them, rounded to f16 where the precision
/// is that.
///
/// # Errors
/// [`crate::Error::Device`] when the device fails or is lost.
pub async fn unpack_on_device(blocks: Blocks, compute: &Compute) -> Result<Vec<f32>> {
    let words = compute.read_back_words(unpacked(blocks, compute)).await?;
    Ok(match device_format(compute) {
        Format::F16 => {
            let halves = words.iter().flat_map(|word| [*word as u16, (*word >> 16) as u16]);
            halves.map(|bits| half::f16::from_bits(bits).to_f32()).collect()
        }
        Format::F32 | Format::Bf16 => bytemuck::allocation::cast_vec(words),
    })
}

/// The stored bytes of a matrix in pieces that a device takes, as the kernel reads them.
fn words(bytes: Bytes, d_in: usize, d_out: usize, order: Order, format: Format, compute: &Compute) -> Weight {
    let size = format.bytes();
    // of fours, as the kernel computes them
    let width = (piece_width(d_in, d_out, size as u64, compute) & !3).max(4);
    let tensor = |bytes: Bytes, width: usize| {
        compute.sent(bytes.len());
        let data = TensorData::from_bytes(bytes, [d_in * width * size / 4], DType::I32);
        (Tensor::from_data(data, (&compute.device, DType::I32)), width)
    };
    if width >= d_out {
        return Weight::Words(format, vec![tensor(bytes, d_out)]);
    }
    let parts = cut(&bytes, size, [d_in, d_out], order, width).into_iter();
    Weight::Words(format, parts.map(|(part, width)| tensor(Bytes::from_bytes_vec(part), width)).collect())
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
        let rows = 5;
        for (d_in, d_out) in [(12, 20), (13, 7), (64, 130)] {
            for order in ORDERS {
                let shape = order.shape(d_in, d_out);
                let stored: Vec<u8> =
                    random(d_in * d_out, 8).iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
                let header =
                    serde_json::json!({"w": {"dtype": "BF16", "shape": shape, "data_offsets": [0, stored.len()]}});
                let header = header.to_string().into_bytes();
                let file = [&(header.len() as u64).to_le_bytes(), &header[..], &stored].concat();
                let source = Arc::new(platform::MemorySource::new("w.safetensors", file));
                let checkpoint = block_on(Checkpoint::open_safetensors(vec![source])).unwrap();
                let packed = block_on(checkpoint.read_packed("w", &shape)).unwrap();
                assert!(matches!(packed, Weights::Packed(_)), "{packed:?}");
                let dense = block_on(checkpoint.read("w")).unwrap();
                let x = random(rows * d_in, 9);
                for compute in [Compute::cpu(), Compute::cpu_in(Precision::Bf16), Compute::cpu_plain()] {
                    let run = |weight: Weights| {
                        let map = Linear::new(weight, order, None, &compute).unwrap();
                        host_values(map.forward(compute.tensor2(x.clone(), rows, d_in)))
                    };
                    assert_eq!(run(packed.clone()), run(dense.clone().into()), "{d_in}x{d_out} {order:?}");
                }
            }
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
