//! The parts that blocks are made of: what their tensors are called, of which shapes they are, and how
//! they are made from the weights that were read. Names and shapes are said here and in a family's own
//! file, once; reading, estimates and building follow from them.

use super::architecture::{LayerWeights, TensorSpec};
use super::ops::{Compute, LayerNorm, Linear, Order, RmsNorm};
use crate::error::{Error, Result};

/// A linear map: `NAME.weight` and perhaps `NAME.bias`.
#[derive(Debug, Clone, Copy)]
pub struct LinearSpec {
    /// Name below the block's prefix.
    pub name: &'static str,
    /// Order of the matrix as stored.
    pub order: Order,
    /// Input width.
    pub d_in: usize,
    /// Output width.
    pub d_out: usize,
    /// Whether it has a bias `[d_out]`.
    pub bias: bool,
}

impl LinearSpec {
    fn tensors(&self) -> impl Iterator<Item = TensorSpec> {
        let weight = (format!("{}.weight", self.name), self.order.shape(self.d_in, self.d_out).to_vec());
        std::iter::once(weight).chain(self.bias.then(|| (format!("{}.bias", self.name), vec![self.d_out])))
    }

    fn build(&self, w: &mut LayerWeights, compute: &Compute) -> Result<Linear> {
        let weight = w.take(&format!("{}.weight", self.name))?;
        let bias = if self.bias { Some(w.dense(&format!("{}.bias", self.name))?) } else { None };
        Linear::new(weight, self.order, bias, compute)
    }
}

/// A norm: `NAME.weight` and perhaps `NAME.bias`.
#[derive(Debug, Clone, Copy)]
pub struct NormSpec {
    /// Name below the block's prefix, or the checkpoint's.
    pub name: &'static str,
    /// Width of what is normed.
    pub width: usize,
    /// Whether it has a bias `[width]`: a layer norm does.
    pub bias: bool,
}

impl NormSpec {
    /// Its tensors, `[width]`.
    pub fn tensors(&self) -> impl Iterator<Item = TensorSpec> {
        let tensor = |kind: &str| (format!("{}.{kind}", self.name), vec![self.width]);
        std::iter::once(tensor("weight")).chain(self.bias.then(|| tensor("bias")))
    }

    /// As [`RmsNorm::new`].
    ///
    /// # Errors
    /// [`Error::Missing`] when a tensor was not read, [`Error::Malformed`] for values that are not finite.
    pub fn rms(&self, w: &mut LayerWeights, eps: f64, compute: &Compute) -> Result<RmsNorm> {
        Ok(RmsNorm::new(w.dense(&format!("{}.weight", self.name))?, eps, compute))
    }

    /// As [`RmsNorm::unit_offset`].
    ///
    /// # Errors
    /// As [`NormSpec::rms`].
    pub fn rms_unit_offset(&self, w: &mut LayerWeights, eps: f64, compute: &Compute) -> Result<RmsNorm> {
        Ok(RmsNorm::unit_offset(w.dense(&format!("{}.weight", self.name))?, eps, compute))
    }

    /// As [`LayerNorm::new`].
    ///
    /// # Errors
    /// As [`NormSpec::rms`].
    pub fn layer_norm(&self, w: &mut LayerWeights, eps: f64, compute: &Compute) -> Result<LayerNorm> {
        let weight = w.dense(&format!("{}.weight", self.name))?;
        Ok(LayerNorm::new(weight, w.dense(&format!("{}.bias", self.name))?, eps, compute))
    }
}

/// The tensors of a block.
pub fn tensors(linears: &[LinearSpec], norms: &[NormSpec]) -> Vec<TensorSpec> {
    linears.iter().flat_map(LinearSpec::tensors).chain(norms.iter().flat_map(NormSpec::tensors)).collect()
}

/// Builds linear maps, in their order.
///
/// # Errors
/// [`Error::Missing`] when a tensor was not read, [`Error::Malformed`] for values that are not finite.
pub fn linears<const N: usize>(specs: [LinearSpec; N], w: &mut LayerWeights, compute: &Compute) -> Result<[Linear; N]> {
    each(specs, |spec| spec.build(w, compute))
}

/// Builds norms, in their order.
///
/// # Errors
/// Those of `build`.
pub fn norms<T, const N: usize>(specs: [NormSpec; N], build: impl FnMut(NormSpec) -> Result<T>) -> Result<[T; N]> {
    each(specs, build)
}

fn each<S, T, const N: usize>(specs: [S; N], build: impl FnMut(S) -> Result<T>) -> Result<[T; N]> {
    let built = specs.into_iter().map(build).collect::<Result<Vec<T>>>()?;
    built.try_into().map_err(|_| Error::missing("a part of this layer", "please report this: it is a bug"))
}
