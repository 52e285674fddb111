//! The few tensor operations that the model families are written with.
//!
//! Each has a plain-tensor form, which runs on any device, and where it pays a host form for the CPU,
//! beside it in the same file, and a kernel for graphics devices, in a folder of their own. [`Compute`] says
//! which one runs, operation by operation; the tests compare them through it.

mod activation;
mod active;
mod attention;
mod exact;
mod gemm;
mod kernels;
mod launches;
mod linear;
mod meter;
mod norm;
mod residual;
mod rope;
mod sums;
mod traffic;

pub use activation::{Activation, activate, gated_activation};
pub use active::{Active, ActiveRow, ActiveRule, Threshold};
pub use attention::{AttentionParams, TrieContext, attention};
pub use exact::kernels_are_exact;
pub use gemm::{Matrix, Panels, Rows};
pub use kernels::Tile;
pub use launches::{KernelTime, Launches};
pub use linear::{Linear, Order, unpack_on_device};
pub(crate) use meter::Meter;
pub use meter::OpTime;
pub use norm::{LayerNorm, RmsNorm};
pub use residual::residual_add;
pub use rope::{RopeScaling, RopeTable, inverse_frequencies};
pub use traffic::Moved;

use burn::tensor::{Device, Int, Tensor, TensorData};
use futures::FutureExt;

use crate::error::{Error, Result};
use crate::platform;
use traffic::Traffic;

/// An operation that has more than one form: every entry can be switched, and every pair is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// [`Linear`]: chosen when its weights are taken.
    Linear,
    /// [`attention`]; [`TrieContext`] holds what its form needs.
    Attention,
    /// [`activate`] and [`gated_activation`].
    Activation,
    /// [`RmsNorm`] and [`LayerNorm`]: chosen when their weights are taken.
    Norm,
    /// [`RopeTable`]: chosen when it is made.
    Rope,
    /// [`residual_add`].
    ResidualAdd,
    /// [`Active`]; without a kernel the host chooses.
    Active,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Linear, Self::Attention, Self::Activation, Self::Norm, Self::Rope, Self::ResidualAdd, Self::Active];

    /// Name in a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Attention => "attention",
            Self::Activation => "activation",
            Self::Norm => "norm",
            Self::Rope => "rope",
            Self::ResidualAdd => "residual",
            Self::Active => "active",
        }
    }

    /// Whether there is a kernel of this program's own for it.
    pub fn has_kernel(self) -> bool {
        !matches!(self, Self::ResidualAdd)
    }

    /// The form that a graphics device runs.
    fn on_device(self) -> Form {
        if self.has_kernel() { Form::Kernel } else { Form::Plain }
    }
}

/// How an operation is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Plain tensor operations, on any device.
    Plain,
    /// Fused loops and a blocked matmul over host memory; only where the tensors lie there.
    Host,
    /// A kernel of this program's own, on a graphics device. Shapes that it has no form for (odd widths) are
    /// computed as [`Form::Plain`] does.
    Kernel,
}

/// Number format of weights and matmuls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit throughout.
    F32,
    /// Weights of 16 bits on a graphics device, rounded to f16; those of a block that are stored in bf16 stay as
    /// they are. Inputs and sums are f32; so are the weights of shapes that no kernel takes.
    F16,
    /// The model's weights and matmul inputs rounded to bf16 on the CPU, sums, everything else and the SAEs
    /// in 32 bits.
    Bf16,
}

impl Precision {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Bytes of one weight on the device.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Where the tensor computing happens, and how.
#[derive(Debug, Clone)]
pub struct Compute {
    /// The burn device.
    pub device: Device,
    /// Weights and matmuls.
    pub precision: Precision,
    /// Most bytes of one buffer that a kernel can bind; larger matrices are kept in pieces.
    pub max_buffer: Option<u64>,
    /// by [`Op`], in the order of [`Op::ALL`]
    forms: [Form; Op::ALL.len()],
    /// What its operations take; off but for [`Compute::metered`].
    meter: Meter,
    /// What goes to the device and comes back.
    traffic: Traffic,
}

impl Compute {
    /// The CPU with its host forms, f32.
    pub fn cpu() -> Self {
        let forms = [Form::Host; Op::ALL.len()];
        let (device, precision) = (Device::flex(), Precision::F32);
        Self { device, precision, max_buffer: None, forms, meter: Meter::default(), traffic: Traffic::default() }
    }

