//! One text at one SAE layer, reduced to what the rest of the run needs of it.

use serde::{Deserialize, Serialize};

use super::norm::{SINK_MEDIANS, is_sink, residual_norm};
use super::nulls::Nulls;
use super::sparse;
use super::text_kind::TextKind;
use super::token_cosine::TokenCosines;
use crate::error::{Error, Result};
use crate::geometry::{
    Cloud, ShapeClass, eigenvalue_entropy, elongation, line_angle_degrees, participation_ratio, sphericity,
};

/// One text at one SAE layer, all host data.
#[derive(Debug, Clone, Copy)]
pub struct LayerInput<'a> {
    /// Block number, for messages.
    pub layer: usize,
    /// Residual at the last token, shape \[d\].
    pub x: &'a [f32],
    /// The SAE's reconstruction in the same units, shape \[d\].
    pub x_hat: &'a [f64],
    /// Active features, strictly ascending, shape \[n\].
    pub indices: &'a [u32],
    /// Their activations, > 0, shape \[n\].
    pub activations: &'a [f32],
    /// Their rows of `W_dec`, shape \[n, d\] row-major, same order; may be empty where
    /// [`Keep::geometry`] and [`Keep::position`] are false.
    pub rows: &'a [f32],
    /// Width of the dictionary.
    pub d_sae: usize,
    /// Median residual norm of ordinary text at this layer, where known: tells attention sinks.
    pub median_norm: Option<f64>,
}

/// What [`measure`] computes and keeps beyond the features themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Keep {
    /// Compute the spectrum and what follows from it (needs [`LayerInput::rows`]).
    pub geometry: bool,
    /// Keep centroid and leading axis, for drift and twist (needs the rows, too; without the spectrum it takes less).
    pub position: bool,
    /// Keep x, for `explained_variance` and the pooled FVU.
    pub x: bool,
    /// Keep x̂, for `cross_layer_reconstruction_cosine`.
    pub x_hat: bool,
}

impl Keep {
    /// What [`super::table()`] needs of a text at the `order`-th SAE layer (0-based).
    pub fn needed(order: usize, text: TextKind) -> Self {
        let completed = text != TextKind::Prompt;
        Self { geometry: completed, position: order == 0, x: completed, x_hat: completed && (order == 1 || order == 2) }
    }
}

/// Where the cloud of features lies: what drift and twist compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Weighted centroid, shape \[d\].
    pub centroid: Vec<f64>,
    /// Leading axis, unit or zero, shape \[d\].
    pub axis: Vec<f64>,
}

/// The numbers that need decoder rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GeometryMeasure {
    /// √(λ3/λ1).
    pub sphericity: f64,
    /// √(λ2/λ1).
    pub elongation: f64,
    /// Class by the two.
    pub shape_class: ShapeClass,
    /// (Σλ)² / Σλ².
    pub dimensionality: f64,
    /// −Σ q ln q, q = λ/Σλ.
    pub eigenvalue_entropy: f64,
    /// Degrees, 0 to 90, between the centroid and the line of the leading axis.
    pub misalignment_angle: f64,
}

/// One text at one SAE layer, measured. The decoder rows are gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerMeasure {
    /// Block number.
    pub layer: usize,
    /// Width of the dictionary.
    pub d_sae: usize,
    /// Active features, ascending; its length is the L0 norm.
    pub indices: Vec<u32>,
    /// Their activations.
    pub activations: Vec<f32>,
    /// ‖x‖₂.
    pub residual_norm: f64,
    /// See [`LayerInput::median_norm`].
    pub median_norm: Option<f64>,
    /// ‖x − x̂‖².
    pub squared_error: f64,
    /// Gini coefficient of the activations.
    pub gini: f64,
    /// Σ of the activations.
    pub energy: f64,
    /// Spectrum and angles, where asked for.
    pub geometry: Option<GeometryMeasure>,
    /// Where the geometry stands among nulls, where they are drawn.
    pub nulls: Option<Nulls>,
    /// Features beside the last token of the sample's fact, where nulls are drawn.
    pub token_cosines: Option<TokenCosines>,
    /// Centroid and axis, where asked for.
    pub position: Option<Position>,
    /// x, where asked for, shape \[d\].
    pub x: Option<Vec<f32>>,
    /// x̂, where asked for, shape \[d\].
    pub x_hat: Option<Vec<f64>>,
}

