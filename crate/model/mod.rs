//! Language models, one readable file per family.
//!
//! A [`Model`] is a config, a tokenizer and an index of tensors; its weights stay where they are
//! until the engine reads them layer by layer.

mod architecture;
mod convert;
pub mod fields;
pub mod files;
pub mod gemma2;
pub mod gemma3;
pub mod gpt2;
mod held;
pub mod llama;
pub mod ops;
mod parts;
pub mod registry;
mod rope_config;
mod shared;
mod tokenizer;

pub use architecture::{
    Architecture, BatchContext, Block, Dims, Embedding, Family, LayerWeights, TensorSpec, Unembedding,
};
pub use convert::Conversion;
pub use files::ModelFiles;
pub use tokenizer::{BosRule, TextTokenizer};

use std::sync::Arc;

use serde_json::Value;

use crate::checkpoint::{Checkpoint, HostTensor};
use crate::error::{Error, Result};
use crate::json::{self, IgnoredField};
use crate::platform::{self, Source};
use tokenizer::MAX_TOKENIZER_BYTES;

/// Every family that this program computes.
static FAMILIES: [&Family; 4] = [&gemma2::FAMILY, &gemma3::FAMILY, &llama::FAMILY, &gpt2::FAMILY];

/// A model that is ready to be run: nothing but headers, config and tokenizer in memory.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its family, with the config.
    pub architecture: Arc<dyn Architecture>,
    /// Its tensors.
    pub checkpoint: Checkpoint,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// The tokenizer's bytes, for its hash.
    pub tokenizer_json: Vec<u8>,
    /// Fields of the config that were passed over.
    pub ignored_fields: Vec<IgnoredField>,
    /// The token that ends a text, where the config names one; of several the first.
    pub eos_id: Option<u32>,
    prefix: &'static str,
}

impl Model {
    /// Reads config, tokenizer and headers.
    ///
    /// # Errors
    /// Whatever is wrong with the files, by name.
    pub async fn open(files: ModelFiles) -> Result<Self> {
        Self::open_ignoring(files, &[]).await
    }

    /// [`Model::open`], passing over fields of the config that nobody reads and that are `ignored` by
    /// name.
    ///
    /// # Errors
    /// As [`Model::open`]; [`Error::Usage`] for a name that is no such field's.
    pub async fn open_ignoring(files: ModelFiles, ignored: &[String]) -> Result<Self> {
        match files {
            ModelFiles::HuggingFace { config, tokenizer, weights } => {
                let value = json::read(&config).await?;
                let checkpoint = Checkpoint::open_safetensors(weights).await?;
                let json = read_tokenizer(&tokenizer).await?;
                Self::from_parts(config.name(), value, ignored, checkpoint, tokenizer.name(), json)
            }
            ModelFiles::Gguf { file, tokenizer } => {
                let gguf = crate::checkpoint::gguf::open(file.clone()).await?;
                let (name, json) = match tokenizer {
                    Some(source) => (source.name().to_owned(), read_tokenizer(&source).await?),
                    None => (
                        file.name().to_owned(),
                        gguf.tokenizer_json.ok_or_else(|| {
                            Error::missing(
                                format!(
                                    "{}: a usable vocabulary ({})",
                                    file.name(),
                                    gguf.tokenizer_missing.as_deref().unwrap_or("of an unknown kind")
                                ),
                                "name the model's tokenizer.json with `--tokenizer FILE`",
                            )
                        })?,
                    ),
                };
                Self::from_parts(file.name(), gguf.config, ignored, gguf.checkpoint, &name, json)
            }
        }
    }

    /// From a parsed config (see [`Model::open_ignoring`]), an index of tensors under Hugging Face names,
    /// and a tokenizer.json.
    ///
    /// # Errors
    /// Whatever is wrong with them, by name.
    pub fn from_parts(
        config_name: &str,
        config: Value,
        ignored: &[String],
        checkpoint: Checkpoint,
        tokenizer_name: &str,
        tokenizer_json: Vec<u8>,
    ) -> Result<Self> {
        let (family, config) = family(config_name, config)?;
        let token = |field: &str| {
            let named = config.get(field)?;
            named.as_u64().or_else(|| named.get(0)?.as_u64()).and_then(|id| u32::try_from(id).ok())
        };
        let (bos_id, eos_id) = (token("bos_token_id"), token("eos_token_id"));
        let fields = fields::fields(config_name, config, ignored)?;
        let passed_over = fields.ignored();
        let architecture = (family.read)(fields)?;
        let ignored_fields = passed_over.list(config_name)?;
        let embedding = architecture.embedding().tokens;
        let held = |prefix: &&str| checkpoint.contains(&format!("{prefix}{embedding}"));
        let prefix = family.prefixes.iter().copied().find(held).ok_or_else(|| {
            Error::missing(
                format!("tensor {}{embedding}", family.prefixes[0]),
                format!("do the weights belong to {config_name}?"),
            )
        })?;
        held::check(config_name, architecture.as_ref(), &checkpoint, prefix)?;
        let tokenizer = TextTokenizer::new(tokenizer_name, &tokenizer_json, family, bos_id)?;
        let model = Self { architecture, checkpoint, tokenizer, tokenizer_json, ignored_fields, eos_id, prefix };
        // where it is needed and not there, its reader says so
        let (matrix, dims) = (model.unembedding_matrix(), model.dims());
        if model.checkpoint.contains(&matrix) {
            held::shape(config_name, &model.checkpoint, &matrix, &[dims.vocab_size, dims.d_model])?;
        }
        Ok(model)
    }

