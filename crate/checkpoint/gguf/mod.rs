//! GGUF files, presented as a Hugging Face checkpoint: its names, its layout, its config.json and
//! its tokenizer.json, so that the models read one layout only.

use std::collections::BTreeMap;

use serde_json::Value;

use super::entry::Entry;
use super::layout::Transform;
use super::nearest::nearest;
use super::pieces::{Compression, fetch};
use super::{Checkpoint, TensorInfo};
use crate::error::{Error, Result, shown};
use crate::platform::Source;

mod config;
mod header;
mod keys;
mod merges;
mod names;
mod plan;
mod rope;
mod tokenizer;
mod types;
mod vocabulary;
mod write;

pub use header::MetaValue;
pub use plan::{Named, Plan, Subject};
#[cfg(test)]
pub(super) use types::dtype;
pub use write::{Description, is_of_the_file, llama3_factors};

use header::{Header, TensorHeader};
use names::{Architecture, Place};

/// First read; the header of a model with a large vocabulary takes a few of these.
const FIRST_READ: u64 = 1 << 20;
/// No real header comes near this.
const MAX_HEADER: u64 = 128 << 20;
/// Most divisors of rotary frequencies; a head has half as many as it is wide.
const MAX_ROPE_FACTORS: usize = 1 << 16;
const AGAIN: &str = "the file is damaged; fetch it again";
/// Key of a whole tokenizer.json.
pub const HUGGING_FACE_TOKENIZER: &str = "tokenizer.huggingface.json";

/// The keys `tokenizer.ggml.*` that llama.cpp reads texts with, without those of the begin and the end, for an embedding
/// of `rows` tokens.
///
/// # Errors
/// Why a tokenizer.json has no such form, in words.
pub fn vocabulary(tokenizer_json: &[u8], rows: usize) -> Result<BTreeMap<String, MetaValue>, String> {
    vocabulary::vocabulary(tokenizer_json, rows)
}

/// The tokenizer.json that such keys stand for.
///
/// # Errors
/// Why they stand for none, in words.
pub fn tokenizer_json(metadata: &BTreeMap<String, MetaValue>) -> Result<Vec<u8>, String> {
    tokenizer::tokenizer_json(metadata)
}

/// A model out of one GGUF file.
#[derive(Debug, Clone)]
pub struct GgufModel {
    /// What config.json would hold: `model_type` llama, gemma2, gemma3_text or gpt2.
    pub config: Value,
    /// The weights under Hugging Face names, in Hugging Face layout.
    pub checkpoint: Checkpoint,
    /// A whole tokenizer.json, if the file's vocabulary is of a kind that is known.
    pub tokenizer_json: Option<Vec<u8>>,
    /// Why there is no `tokenizer_json`, for the message that asks for a tokenizer file.
    pub tokenizer_missing: Option<String>,
    /// Everything the header says.
    pub metadata: BTreeMap<String, MetaValue>,
}