/// Measures one text at one SAE layer.
///
/// # Errors
/// [`Error::Mismatch`] where lengths do not fit each other, indices are not strictly ascending
/// below `d_sae`, an activation is not positive, or any value is NaN or infinite.
pub fn measure(input: &LayerInput, keep: Keep) -> Result<LayerMeasure> {
    check(input)?;
    let d = input.x.len();
    let mut measured = LayerMeasure {
        layer: input.layer,
        d_sae: input.d_sae,
        indices: input.indices.to_vec(),
        activations: input.activations.to_vec(),
        residual_norm: residual_norm(input.x),
        median_norm: input.median_norm,
        squared_error: input.x.iter().zip(input.x_hat).map(|(&x, &y)| (f64::from(x) - y).powi(2)).sum(),
        gini: sparse::gini(input.activations),
        energy: sparse::energy(input.activations),
        geometry: None,
        nulls: None,
        token_cosines: None,
        position: None,
        x: keep.x.then(|| input.x.to_vec()),
        x_hat: keep.x_hat.then(|| input.x_hat.to_vec()),
    };
    if keep.geometry {
        let cloud = Cloud::new(input.rows, input.activations, d)?;
        let spectrum = &cloud.eigenvalues;
        measured.geometry = Some(GeometryMeasure {
            sphericity: sphericity(spectrum),
            elongation: elongation(spectrum),
            shape_class: ShapeClass::of(input.indices.len(), spectrum),
            dimensionality: participation_ratio(spectrum),
            eigenvalue_entropy: eigenvalue_entropy(spectrum),
            misalignment_angle: line_angle_degrees(&cloud.centroid, &cloud.axis),
        });
        measured.position = keep.position.then_some(Position { centroid: cloud.centroid, axis: cloud.axis });
    } else if keep.position {
        let (centroid, axis) = Cloud::centroid_and_axis(input.rows, input.activations, d)?;
        measured.position = Some(Position { centroid, axis });
    }
    Ok(measured)
}

/// What [`measure`] promises to refuse, decoder rows aside (the cloud checks those).
fn check(input: &LayerInput) -> Result<()> {
    let refuse = |what: &str, expected: String, found: String, hint: &str| {
        Err(Error::mismatch(format!("layer {}: {what}", input.layer), expected, found, hint))
    };
    const WIDTH: &str = "the SAE belongs to another model or layer; check --model and --sae";
    const FINITE: &str = "the model's or the SAE's weights overflow or hold NaN; check them, or use --precision f32";
    if input.x_hat.len() != input.x.len() {
        return refuse("reconstruction", format!("{} values", input.x.len()), input.x_hat.len().to_string(), WIDTH);
    }
    if input.indices.len() != input.activations.len() {
        let expected = format!("{} activations", input.indices.len());
        return refuse("active features", expected, input.activations.len().to_string(), WIDTH);
    }
    if let Some(pair) = input.indices.windows(2).find(|pair| pair[0] >= pair[1]) {
        return refuse("feature indices", "ascending order".into(), format!("{} before {}", pair[0], pair[1]), WIDTH);
    }
    if let Some(&last) = input.indices.last()
        && last as usize >= input.d_sae
    {
        return refuse("feature index", format!("below {}", input.d_sae), last.to_string(), WIDTH);
    }
    if let Some(x) = input.x.iter().find(|x| !x.is_finite()) {
        return refuse("residual", "finite numbers".into(), x.to_string(), FINITE);
    }
    if let Some(x) = input.x_hat.iter().find(|x| x.abs() > 1e150 || x.is_nan()) {
        return refuse("reconstruction", "finite numbers".into(), x.to_string(), FINITE);
    }
    if let Some(a) = input.activations.iter().find(|a| !(a.is_finite() && **a > 0.0)) {
        return refuse("activation of an active feature", "a positive, finite number".into(), a.to_string(), FINITE);
    }
    Ok(())
}

impl LayerMeasure {
    /// Whether the text is read at an attention sink of this layer.
    pub fn is_sink(&self) -> bool {
        is_sink(self.residual_norm, self.median_norm, SINK_MEDIANS)
    }
}

/// Something that [`super::Keep::needed`] asks for was not kept.
pub(super) fn lacking(what: &str, sample: &str, layer: usize) -> Error {
    Error::mismatch(
        format!("sample {sample}: layer {layer}: {what}"),
        "kept when measured",
        "nothing",
        "measure with Keep::needed; please report this",
    )
}

/// The kept residual, shape \[d\].
pub(super) fn residual<'a>(measured: &'a LayerMeasure, sample: &str) -> Result<&'a [f32]> {
    measured.x.as_deref().ok_or_else(|| lacking("residual", sample, measured.layer))
}

/// ‖x − μ‖².
pub(super) fn squared_deviation(measured: &LayerMeasure, mean: &[f64], sample: &str) -> Result<f64> {
    Ok(residual(measured, sample)?.iter().zip(mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum())
}

/// Indices and activations.
pub(super) fn features(measured: &LayerMeasure) -> (&[u32], &[f32]) {
    (&measured.indices, &measured.activations)
}
