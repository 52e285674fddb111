//! Writing a GGUF file: header and metadata, then one tensor after the other, each in memory only while it is
//! written.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::Value;

use super::super::Checkpoint;
use super::config;
use super::header::{MetaValue, shortest};
use super::plan::{Plan, Planned};
use super::rope;
use super::types::number;
use crate::error::{Error, Result};

const VERSION: u32 = 3;
/// GGUF's default.
const ALIGNMENT: u64 = 32;
/// `general.quantization_version`: of ggml's block types as they are.
const QUANTIZATION_VERSION: i64 = 2;
/// Divisors of rotary frequencies.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// What a GGUF file says of a model besides its weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Description {
    /// Keys below the architecture's own, `block_count`.
    pub own: Vec<(&'static str, MetaValue)>,
    /// Whole keys: of the tokenizer, and general ones.
    pub others: BTreeMap<String, MetaValue>,
    /// Llama 3's divisors of rotary frequencies.
    pub rope_factors: Option<Vec<f32>>,
}

impl Description {
    /// A count below the architecture's key.
    pub fn count(&mut self, key: &'static str, count: usize) {
        // a count past this is none that a config can have
        self.own.push((key, MetaValue::Int(i64::try_from(count).unwrap_or(i64::MAX))));
    }

    /// A number below the architecture's key.
    pub fn number(&mut self, key: &'static str, number: f64) {
        self.own.push((key, MetaValue::Float(number)));
    }
}

/// Llama 3's divisors, as llama.cpp's converter stores them in place of the numbers that they come from.
pub fn llama3_factors(factor: f64, original_context: f64, theta: f64, head_dim: usize) -> Vec<f32> {
    rope::llama3_factors(factor, original_context, theta, head_dim).map(|factor| factor as f32).collect()
}

/// What a file says of general things that is about the file that it was made from.
pub fn is_of_the_file(key: &str) -> bool {
    matches!(key, "general.architecture" | "general.file_type" | "general.quantization_version" | "general.alignment")
}

impl Plan {
    fn metadata(&self, description: &Description) -> BTreeMap<String, MetaValue> {
        let prefix = self.arch.prefix();
        let own = description.own.iter().map(|(key, value)| (format!("{prefix}.{key}"), value.clone()));
        let general = [
            ("general.architecture", MetaValue::Text(prefix.to_owned())),
            ("general.file_type", MetaValue::Int(self.quantization.file_type())),
            ("general.quantization_version", MetaValue::Int(QUANTIZATION_VERSION)),
        ];
        let general = general.into_iter().map(|(key, value)| (key.to_owned(), value));
        description.others.clone().into_iter().chain(own).chain(general).collect()
    }

