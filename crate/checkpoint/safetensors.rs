//! Safetensors: an eight-byte length, a JSON header, then the tensors' bytes without holes.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. The `safetensors` crate gives the
//! storage types; its own index counts in `usize`, which in a browser ends at 4 GiB, below the
//! size of one shard of Gemma-2-2B, so the header is read here with 64-bit offsets.

use std::collections::{BTreeMap, btree_map};
use std::fmt;

use safetensors::Dtype;
use serde::de::{Deserialize, Error as _, MapAccess, Visitor};

use super::TensorInfo;
use super::dtype::DType;
use super::entry::Entry;
use super::layout::Transform;
use super::pieces::{Compression, fetch};
use crate::error::{Error, Result, shown};
use crate::platform::Source;

/// The format's own limit on its header.
const MAX_HEADER: u64 = 100_000_000;
const AGAIN: &str = "the file is damaged or not a safetensors file; fetch it again";

type Index = (BTreeMap<String, Entry>, BTreeMap<String, String>);

/// Reads the headers of all shards into one index.
pub(super) async fn index(shards: &[Source]) -> Result<Index> {
    let mut entries = BTreeMap::new();
    let mut metadata = BTreeMap::new();
    for (number, source) in shards.iter().enumerate() {
        let (header, start) = header(source).await?;
        for (key, value) in header.metadata {
            metadata.entry(key).or_insert(value);
        }
        for (name, tensor) in header.tensors {
            let entry = entry(&name, &tensor, number, start, source)?;
            match entries.entry(name) {
                btree_map::Entry::Vacant(place) => _ = place.insert(entry),
                btree_map::Entry::Occupied(other) => {
                    return Err(Error::malformed(
                        source.name(),
                        format!("tensor {}", shown(other.key())),
                        "each name in one shard only",
                        format!("the same name in {}", shards[other.get().source].name()),
                        "give the shards of one checkpoint, each once",
                    ));
                }
            }
        }
    }
    Ok((entries, metadata))
}

/// The header as JSON has it.
#[derive(Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Tensor)>,
}

#[derive(serde::Deserialize)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors by name")
    }

    // by hand, since JSON maps keep the last of two equal names without a word
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("{} occurs twice", shown(&name))));
            }
            if name == "__metadata__" {
                header.metadata = map.next_value()?;
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}

/// The header, and where the tensors' bytes begin; tensors fill the rest of the file.
async fn header(source: &Source) -> Result<(Header, u64)> {
    let malformed = |what: &str, expected: String, found: String| {
        Err(Error::malformed(source.name(), what.to_owned(), expected, found, AGAIN))
    };
    let len = source.len();
    if len < 8 {
        return malformed("length of the header", "a file of at least 8 bytes".into(), format!("{len} bytes"));
    }
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&fetch(source, 0, 8).await?);
    let header_len = u64::from_le_bytes(prefix);
    let most = MAX_HEADER.min(len - 8);
    if header_len > most {
        return malformed(
            "length of the header",
            format!("at most {most} bytes in a file of {len}"),
            header_len.to_string(),
        );
    }
    let start = 8 + header_len;
    let json = fetch(source, 8, header_len as usize).await?;
    let mut header: Header = match serde_json::from_slice(&json) {
        Ok(header) => header,
        Err(e) => return malformed("header", "JSON that lists tensors".into(), shown(&e.to_string())),
    };
    header.tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let mut end = 0;
    for (name, Tensor { data_offsets: [from, to], .. }) in &header.tensors {
        if *from != end || to < from {
            return malformed(
                &format!("offsets of tensor {}", shown(name)),
                format!("a range that begins at {end}, where the tensor before it ends"),
                format!("{from}..{to}"),
            );
        }
        end = *to;
    }
    if end != len - start {
        return malformed(
            "length of the file",
            format!("{end} bytes of tensors after the header"),
            format!("{} bytes", len - start),
        );
    }
    Ok((header, start))
}

fn entry(name: &str, tensor: &Tensor, source: usize, start: u64, file: &Source) -> Result<Entry> {
    let [from, to] = tensor.data_offsets;
    let bits = tensor
        .shape
        .iter()
        .try_fold(1u64, |n, &size| n.checked_mul(size))
        .and_then(|n| n.checked_mul(tensor.dtype.bitsize() as u64));
    let shape: Option<Vec<usize>> = tensor.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    let (Some(shape), true) = (shape, (to - from).checked_mul(8) == bits) else {
        return Err(Error::malformed(
            file.name(),
            format!("tensor {}", shown(name)),
            format!("as many bytes as {:?} values of {} take", tensor.shape, tensor.dtype),
            format!("{} bytes", to - from),
            AGAIN,
        ));
    };
    let dtype = match tensor.dtype {
        Dtype::F64 => Some(DType::F64),
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        // integers, booleans and 8-bit floats are listed, and refused when read as weights
        _ => None,
    };
    Ok(Entry {
        info: TensorInfo { name: name.to_owned(), shape, nbytes: to - from, dtype: tensor.dtype.to_string() },
        source,
        offset: start + from,
        dtype,
        transform: Transform::None,
        compression: Compression::Stored,
        sum: None,
        recode: None,
    })
}

#[cfg(test)]
#[path = "safetensors_tests.rs"]
mod tests;