/// Opens a GGUF file (version 2 or 3) of architecture llama, gemma2, gemma3 or gpt2.
///
/// Reads the header, and the few bytes of `rope_freqs.weight` where there is one.
///
/// # Errors
/// [`Error::Malformed`] when the file is not GGUF, truncated, or describes tensors that leave the
/// file or overlap; [`Error::Unsupported`] for other architectures, storage types and metadata
/// that would change the numbers.
pub async fn open(source: Source) -> Result<GgufModel> {
    let Header { metadata, tensors, alignment, data } = header(&source).await?;
    let file = source.name();
    let arch = architecture(file, &metadata)?;
    let layers = match metadata.get(&format!("{}.block_count", arch.prefix())) {
        Some(MetaValue::Int(n)) => u64::try_from(*n).unwrap_or(0),
        _ => 0,
    };
    let heads = |key: &str| match metadata.get(&format!("{}.attention.{key}", arch.prefix())) {
        Some(MetaValue::Int(n)) => usize::try_from(*n).ok(),
        // a list that differs between layers is refused with the configuration
        Some(MetaValue::Ints(list)) => list.first().and_then(|n| usize::try_from(*n).ok()),
        _ => None,
    };
    let query_heads = heads("head_count").unwrap_or(0);
    let key_heads = heads("head_count_kv").unwrap_or(query_heads);

    let mut entries = BTreeMap::new();
    let mut spans = Vec::with_capacity(tensors.len());
    let mut rope_factors = None;
    for tensor in &tensors {
        let mut entry = entry(file, source.len(), data, alignment, tensor)?;
        spans.push((entry.offset, entry.offset + entry.info.nbytes, tensor.name.as_str()));
        let (name, undo) = match names::place(arch, &tensor.name, layers) {
            Place::Named(name, undo) => (name, undo),
            Place::Derived if tensor.name == "rope_freqs.weight" => {
                rope_factors = Some(entry);
                continue;
            }
            Place::Derived => continue,
            Place::Beyond => {
                return Err(Error::mismatch(
                    format!("{file}: tensor {}", shown(&tensor.name)),
                    format!("one of the {layers} blocks of {}.block_count", arch.prefix()),
                    "one past them",
                    "with fewer blocks than it was trained with, a model gives other numbers; fetch the file again",
                ));
            }
            Place::Unknown => {
                return Err(Error::unsupported(
                    format!("{file}: tensor {} in architecture {}", shown(&tensor.name), arch.prefix()),
                    "the model computes something that this version does not; take another model",
                ));
            }
        };
        let rows = entry.info.shape.first().copied().unwrap_or(0);
        entry.transform = names::transform(undo, rows, query_heads, key_heads).ok_or_else(|| {
            Error::malformed(
                file,
                format!("tensor {}", shown(&tensor.name)),
                format!("rows of {query_heads} query and {key_heads} key heads of even size"),
                format!("shape {:?}", entry.info.shape),
                AGAIN,
            )
        })?;
        if entry.transform == Transform::Transpose {
            if entry.info.shape.len() != 2 {
                return Err(Error::malformed(
                    file,
                    format!("tensor {}", shown(&tensor.name)),
                    "two dimensions",
                    format!("shape {:?}", entry.info.shape),
                    AGAIN,
                ));
            }
            entry.info.shape.reverse();
        }
        entry.info.name.clone_from(&name);
        if entries.insert(name, entry).is_some() {
            return Err(Error::malformed(
                file,
                format!("tensor {}", shown(&tensor.name)),
                "each name once",
                "the same name again",
                AGAIN,
            ));
        }
    }
    refuse_overlap(file, spans)?;

    let rope_factors = match rope_factors {
        Some(entry) if entry.info.shape.iter().product::<usize>() <= MAX_ROPE_FACTORS => {
            Some(entry.read(&source, Vec::new()).await?)
        }
        Some(entry) => {
            return Err(Error::malformed(
                file,
                "tensor rope_freqs.weight",
                format!("at most {MAX_ROPE_FACTORS} values"),
                format!("shape {:?}", entry.info.shape),
                AGAIN,
            ));
        }
        None => None,
    };
    let config = config::config(arch, file, &metadata, &facts(file, arch, &entries, rope_factors.as_deref())?)?;
    let (tokenizer_json, tokenizer_missing) = match metadata.get(HUGGING_FACE_TOKENIZER) {
        // what the vocabulary was made from says more than the vocabulary
        Some(MetaValue::Text(json)) => (Some(json.clone().into_bytes()), None),
        _ => match tokenizer::tokenizer_json(&metadata) {
            Ok(json) => (Some(json), None),
            Err(why) => (None, Some(why)),
        },
    };
    let checkpoint = Checkpoint::new(vec![source], entries, BTreeMap::new());
    Ok(GgufModel { config, checkpoint, tokenizer_json, tokenizer_missing, metadata })
}

/// Reads as much of the beginning as the header turns out to need.
async fn header(source: &Source) -> Result<Header> {
    let len = source.len();
    let mut bytes = Vec::new();
    let mut want = FIRST_READ;
    loop {
        let end = want.min(len).min(MAX_HEADER);
        let more = fetch(source, bytes.len() as u64, (end - bytes.len() as u64) as usize).await?;
        bytes.extend_from_slice(&more);
        if let Some(header) = header::parse(&bytes, len, source.name())? {
            return Ok(header);
        }
        if end == len || end == MAX_HEADER {
            return Err(Error::malformed(
                source.name(),
                "length of the header",
                format!("at most {end} bytes"),
                "a header that goes on",
                AGAIN,
            ));
        }
        want *= 4;
    }
}

