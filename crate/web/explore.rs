//! One text, one sample: tokens, features, clouds, what features promote.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Object};
use serde::Serialize;
use wasm_bindgen::JsValue;

use super::convert::{field, plain, set, text, to_js};
use super::devices;
use super::subject::{Opened, open, verify};
use super::task::{Memory, Outgoing, Reporter, Shared, Task};
use crate::engine::{self, Resident, SaeAt};
use crate::error::{Error, Result};
use crate::geometry::Projection;
use crate::model::Model;
use crate::model::ops::Compute;
use crate::platform::Clock;
use crate::sae::Feature;

/// A model whose weights stay on the device.
pub(super) struct Shown {
    resident: Resident,
}

pub(super) async fn explore(shared: &Rc<Shared>, task: &Rc<Task>, message: &JsValue) -> Result<Outgoing> {
    let clock = Clock::start();
    let opened = open(shared, &field(message, "subject")).await?;
    let device = text(message, "device")?;
    // the opened model is one object as long as it is the same
    let key = format!("{:p} {device}", Rc::as_ptr(&opened));
    let kept = shared.shown.borrow().as_ref().filter(|(k, _)| *k == key).map(|(_, shown)| shown.clone());
    let resident = kept.is_some();
    let shown = match kept {
        Some(shown) => shown,
        None => {
            // the old weights go before the new ones come
            shared.shown.take();
            verify(&opened).await?;
            let (compute, _) = devices::compute(&device, "f32").await?;
            let reporter = Reporter { shared, task, before: 0, on_measured: None };
            let loaded = &opened.loaded;
            let resident = Resident::load(&loaded.model, &compute, &loaded.saes, &reporter).await?;
            let shown = Rc::new(Shown { resident });
            shared.shown.replace(Some((key, shown.clone())));
            shown
        }
    };
    let model = &opened.loaded.model;
    let tokens = model.tokenizer.encode(&text(message, "text")?)?;
    if tokens.is_empty() {
        return Err(Error::usage("the text has no tokens", "type a sentence"));
    }
    model.check_ids(&tokens)?;
    model.check_length("explored", &tokens)?;
    let top: usize = plain(message, "top")?;
    let features = shown.resident.features(&tokens).await?;
    let layers = Array::new();
    let mut transfer = Vec::new();
    for (layer, tokens) in &features {
        let (chosen, activations) = heat_map(tokens, top);
        let entry = to_js(&LayerOfText { layer: *layer, l0: tokens.iter().map(Vec::len).collect(), features: chosen });
        let activations = Float32Array::from(activations.as_slice());
        transfer.push(activations.buffer());
        set(&entry, "activations", &activations);
        layers.push(&entry);
    }
    let value: JsValue = Object::new().into();
    set(&value, "tokens", &to_js(&token_texts(model, &tokens)));
    set(&value, "layers", &layers);
    set(&value, "seconds", &clock.seconds().into());
    set(&value, "resident", &resident.into());
    set(&value, "memory", &to_js(&Memory::now()));
    Ok(Outgoing { value, transfer: transfer.into_iter().collect() })
}

#[derive(Serialize)]
struct LayerOfText {
    layer: usize,
    l0: Vec<usize>,
    features: Vec<u32>,
}

/// The `top` features by largest activation after the first token (whose residual is no text's:
/// it is the same whatever follows), and their activations, `[features × tokens]`.
fn heat_map(tokens: &[Vec<Feature>], top: usize) -> (Vec<u32>, Vec<f32>) {
    let from = usize::from(tokens.len() > 1);
    let mut largest: Vec<(u32, f32)> = Vec::new();
    let mut all: Vec<Feature> = tokens[from..].iter().flatten().copied().collect();
    all.sort_by(|a, b| a.index.cmp(&b.index).then(b.activation.total_cmp(&a.activation)));
    for feature in all {
        if largest.last().is_none_or(|(index, _)| *index != feature.index) {
            largest.push((feature.index, feature.activation));
        }
    }
    largest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    largest.truncate(top);
    let mut values = vec![0.0; largest.len() * tokens.len()];
    for (row, (index, _)) in largest.iter().enumerate() {
        for (column, features) in tokens.iter().enumerate() {
            if let Some(feature) = features.iter().find(|f| f.index == *index) {
                values[row * tokens.len() + column] = feature.activation;
            }
        }
    }
    (largest.into_iter().map(|(index, _)| index).collect(), values)
}

