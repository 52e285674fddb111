//! A loaded encoder: everything of an SAE except the rows of `W_dec`.

use super::Feature;
use super::batchtopk::BatchTopK;
use super::gated::Gated;
use super::input::{InputRule, Prepared};
use super::jumprelu::JumpRelu;
use super::standard::Standard;
use super::topk::TopK;
use crate::checkpoint::HostTensor;
use crate::error::{Error, Result};

/// The architecture with its biases.
#[derive(Debug, Clone)]
pub(super) enum Activation {
    Standard(Standard),
    JumpRelu(JumpRelu),
    TopK(TopK),
    BatchTopK(BatchTopK),
    Gated(Gated),
}

/// An SAE's encoder weights and biases, in host memory.
///
/// For a row x: [`Encoder::prepare`] → one matmul with [`Encoder::w_enc`] (the engine's, on the
/// device) → [`Encoder::activate`] → [`Encoder::decode`] with the active rows of `W_dec`.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// `W_enc`, shape `[d_in, d_sae]`.
    pub w_enc: HostTensor,
    pub(super) name: String,
    pub(super) d_in: usize,
    pub(super) d_sae: usize,
    pub(super) activation: Activation,
    pub(super) input: InputRule,
    /// Shape `[d_in]`.
    pub(super) b_dec: Vec<f32>,
    /// Whether the decoder divides each activation by its row's norm, times this factor.
    pub(super) divide_by_norm: Option<f64>,
}

impl Encoder {
    /// Moves `W_enc` out, so that it can go to the device and leave host memory; everything else
    /// keeps working.
    pub fn take_w_enc(&mut self) -> HostTensor {
        std::mem::replace(&mut self.w_enc, HostTensor { shape: vec![0, self.d_sae], data: Vec::new() })
    }

    /// Input handling for one row x of shape `[d_in]`: centring, normalisation, − b_dec, as the
    /// SAE's own config says.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a row of another width, [`Error::Malformed`] for one with NaN or
    /// infinity, [`Error::Unsupported`] for a zero row where the SAE divides by its norm.
    pub fn prepare(&self, x: &[f32]) -> Result<Prepared> {
        if x.len() != self.d_in {
            return Err(Error::mismatch(
                format!("input width of SAE {}", self.name),
                self.d_in.to_string(),
                x.len().to_string(),
                "this SAE was trained on another model, or on another place in it",
            ));
        }
        self.input.prepare(&self.name, x)
    }

    /// Active features of one row, ascending index, activations > 0; `pre` is input · W_enc
    /// without any bias, shape `[d_sae]`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a row of another width, [`Error::Malformed`] for NaN or infinity.
    pub fn activate(&self, pre: &[f32]) -> Result<Vec<Feature>> {
        if pre.len() != self.d_sae {
            return Err(Error::mismatch(
                format!("pre-activation width of SAE {}", self.name),
                self.d_sae.to_string(),
                pre.len().to_string(),
                "",
            ));
        }
        let features = match &self.activation {
            Activation::Standard(a) => a.activate(pre),
            Activation::JumpRelu(a) => a.activate(pre),
            Activation::TopK(a) => a.activate(pre),
            Activation::BatchTopK(a) => a.activate(pre),
            Activation::Gated(a) => a.activate(pre),
        };
        // a NaN is never active, so it has to be looked for where it comes in
        let not_finite = pre.iter().position(|v| !v.is_finite());
        if let Some(i) = not_finite.or(features.iter().find(|f| !f.activation.is_finite()).map(|f| f.index as usize)) {
            return Err(self.not_finite(format!("pre-activation of feature {i}"), pre[i].to_string()));
        }
        Ok(features)
    }

    /// [`Encoder::activate`] for a row that a device has applied [`Encoder::rule`] to: its active features,
    /// ascending, or none where a number of it is not finite.
    ///
    /// # Errors
    /// [`Error::Malformed`] for none.
    pub fn activated(&self, row: Option<Vec<(u32, f32)>>) -> Result<Vec<Feature>> {
        let row = row.ok_or_else(|| self.not_finite("pre-activations".to_owned(), "NaN or infinity".to_owned()))?;
        Ok(row.into_iter().map(|(index, activation)| Feature { index, activation }).collect())
    }

    fn not_finite(&self, what: String, found: String) -> Error {
        Error::malformed(
            format!("SAE {}", self.name),
            what,
            "a finite number",
            found,
            "the input is too large for this precision; try --precision f32",
        )
    }

    /// x̂ of one row in x's units, shape `[d_in]`, summed in f64.
    ///
    /// `rows` are the rows of `W_dec` as stored for exactly these features, row-major
    /// `[features.len(), d_in]`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when `rows` has another size.
    pub fn decode(&self, features: &[Feature], rows: &[f32], prepared: &Prepared) -> Result<Vec<f64>> {
        if rows.len() != features.len() * self.d_in {
            return Err(Error::mismatch(
                format!("decoder rows of SAE {}", self.name),
                format!("{} x {} values", features.len(), self.d_in),
                format!("{} values", rows.len()),
                "",
            ));
        }
        let mut out: Vec<f64> = self.b_dec.iter().map(|&b| f64::from(b)).collect();
        for (feature, row) in features.iter().zip(rows.chunks_exact(self.d_in.max(1))) {
            let mut a = f64::from(feature.activation);
            if let Some(factor) = self.divide_by_norm {
                a *= factor / row_norm(row);
            }
            out.iter_mut().zip(row).for_each(|(o, &r)| *o += a * f64::from(r));
        }
        out.iter_mut().for_each(|o| *o = *o * prepared.scale + prepared.shift);
        Ok(out)
    }
}

/// Euclidean norm of a decoder row.
pub(super) fn row_norm(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
}
