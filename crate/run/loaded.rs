//! A model and its SAEs, opened and fitted to each other.

use std::collections::BTreeMap;

use crate::checkpoint::Quantization;
use crate::engine::{self, SaeAt};
use crate::error::Result;
use crate::model::registry::{KnownModel, KnownSae};
use crate::model::{Model, ModelFiles};
use crate::platform::Source;
use crate::sae::{Overrides, Sae};

/// A model and its SAEs, ready for the engine.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Name for the manifest.
    pub name: String,
    /// Registry entry, if the model is a known one.
    pub known: Option<KnownModel>,
    /// Where it came from.
    pub origin: String,
    /// Commit of the hub, where pinned.
    pub revision: Option<String>,
    /// sha256 that the registry gives of files, by their sources' names.
    pub pinned: BTreeMap<String, String>,
    /// The model.
    pub model: Model,
    /// Its weight files.
    pub weight_files: Vec<Source>,
    /// Its config, where that is a file of its own.
    pub config_file: Option<Source>,
    /// Where the tokenizer came from.
    pub tokenizer_file: String,
    /// The SAEs, by layer.
    pub saes: Vec<SaeAt>,
    /// How the weights are stored.
    pub quantization: String,
    /// What they are quantised to as they are read, where they are.
    pub quantized: Option<Quantization>,
}

impl Loaded {
    /// With weights that are quantised as they are read; see [`Model::quantized`].
    ///
    /// # Errors
    /// Those of [`Model::quantized`].
    pub fn quantize(self, quantization: Quantization, again: bool) -> Result<Self> {
        let model = self.model.quantized(&self.name, quantization, again)?;
        let stored = model.storage_types()?.join(", ");
        Ok(Self { model, quantization: stored, quantized: Some(quantization), ..self })
    }

    /// The files that the model's numbers come from: weights and config.
    pub fn model_files(&self) -> Vec<Source> {
        self.weight_files.iter().chain(&self.config_file).cloned().collect()
    }
}

/// What a model is called and where it came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// See [`Loaded::name`].
    pub name: String,
    /// See [`Loaded::known`].
    pub known: Option<KnownModel>,
    /// See [`Loaded::origin`].
    pub origin: String,
    /// See [`Loaded::revision`].
    pub revision: Option<String>,
    /// See [`Loaded::pinned`].
    pub pinned: BTreeMap<String, String>,
}

/// The files of one SAE.
#[derive(Debug, Clone)]
pub struct SaeFiles {
    /// Block whose `resid_post` it reads.
    pub layer: usize,
    /// Its files, in any order.
    pub files: Vec<Source>,
    /// What the registry knows of it beyond its files.
    pub known: Option<KnownSae>,
}

/// Opens a model and its SAEs; headers, config and tokenizer are read, no weights. Where
/// `saes_needed`, they are fitted to the model (see [`engine::fit`]).
///
/// # Errors
/// Whatever is wrong with the files or does not fit.
pub async fn load(origin: Origin, files: ModelFiles, saes: Vec<SaeFiles>, saes_needed: bool) -> Result<Loaded> {
    load_ignoring(origin, files, saes, saes_needed, &[]).await
}

/// [`load`], passing over fields of the model's config by name (see [`Model::open_ignoring`]).
///
/// # Errors
/// As [`load`].
pub async fn load_ignoring(
    origin: Origin,
    files: ModelFiles,
    saes: Vec<SaeFiles>,
    saes_needed: bool,
    ignored_fields: &[String],
) -> Result<Loaded> {
    let mut opened = Vec::with_capacity(saes.len());
    for SaeFiles { layer, files, known } in saes {
        let overrides = known.as_ref().map_or_else(Overrides::default, |k| Overrides {
            norm_scaling_factor: k.norm_scaling_factor,
            center_input: k.center_input,
        });
        let mut sae = Sae::open_with(files, overrides).await?;
        sae.declared_l0 = sae.declared_l0.or(known.and_then(|k| k.declared_l0));
        opened.push(SaeAt { layer, sae });
    }
    let (weight_files, config_file, tokenizer_file) = match &files {
        ModelFiles::HuggingFace { config, weights, tokenizer } => {
            (weights.clone(), Some(config.clone()), tokenizer.name().to_owned())
        }
        ModelFiles::Gguf { file, tokenizer } => (
            vec![file.clone()],
            None,
            tokenizer.as_ref().map_or_else(|| format!("{} (its vocabulary)", file.name()), |t| t.name().to_owned()),
        ),
    };
    let mut model = Model::open_ignoring(files, ignored_fields).await?;
    let saes = if saes_needed { engine::fit(&mut model, opened)? } else { opened };
    let quantization = model.storage_types()?.join(", ");
    let Origin { name, known, origin, revision, pinned } = origin;
    Ok(Loaded {
        name,
        known,
        origin,
        revision,
        pinned,
        model,
        weight_files,
        config_file,
        tokenizer_file,
        saes,
        quantization,
        quantized: None,
    })
}