    /// The config that reading the file will give; `file` names the model in messages.
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Malformed`] for what no file of this architecture says.
    pub fn config(&self, description: &Description, file: &str) -> Result<Value> {
        let has = |end: &str| self.tensors.iter().any(|tensor| tensor.presented.ends_with(end));
        let embedding = self.tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
        let tensors = config::Tensors {
            vocab_size: embedding.and_then(|tensor| tensor.shape.first().copied()).unwrap_or(0),
            tied: !self.tensors.iter().any(|tensor| tensor.name == "output.weight"),
            attention_bias: has("self_attn.q_proj.bias"),
            mlp_bias: has("mlp.up_proj.bias"),
            rope_factors: description.rope_factors.as_deref(),
        };
        config::config(self.arch, file, &self.metadata(description), &tensors)
    }

    /// Bytes of the whole file, near enough.
    pub fn bytes(&self) -> u64 {
        let bytes = |tensor: &Planned| tensor.dtype.bytes_of(tensor.shape.iter().product()).unwrap_or(0);
        self.tensors.iter().map(|tensor| bytes(tensor).next_multiple_of(ALIGNMENT)).sum()
    }

    /// Writes the file. `checkpoint` is what [`Plan::apply`] made, `file` names the output in messages; `told` hears
    /// of every tensor's bytes, and may end it.
    ///
    /// # Errors
    /// Those of reading the tensors, and of `told`; [`Error::Io`].
    pub async fn write(
        &self,
        checkpoint: &Checkpoint,
        description: &Description,
        out: &mut (dyn Write + Send),
        file: &str,
        mut told: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let failed = |e: io::Error| {
            let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let hint = if full { "free some space, or choose another folder" } else { "is the disk still there?" };
            Error::io(file, "write", e, hint)
        };
        let factors = description.rope_factors.as_deref().unwrap_or(&[]);
        out.write_all(&self.header(description, factors)).map_err(failed)?;
        let padded = |out: &mut (dyn Write + Send), bytes: &[u8]| {
            out.write_all(bytes)?;
            out.write_all(&[0; ALIGNMENT as usize][..padding(bytes.len() as u64) as usize])
        };
        if !factors.is_empty() {
            let bytes: Vec<u8> = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
            padded(out, &bytes).map_err(failed)?;
        }
        for tensor in &self.tensors {
            let bytes = checkpoint.read_bytes(&tensor.from).await?;
            if tensor.dtype.bytes_of(tensor.shape.iter().product()) != Some(bytes.len() as u64) {
                return Err(Error::mismatch(
                    format!("{file}: tensor {}", tensor.name),
                    format!("the bytes of {:?} values of {}", tensor.shape, tensor.dtype.name()),
                    format!("{} bytes", bytes.len()),
                    "please report this: it is a bug",
                ));
            }
            padded(out, &bytes).map_err(failed)?;
            told(bytes.len() as u64)?;
        }
        out.flush().map_err(failed)
    }

    /// Everything before the tensors' bytes.
    fn header(&self, description: &Description, factors: &[f32]) -> Vec<u8> {
        let metadata = self.metadata(description);
        let mut out = b"GGUF".to_vec();
        out.extend(VERSION.to_le_bytes());
        let tensors = self.tensors.len() + usize::from(!factors.is_empty());
        out.extend((tensors as u64).to_le_bytes());
        out.extend((metadata.len() as u64).to_le_bytes());
        // readers that go through the keys once want the architecture before its own
        const FIRST: &str = "general.architecture";
        let first = metadata.get_key_value(FIRST).into_iter();
        for (key, value) in first.chain(metadata.iter().filter(|(key, _)| *key != FIRST)) {
            text(&mut out, key);
            put(&mut out, value);
        }
        let mut at = 0u64;
        let mut describe = |name: &str, dims: &[u64], kind: u32, bytes: u64| {
            text(&mut out, name);
            out.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(at.to_le_bytes());
            at += bytes + padding(bytes);
        };
        if !factors.is_empty() {
            describe(ROPE_FACTORS, &[factors.len() as u64], 0, factors.len() as u64 * 4);
        }
        for tensor in &self.tensors {
            let bytes = tensor.dtype.bytes_of(tensor.shape.iter().product()).unwrap_or(0);
            describe(&tensor.name, &tensor.dims(), number(tensor.dtype), bytes);
        }
        let padding = padding(out.len() as u64);
        out.resize(out.len() + padding as usize, 0);
        out
    }
}

/// Bytes up to the next tensor's beginning.
fn padding(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT) - bytes
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A value in the type that llama.cpp's own writer gives it: counts in 32 bits without a sign, lists of numbers with
/// one, 64 bits where nothing less holds it.
fn put(out: &mut Vec<u8>, value: &MetaValue) {
    let kind = |out: &mut Vec<u8>, kind: u32| out.extend(kind.to_le_bytes());
    let list = |out: &mut Vec<u8>, of: u32, len: usize| {
        kind(out, 9);
        kind(out, of);
        out.extend((len as u64).to_le_bytes());
    };
    match value {
        MetaValue::Int(value) => match u32::try_from(*value) {
            Ok(value) => {
                kind(out, 4);
                out.extend(value.to_le_bytes());
            }
            Err(_) => {
                kind(out, 11);
                out.extend(value.to_le_bytes());
            }
        },
        MetaValue::Float(value) if shortest(*value as f32) == *value => {
            kind(out, 6);
            out.extend((*value as f32).to_le_bytes());
        }
        MetaValue::Float(value) => {
            kind(out, 12);
            out.extend(value.to_le_bytes());
        }
        MetaValue::Bool(value) => {
            kind(out, 7);
            out.push(u8::from(*value));
        }
        MetaValue::Text(value) => {
            kind(out, 8);
            text(out, value);
        }
        MetaValue::Ints(values) => {
            let short: Option<Vec<i32>> = values.iter().map(|value| i32::try_from(*value).ok()).collect();
            match short {
                Some(values) => {
                    list(out, 5, values.len());
                    values.iter().for_each(|value| out.extend(value.to_le_bytes()));
                }
                None => {
                    list(out, 11, values.len());
                    values.iter().for_each(|value| out.extend(value.to_le_bytes()));
                }
            }
        }
        MetaValue::Floats(values) => {
            list(out, 6, values.len());
            values.iter().for_each(|value| out.extend(value.to_le_bytes()));
        }
        MetaValue::Bools(values) => {
            list(out, 7, values.len());
            out.extend(values.iter().map(|value| u8::from(*value)));
        }
        MetaValue::Texts(values) => {
            list(out, 8, values.len());
            values.iter().for_each(|value| text(out, value));
        }
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