fn architecture(file: &str, metadata: &BTreeMap<String, MetaValue>) -> Result<Architecture> {
    if let Some(MetaValue::Int(parts @ 2..)) = metadata.get("split.count") {
        return Err(Error::unsupported(
            format!("{file}: a GGUF split into {parts} files"),
            "merge them with llama.cpp's `llama-gguf-split --merge`",
        ));
    }
    match metadata.get("general.architecture") {
        Some(MetaValue::Text(name)) => Architecture::named(name).ok_or_else(|| {
            Error::unsupported(
                format!("{file}: architecture {}", shown(name)),
                "the known ones are llama, gemma2, gemma3 and gpt2",
            )
        }),
        _ => Err(Error::missing(
            format!("metadata general.architecture in {file}"),
            format!("the file holds {}", nearest("general.architecture", metadata.keys()).join(", ")),
        )),
    }
}

/// The index entry of a tensor, still under its own name and layout.
fn entry(file: &str, file_len: u64, data: u64, alignment: u64, tensor: &TensorHeader) -> Result<Entry> {
    let name = shown(&tensor.name);
    let malformed =
        |expected: String, found: String| Err(Error::malformed(file, format!("tensor {name}"), expected, found, AGAIN));
    let dtype = types::dtype(tensor.kind).map_err(|kind| {
        Error::unsupported(
            format!("{file}: tensor {name} of type {kind} ({})", tensor.kind),
            "take a file of F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q5_0, Q5_1, Q4_0 or Q4_1",
        )
    })?;
    let shape: Option<Vec<usize>> = tensor.dims.iter().rev().map(|&size| usize::try_from(size).ok()).collect();
    let numel = tensor.dims.iter().try_fold(1u64, |n, &size| n.checked_mul(size));
    let numel = numel.and_then(|n| usize::try_from(n).ok());
    let (Some(shape), Some(numel)) = (shape, numel) else {
        return malformed("a size that can be addressed".into(), format!("dimensions {:?}", tensor.dims));
    };
    let row_blocks = shape.last().copied().unwrap_or(1).is_multiple_of(dtype.block_len());
    let Some(nbytes) = dtype.bytes_of(numel).filter(|_| row_blocks) else {
        return malformed(
            format!("rows of whole blocks of {} values of {}", dtype.block_len(), dtype.name()),
            format!("dimensions {:?}", tensor.dims),
        );
    };
    let offset = data.checked_add(tensor.offset).filter(|_| tensor.offset.is_multiple_of(alignment));
    let end = offset.and_then(|offset| offset.checked_add(nbytes)).filter(|&end| end <= file_len);
    let (Some(offset), Some(_)) = (offset, end) else {
        return malformed(
            format!("{nbytes} bytes inside the file of {file_len}, at a multiple of {alignment}"),
            format!("offset {} after the header's {data}", tensor.offset),
        );
    };
    let info = TensorInfo { name: tensor.name.clone(), shape, nbytes, dtype: dtype.name().to_owned() };
    Ok(Entry {
        info,
        source: 0,
        offset,
        dtype: Some(dtype),
        transform: Transform::None,
        compression: Compression::Stored,
        sum: None,
        recode: None,
    })
}

fn refuse_overlap(file: &str, mut spans: Vec<(u64, u64, &str)>) -> Result<()> {
    spans.sort_unstable();
    for pair in spans.windows(2) {
        let ((_, end, first), (start, _, second)) = (pair[0], pair[1]);
        if start < end {
            return Err(Error::malformed(
                file,
                format!("offset of tensor {}", shown(second)),
                format!("at least {end}, where {} ends", shown(first)),
                start.to_string(),
                AGAIN,
            ));
        }
    }
    Ok(())
}

/// What the configuration takes from the tensors.
fn facts<'a>(
    file: &str,
    arch: Architecture,
    entries: &BTreeMap<String, Entry>,
    rope_factors: Option<&'a [f32]>,
) -> Result<config::Tensors<'a>> {
    let embedding = if arch == Architecture::Gpt2 { "transformer.wte.weight" } else { "model.embed_tokens.weight" };
    let vocab_size = match entries.get(embedding).map(|entry| entry.info.shape.as_slice()) {
        Some(&[rows, _]) => rows,
        other => {
            return Err(Error::malformed(
                file,
                "tensor token_embd.weight",
                "a matrix",
                other.map_or("nothing".to_owned(), |shape| format!("shape {shape:?}")),
                AGAIN,
            ));
        }
    };
    let any = |end: &str| entries.keys().any(|name| name.ends_with(end));
    Ok(config::Tensors {
        vocab_size,
        tied: !entries.contains_key("lm_head.weight"),
        attention_bias: any("self_attn.q_proj.bias"),
        mlp_bias: any("mlp.up_proj.bias"),
        rope_factors,
    })
}

#[cfg(test)]
mod tests;