fn token_texts(model: &Model, ids: &[u32]) -> Vec<String> {
    ids.iter().map(|&id| model.tokenizer.token_text(id)).collect()
}

#[derive(Serialize)]
struct Tokens {
    ids: Vec<u32>,
    texts: Vec<String>,
}

pub(super) async fn tokens(shared: &Rc<Shared>, message: &JsValue) -> Result<Outgoing> {
    let opened = open(shared, &field(message, "subject")).await?;
    let model = &opened.loaded.model;
    let mut out = Vec::new();
    for text in plain::<Vec<String>>(message, "texts")? {
        let ids = model.tokenizer.encode(&text)?;
        out.push(Tokens { texts: token_texts(model, &ids), ids });
    }
    Ok(Outgoing::plain(&out))
}

fn sae_at(opened: &Opened, layer: usize) -> Result<&SaeAt> {
    opened.loaded.saes.iter().find(|s| s.layer == layer).ok_or_else(|| {
        let layers: Vec<String> = opened.loaded.saes.iter().map(|s| s.layer.to_string()).collect();
        Error::mismatch(
            format!("{}: SAE layer", opened.loaded.name),
            layers.join(", "),
            layer.to_string(),
            "the run was made with other SAEs than the chosen ones",
        )
    })
}

#[derive(Serialize)]
struct CloudSpectrum {
    semi_axes: [f64; 3],
    explained: f64,
    eigenvalues: Vec<f64>,
}

pub(super) async fn cloud(shared: &Rc<Shared>, message: &JsValue) -> Result<Outgoing> {
    let opened = open(shared, &field(message, "subject")).await?;
    let SaeAt { sae, .. } = sae_at(&opened, plain(message, "layer")?)?;
    let features: Vec<usize> = plain(message, "features")?;
    let activations: Vec<f32> = plain(message, "activations")?;
    let rows = sae.decoder_rows(&features).await?;
    let Projection { points, eigenvalues } = Projection::new(&rows.data, &activations, sae.d_in, 3)?;
    let axis = |k: usize| eigenvalues.get(k).copied().unwrap_or(0.0);
    let total: f64 = eigenvalues.iter().sum();
    let explained = if total > 0.0 { (axis(0) + axis(1) + axis(2)) / total } else { 0.0 };
    let semi_axes = [axis(0).sqrt(), axis(1).sqrt(), axis(2).sqrt()];
    let value = to_js(&CloudSpectrum { semi_axes, explained, eigenvalues });
    let points: Vec<f32> = points.iter().map(|&v| v as f32).collect();
    let points = Float32Array::from(points.as_slice());
    set(&value, "points", &points);
    Ok(Outgoing { value, transfer: Array::of1(&points.buffer()) })
}

pub(super) async fn promotes(shared: &Rc<Shared>, message: &JsValue) -> Result<Outgoing> {
    let opened = open(shared, &field(message, "subject")).await?;
    let SaeAt { sae, .. } = sae_at(&opened, plain(message, "layer")?)?;
    let (features, top): (Vec<usize>, usize) = (plain(message, "features")?, plain(message, "top")?);
    let model = &opened.loaded.model;
    let promoted = engine::promoted(model, sae, &features, top, &Compute::cpu()).await?;
    let words: Vec<Vec<String>> =
        promoted.iter().map(|top| top.iter().map(|&(id, _)| model.tokenizer.token_text(id)).collect()).collect();
    Ok(Outgoing::plain(&words))
}