    /// Sizes.
    pub fn dims(&self) -> &Dims {
        self.architecture.dims()
    }

    /// Reads the weights of block `layer` as they are stored, to be unpacked one by one as the block is
    /// built: of two blocks in memory, one is small.
    ///
    /// # Errors
    /// Missing or misshapen tensors, by name; values that are not finite are found on building.
    pub async fn read_layer(&self, layer: usize) -> Result<LayerWeights> {
        let mut weights = LayerWeights::default();
        for (name, (short, shape)) in self.layer_tensors(layer) {
            weights.insert(short, self.checkpoint.read_packed(&name, &shape).await?);
        }
        Ok(weights)
    }

    /// Reads the final norm's weights.
    ///
    /// # Errors
    /// As [`Model::read_layer`].
    pub async fn read_final_norm(&self) -> Result<LayerWeights> {
        let mut weights = LayerWeights::default();
        for (name, shape) in self.architecture.unembedding().norm {
            let tensor = self.checkpoint.read_shaped(&self.full_name(&name), &shape).await?;
            weights.insert(name, tensor.into());
        }
        Ok(weights)
    }

    /// Name in the checkpoint of what the family calls `name`.
    fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The tensors of block `layer`: name in the checkpoint, then the family's own name and the shape.
    fn layer_tensors(&self, layer: usize) -> impl Iterator<Item = (String, TensorSpec)> {
        let prefix = self.full_name(self.architecture.family().blocks);
        let tensors = self.architecture.layer_tensors(layer).into_iter();
        tensors.map(move |(short, shape)| (format!("{prefix}.{layer}.{short}"), (short, shape)))
    }

    /// How the weights of the first block are stored, most common first: `BF16`, or `Q4_1`, `F32`.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks.
    pub fn storage_types(&self) -> Result<Vec<String>> {
        let mut counts: Vec<(usize, String)> = Vec::new();
        for (name, _) in self.layer_tensors(0) {
            let dtype = self.checkpoint.info(&name)?.dtype.clone();
            match counts.iter_mut().find(|(_, d)| *d == dtype) {
                Some((n, _)) => *n += 1,
                None => counts.push((1, dtype)),
            }
        }
        counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        Ok(counts.into_iter().map(|(_, dtype)| dtype).collect())
    }

    /// Bytes that the f32 weights of block `layer` take.
    pub fn layer_bytes(&self, layer: usize) -> u64 {
        let floats: usize = self.layer_tensors(layer).map(|(_, (_, shape))| shape.iter().product::<usize>()).sum();
        floats as u64 * 4
    }

    /// Bytes that the weights of block `layer` take on a graphics device: as stored where that is in 16 bits, else
    /// as f32, or in 16 bits where `half`.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks.
    pub fn layer_bytes_on_device(&self, layer: usize, half: bool) -> Result<u64> {
        self.layer_tensors(layer)
            .map(|(name, (_, shape))| {
                let values = shape.iter().product::<usize>() as u64;
                let stored = self.checkpoint.packed_bytes(&name)?;
                // quantised ones are there twice while they are unpacked
                let twice = if stored < 2 * values { stored } else { 0 };
                let bytes = if half || stored == 2 * values { 2 } else { 4 };
                Ok(bytes * values + twice)
            })
            .sum()
    }

