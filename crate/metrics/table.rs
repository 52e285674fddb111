//! The run's samples as rows of `metrics.parquet`.

use super::layer::{GeometryMeasure, LayerMeasure};
use super::schema::{Cell, Table, schema};
use super::sparse::{ENTROPY_TOP, STABILITY_TOP, cosine, entropy, only_in, top_jaccard};
use super::text::{SampleMeasure, TextKind, TextMeasure};
use crate::error::{Error, Result};
use crate::geometry::{angle_degrees, line_angle_degrees};

/// The texts that the columns compare.
pub(super) const COMPARED: [TextKind; 2] = [TextKind::Fact, TextKind::Hall];

/// `metrics.parquet` of a whole run, one row per sample in their order; columns as [`schema`].
///
/// # Errors
/// [`Error::Usage`] without layers; [`Error::Mismatch`] where a sample lacks a layer, or a layer was
/// measured with less than [`super::Keep::needed`] says.
pub fn table(samples: &[SampleMeasure], layers: &[usize], logprob: bool) -> Result<Table> {
    check(samples, layers)?;
    if layers.is_empty() {
        return Err(Error::usage(
            "a run without SAE layers has nothing to measure",
            "give at least one --sae LAYER=PATH",
        ));
    }
    let means: Vec<Vec<f64>> =
        (0..layers.len()).map(|order| mean_residual(samples, order, |_| true)).collect::<Result<_>>()?;
    let rows = samples.iter().map(|sample| row(sample, &means, logprob)).collect::<Result<_>>()?;
    Ok(Table { columns: schema(layers, logprob), rows })
}

/// Every text has the run's layers, in order.
pub(super) fn check(samples: &[SampleMeasure], layers: &[usize]) -> Result<()> {
    for sample in samples {
        for kind in TextKind::ALL {
            let found: Vec<usize> = sample.text(kind).layers.iter().map(|m| m.layer).collect();
            if found != layers {
                return Err(Error::mismatch(
                    format!("sample {}: SAE layers of the {} text", sample.sample_id, kind.as_str()),
                    format!("{layers:?}"),
                    format!("{found:?}"),
                    "every text is measured at every SAE layer; please report this",
                ));
            }
        }
    }
    Ok(())
}

/// Something that [`super::Keep::needed`] asks for was not kept.
fn lacking(what: &str, sample: &str, layer: usize) -> Error {
    Error::mismatch(
        format!("sample {sample}: layer {layer}: {what}"),
        "kept when measured",
        "nothing",
        "measure with Keep::needed; please report this",
    )
}

/// μ = mean of x over the run's fact and hallucination texts at the `order`-th SAE layer, as far as
/// they `count`, shape \[d\]; empty where none does.
pub(super) fn mean_residual(
    samples: &[SampleMeasure],
    order: usize,
    count: impl Fn(&LayerMeasure) -> bool,
) -> Result<Vec<f64>> {
    let mut sum: Vec<f64> = Vec::new();
    let mut counted = 0usize;
    for sample in samples {
        for kind in COMPARED {
            let measured = &sample.text(kind).layers[order];
            if !count(measured) {
                continue;
            }
            counted += 1;
            let x = residual(measured, &sample.sample_id)?;
            if sum.is_empty() {
                sum.resize(x.len(), 0.0);
            }
            if x.len() != sum.len() {
                return Err(Error::mismatch(
                    format!("sample {}: layer {}: residual", sample.sample_id, measured.layer),
                    format!("{} values", sum.len()),
                    x.len().to_string(),
                    "all texts of a run share one model; please report this",
                ));
            }
            sum.iter_mut().zip(x).for_each(|(s, &x)| *s += f64::from(x));
        }
    }
    sum.iter_mut().for_each(|s| *s /= counted as f64);
    Ok(sum)
}

/// The kept residual.
fn residual<'a>(measured: &'a LayerMeasure, sample: &str) -> Result<&'a [f32]> {
    measured.x.as_deref().ok_or_else(|| lacking("residual", sample, measured.layer))
}

/// The kept reconstruction.
fn reconstruction<'a>(measured: &'a LayerMeasure, sample: &str) -> Result<&'a [f64]> {
    measured.x_hat.as_deref().ok_or_else(|| lacking("reconstruction", sample, measured.layer))
}

