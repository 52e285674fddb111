//! Sparse autoencoders: one file per architecture, one loader per on-disk format.
//!
//! The engine does one matmul, input · `W_enc`, on the device; everything else is host code here.
//! `W_dec` stays in its file: only the rows of active features are ever read.
//!
//! The reference for every number is SAELens 6.54.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, HostTensor, Rows};
use crate::error::{Error, Result, listed};
use crate::platform::{Source, file_name};

mod batchtopk;
mod encoder;
mod fields;
mod gated;
mod gemma_scope;
mod gemma_scope_2;
mod hook;
mod input;
mod jumprelu;
mod rule;
mod saelens;
mod standard;
mod tensors;
mod topk;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

pub use encoder::Encoder;
pub use input::{Normalization, NormalizeActivations, Prepared};
pub use rule::Rule;

/// An active feature of one text at one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Index into the dictionary.
    pub index: u32,
    /// Activation, > 0.
    pub activation: f32,
}

impl Feature {
    /// The feature if its activation is above 0, which NaN is not.
    fn positive((index, activation): (usize, f32)) -> Option<Self> {
        // widths are checked against u32 when the SAE is opened
        (activation > 0.0).then_some(Self { index: index as u32, activation })
    }
}

/// The encoder's nonlinearity; in a manifest by the name that it has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(
    test,
    ts(
        rename = "SaeArchitecture",
        type = "\"standard\" | \"jumprelu\" | `topk (k = ${number})` | \"batchtopk\" | \"gated\""
    )
)]
pub enum Architecture {
    /// ReLU.
    Standard,
    /// A threshold per feature; also what a finished BatchTopK SAE is saved as.
    JumpRelu,
    /// The k largest, then ReLU.
    TopK {
        /// Features kept.
        k: usize,
    },
    /// BatchTopK as its training checkpoint holds it: one learned threshold, norms unfolded.
    BatchTopK,
    /// Gate and magnitude from one `W_enc`.
    Gated,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard"),
            Self::JumpRelu => f.write_str("jumprelu"),
            Self::TopK { k } => write!(f, "topk (k = {k})"),
            Self::BatchTopK => f.write_str("batchtopk"),
            Self::Gated => f.write_str("gated"),
        }
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> Self {
        architecture.to_string()
    }
}

impl TryFrom<String> for Architecture {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        name.parse()
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let k = || name.strip_prefix("topk (k = ")?.strip_suffix(')')?.parse().ok();
        match name {
            "standard" => Ok(Self::Standard),
            "jumprelu" => Ok(Self::JumpRelu),
            "batchtopk" => Ok(Self::BatchTopK),
            "gated" => Ok(Self::Gated),
            _ => k().map(|k| Self::TopK { k }).ok_or_else(|| format!("no SAE architecture: {name:?}")),
        }
    }
}

/// How an SAE lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "SaeFormat"))]
pub enum Format {
    /// One `params.npz`, no config.
    #[serde(rename = "gemma-scope")]
    GemmaScope,
    /// `config.json` + `params.safetensors`, lower-case tensor names.
    #[serde(rename = "gemma-scope-2")]
    GemmaScope2,
    /// `cfg.json` + `sae_weights.safetensors`.
    #[serde(rename = "saelens")]
    SaeLens,
}

/// Facts that an SAE's files do not hold and a registry may know.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overrides {
    /// The factor of `expected_average_only_in`, for weights that it is not folded into.
    pub norm_scaling_factor: Option<f64>,
    /// See [`Sae::center_input`].
    pub center_input: Option<bool>,
}

/// An opened SAE: its config, checked against the headers of its tensors. No weights are read yet.
#[derive(Debug, Clone)]
pub struct Sae {
    /// Name for people: the innermost folders of its path, or what its config calls it.
    pub id: String,
    /// Width of the residual stream that it reads.
    pub d_in: usize,
    /// Dictionary size.
    pub d_sae: usize,
    /// The encoder's nonlinearity.
    pub architecture: Architecture,
    /// How it lies on disk.
    pub format: Format,
    /// Block whose `resid_post` it reads, as its config or path claims.
    pub layer: Option<usize>,
    /// Hook name as its config gives it (`hook_resid_pre` of block L is layer L − 1).
    pub hook: Option<String>,
    /// Model that it was trained on.
    pub model: Option<String>,
    /// Whether its training texts began with BOS.
    pub prepend_bos: Option<bool>,
    /// L0 that its name or config declares.
    pub declared_l0: Option<f64>,
    /// Where its features are described.
    pub neuronpedia_id: Option<String>,
    /// Whether b_dec is subtracted from the (normalised) input.
    pub apply_b_dec_to_input: bool,
    /// What is done to each input row.
    pub normalization: Normalization,
    /// Whether each row's mean is subtracted: the SAE was trained on a model with
    /// `center_writing_weights`. TransformerLens does that for LayerNorm models only, so the engine
    /// clears it for RMSNorm models.
    pub center_input: bool,
    /// Whether pre-activations are multiplied by their decoder row's norm and activations divided
    /// by it again (`rescale_acts_by_decoder_norm`).
    pub rescale_acts_by_decoder_norm: bool,
    checkpoint: Checkpoint,
    names: tensors::Names,
    sources: Vec<Source>,
}

