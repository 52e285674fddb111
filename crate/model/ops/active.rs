//! The active features of SAE pre-activations, chosen on a graphics device: instead of a dense row of
//! d_sae numbers only what is active is read back.
//!
//! The twin of the kernel is the host's own rules (`sae/`), applied to pre-activations that were read back.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor};

use super::{Compute, Form, Op, kernels};
use crate::error::Result;

/// Features that a row has room for at first; rows with more are asked again.
const MOST: usize = 256;

/// When a feature with the pre-activation p, the bias b and perhaps a norm n is active, and how strongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// `(p + b) n > 0`.
    Zero,
    /// `(p + b) n` above a threshold of its own, and 0.
    Above,
    /// The k largest of `(p + b) n`, of equal ones the first, where above 0.
    Largest(usize),
    /// `p + b > 0`; the activation is `p · scale + magnitude`, where above 0.
    Gate,
}

/// A rule with its vectors, `[d_sae]` each.
#[derive(Debug, Clone, Copy)]
pub struct ActiveRule<'a> {
    /// The comparison.
    pub threshold: Threshold,
    /// b.
    pub bias: &'a [f32],
    /// Thresholds of [`Threshold::Above`], magnitudes' biases of [`Threshold::Gate`].
    pub second: Option<&'a [f32]>,
    /// Norms, or the scales of [`Threshold::Gate`].
    pub third: Option<&'a [f32]>,
}

/// A row's active features: index and activation, ascending; none where a number of it is not finite.
pub type ActiveRow = Option<Vec<(u32, f32)>>;

/// An [`ActiveRule`] on the device.
#[derive(Debug, Clone)]
pub struct Active {
    threshold: Threshold,
    vectors: [Tensor<1>; 3],
    scaled: bool,
}

impl Active {
    /// Moves a rule to the device; none where the device has no kernel for it.
    pub fn new(rule: &ActiveRule<'_>, compute: &Compute) -> Option<Self> {
        let width = rule.bias.len();
        if compute.form(Op::Active) != Form::Kernel || !width.is_multiple_of(4) || width == 0 {
            return None;
        }
        let bias = compute.tensor1(rule.bias.to_vec());
        let other = |vector: Option<&[f32]>| match vector {
            Some(vector) => compute.tensor1(vector.to_vec()),
            // not read: the kernel wants something in its place
            None => bias.clone(),
        };
        let scaled = rule.threshold != Threshold::Gate && rule.third.is_some();
        Some(Self { threshold: rule.threshold, vectors: [bias.clone(), other(rule.second), other(rule.third)], scaled })
    }

    /// Active features of every row of `pre`.
    ///
    /// # Shapes
    /// `pre` `[n, d_sae]`.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails or is lost.
    pub async fn rows(&self, pre: Tensor<2>, compute: &Compute) -> Result<Vec<ActiveRow>> {
        let [n, d_sae] = pre.dims();
        let least = if let Threshold::Largest(k) = self.threshold { k } else { 0 };
        let most = MOST.max(least).min(d_sae);
        let words = compute.read_back_words(self.chosen(pre.clone(), most)).await?;
        let mut rows: Vec<ActiveRow> = Vec::with_capacity(n);
        // by the room that they need, so that one row of many features does not make all large
        let mut full: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, words) in words.chunks_exact(1 + 2 * most).enumerate() {
            let count = words[0] as usize;
            if words[0] != u32::MAX && count > most {
                full.entry(count.next_power_of_two().min(d_sae)).or_default().push(i);
            }
            rows.push(row(words, most));
        }
        for (most, full) in full {
            let again = self.chosen(pre.clone().select(0, compute.indices(&full)), most);
            let words = compute.read_back_words(again).await?;
            for (&i, words) in full.iter().zip(words.chunks_exact(1 + 2 * most)) {
                rows[i] = row(words, most);
            }
        }
        Ok(rows)
    }

    fn chosen(&self, pre: Tensor<2>, most: usize) -> Tensor<2, Int> {
        kernels::active(pre, self.vectors.clone(), self.threshold, self.scaled, most)
    }
}

/// A row of the kernel's result.
fn row(words: &[u32], most: usize) -> ActiveRow {
    let (count, features) = words.split_first()?;
    let (indices, activations) = features.split_at(most);
    let features = indices.iter().zip(activations).map(|(&index, &bits)| (index, f32::from_bits(bits)));
    (*count != u32::MAX).then(|| features.take(*count as usize).collect())
}
