//! Places in a model where activations are read, named as TransformerLens names them.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A hook point. Displays as `blocks.19.hook_resid_post`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HookPoint {
    /// The residual stream after block `layer`, before any final norm. `[n, d_model]`
    ResidPost {
        /// Block index, 0-based.
        layer: usize,
    },
}

impl HookPoint {
    /// The block that must have run for this hook point to exist.
    pub fn layer(self) -> usize {
        match self {
            Self::ResidPost { layer } => layer,
        }
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResidPost { layer } => write!(f, "blocks.{layer}.hook_resid_post"),
        }
    }
}

impl FromStr for HookPoint {
    type Err = Error;

    /// Reads `blocks.L.hook_resid_post`, and `blocks.L.hook_resid_pre` (L > 0), which is the same
    /// tensor as the block before leaves behind.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || {
            Error::unsupported(
                format!("hook point {text}"),
                "residual-stream SAEs are read: blocks.L.hook_resid_post, or blocks.L.hook_resid_pre for L > 0",
            )
        };
        let (layer, hook) = text.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')).ok_or_else(refused)?;
        let layer: usize = layer.parse().map_err(|_| refused())?;
        match hook {
            "hook_resid_post" => Ok(Self::ResidPost { layer }),
            "hook_resid_pre" if layer > 0 => Ok(Self::ResidPost { layer: layer - 1 }),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let hook = HookPoint::ResidPost { layer: 19 };
        assert_eq!(hook.to_string(), "blocks.19.hook_resid_post");
        assert_eq!("blocks.19.hook_resid_post".parse::<HookPoint>().unwrap(), hook);
        assert_eq!("blocks.20.hook_resid_pre".parse::<HookPoint>().unwrap(), hook);
        for bad in ["blocks.0.hook_resid_pre", "blocks.3.hook_mlp_out", "blocks.x.hook_resid_post", ""] {
            assert!(bad.parse::<HookPoint>().unwrap_err().to_string().contains("hint:"));
        }
    }
}
