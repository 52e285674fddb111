//! One text, one sample: tokens, features, clouds, what features promote.

use std::cell::RefCell;
use std::rc::Rc;

use super::devices;
use super::subject::{Opened, Subjects, verify};
use super::task::{Reporter, Task, memory};
use crate::engine::{self, Resident, SaeAt};
use crate::error::{Error, Result};
use crate::geometry::Projection;
use crate::model::Model;
use crate::model::ops::Compute;
use crate::output::Precision;
use crate::platform::{Clock, Floats};
use crate::protocol::{Cloud, DeviceChoice, Explore, LayerOfText, Subject, Tokens};
use crate::sae::Feature;

/// The model whose weights stay on a device, if there is one.
#[derive(Default)]
pub(super) struct Shown(RefCell<Option<Kept>>);

/// Weights on a device, and what they were loaded from.
struct Kept {
    from: Rc<Opened>,
    on: DeviceChoice,
    resident: Rc<Resident>,
}

impl Shown {
    /// Lets go of it.
    pub(super) fn forget(&self) {
        self.0.take();
    }

    fn get(&self, opened: &Rc<Opened>, device: DeviceChoice) -> Option<Rc<Resident>> {
        // the opened model is one object as long as it is the same
        let kept = self.0.borrow();
        let same = |k: &&Kept| Rc::ptr_eq(&k.from, opened) && k.on == device && k.resident.works();
        kept.as_ref().filter(same).map(|k| k.resident.clone())
    }
}

pub(super) async fn explore(
    shown: &Shown,
    subjects: &Subjects,
    task: &Task,
    subject: &Subject,
    device: DeviceChoice,
    text: &str,
    top: usize,
) -> Result<Explore> {
    let clock = Clock::start();
    let opened = subjects.open(task, subject).await?;
    let kept = shown.get(&opened, device);
    let was_resident = kept.is_some();
    let resident = match kept {
        Some(resident) => resident,
        None => {
            // the old weights go before the new ones come
            shown.forget();
            verify(&opened).await?;
            let (compute, _) = devices::compute(device, Precision::F32).await?;
            let reporter = Reporter { task };
            let loaded = &opened.loaded;
            let resident = Rc::new(Resident::load(&loaded.model, &compute, &loaded.saes, &reporter).await?);
            let kept = Kept { from: opened.clone(), on: device, resident: resident.clone() };
            shown.0.replace(Some(kept));
            resident
        }
    };
    let model = &opened.loaded.model;
    let tokens = model.tokenizer.encode(text)?;
    if tokens.is_empty() {
        return Err(Error::usage("the text has no tokens", "type a sentence"));
    }
    model.check_ids(&tokens)?;
    model.check_length("explored", &tokens)?;
    let features = resident.features(&tokens).await?;
    let layers = features.iter().map(|(layer, tokens)| {
        let (features, activations) = heat_map(tokens, top);
        let l0 = tokens.iter().map(Vec::len).collect();
        LayerOfText { layer: *layer, l0, features, activations: Floats(activations) }
    });
    Ok(Explore {
        tokens: token_texts(model, &tokens),
        layers: layers.collect(),
        seconds: clock.seconds(),
        resident: was_resident,
        memory: memory(),
    })
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

pub(super) fn tokens(opened: &Opened, texts: &[String]) -> Result<Vec<Tokens>> {
    let model = &opened.loaded.model;
    let mut out = Vec::new();
    for text in texts {
        let ids = model.tokenizer.encode(text)?;
        out.push(Tokens { texts: token_texts(model, &ids), ids });
    }
    Ok(out)
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

pub(super) async fn cloud(opened: &Opened, layer: usize, features: &[usize], activations: &[f32]) -> Result<Cloud> {
    let SaeAt { sae, .. } = sae_at(opened, layer)?;
    let rows = sae.decoder_rows(features).await?;
    let Projection { points, eigenvalues } = Projection::new(&rows.data, activations, sae.d_in, 3)?;
    let axis = |k: usize| eigenvalues.get(k).copied().unwrap_or(0.0);
    let total: f64 = eigenvalues.iter().sum();
    let explained = if total > 0.0 { (axis(0) + axis(1) + axis(2)) / total } else { 0.0 };
    let semi_axes = [axis(0).sqrt(), axis(1).sqrt(), axis(2).sqrt()];
    let points = Floats(points.iter().map(|&v| v as f32).collect());
    Ok(Cloud { points, semi_axes, explained, eigenvalues })
}

pub(super) async fn promotes(
    opened: &Opened,
    layer: usize,
    features: &[usize],
    top: usize,
) -> Result<Vec<Vec<String>>> {
    let SaeAt { sae, .. } = sae_at(opened, layer)?;
    let model = &opened.loaded.model;
    let promoted = engine::promoted(model, sae, features, top, &Compute::cpu()).await?;
    Ok(promoted.iter().map(|top| top.iter().map(|&(id, _)| model.tokenizer.token_text(id)).collect()).collect())
}