/// ‖x − μ‖².
pub(super) fn squared_deviation(measured: &LayerMeasure, mean: &[f64], sample: &str) -> Result<f64> {
    Ok(residual(measured, sample)?.iter().zip(mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum())
}

/// 1 − error/deviation, none where there is no deviation to explain.
fn explained_variance(error: f64, deviation: f64) -> Option<f64> {
    (deviation > 0.0).then(|| 1.0 - error / deviation)
}

/// One row, in the order of [`schema`].
fn row(sample: &SampleMeasure, means: &[Vec<f64>], logprob: bool) -> Result<Vec<Cell>> {
    let id = &sample.sample_id;
    let mut row = vec![Cell::Text(id.clone()), Cell::Text(sample.domain.clone()), Cell::Int(sample.complexity)];
    let geometry = |m: &LayerMeasure| m.geometry.ok_or_else(|| lacking("geometry", id, m.layer));

    for order in 0..means.len() {
        for kind in COMPARED {
            let measured = &sample.text(kind).layers[order];
            let GeometryMeasure { sphericity, shape_class, dimensionality, .. } = geometry(measured)?;
            row.push(Cell::count(measured.indices.len()));
            row.push(measured.squared_error.sqrt().into());
            row.push(measured.gini.into());
            row.push(sphericity.into());
            row.push(Cell::Text(shape_class.as_str().into()));
            row.push(dimensionality.into());
        }
    }

    let [drift_fact, drift_hall] = both(|kind| moved(sample, kind).map(|(drift, _)| drift))?;
    let [twist_fact, twist_hall] = both(|kind| moved(sample, kind).map(|(_, twist)| twist))?;
    push_rising(&mut row, Some(drift_fact), Some(drift_hall));
    push_rising(&mut row, Some(twist_fact), Some(twist_hall));
    push_falling(&mut row, stability(&sample.fact), stability(&sample.hall));
    let entropies = COMPARED.map(|kind| Some(entropy(&sample.text(kind).layers[0].activations, ENTROPY_TOP)));
    push_rising(&mut row, entropies[0], entropies[1]);
    push_falling(&mut row, consistency(&sample.fact), consistency(&sample.hall));

    row.extend(TextKind::ALL.map(|kind| Cell::count(sample.text(kind).n_tokens)));
    for (order, mean) in means.iter().enumerate() {
        for kind in COMPARED {
            let measured = &sample.text(kind).layers[order];
            let GeometryMeasure { elongation, eigenvalue_entropy, misalignment_angle, .. } = geometry(measured)?;
            row.push(measured.energy.into());
            row.push(elongation.into());
            row.push(eigenvalue_entropy.into());
            row.push(misalignment_angle.into());
            let deviation = squared_deviation(measured, mean, id)?;
            row.push(explained_variance(measured.squared_error, deviation).into());
        }
        let (fact, hall) = (&sample.fact.layers[order], &sample.hall.layers[order]);
        for (present, absent) in [(hall, fact), (fact, hall)] {
            let (count, energy) = only_in(features(present), &absent.indices);
            row.push(Cell::count(count));
            row.push(energy.into());
        }
    }
    for kind in COMPARED {
        row.push(reconstruction_cosine(sample, kind)?.into());
    }
    if logprob {
        row.extend(COMPARED.map(|kind| Cell::from(sample.text(kind).logprob)));
    }
    for order in 0..means.len() {
        row.extend(TextKind::ALL.map(|kind| Cell::from(sample.text(kind).layers[order].residual_norm)));
    }
    row.push(Cell::Bool(sample.prompt.layers.first().is_some_and(LayerMeasure::is_sink)));
    Ok(row)
}

/// The value for the fact and for the hallucination.
fn both(value: impl Fn(TextKind) -> Result<f64>) -> Result<[f64; 2]> {
    Ok([value(TextKind::Fact)?, value(TextKind::Hall)?])
}

/// fact, hallucination, hallucination − fact.
fn push_rising(row: &mut Vec<Cell>, fact: Option<f64>, hall: Option<f64>) {
    row.extend([fact.into(), hall.into(), fact.zip(hall).map(|(f, h)| h - f).into()]);
}

/// fact, hallucination, fact − hallucination.
fn push_falling(row: &mut Vec<Cell>, fact: Option<f64>, hall: Option<f64>) {
    row.extend([fact.into(), hall.into(), fact.zip(hall).map(|(f, h)| f - h).into()]);
}

/// Indices and activations.
fn features(measured: &LayerMeasure) -> (&[u32], &[f32]) {
    (&measured.indices, &measured.activations)
}

/// Drift of the centroid and twist of the axis from the prompt, first SAE layer, degrees.
fn moved(sample: &SampleMeasure, kind: TextKind) -> Result<(f64, f64)> {
    let position = |kind: TextKind| {
        let measured = &sample.text(kind).layers[0];
        measured.position.as_ref().ok_or_else(|| lacking("position", &sample.sample_id, measured.layer))
    };
    let (from, to) = (position(TextKind::Prompt)?, position(kind)?);
    Ok((angle_degrees(&from.centroid, &to.centroid), line_angle_degrees(&from.axis, &to.axis)))
}

/// Jaccard of the top features with and without noise, first SAE layer.
fn stability(text: &TextMeasure) -> Option<f64> {
    let (indices, activations) = text.noisy.as_ref()?;
    Some(top_jaccard(features(&text.layers[0]), (indices, activations), STABILITY_TOP))
}

/// Cosine by feature index between the second and third SAE layers, over the shorter width.
fn consistency(text: &TextMeasure) -> Option<f64> {
    let (second, third) = text.layers.get(1).zip(text.layers.get(2))?;
    Some(cosine(features(second), features(third), second.d_sae.min(third.d_sae)))
}

/// Cosine of x̂ between the second and third SAE layers.
fn reconstruction_cosine(sample: &SampleMeasure, kind: TextKind) -> Result<Option<f64>> {
    let Some((second, third)) = sample.text(kind).layers.get(1).zip(sample.text(kind).layers.get(2)) else {
        return Ok(None);
    };
    let (a, b) = (reconstruction(second, &sample.sample_id)?, reconstruction(third, &sample.sample_id)?);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    Ok(Some(if norms == 0.0 { 0.0 } else { dot(a, b) / norms }))
}
