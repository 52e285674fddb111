//! Which storage each tensor of a model is quantised into, as llama.cpp's tools lay it out: the matrices of the
//! blocks in the type that is asked for, embeddings in 8 bits, all else in f32; so are matrices whose rows are not
//! whole blocks.

use super::super::dtype::DType;
use super::super::layout::Transform;
use super::super::quantize::{Quantization, Recode};
use super::super::weights::BlockType;
use super::super::{Checkpoint, TensorInfo};
use super::names::{self, Architecture};
use crate::error::{Error, Result, shown};

/// A tensor of a model: what it is called in its checkpoint, and by Hugging Face in a checkpoint of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// In this checkpoint.
    pub from: String,
    /// Under the family's own prefix.
    pub name: String,
}

/// What there is to be quantised.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Name for messages.
    pub file: &'a str,
    /// The architecture, as GGUF calls it.
    pub architecture: &'a str,
    /// Blocks.
    pub layers: usize,
    /// Query heads, key heads.
    pub heads: [usize; 2],
    /// All tensors that the model reads.
    pub tensors: &'a [Named],
}

/// A tensor, and how it is stored.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// In the file.
    pub(super) name: String,
    /// In the checkpoint.
    pub(super) from: String,
    /// As presented.
    pub(super) presented: String,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) transform: Transform,
    /// Whether it is stored otherwise now.
    changed: bool,
}

impl Planned {
    /// Sizes, innermost first.
    pub(super) fn dims(&self) -> Vec<u64> {
        let sizes = self.shape.iter().map(|&size| size as u64);
        if self.transform == Transform::Transpose { sizes.collect() } else { sizes.rev().collect() }
    }
}

/// How the tensors of a model are stored once it is quantised.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) arch: Architecture,
    pub(super) quantization: Quantization,
    pub(super) tensors: Vec<Planned>,
}

impl Plan {
    /// For a model whose tensors are in `checkpoint`. Those that are in blocks already are only quantised again
    /// where `again` says so.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an architecture or a tensor that no GGUF file of this program's has, for weights
    /// that are quantised already, and where nothing is left to be quantised; [`Error::Missing`] for a tensor that
    /// is not there.
    pub fn new(
        subject: &Subject<'_>,
        checkpoint: &Checkpoint,
        quantization: Quantization,
        again: bool,
    ) -> Result<Self> {
        let Subject { file, architecture, layers, heads, tensors } = *subject;
        let arch = Architecture::named(architecture).ok_or_else(|| {
            Error::unsupported(
                format!("{file}: quantising architecture {}", shown(architecture)),
                "the known ones are llama, gemma2, gemma3 and gpt2",
            )
        })?;
        let plan = |named: &Named| planned(file, arch, layers, heads, named, checkpoint, quantization);
        let tensors = tensors.iter().map(plan).collect::<Result<Vec<Planned>>>()?;
        for tensor in tensors.iter().filter(|tensor| tensor.changed && !again) {
            let TensorInfo { dtype, .. } = checkpoint.info(&tensor.from)?;
            if BlockType::ALL.iter().any(|kind| kind.name() == dtype) {
                return Err(Error::unsupported(
                    format!("{file}: quantising weights to {} that are in {dtype} already", quantization.as_str()),
                    "take the model in 16 or 32 bits; or `--allow-requantize`, which adds one error to the other",
                ));
            }
        }
        if !tensors.iter().any(|tensor| tensor.changed && BlockType::of(tensor.dtype).is_some()) {
            let there = tensors.iter().any(|tensor| BlockType::of(tensor.dtype).is_some());
            let why = if there { "it is quantised so already" } else { "no matrix has rows of whole blocks of 32" };
            return Err(Error::unsupported(
                format!("{file}: quantising to {}: {why}, which", quantization.as_str()),
                "run the model as it is, without `--quantize`",
            ));
        }
        Ok(Self { arch, quantization, tensors })
    }

    /// The tensors of `checkpoint`, quantised as they are read: packed ones come out in the bytes that
    /// [`Plan::write`] writes.
    pub fn apply(&self, checkpoint: &Checkpoint) -> Checkpoint {
        checkpoint.recoded(self.tensors.iter().filter(|tensor| tensor.changed).map(|tensor| {
            let Planned { from, dtype, transform, .. } = tensor;
            (from.clone(), Recode { dtype: *dtype, transform: *transform })
        }))
    }
}

fn planned(
    file: &str,
    arch: Architecture,
    layers: usize,
    [query_heads, key_heads]: [usize; 2],
    named: &Named,
    checkpoint: &Checkpoint,
    quantization: Quantization,
) -> Result<Planned> {
    let Named { from, name: presented } = named;
    let entry = checkpoint.entry(from)?;
    let (name, undo) = names::stored(arch, presented, layers as u64).ok_or_else(|| {
        Error::unsupported(
            format!("{file}: tensor {} in a GGUF file of architecture {}", shown(from), arch.prefix()),
            "run the model as it is, without `--quantize`",
        )
    })?;
    let shape = entry.info.shape.clone();
    let rows = shape.first().copied().unwrap_or(0);
    let transform = names::transform(undo, rows, query_heads, key_heads).filter(|transform| {
        // sizes of a model that was opened fit its config
        *transform != Transform::Transpose || shape.len() == 2
    });
    let transform = transform.ok_or_else(|| {
        Error::mismatch(
            format!("{file}: tensor {}", shown(from)),
            format!("rows of {query_heads} query and {key_heads} key heads of even size"),
            format!("shape {shape:?}"),
            "the config belongs to other weights",
        )
    })?;
    let row = if transform == Transform::Transpose { rows } else { shape.last().copied().unwrap_or(0) };
    let kind = match name.as_str() {
        _ if shape.len() != 2 => None,
        "token_embd.weight" | "output.weight" => Quantization::Q8.blocks_of(row),
        name if name.starts_with("blk.") => quantization.blocks_of(row),
        // llama.cpp adds positions in f32
        _ => None,
    };
    let dtype = kind.map_or(DType::F32, BlockType::dtype);
    debug_assert!(dtype.encodes());
    let changed = entry.dtype != Some(dtype) || entry.transform != transform;
    Ok(Planned { name, from: from.clone(), presented: presented.clone(), shape, dtype, transform, changed })
}
