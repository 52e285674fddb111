//! What every model family offers to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};

use super::ops::{AttentionParams, Compute, RopeTable, TrieContext};
use crate::batch::Trie;
use crate::checkpoint::gguf::Description;
use crate::checkpoint::{HostTensor, Weights};
use crate::error::{Error, Result};
use crate::json::Fields;
use crate::platform::{MaybeSend, MaybeSync};

/// A tensor that a layer needs: its name below the layer's prefix, and its shape.
pub type TensorSpec = (String, Vec<usize>);

/// What is true of all models of a family, whatever their configs say.
#[derive(Debug)]
pub struct Family {
    /// `model_type` in a config.
    pub name: &'static str,
    /// What a GGUF file calls it.
    pub gguf: &'static str,
    /// `model_type` of the multimodal checkpoints that hold such a model as their `text_config`.
    pub multimodal: Option<&'static str>,
    /// The token that begins every text, whatever the tokenizer's own post-processor does; none: it decides.
    pub bos: Option<&'static str>,
    /// Whether every reader of the residual stream subtracts its mean first (layer norms do), so that
    /// writing a centred stream changes no logit. TransformerLens does that (`center_writing_weights`) in
    /// such models only, and SAEs that were trained there want their input without its mean.
    pub centred_residual: bool,
    /// Names that may stand before every tensor's name, in order of preference.
    pub prefixes: &'static [&'static str],
    /// Name of the list of blocks, below the checkpoint's prefix: `layers`.
    pub blocks: &'static str,
    /// Reads a config.
    pub read: fn(Fields) -> Result<Arc<dyn Architecture>>,
}

/// Sizes that the engine plans with.
#[derive(Debug, Clone, PartialEq)]
pub struct Dims {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Longest text, in tokens.
    pub max_positions: usize,
}

/// Where the first residual stream comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Token embedding, `[vocab_size, d_model]`.
    pub tokens: &'static str,
    /// Learned position embedding, `[max_positions, d_model]` (GPT-2).
    pub positions: Option<&'static str>,
    /// Factor on the token embedding (Gemma: √d_model).
    pub scale: Option<f32>,
}

/// How logits are made from the last residual stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Unembedding {
    /// Matrix, `[vocab_size, d_model]`; none where it is the token embedding.
    pub matrix: Option<&'static str>,
    /// Tensors of the final norm.
    pub norm: Vec<TensorSpec>,
    /// `c · tanh(logit / c)` (Gemma 2).
    pub softcap: Option<f32>,
}

/// Host weights of one layer, taken out one by one as the layer is built.
#[derive(Debug, Clone, Default)]
pub struct LayerWeights(BTreeMap<String, Weights>);

impl LayerWeights {
    /// Puts a tensor in, for weights that come from no file.
    pub fn put(&mut self, name: String, shape: Vec<usize>, data: Vec<f32>) {
        self.insert(name, HostTensor { shape, data }.into());
    }

    /// Puts in what was read.
    pub(super) fn insert(&mut self, name: String, weights: Weights) {
        self.0.insert(name, weights);
    }

    /// Takes a tensor by its short name.
    ///
    /// # Errors
    /// [`Error::Missing`] when the family did not announce it; a bug, not a bad file.
    pub fn take(&mut self, name: &str) -> Result<Weights> {
        self.0
            .remove(name)
            .ok_or_else(|| Error::missing(format!("tensor {name} of this layer"), "please report this: it is a bug"))
    }

    /// Takes a tensor's values, for operations that compute with dense ones.
    ///
    /// # Errors
    /// As [`LayerWeights::take`]; [`Error::Malformed`] for packed values that are not finite.
    pub fn dense(&mut self, name: &str) -> Result<HostTensor> {
        self.take(name)?.dense()
    }
}

/// What a block needs to know of the micro-batch.
#[derive(Debug, Clone)]
pub struct BatchContext {
    /// Ancestry and masks.
    pub trie: TrieContext,
    /// One table per entry of [`Architecture::rotary_frequencies`].
    pub rope: Vec<RopeTable>,
}

impl BatchContext {
    /// Prepares a micro-batch for `architecture`.
    pub fn new(trie: &Trie, architecture: &dyn Architecture, compute: &Compute) -> Self {
        let windows: Vec<_> = (0..architecture.dims().n_layers).map(|l| architecture.attention(l).window).collect();
        Self {
            trie: TrieContext::new(trie, &windows, compute),
            rope: architecture.rotary_frequencies().iter().map(|f| RopeTable::new(&trie.depths, f, compute)).collect(),
        }
    }
}

/// A family of language models.
pub trait Architecture: MaybeSend + MaybeSync + std::fmt::Debug {
    /// What is true of the whole family.
    fn family(&self) -> &'static Family;
    /// The family's `model_type`.
    fn name(&self) -> &'static str {
        self.family().name
    }
    /// Sizes.
    fn dims(&self) -> &Dims;
    /// Names of the embedding, below the prefix.
    fn embedding(&self) -> Embedding;
    /// Names of the unembedding; norm tensors below the prefix, the matrix relative to the root.
    fn unembedding(&self) -> Unembedding;
    /// Tensors of block `layer`, below `BLOCKS.LAYER.`
    fn layer_tensors(&self, layer: usize) -> Vec<TensorSpec>;
    /// Attention arithmetic of block `layer`.
    fn attention(&self, layer: usize) -> AttentionParams;
    /// Rotary tables that the blocks use, as inverse frequencies.
    fn rotary_frequencies(&self) -> Vec<Vec<f32>>;
    /// What a GGUF file says of such a model, as llama.cpp's converter writes it.
    ///
    /// # Errors
    /// In words, a setting that such a file has no place for. Not all of them: what is read out of the file again
    /// is compared with the model.
    fn gguf(&self) -> Result<Description, &'static str>;
    /// Builds block `layer` from its weights.
    ///
    /// # Errors
    /// [`Error::Missing`] when a tensor was not read, [`Error::Malformed`] for packed values that are not
    /// finite.
    fn block(&self, layer: usize, weights: LayerWeights, compute: &Compute) -> Result<Box<dyn Block>>;
    /// The final norm, applied to rows `[n, d_model]` before the unembedding.
    ///
    /// # Errors
    /// As [`Architecture::block`].
    fn final_norm(&self, weights: LayerWeights, x: Tensor<2>, compute: &Compute) -> Result<Tensor<2>>;
}

/// One transformer block with its weights where they are used.
pub trait Block {
    /// Residual stream before the block → after it.
    ///
    /// With `rows`, only those nodes' rows are computed past the attention and returned, in that
    /// order: what the deepest layer needs.
    ///
    /// # Shapes
    /// `x` `[n, d_model]` → `[n, d_model]`, or `[rows, d_model]`.
    fn forward(&self, x: Tensor<2>, rows: Option<Tensor<1, Int>>, batch: &BatchContext, compute: &Compute)
    -> Tensor<2>;
}

/// Keeps `rows` of `x`, or all.
pub(super) fn keep_rows(x: Tensor<2>, rows: Option<Tensor<1, Int>>) -> Tensor<2> {
    match rows {
        Some(rows) => x.select(0, rows),
        None => x,
    }
}
