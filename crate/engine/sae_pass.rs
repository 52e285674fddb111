//! The SAE at one layer: encode all rows on the device, everything after on the host in f64.

use std::collections::HashMap;

use super::nulls::LayerPools;
use super::progress::Stage;
use super::timeline::Timer;
use crate::error::Result;
use crate::metrics::{
    Keep, LayerInput, LayerMeasure, MOST_FEATURES, NULLS, NullKey, Nulls, PoolsOf, TextKind, TokenCosines, TokenNull,
    cosines, measure, null,
};
use crate::model::ops::{Active, ActiveRule, Compute, Linear, Op, Precision, Threshold};
use crate::platform::{self, Clock};
use crate::sae::{Encoder, Feature, Prepared, Rule, Sae};

/// Most bytes of pre-activations held at once.
const PRE_BYTES: usize = 64 << 20;

/// An SAE's encoder with its matrix on the device.
pub(super) struct DeviceEncoder {
    encoder: Encoder,
    map: Linear,
    /// Chooses on the device, where that has a kernel for it.
    active: Option<Active>,
    compute: Compute,
    d_sae: usize,
}

/// A row after encoding.
pub(super) struct Encoded {
    pub(super) prepared: Prepared,
    pub(super) features: Vec<Feature>,
}

impl DeviceEncoder {
    /// Moves `W_enc` to the device.
    pub(super) fn new(mut encoder: Encoder, compute: &Compute) -> Self {
        let w_enc = encoder.take_w_enc();
        let d_sae = w_enc.shape[1];
        // bf16 is for the model: a product with the dictionary is little work, and decides what is active
        let mut compute = compute.clone();
        if compute.precision == Precision::Bf16 {
            compute.precision = Precision::F32;
        }
        let map = Linear::in_out(w_enc, None, &compute);
        let active = Active::new(&on_device(encoder.rule()), &compute);
        Self { encoder, map, active, compute, d_sae }
    }

    /// Encodes residual rows, a chunk at a time.
    /// A row that the SAE cannot take gives an error of its own.
    pub(super) async fn encode(&self, rows: &[&[f32]]) -> Result<Vec<Result<Encoded>>> {
        self.encode_in(rows, 0, &mut Timer::start(&[])).await
    }

    /// [`Self::encode`] in a run's timeline.
    pub(super) async fn encode_in(
        &self,
        rows: &[&[f32]],
        layer: usize,
        timer: &mut Timer,
    ) -> Result<Vec<Result<Encoded>>> {
        let chunk = (PRE_BYTES / 4 / self.d_sae.max(1)).max(1);
        let mut out = Vec::with_capacity(rows.len());
        for rows in rows.chunks(chunk) {
            let prepared = platform::par_map(rows.len(), |i| self.encoder.prepare(rows[i]));
            let width = self.map.d_in();
            let mut input = vec![0.0; rows.len() * width];
            for (slot, prepared) in input.chunks_mut(width).zip(&prepared) {
                if let Ok(prepared) = prepared {
                    slot.copy_from_slice(&prepared.input);
                }
            }
            timer.hands(Stage::Sae, Some(layer));
            let x = self.compute.tensor2(input, rows.len(), self.map.d_in());
            let pre = self.map.forward(x);
            let features = match &self.active {
                Some(active) => {
                    let rows = active.rows(pre, &self.compute).await?;
                    timer.drained();
                    rows.into_iter().map(|row| self.encoder.activated(row)).collect()
                }
                None => {
                    let pre = self.compute.read_back(pre).await?;
                    timer.drained();
                    let row = |i: usize| self.encoder.activate(&pre[i * self.d_sae..(i + 1) * self.d_sae]);
                    self.compute.meter().time(Op::Active, || platform::par_map(rows.len(), row))
                }
            };
            for (prepared, features) in prepared.into_iter().zip(features) {
                out.push(prepared.and_then(|prepared| Ok(Encoded { prepared, features: features? })));
            }
        }
        Ok(out)
    }

    /// x̂ of a row, from its features' rows of `W_dec`.
    pub(super) fn decode(&self, encoded: &Encoded, rows: &[f32]) -> Result<Vec<f64>> {
        self.encoder.decode(&encoded.features, rows, &encoded.prepared)
    }
}