    /// The CPU with its host forms, in bf16 where `precision` says so.
    pub fn cpu_in(precision: Precision) -> Self {
        Self { precision, ..Self::cpu() }
    }

    /// The CPU with plain tensor operations: the twin that the host forms are checked against.
    pub fn cpu_plain() -> Self {
        Self { forms: [Form::Plain; Op::ALL.len()], ..Self::cpu() }
    }

    /// A graphics device; see [`Compute::max_buffer`].
    pub fn gpu(device: Device, precision: Precision, max_buffer: Option<u64>) -> Self {
        let (forms, meter, traffic) = (Op::ALL.map(Op::on_device), Meter::default(), Traffic::default());
        Self { device, precision, max_buffer, forms, meter, traffic }
    }

    /// A graphics device with plain tensor operations: the twin that its kernels are checked against.
    pub fn gpu_plain(device: Device, precision: Precision, max_buffer: Option<u64>) -> Self {
        Self { forms: [Form::Plain; Op::ALL.len()], ..Self::gpu(device, precision, max_buffer) }
    }

    /// With sums of what its operations take on the host, which [`Self::times`] tells; copies of it add to the
    /// same sums. On a graphics device an operation is over when it is handed over, so none is measured: see
    /// [`Launches`].
    pub fn metered(self) -> Self {
        if self.on_host() { Self { meter: Meter::on(), ..self } } else { self }
    }

    /// What its operations took so far, where it is metered.
    pub fn times(&self) -> Vec<OpTime> {
        self.meter.read()
    }

    /// For an operation whose form is chosen elsewhere.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// With another form of one operation: what a comparison or a search for the operation at fault
    /// switches.
    ///
    /// # Errors
    /// [`Error::Usage`] for the host form on a device whose tensors are not in host memory, and for a kernel
    /// on one whose tensors are, or of an operation that has none.
    pub fn with(mut self, op: Op, form: Form) -> Result<Self> {
        if form == Form::Host && !self.on_host() {
            return Err(Error::usage(
                format!("the host form of {op:?} on {:?}", self.device),
                "host forms read tensors in host memory: take the CPU",
            ));
        }
        if form == Form::Kernel && (self.on_host() || !op.has_kernel()) {
            return Err(Error::usage(
                format!("a kernel for {op:?} on {:?}", self.device),
                "kernels are for graphics devices, and not every operation has one: take the plain form",
            ));
        }
        self.forms[op as usize] = form;
        Ok(self)
    }

    /// Which form of an operation runs.
    pub fn form(&self, op: Op) -> Form {
        self.forms[op as usize]
    }

    /// Whether tensors lie in host memory.
    pub fn on_host(&self) -> bool {
        self.device == Device::flex()
    }

    /// Has the device begin with what it was given, which else waits until there is more of it.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails or is lost.
    pub fn begin(&self) -> Result<()> {
        let failed = |e| {
            let hint = "the device may be lost or out of memory; run again with `--device cpu`";
            Error::device(format!("handing work to the device failed: {e:?}"), hint)
        };
        if self.on_host() {
            return Ok(());
        }
        let begun = self.device.flush().map_err(failed);
        platform::count_buffers(&self.device);
        // what the driver said tells more than what follows from it
        platform::check_device(&self.device)?;
        begun
    }

    /// What went to the graphics device and came back since this was last asked; nothing on the CPU.
    pub fn moved(&self) -> Moved {
        self.traffic.take()
    }

    /// For what is given to the device elsewhere.
    fn sent(&self, bytes: usize) {
        if !self.on_host() {
            self.traffic.sent(bytes);
        }
    }

    /// Reads a tensor back to the host, row-major, and counts it.
    ///
    /// # Errors
    /// As [`read_back`].
    pub async fn read_back<const D: usize>(&self, tensor: Tensor<D>) -> Result<Vec<f32>> {
        let values = read_back(tensor).await?;
        if !self.on_host() {
            self.traffic.came_back(size_of_val(&values[..]));
        }
        Ok(values)
    }

