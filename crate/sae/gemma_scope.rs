//! Gemma Scope: one `params.npz`, JumpReLU, no config (arXiv:2408.05147).
//!
//! Everything that the arrays do not say comes from the path, laid out as on the model hub:
//! `…/layer_20/width_16k/average_l0_71/params.npz`.

use super::input::Normalization;
use super::tensors::{self, UPPER};
use super::{Architecture, Format, Sae, hook};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::platform::Source;

/// Opens a Gemma Scope SAE.
pub(super) async fn open(npz: Source) -> Result<Sae> {
    let path = npz.name();
    let checkpoint = Checkpoint::open_npz(npz.clone()).await?;
    let names = if checkpoint.contains(tensors::LOWER.w_enc) { tensors::LOWER } else { UPPER };
    if !checkpoint.contains(names.w_enc) {
        return Err(tensors::unknown_layout(path, &checkpoint.names()));
    }
    let (d_in, d_sae) = tensors::sizes(path, &checkpoint, names)?;
    tensors::check_scaling_factor(path, &checkpoint).await?;
    tensors::check(path, &checkpoint, names, Architecture::JumpRelu, (d_in, d_sae), &["scaling_factor"])?;

    let release = release(path);
    if let Some(release) = release {
        if release.contains("transcoder") {
            return Err(tensors::transcoder(path, "its folder"));
        }
        if ["-mlp", "-att"].iter().any(|place| release.contains(place)) {
            return Err(Error::unsupported(
                format!("an SAE of {release} ({path})"),
                "this program reads the residual stream; take one of the -res releases",
            ));
        }
    }
    if path.contains("embedding/") {
        return Err(Error::unsupported(
            format!("an SAE of the embedding ({path})"),
            "this program reads the residual stream after a block; take a layer_N folder",
        ));
    }
    let layer = hook::number_in_path(path, "layer_");
    Ok(Sae {
        id: hook::folders(path, 3),
        d_in,
        d_sae,
        architecture: Architecture::JumpRelu,
        format: Format::GemmaScope,
        layer,
        hook: layer.map(|l| format!("blocks.{l}.hook_resid_post")),
        model: release.and_then(model),
        prepend_bos: Some(true),
        declared_l0: hook::number_in_path(path, "average_l0_").map(|l0| l0 as f64),
        neuronpedia_id: None,
        apply_b_dec_to_input: false,
        normalization: Normalization::None,
        center_input: false,
        rescale_acts_by_decoder_norm: false,
        checkpoint,
        names,
        sources: vec![npz],
    })
}

/// The part of the path that names the release: `gemma-scope-2b-pt-res`.
fn release(path: &str) -> Option<&str> {
    let start = path.find("gemma-scope-")?;
    let end = path[start..].find(['/', '\\', '?', '#']).map_or(path.len(), |n| start + n);
    Some(&path[start..end])
}

/// `gemma-scope-2b-pt-res` → `gemma-2-2b`; `…-it-…` → `gemma-2-9b-it`.
fn model(release: &str) -> Option<String> {
    let mut parts = release.strip_prefix("gemma-scope-")?.split('-');
    let size = parts.next().filter(|s| s.ends_with('b'))?;
    match parts.next()? {
        "pt" => Some(format!("gemma-2-{size}")),
        "it" => Some(format!("gemma-2-{size}-it")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_from_the_release() {
        let path =
            "/hub/models--google--gemma-scope-2b-pt-res/snapshots/abc/layer_20/width_16k/average_l0_71/params.npz";
        assert_eq!(release(path), Some("gemma-scope-2b-pt-res"));
        assert_eq!(model("gemma-scope-2b-pt-res").as_deref(), Some("gemma-2-2b"));
        assert_eq!(model("gemma-scope-9b-it-res").as_deref(), Some("gemma-2-9b-it"));
        assert_eq!(model("gemma-scope-").as_deref(), None);
        assert_eq!(release("layer_20/params.npz"), None);
    }
}
