//! The few tensor operations that the model families are written with.
//!
//! Each has a plain-tensor form, which runs on any device, and where it pays a fused host kernel
//! for the CPU ([`Kernels::Host`]). The two are compared with each other in the tests.

mod activation;
mod attention;
mod linear;
mod norm;
mod rope;

pub use activation::{Activation, activate, gated_activation};
pub use attention::{AttentionParams, TrieContext, attention};
pub use linear::{Linear, linear, matmul_host};
pub use norm::{LayerNorm, RmsNorm};
pub use rope::{RopeScaling, RopeTable, inverse_frequencies};

use burn::tensor::{Device, Int, Tensor, TensorData};
use futures::FutureExt;

use crate::error::{Error, Result};

/// Which form of the operations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// Fused loops and a blocked matmul on host memory; only on a CPU device.
    Host,
    /// Plain tensor operations, on any device.
    Tensor,
}

/// Number format of weights and matmuls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit throughout.
    F32,
    /// 16-bit weights and matmul inputs; the residual stream stays 32-bit.
    F16,
}

impl Precision {
    /// `f32` or `f16`, as on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Bytes of one weight on the device.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Where the tensor computing happens, and how.
#[derive(Debug, Clone)]
pub struct Compute {
    /// The burn device.
    pub device: Device,
    /// Which kernels run on it.
    pub kernels: Kernels,
    /// Weights and matmuls.
    pub precision: Precision,
    /// Most bytes of one buffer that a kernel can bind; larger matrices are kept in pieces.
    pub max_buffer: Option<u64>,
}

impl Compute {
    /// The CPU with its fused kernels, f32.
    pub fn cpu() -> Self {
        Self { device: Device::flex(), kernels: Kernels::Host, precision: Precision::F32, max_buffer: None }
    }

    /// The CPU with plain tensor operations: the twin that the fused kernels are checked against.
    pub fn cpu_plain() -> Self {
        Self { kernels: Kernels::Tensor, ..Self::cpu() }
    }

    /// A `[rows, cols]` tensor from row-major host values.
    pub fn tensor2(&self, data: Vec<f32>, rows: usize, cols: usize) -> Tensor<2> {
        Tensor::from_data(TensorData::new(data, [rows, cols]), &self.device)
    }

    /// A vector from host values.
    pub fn tensor1(&self, data: Vec<f32>) -> Tensor<1> {
        let n = data.len();
        Tensor::from_data(TensorData::new(data, [n]), &self.device)
    }

    /// Row or element indices.
    pub fn indices(&self, indices: &[usize]) -> Tensor<1, Int> {
        let data: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
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
    let failed = |e: String| {
        Error::device(
            format!("reading results back failed: {e}"),
            "the device may be lost or out of memory; run again with `--device cpu` or a smaller `--batch-size`",
        )
    };
    let data = tensor.into_data_async().await.map_err(|e| failed(format!("{e:?}")))?;
    data.convert::<f32>().try_into_vec::<f32>().map_err(|e| failed(format!("{e:?}")))
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
        let scale = b.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
        let worst = a.iter().zip(b).fold(0f32, |m, (x, y)| m.max((x - y).abs()));
        assert!(worst <= tolerance * scale, "{name}: largest difference {worst:e} at scale {scale:e}");
    }
}
