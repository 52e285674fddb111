//! Language models, one readable file per family.
//!
//! A [`Model`] is a config, a tokenizer and an index of tensors; its weights stay where they are
//! until the engine reads them layer by layer.

mod architecture;
pub mod fields;
pub mod gemma2;
pub mod gemma3;
pub mod gpt2;
mod hook;
pub mod llama;
pub mod ops;
pub mod registry;
mod rope_config;
mod shared;
mod tokenizer;

pub use architecture::{Architecture, BatchContext, Block, Dims, Embedding, LayerWeights, TensorSpec, Unembedding};
pub use hook::HookPoint;
pub use tokenizer::{BosRule, TextTokenizer};

use std::sync::Arc;

use serde_json::Value;

use crate::checkpoint::{Checkpoint, HostTensor};
use crate::error::{Error, Result};
use crate::platform::Source;
use fields::{Fields, IgnoredField};

/// The files of a model, before anything is read.
#[derive(Debug, Clone)]
pub enum ModelFiles {
    /// A Hugging Face folder.
    HuggingFace {
        /// `config.json`
        config: Source,
        /// `tokenizer.json`
        tokenizer: Source,
        /// `model.safetensors`, or its shards.
        weights: Vec<Source>,
    },
    /// A GGUF file.
    Gguf {
        /// The file.
        file: Source,
        /// A `tokenizer.json` instead of the file's own vocabulary.
        tokenizer: Option<Source>,
    },
}

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
                let value = parse_json(config.name(), &config.read(0..config.len()).await?)?;
                let checkpoint = Checkpoint::open_safetensors(weights).await?;
                let json = tokenizer.read(0..tokenizer.len()).await?;
                Self::from_parts(config.name(), value, ignored, checkpoint, tokenizer.name(), json)
            }
            ModelFiles::Gguf { file, tokenizer } => {
                let gguf = crate::checkpoint::gguf::open(file.clone()).await?;
                let (name, json) = match tokenizer {
                    Some(source) => (source.name().to_owned(), source.read(0..source.len()).await?),
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
        let mut config = config;
        let mut model_type = model_type(config_name, &config)?;
        if model_type == "gemma3" {
            // the multimodal checkpoints: the text model's config is inside
            config = config.get_mut("text_config").map(Value::take).ok_or_else(|| {
                Error::malformed(config_name, "text_config", "an object", "nothing", "is the config complete?")
            })?;
            model_type = "gemma3_text".to_owned();
        }
        let bos_id = config.get("bos_token_id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let fields = Fields::ignoring(config_name, config, ignored)?;
        let passed_over = fields.ignored();
        let architecture: Arc<dyn Architecture> = match model_type.as_str() {
            "gemma2" => Arc::new(gemma2::Gemma2(gemma2::Config::read(fields)?)),
            "gemma3_text" => Arc::new(gemma3::Gemma3(gemma3::Config::read(fields)?)),
            "llama" => Arc::new(llama::Llama(llama::Config::read(fields)?)),
            "gpt2" => Arc::new(gpt2::Gpt2(gpt2::Config::read(fields)?)),
            other => {
                return Err(Error::unsupported(
                    format!("{config_name}: model_type \"{other}\""),
                    "known families: gemma2, gemma3, llama (SmolLM2), gpt2",
                ));
            }
        };
        let ignored_fields = passed_over.list(config_name)?;
        let embedding = architecture.embedding().tokens;
        let prefix = architecture
            .prefixes()
            .iter()
            .find(|p| checkpoint.contains(&format!("{p}{embedding}")))
            .copied()
            .ok_or_else(|| {
                Error::missing(
                    format!("tensor {}{embedding}", architecture.prefixes()[0]),
                    format!("do the weights belong to {config_name}?"),
                )
            })?;
        let dims = architecture.dims();
        let found = &checkpoint.info(&format!("{prefix}{embedding}"))?.shape;
        if found != &[dims.vocab_size, dims.d_model] {
            return Err(Error::mismatch(
                format!("{config_name}: shape of {prefix}{embedding}"),
                format!("[{}, {}] (vocab_size, d_model)", dims.vocab_size, dims.d_model),
                format!("{found:?}"),
                "the config belongs to other weights",
            ));
        }
        let tokenizer = TextTokenizer::new(tokenizer_name, &tokenizer_json, &model_type, bos_id)?;
        Ok(Self { architecture, checkpoint, tokenizer, tokenizer_json, ignored_fields, prefix })
    }

    /// Sizes.
    pub fn dims(&self) -> &Dims {
        self.architecture.dims()
    }

    /// Reads the weights of block `layer` as f32.
    ///
    /// # Errors
    /// Missing, misshapen or non-finite tensors, by name.
    pub async fn read_layer(&self, layer: usize) -> Result<LayerWeights> {
        let prefix = format!("{}{}", self.prefix, self.architecture.layer_prefix(layer));
        self.read_tensors(&prefix, self.architecture.layer_tensors(layer)).await
    }

    /// Reads the final norm's weights.
    ///
    /// # Errors
    /// As [`Model::read_layer`].
    pub async fn read_final_norm(&self) -> Result<LayerWeights> {
        self.read_tensors(self.prefix, self.architecture.unembedding().norm).await
    }

    async fn read_tensors(&self, prefix: &str, specs: Vec<TensorSpec>) -> Result<LayerWeights> {
        let mut weights = LayerWeights::default();
        for (name, shape) in specs {
            let tensor = self.checkpoint.read_shaped(&format!("{prefix}{name}"), &shape).await?;
            weights.0.insert(name, tensor);
        }
        Ok(weights)
    }

    /// How the weights of the first block are stored, most common first: `BF16`, or `Q4_1`, `F32`.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks.
    pub fn storage_types(&self) -> Result<Vec<String>> {
        let prefix = format!("{}{}", self.prefix, self.architecture.layer_prefix(0));
        let mut counts: Vec<(usize, String)> = Vec::new();
        for (name, _) in self.architecture.layer_tensors(0) {
            let dtype = self.checkpoint.info(&format!("{prefix}{name}"))?.dtype.clone();
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
        let floats: usize =
            self.architecture.layer_tensors(layer).iter().map(|(_, s)| s.iter().product::<usize>()).sum();
        floats as u64 * 4
    }

    /// Bytes as stored of the embedding and the blocks up to `last`; of the whole model where it is
    /// unembedded too.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks.
    pub fn bytes_up_to(&self, last: usize, unembedded: bool) -> Result<u64> {
        let embedding = self.architecture.embedding();
        let mut names: Vec<String> = vec![format!("{}{}", self.prefix, embedding.tokens)];
        names.extend(embedding.positions.map(|p| format!("{}{p}", self.prefix)));
        for layer in 0..=last {
            let prefix = format!("{}{}", self.prefix, self.architecture.layer_prefix(layer));
            names.extend(self.architecture.layer_tensors(layer).into_iter().map(|(name, _)| format!("{prefix}{name}")));
        }
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
        let mut x = self.read_rows_once(&format!("{}{}", self.prefix, spec.tokens), tokens).await?;
        if let Some(scale) = spec.scale {
            x.data.iter_mut().for_each(|v| *v *= scale);
        }
        if let Some(name) = spec.positions {
            let p = self.read_rows_once(&format!("{}{name}", self.prefix), positions).await?;
            x.data.iter_mut().zip(&p.data).for_each(|(v, p)| *v += p);
        }
        Ok(x)
    }

    /// Rows of a matrix in the order asked for, each distinct one read once, in file order.
    async fn read_rows_once(&self, name: &str, rows: &[u32]) -> Result<HostTensor> {
        let mut distinct: Vec<usize> = rows.iter().map(|&r| r as usize).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let read = self.checkpoint.read_rows(name, &distinct).await?;
        let width = read.shape.get(1).copied().unwrap_or(1);
        let mut data = Vec::with_capacity(rows.len() * width);
        for &row in rows {
            let at = distinct.binary_search(&(row as usize)).unwrap_or_default();
            data.extend_from_slice(&read.data[at * width..(at + 1) * width]);
        }
        Ok(HostTensor { shape: vec![rows.len(), width], data })
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
        let name = self.architecture.unembedding().matrix;
        let outside = self.prefix.strip_suffix("model.").unwrap_or("");
        [self.prefix, outside, ""]
            .iter()
            .map(|p| format!("{p}{name}"))
            .find(|n| self.checkpoint.contains(n))
            .unwrap_or(name)
    }
}

fn parse_json(file: &str, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::malformed(
            file,
            format!("line {}, column {}", e.line(), e.column()),
            "json",
            e.to_string(),
            "the file is damaged or is not a config.json",
        )
    })
}

fn model_type(file: &str, config: &Value) -> Result<String> {
    config.get("model_type").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
        Error::malformed(file, "model_type", "a string", "nothing", "this should be the model's config.json")
    })
}