    /// The same of 32-bit words.
    async fn read_back_words<const D: usize>(&self, tensor: Tensor<D, Int>) -> Result<Vec<u32>> {
        let words = read_back_words(tensor).await?;
        if !self.on_host() {
            self.traffic.came_back(size_of_val(&words[..]));
        }
        Ok(words)
    }

    /// A `[rows, cols]` tensor from row-major host values.
    pub fn tensor2(&self, data: Vec<f32>, rows: usize, cols: usize) -> Tensor<2> {
        self.sent(size_of_val(&data[..]));
        Tensor::from_data(TensorData::new(data, [rows, cols]), &self.device)
    }

    /// A vector from host values.
    pub fn tensor1(&self, data: Vec<f32>) -> Tensor<1> {
        let n = data.len();
        self.sent(size_of_val(&data[..]));
        Tensor::from_data(TensorData::new(data, [n]), &self.device)
    }

    /// Row or element indices.
    pub fn indices(&self, indices: &[usize]) -> Tensor<1, Int> {
        let data: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
        self.sent(size_of_val(&data[..]));
        Tensor::from_data(TensorData::new(data, [indices.len()]), &self.device)
    }
}

/// Row-major values of a tensor that lives in host memory already (a flex tensor). Does not copy
/// when the tensor is contiguous and not shared.
pub(crate) fn host_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data_async()
        .now_or_never()
        .and_then(|data| data.ok())
        .and_then(|data| data.try_into_vec::<f32>().ok())
        // a flex tensor is ready at once and f32 by construction; anything else is a bug in the caller
        .unwrap_or_else(|| unreachable!("host kernels run on host tensors only"))
}

/// Reads a tensor back to the host, row-major.
///
/// # Errors
/// [`Error::Device`] when the device fails or is lost.
pub async fn read_back<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let device = tensor.device();
    let data = tensor.into_data_async().await;
    platform::check_device(&device)?;
    let data = data.map_err(not_read)?;
    data.convert::<f32>().try_into_vec::<f32>().map_err(not_read)
}

/// Reads a tensor of 32-bit words back to the host, row-major.
///
/// # Errors
/// As [`read_back`].
async fn read_back_words<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<u32>> {
    let device = tensor.device();
    let data = tensor.into_data_async().await;
    platform::check_device(&device)?;
    let data = data.map_err(not_read)?;
    let words = data.try_into_vec::<i32>().map_err(not_read)?;
    Ok(bytemuck::allocation::cast_vec(words))
}

fn not_read(e: impl std::fmt::Debug) -> Error {
    Error::device(
        format!("reading results back failed: {e:?}"),
        "the device may be lost or out of memory; run again with `--device cpu` or a smaller `--batch-size`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_operation_is_switched_alone() {
        for op in Op::ALL {
            for (start, form) in [(Compute::cpu(), Form::Plain), (Compute::cpu_plain(), Form::Host)] {
                let switched = start.clone().with(op, form).unwrap();
                for other in Op::ALL {
                    let expected = if other == op { form } else { start.form(other) };
                    assert_eq!(switched.form(other), expected, "{op:?} to {form:?}: {other:?}");
                }
                assert!(start.with(op, Form::Kernel).is_err(), "a kernel of {op:?} on the CPU");
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    //! Random values and a comparison that names what differs.

    /// Deterministic values in [−1, 1).
    pub(crate) fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut s = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n)
            .map(|_| {
                s ^= s << 13;
                s ^= s >> 7;
                s ^= s << 17;
                (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// The largest difference relative to the largest value is at most `tolerance`.
    pub(crate) fn assert_close(name: &str, a: &[f32], b: &[f32], tolerance: f32) {
        assert_eq!(a.len(), b.len(), "{name}: lengths");
        assert!(a.iter().chain(b).all(|v| v.is_finite()), "{name}: not finite");
        let scale = b.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
        let worst = a.iter().zip(b).fold(0f32, |m, (x, y)| m.max((x - y).abs()));
        assert!(worst <= tolerance * scale, "{name}: largest difference {worst:e} at scale {scale:e}");
    }
}
