//! Gemma Scope 2: `config.json` + `params.safetensors`, lower-case names, JumpReLU.
//!
//! The same repositories hold transcoders (with or without an affine skip); those are refused.

use super::fields;
use super::input::Normalization;
use super::tensors::{self, LOWER};
use super::{Architecture, Format, Sae, hook};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::json::Fields;
use crate::platform::Source;

/// Opens a Gemma Scope 2 SAE. Some of its folders have no config; their path says the rest.
pub(super) async fn open(checkpoint: Checkpoint, config: Option<Source>, weights: Source) -> Result<Sae> {
    let path = weights.name();
    for part in ["transcoder", "clt"] {
        if hook::folders(path, 2).contains(part) {
            return Err(tensors::transcoder(path, "its folder"));
        }
    }
    let (d_in, d_sae) = tensors::sizes(path, &checkpoint, LOWER)?;
    let cfg = match &config {
        Some(source) => Config::new(fields::read(source).await?)?,
        None => Config::from_path(path),
    };
    tensors::check(path, &checkpoint, LOWER, Architecture::JumpRelu, (d_in, d_sae), &[])?;
    if let Some(width) = cfg.width.filter(|w| *w != d_sae) {
        return Err(Error::mismatch(
            format!("width in the config beside {path}"),
            d_sae.to_string(),
            width.to_string(),
            "config and tensors must belong to one SAE",
        ));
    }
    Ok(Sae {
        id: hook::folders(path, 2),
        d_in,
        d_sae,
        architecture: Architecture::JumpRelu,
        format: Format::GemmaScope2,
        layer: cfg.layer,
        hook: cfg.hook,
        model: cfg.model,
        prepend_bos: Some(true),
        declared_l0: cfg.l0,
        neuronpedia_id: None,
        apply_b_dec_to_input: false,
        normalization: Normalization::None,
        center_input: false,
        rescale_acts_by_decoder_norm: false,
        checkpoint,
        names: LOWER,
        sources: config.into_iter().chain([weights]).collect(),
    })
}

#[derive(Debug, Default, PartialEq)]
struct Config {
    width: Option<usize>,
    layer: Option<usize>,
    hook: Option<String>,
    model: Option<String>,
    l0: Option<f64>,
}

impl Config {
    fn new(mut fields: Fields) -> Result<Self> {
        let file = fields.file().to_owned();
        if fields.optional::<bool>("affine_connection")?.unwrap_or(false) {
            return Err(tensors::transcoder(&file, "affine_connection: true"));
        }
        if let Some(kind) = fields.optional::<String>("type")?
            && kind != "sae"
        {
            return Err(match kind.as_str() {
                "transcoder" | "clt" | "cross_layer_transcoder" => tensors::transcoder(&file, &format!("type: {kind}")),
                _ => Error::unsupported(format!("type {kind} in {file}"), "take an SAE of the residual stream"),
            });
        }
        match fields.optional::<String>("architecture")?.as_deref() {
            None | Some("jump_relu" | "jumprelu") => {}
            Some(other) => {
                return Err(Error::unsupported(
                    format!("architecture {other} in {file}"),
                    "Gemma Scope 2 SAEs are jump_relu",
                ));
            }
        }
        let hook = fields.optional::<String>("hf_hook_point_in")?;
        let out = fields.optional::<String>("hf_hook_point_out")?;
        if let (Some(from), Some(to)) = (&hook, &out)
            && from != to
        {
            return Err(tensors::transcoder(&file, &format!("hf_hook_point_in {from}, hf_hook_point_out {to}")));
        }
        let hook = hook.or(out);
        let layer = hook.as_deref().map(|h| hook::resid_post_layer(&file, h)).transpose()?;
        let config = Self {
            width: fields.optional::<usize>("width")?,
            layer,
            hook,
            model: fields.optional::<String>("model_name")?,
            l0: fields.optional::<f64>("l0")?,
        };
        fields.finish()?;
        Ok(config)
    }

    fn from_path(path: &str) -> Self {
        let layer = hook::number_in_path(path, "layer_");
        Self { layer, hook: layer.map(|l| format!("model.layers.{l}.output")), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<Config> {
        Config::new(fields::fields("config.json", serde_json::from_str(json).unwrap()).unwrap())
    }

    #[test]
    fn a_residual_sae() {
        let json = r#"{"hf_hook_point_in": "model.layers.12.output", "hf_hook_point_out": "model.layers.12.output",
            "width": 16384, "model_name": "google/gemma-3-270m-pt", "architecture": "jump_relu", "l0": 60,
            "affine_connection": false, "type": "sae"}"#;
        let found = config(json).unwrap();
        assert_eq!((found.layer, found.width, found.l0), (Some(12), Some(16384), Some(60.0)));
    }

    #[test]
    fn transcoders_are_refused_by_each_of_their_signs() {
        for json in [
            r#"{"affine_connection": true}"#,
            r#"{"type": "transcoder"}"#,
            r#"{"hf_hook_point_in": "model.layers.1.pre_feedforward_layernorm.output",
                "hf_hook_point_out": "model.layers.1.post_feedforward_layernorm.output"}"#,
        ] {
            let error = config(json).unwrap_err().to_string();
            assert!(error.contains("transcoder") && error.contains("config.json"), "{error}");
        }
    }

    #[test]
    fn other_places_and_unknown_fields_are_refused() {
        for (json, word) in [
            (r#"{"hf_hook_point_in": "model.layers.1.self_attn.o_proj.input"}"#, "o_proj"),
            (r#"{"architecture": "topk"}"#, "architecture topk"),
            (r#"{"input_scale": 2.0}"#, "input_scale"),
            (r#"{"width": "16k"}"#, "width"),
        ] {
            let error = config(json).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