/// An SAE's rule in the words of [`Active`].
fn on_device(rule: Rule<'_>) -> ActiveRule<'_> {
    match rule {
        Rule::Standard { b_enc } => ActiveRule { threshold: Threshold::Zero, bias: b_enc, second: None, third: None },
        Rule::Threshold { b_enc, threshold, norms } => {
            ActiveRule { threshold: Threshold::Above, bias: b_enc, second: Some(threshold), third: norms }
        }
        Rule::TopK { b_enc, k, norms } => {
            ActiveRule { threshold: Threshold::Largest(k), bias: b_enc, second: None, third: norms }
        }
        Rule::Gated { b_gate, b_mag, mag_scale } => {
            ActiveRule { threshold: Threshold::Gate, bias: b_gate, second: Some(b_mag), third: Some(mag_scale) }
        }
    }
}

/// A residual row to be measured.
pub(super) struct Row<'a> {
    pub(super) x: &'a [f32],
    pub(super) keep: Keep,
    /// What the nulls of its geometry are keyed by: sample and text; none where they are not wanted.
    pub(super) null: Option<(&'a str, TextKind)>,
    /// The direction that its features are compared with, of norm 1, and what random rows have with it.
    pub(super) token: Option<(&'a [f32], TokenNull)>,
}

/// Encodes, decodes and measures rows at one layer. A row whose numbers cannot be used gives a
/// reason of its own; the others go on. `median_norm` is that of ordinary text at this layer, `pools` are what
/// nulls are drawn from, where they are.
///
/// Rows of the same values, as equal texts have, are measured once: prompts of one token are often equal, and
/// with the thousands of features of an attention sink they take longest.
pub(super) async fn measure_rows(
    layer: usize,
    sae: &Sae,
    encoder: &DeviceEncoder,
    rows: &[Row<'_>],
    median_norm: Option<f64>,
    pools: Option<&LayerPools>,
    timer: &mut Timer,
) -> Result<Vec<Result<LayerMeasure, String>>> {
    let mut clock = Clock::start();
    let mut places = HashMap::new();
    let mut distinct: Vec<&Row<'_>> = Vec::new();
    let mut place_of = Vec::with_capacity(rows.len());
    for row in rows {
        let place = *places.entry((bytemuck::cast_slice::<f32, u8>(row.x), row.keep)).or_insert(distinct.len());
        if place == distinct.len() {
            distinct.push(row);
        }
        place_of.push(place);
    }
    let all = rows;
    let rows = distinct;
    let xs: Vec<&[f32]> = rows.iter().map(|r| r.x).collect();
    let encoded = encoder.encode_in(&xs, layer, timer).await?;
    // W_dec stays where it is stored: only rows of features that are active somewhere are read
    let used = encoded.iter().flatten().flat_map(|e| e.features.iter().map(|f| f.index as usize));
    let decoder = sae.distinct_decoder_rows(used).await?;
    let gathered = |features: &[Feature]| -> Result<Vec<f32>> {
        Ok(decoder.gather(features.iter().map(|f| f.index as usize))?.data)
    };
    let decoded = platform::par_map(encoded.len(), |i| match &encoded[i] {
        Ok(row) => {
            let rows = gathered(&row.features).map_err(|e| e.to_string())?;
            encoder.decode(row, &rows).map_err(|e| e.to_string())
        }
        Err(e) => Err(e.to_string()),
    });
    timer.lap(Stage::Sae, Some(layer), &mut clock);
    let measured = platform::par_map(decoded.len(), |i| {
        let (features, x_hat) = match (&encoded[i], &decoded[i]) {
            (Ok(row), Ok(x_hat)) => (&row.features, x_hat),
            (_, Err(reason)) => return Err(reason.clone()),
            (Err(e), _) => return Err(e.to_string()),
        };
        let indices: Vec<u32> = features.iter().map(|f| f.index).collect();
        let activations: Vec<f32> = features.iter().map(|f| f.activation).collect();
        let decoder_rows = gathered(features).map_err(|e| e.to_string())?;
        let input = LayerInput {
            layer,
            x: rows[i].x,
            x_hat,
            indices: &indices,
            activations: &activations,
            rows: &decoder_rows,
            d_sae: sae.d_sae,
            median_norm,
        };
        measure(&input, rows[i].keep).map_err(|e| e.to_string())
    });
    timer.lap(Stage::Geometry, Some(layer), &mut clock);
    // draws are a text's own, also where its features are another's
    let drawn = platform::par_map(all.len() * NULLS, |i| {
        let (i, which) = (i / NULLS, i % NULLS);
        let (Some(pools), Some((sample_id, text)), Ok(measured)) = (pools, all[i].null, &measured[place_of[i]]) else {
            return None;
        };
        let geometry = measured.geometry.as_ref()?;
        let rows = (measured.activations.len() <= MOST_FEATURES)
            .then(|| decoder.gather(measured.indices.iter().map(|&index| index as usize)).ok())??;
        let key = NullKey { seed: pools.seed, sample_id, text, layer };
        let of = (measured.activations.as_slice(), rows.data.as_slice());
        let token = all[i].token.filter(|_| which == 0);
        let token = token.map(|(token, null)| TokenCosines { cosines: cosines(&rows.data, token), null });
        let from = PoolsOf { dictionary: &pools.rows, random: &pools.random };
        Some((null(which, key, geometry, of, from, pools.draws), token))
    });
    let mut drawn = drawn.into_iter();
    let nulls: Vec<Option<(Option<Nulls>, Option<TokenCosines>)>> = std::iter::repeat_with(|| {
        let [first, second, third] = std::array::from_fn(|_| drawn.next().flatten());
        let ((first, token), (second, _), (third, _)) = (first?, second?, third?);
        Some((first.zip(second).zip(third).map(|((a, b), c)| Nulls::of([a, b, c])), token))
    })
    .take(all.len())
    .collect();
    let measured = place_of.into_iter().zip(nulls).map(|(place, nulls)| {
        let mut measured = measured[place].clone();
        if let Ok(measured) = &mut measured {
            (measured.nulls, measured.token_cosines) = nulls.unwrap_or_default();
        }
        measured
    });
    let measured = measured.collect();
    // where none are drawn, copying is the geometry's
    let stage = if pools.is_some() { Stage::Nulls } else { Stage::Geometry };
    timer.lap(stage, Some(layer), &mut clock);
    Ok(measured)
}

/// Active features of residual rows, for inspection.
///
/// # Errors
/// Reading and device errors; a row that the SAE cannot take.
pub async fn encode(sae: &Sae, rows: &[&[f32]], compute: &Compute) -> Result<Vec<Vec<Feature>>> {
    let encoder = DeviceEncoder::new(sae.load_encoder().await?, compute);
    encoder.encode(rows).await?.into_iter().map(|e| e.map(|e| e.features)).collect()
}
