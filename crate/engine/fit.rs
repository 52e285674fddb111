//! SAEs and the model that they read.

use crate::error::{Error, Result};
use crate::model::Model;
use crate::sae::Sae;

/// An SAE and the block whose `resid_post` it reads.
#[derive(Debug, Clone)]
pub struct SaeAt {
    /// Block, 0-based.
    pub layer: usize,
    /// The SAE.
    pub sae: Sae,
}

/// Checks that SAEs and model belong together and lets the SAEs' `prepend_bos` rule the tokenizer.
/// The SAEs come back sorted by layer.
///
/// # Errors
/// [`Error::Mismatch`] for a wrong width, a layer that the model lacks or that the SAE was not
/// trained on, SAEs that disagree about BOS, or two SAEs at one layer.
pub fn fit(model: &mut Model, mut saes: Vec<SaeAt>) -> Result<Vec<SaeAt>> {
    let (d_model, n_layers) = (model.dims().d_model, model.dims().n_layers);
    saes.sort_by_key(|s| s.layer);
    if !model.architecture.family().centred_residual {
        saes.iter_mut().for_each(|s| s.sae.center_input = false);
    }
    if saes.is_empty() {
        return Err(Error::usage("no SAE was given", "name one or more with `--sae LAYER=PATH`"));
    }
    for SaeAt { layer, sae } in &saes {
        if sae.d_in != d_model {
            return Err(Error::mismatch(
                format!("sae {}: input width", sae.id),
                format!("{d_model}, the model's d_model"),
                sae.d_in.to_string(),
                "the SAE was trained on another model",
            ));
        }
        if *layer >= n_layers {
            return Err(Error::mismatch(
                format!("sae {}: layer", sae.id),
                format!("0 to {} (the model has {n_layers} blocks)", n_layers - 1),
                layer.to_string(),
                "layers count from 0",
            ));
        }
        if let Some(claimed) = sae.layer.filter(|l| l != layer) {
            return Err(Error::mismatch(
                format!("sae {}: layer", sae.id),
                format!("{claimed}, which it was trained on"),
                format!("{layer}"),
                format!("use `--sae {claimed}=PATH`"),
            ));
        }
    }
    if let Some(pair) = saes.windows(2).find(|p| p[0].layer == p[1].layer) {
        return Err(Error::usage(
            format!("two SAEs at layer {}: {} and {}", pair[0].layer, pair[0].sae.id, pair[1].sae.id),
            "give one SAE per layer",
        ));
    }
    let mut asked: Option<(bool, &str)> = None;
    for SaeAt { sae, .. } in &saes {
        if let Some(prepend) = sae.prepend_bos {
            match asked {
                Some((other, id)) if other != prepend => {
                    return Err(Error::mismatch(
                        format!("sae {}: prepend_bos", sae.id),
                        format!("{other}, as sae {id} has it"),
                        prepend.to_string(),
                        "use SAEs that were trained on texts of the same form",
                    ));
                }
                _ => asked = Some((prepend, &sae.id)),
            }
        }
    }
    if let Some((prepend, id)) = asked {
        model.tokenizer.override_bos(prepend, id)?;
    }
    Ok(saes)
}
