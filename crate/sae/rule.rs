//! The rules by which features are active, as their vectors, for a device that applies them itself.

use super::encoder::{Activation, Encoder};

/// What [`Encoder::activate`] does with a row of pre-activations p; all vectors have shape `[d_sae]`.
#[derive(Debug, Clone, Copy)]
pub enum Rule<'a> {
    /// `p + b_enc`, where above 0.
    Standard {
        /// Bias.
        b_enc: &'a [f32],
    },
    /// `(p + b_enc) · norms`, where above the threshold and 0: JumpReLU, and BatchTopK's inference form.
    Threshold {
        /// Bias.
        b_enc: &'a [f32],
        /// Thresholds.
        threshold: &'a [f32],
        /// Decoder norms.
        norms: Option<&'a [f32]>,
    },
    /// The k largest of `(p + b_enc) · norms`, of equal ones the first, where above 0.
    TopK {
        /// Bias.
        b_enc: &'a [f32],
        /// Features kept before ReLU.
        k: usize,
        /// Decoder norms.
        norms: Option<&'a [f32]>,
    },
    /// `p · mag_scale + b_mag`, where above 0 and `p + b_gate` too.
    Gated {
        /// Bias of the gate.
        b_gate: &'a [f32],
        /// Bias of the magnitude.
        b_mag: &'a [f32],
        /// Scale of the magnitude.
        mag_scale: &'a [f32],
    },
}

impl Encoder {
    /// The rule of [`Encoder::activate`].
    pub fn rule(&self) -> Rule<'_> {
        match &self.activation {
            Activation::Standard(a) => Rule::Standard { b_enc: &a.b_enc },
            Activation::JumpRelu(a) => Rule::Threshold { b_enc: &a.b_enc, threshold: &a.threshold, norms: None },
            Activation::BatchTopK(a) => {
                Rule::Threshold { b_enc: &a.b_enc, threshold: &a.threshold, norms: a.norms.as_deref() }
            }
            Activation::TopK(a) => Rule::TopK { b_enc: &a.b_enc, k: a.k, norms: a.norms.as_deref() },
            Activation::Gated(a) => Rule::Gated { b_gate: &a.b_gate, b_mag: &a.b_mag, mag_scale: &a.mag_scale },
        }
    }
}