    /// Bytes as stored of the embedding and the blocks up to `last`; of the whole model where it is
    /// unembedded too.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks.
    pub fn bytes_up_to(&self, last: usize, unembedded: bool) -> Result<u64> {
        let embedding = self.architecture.embedding();
        let mut names: Vec<String> = vec![self.full_name(embedding.tokens)];
        names.extend(embedding.positions.map(|name| self.full_name(name)));
        names.extend((0..=last).flat_map(|layer| self.layer_tensors(layer)).map(|(name, _)| name));
        names.extend(unembedded.then(|| self.unembedding_matrix()));
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| Ok(self.checkpoint.info(name)?.nbytes)).sum()
    }

    /// Residual stream before block 0 for `tokens` at `positions`: only the embedding rows that
    /// occur are read.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for ids past the embedding; reading errors.
    pub async fn embed(&self, tokens: &[u32], positions: &[u32]) -> Result<HostTensor> {
        self.check_ids(tokens)?;
        let spec = self.architecture.embedding();
        let mut x = self.read_rows_once(&self.full_name(spec.tokens), tokens).await?;
        if let Some(scale) = spec.scale {
            x.data.iter_mut().for_each(|v| *v *= scale);
        }
        if let Some(name) = spec.positions {
            let p = self.read_rows_once(&self.full_name(name), positions).await?;
            x.data.iter_mut().zip(&p.data).for_each(|(v, p)| *v += p);
        }
        Ok(x)
    }

    /// Rows of the token embedding as they are stored, without scale or position.
    ///
    /// # Shapes
    /// `[tokens, d_model]`
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a token outside the vocabulary; reading errors.
    pub async fn token_rows(&self, tokens: &[u32]) -> Result<HostTensor> {
        self.check_ids(tokens)?;
        self.read_rows_once(&self.full_name(self.architecture.embedding().tokens), tokens).await
    }

    /// Rows of a matrix in the order asked for, each distinct one read once, in file order.
    async fn read_rows_once(&self, name: &str, rows: &[u32]) -> Result<HostTensor> {
        let rows = rows.iter().map(|&row| row as usize);
        self.checkpoint.distinct_rows(name, rows.clone()).await?.gather(rows)
    }

    /// A text must fit the model's context.
    ///
    /// # Errors
    /// [`Error::Mismatch`] otherwise; `what` names the text.
    pub fn check_length(&self, what: &str, tokens: &[u32]) -> Result<()> {
        let longest = self.dims().max_positions;
        if tokens.len() <= longest {
            return Ok(());
        }
        Err(Error::mismatch(
            format!("{what} text"),
            format!("at most {longest} tokens, the model's context"),
            format!("{} tokens", tokens.len()),
            "shorten the text",
        ))
    }

    /// Every id must have an embedding row.
    ///
    /// # Errors
    /// [`Error::Mismatch`] otherwise.
    pub fn check_ids(&self, tokens: &[u32]) -> Result<()> {
        let vocab = self.dims().vocab_size;
        match tokens.iter().find(|&&t| t as usize >= vocab) {
            None => Ok(()),
            Some(id) => Err(Error::mismatch(
                "token ids",
                format!("ids below {vocab}, the rows of the embedding"),
                format!("id {id}"),
                "the tokenizer belongs to another model",
            )),
        }
    }

    /// Full name of the unembedding matrix. Checkpoints keep an untied `lm_head` beside the model,
    /// not inside it.
    pub fn unembedding_matrix(&self) -> String {
        let name = self.architecture.unembedding().matrix.unwrap_or(self.architecture.embedding().tokens);
        let outside = self.prefix.strip_suffix("model.").unwrap_or("");
        [self.prefix, outside, ""]
            .iter()
            .map(|p| format!("{p}{name}"))
            .find(|n| self.checkpoint.contains(n))
            .unwrap_or_else(|| name.to_owned())
    }
}

async fn read_tokenizer(source: &Source) -> Result<Vec<u8>> {
    platform::whole(source, MAX_TOKENIZER_BYTES, "a tokenizer").await
}

/// The family that a config is of, and the family's own config: the inner one of a multimodal checkpoint.
fn family(file: &str, mut config: Value) -> Result<(&'static Family, Value)> {
    let model_type = config.get("model_type").and_then(Value::as_str).ok_or_else(|| {
        Error::malformed(file, "model_type", "a string", "nothing", "this should be the model's config.json")
    })?;
    if let Some(family) = FAMILIES.iter().copied().find(|family| family.name == model_type) {
        return Ok((family, config));
    }
    let Some(family) = FAMILIES.iter().copied().find(|family| family.multimodal == Some(model_type)) else {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.multimodal.unwrap_or(family.name)).collect();
        return Err(Error::unsupported(
            format!("{file}: model_type \"{model_type}\""),
            format!("known families: {}", known.join(", ")),
        ));
    };
    let inner = config
        .get_mut("text_config")
        .map(Value::take)
        .ok_or_else(|| Error::malformed(file, "text_config", "an object", "nothing", "is the config complete?"))?;
    Ok((family, inner))
}