impl Sae {
    /// Opens an SAE from its files, in any order; the format is recognised, not asked for.
    ///
    /// Files that say nothing about the numbers (`sparsity.safetensors`, training state) may be
    /// among them.
    ///
    /// # Errors
    /// [`Error::Missing`] naming what was found and what is expected when no format fits;
    /// [`Error::Malformed`] for broken files, [`Error::Mismatch`] for tensors of the wrong shape,
    /// [`Error::Unsupported`] for anything that would change the numbers and is not computed here.
    pub async fn open(files: Vec<Source>) -> Result<Self> {
        Self::open_with(files, Overrides::default()).await
    }

    /// [`Sae::open`] with facts that the files do not hold.
    ///
    /// # Errors
    /// As [`Sae::open`].
    pub async fn open_with(files: Vec<Source>, overrides: Overrides) -> Result<Self> {
        let sae = match recognise(&files)? {
            Layout::Npz(npz) => gemma_scope::open(npz).await,
            Layout::Folder { config, weights, scaler } => {
                let checkpoint = Checkpoint::open_safetensors(vec![weights.clone()]).await?;
                if checkpoint.contains("w_enc") {
                    gemma_scope_2::open(checkpoint, config, weights).await
                } else if checkpoint.contains("W_enc") {
                    saelens::open(checkpoint, config, weights, scaler, overrides.norm_scaling_factor).await
                } else {
                    Err(tensors::unknown_layout(weights.name(), &checkpoint.names()))
                }
            }
        }?;
        let center_input = overrides.center_input.unwrap_or(sae.center_input);
        Ok(Self { center_input, ..sae })
    }

    /// The files that the numbers come from, for hashing.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Reads `W_enc` and the biases and thresholds.
    ///
    /// # Errors
    /// Those of reading; [`Error::Malformed`] for NaN or infinite weights.
    pub async fn load_encoder(&self) -> Result<Encoder> {
        tensors::load_encoder(self).await
    }

    /// Rows of `W_dec` as stored (unfolded), in the order asked for, shape `[n, d_in]`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a feature past the dictionary's end; those of reading.
    pub async fn decoder_rows(&self, features: &[usize]) -> Result<HostTensor> {
        if let Some(past) = features.iter().find(|&&i| i >= self.d_sae) {
            return Err(Error::mismatch(
                format!("feature index for SAE {}", self.id),
                format!("less than {}", self.d_sae),
                past.to_string(),
                "",
            ));
        }
        if features.is_empty() {
            return Ok(HostTensor { shape: vec![0, self.d_in], data: Vec::new() });
        }
        self.checkpoint.read_rows(self.names.w_dec, features).await
    }

    /// Rows of `W_dec` as stored, each distinct feature's read once, to be found by their feature.
    ///
    /// # Errors
    /// As [`Sae::decoder_rows`].
    pub async fn distinct_decoder_rows(&self, features: impl IntoIterator<Item = usize>) -> Result<Rows> {
        let indices = Rows::distinct(features);
        let rows = self.decoder_rows(&indices).await?;
        Rows::new(indices, rows)
    }
}

/// The files of a recognised layout.
enum Layout {
    Npz(Source),
    Folder { config: Option<Source>, weights: Source, scaler: Option<Source> },
}

/// Files of a training run that hold no weights of the SAE.
const NOT_WEIGHTS: [&str; 3] =
    ["sparsity.safetensors", "activation_whitening.safetensors", "activations_store_state.safetensors"];

/// Sorts files by name: one npz, or one config beside one safetensors file.
fn recognise(files: &[Source]) -> Result<Layout> {
    let lower = |s: &Source| file_name(s.name()).to_ascii_lowercase();
    let ending = |ending: &str| -> Vec<&Source> { files.iter().filter(|s| lower(s).ends_with(ending)).collect() };
    let named = |name: &str| files.iter().find(|s| lower(s) == name).cloned();

    let npz = ending(".npz");
    let mut weights = ending(".safetensors");
    weights.retain(|s| !NOT_WEIGHTS.contains(&lower(s).as_str()));
    let config = named("cfg.json").or_else(|| named("config.json"));
    match (npz.as_slice(), weights.as_slice(), config) {
        ([npz], [], _) => Ok(Layout::Npz((*npz).clone())),
        ([], [weights], config) => {
            Ok(Layout::Folder { config, weights: (*weights).clone(), scaler: named("activation_scaler.json") })
        }
        _ => {
            let found: Vec<&str> = files.iter().map(|s| file_name(s.name())).collect();
            let found = if found.is_empty() { "no files".to_owned() } else { listed(&found) };
            Err(Error::missing(
                format!("one SAE among these files ({found})"),
                "expected one of: params.npz (Gemma Scope); config.json + params.safetensors (Gemma Scope 2); \
                 cfg.json + sae_weights.safetensors (SAELens)",
            ))
        }
    }
}
