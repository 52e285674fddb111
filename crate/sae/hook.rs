//! What a hook name or a path says of the place an SAE reads.

use crate::error::{Error, Result};
use crate::platform::components;

/// The block whose `resid_post` a hook reads.
///
/// Understood: `blocks.L.hook_resid_post`; `blocks.L.hook_resid_pre`, which for L ≥ 1 is the same
/// tensor as `blocks.{L−1}.hook_resid_post`; and a block's output by its module name
/// (`model.layers.L`, `model.layers.L.output`, `transformer.h.L`).
///
/// # Errors
/// [`Error::Unsupported`] for any other place (attention, MLP, embedding).
pub(super) fn resid_post_layer(file: &str, hook: &str) -> Result<usize> {
    let refuse = || {
        Error::unsupported(
            format!("hook {hook} in {file}"),
            "this program reads the residual stream after a block: \
             take an SAE for blocks.L.hook_resid_post (or hook_resid_pre of the next block)",
        )
    };
    if let Some(rest) = hook.strip_prefix("blocks.") {
        let (layer, place) = rest.split_once('.').ok_or_else(refuse)?;
        let layer: usize = layer.parse().map_err(|_| refuse())?;
        return match place {
            "hook_resid_post" => Ok(layer),
            "hook_resid_pre" => layer.checked_sub(1).ok_or_else(refuse),
            _ => Err(refuse()),
        };
    }
    let module = hook.strip_suffix(".output").unwrap_or(hook);
    let (parent, layer) = module.rsplit_once('.').ok_or_else(refuse)?;
    if parent == "h" || parent.ends_with(".h") || parent == "layers" || parent.ends_with(".layers") {
        return layer.parse().map_err(|_| refuse());
    }
    Err(refuse())
}

/// The number after `key` in the innermost path component that has one: `layer_20` → 20.
pub(super) fn number_in_path(path: &str, key: &str) -> Option<usize> {
    components(path).rev().find_map(|component| {
        let start = component.find(key)? + key.len();
        let digits = &component[start..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    })
}

/// The last `n` folders of a path, joined with `/`; the file's own name where there are none.
pub(super) fn folders(path: &str, n: usize) -> String {
    let all: Vec<&str> = components(path).collect();
    match all.as_slice() {
        [] => path.to_owned(),
        [only] => (*only).to_owned(),
        [folders @ .., _] => folders[folders.len().saturating_sub(n)..].join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_that_are_a_resid_post() {
        for (hook, layer) in [
            ("blocks.0.hook_resid_post", 0),
            ("blocks.12.hook_resid_post", 12),
            ("blocks.8.hook_resid_pre", 7),
            ("model.layers.12.output", 12),
            ("model.language_model.layers.3", 3),
            ("transformer.h.5", 5),
        ] {
            assert_eq!(resid_post_layer("cfg.json", hook).unwrap(), layer, "{hook}");
        }
    }

    #[test]
    fn other_hooks_are_refused_by_name() {
        for hook in [
            "blocks.0.hook_resid_pre",
            "blocks.3.hook_mlp_out",
            "blocks.3.attn.hook_z",
            "hook_embed",
            "model.layers.3.self_attn.o_proj.input",
            "blocks.x.hook_resid_post",
            "",
        ] {
            let error = resid_post_layer("cfg.json", hook).unwrap_err().to_string();
            assert!(error.contains(&format!("hook {hook}")) && error.contains("cfg.json"), "{error}");
        }
    }

    #[test]
    fn numbers_come_from_the_innermost_folder() {
        let path = "https://a.b/runs/layer_3_old/gemma/layer_20/width_16k/average_l0_71/params.npz?download=true";
        assert_eq!(number_in_path(path, "layer_"), Some(20));
        assert_eq!(number_in_path(path, "average_l0_"), Some(71));
        assert_eq!(number_in_path(r"C:\sae\layer_06\cfg.json", "layer_"), Some(6));
        assert_eq!(number_in_path("params.npz", "layer_"), None);
        assert_eq!(number_in_path("layer_x/params.npz", "layer_"), None);
        assert_eq!(folders(path, 3), "layer_20/width_16k/average_l0_71");
        assert_eq!(folders("params.npz", 3), "params.npz");
    }
}
