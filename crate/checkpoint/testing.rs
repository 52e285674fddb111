//! What the tests of this module share.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::dtype::DType;
use super::gguf::{self, MetaValue};
use crate::error::Result;
use crate::hash;
use crate::platform::{BoxFuture, ByteSource, MemorySource, Source};

/// Bytes in memory as a source.
pub(super) fn source(bytes: impl Into<Vec<u8>>) -> Source {
    Arc::new(MemorySource::new("test.bin", bytes))
}

/// Runs a future to its end.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

/// A source that remembers which ranges were asked for.
#[derive(Debug)]
pub(super) struct Watched {
    inner: MemorySource,
    at_hand: bool,
    pub(super) asked: Mutex<Vec<Range<u64>>>,
}

impl Watched {
    pub(super) fn new(bytes: impl Into<Vec<u8>>) -> Arc<Self> {
        Self::remote(bytes, true)
    }

    /// One that says whether it is at hand.
    pub(super) fn remote(bytes: impl Into<Vec<u8>>, at_hand: bool) -> Arc<Self> {
        Arc::new(Self { inner: MemorySource::new("watched.bin", bytes), at_hand, asked: Mutex::default() })
    }
}

impl ByteSource for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn at_hand(&self) -> bool {
        self.at_hand
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Vec<u8>>> {
        self.asked.lock().unwrap().push(range.clone());
        self.inner.read(range)
    }
}

/// A safetensors file of `(name, dtype, shape, bytes)`, in the order given.
pub(super) fn safetensors(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert((*name).to_owned(), serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend_from_slice(bytes);
    }
    with_header(&serde_json::to_string(&header).unwrap(), &data)
}

/// A safetensors file with this header, right or wrong.
pub(super) fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}

/// Little-endian f32 bytes.
pub(super) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Values of one storage type, as ggml decodes them.
pub(super) struct Stored {
    pub(super) dtype: DType,
    /// ggml's number for it.
    pub(super) kind: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) values: Vec<f32>,
}

/// Every storage type that is narrower than f32; `tests/golden/quants.json` is written by
/// `reference/quants_golden.py`.
pub(super) fn stored_types() -> Vec<Stored> {
    let golden = include_str!("../../tests/golden/quants.json");
    let golden: serde_json::Map<String, serde_json::Value> = serde_json::from_str(golden).unwrap();
    let unhex = |hex: &str| hash::unhex(hex).unwrap();
    let types: Vec<Stored> = (0..64)
        .filter_map(|kind| Some((kind, gguf::dtype(kind).ok()?)))
        .filter(|(_, dtype)| !matches!(dtype, DType::F32 | DType::F64))
        .map(|(kind, dtype)| {
            let bytes = unhex(golden[dtype.name()]["bytes"].as_str().unwrap());
            let values = unhex(golden[dtype.name()]["values"].as_str().unwrap());
            let values: Vec<f32> = values.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            assert_eq!(bytes.len() / dtype.block_bytes() * dtype.block_len(), values.len(), "{}", dtype.name());
            Stored { dtype, kind, bytes, values }
        })
        .collect();
    assert_eq!(types.len(), golden.len(), "a type without golden values, or the other way round");
    types
}

/// A GGUF file, built part by part.
#[derive(Clone, Default)]
pub(super) struct Gguf {
    keys: Vec<u8>,
    count: u64,
    tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
    pub(super) version: Option<u32>,
}

impl Gguf {
    pub(super) fn key(mut self, key: &str, value: MetaValue) -> Self {
        text(&mut self.keys, key);
        put(&mut self.keys, &value);
        self.count += 1;
        self
    }

    pub(super) fn int(self, key: &str, value: i64) -> Self {
        self.key(key, MetaValue::Int(value))
    }

    pub(super) fn float(self, key: &str, value: f64) -> Self {
        self.key(key, MetaValue::Float(value))
    }

    pub(super) fn text(self, key: &str, value: &str) -> Self {
        self.key(key, MetaValue::Text(value.into()))
    }

    pub(super) fn flag(self, key: &str, value: bool) -> Self {
        self.key(key, MetaValue::Bool(value))
    }

    /// Sizes innermost first, ggml's type number.
    pub(super) fn tensor(mut self, name: &str, dims: &[u64], kind: u32, bytes: &[u8]) -> Self {
        self.tensors.push((name.into(), dims.to_vec(), kind, bytes.to_vec()));
        self
    }

    pub(super) fn f32(self, name: &str, dims: &[u64], values: &[f32]) -> Self {
        self.tensor(name, dims, 0, &f32_bytes(values))
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.unwrap_or(3).to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend(self.count.to_le_bytes());
        file.extend(&self.keys);
        let mut data = Vec::new();
        for (name, dims, kind, bytes) in &self.tensors {
            text(&mut file, name);
            file.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|d| file.extend(d.to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(data);
        file
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put(out: &mut Vec<u8>, value: &MetaValue) {
    let list = |out: &mut Vec<u8>, kind: u32, len: usize| {
        out.extend(9u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((len as u64).to_le_bytes());
    };
    match value {
        MetaValue::Int(v) => {
            out.extend(11u32.to_le_bytes());
            out.extend(v.to_le_bytes());
        }
        MetaValue::Float(v) => {
            out.extend(6u32.to_le_bytes());
            out.extend((*v as f32).to_le_bytes());
        }
        MetaValue::Bool(v) => {
            out.extend(7u32.to_le_bytes());
            out.push(u8::from(*v));
        }
        MetaValue::Text(v) => {
            out.extend(8u32.to_le_bytes());
            text(out, v);
        }
        MetaValue::Ints(v) => {
            list(out, 5, v.len());
            v.iter().for_each(|v| out.extend((*v as i32).to_le_bytes()));
        }
        MetaValue::Floats(v) => {
            list(out, 6, v.len());
            v.iter().for_each(|v| out.extend(v.to_le_bytes()));
        }
        MetaValue::Bools(v) => {
            list(out, 7, v.len());
            v.iter().for_each(|v| out.push(u8::from(*v)));
        }
        MetaValue::Texts(v) => {
            list(out, 8, v.len());
            v.iter().for_each(|v| text(out, v));
        }
    }
}

/// An npy file of version 1.
pub(super) fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let dict = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((dict.len() as u16).to_le_bytes());
    file.extend(dict.as_bytes());
    file.extend(data);
    file
}

/// A member of a zip archive under construction.
#[derive(Clone)]
pub(super) struct Zipped {
    pub(super) name: String,
    pub(super) method: u16,
    pub(super) flags: u16,
    /// As stored in the archive.
    pub(super) bytes: Vec<u8>,
    /// As the directory claims.
    pub(super) size: u64,
    pub(super) crc: u32,
}

impl Zipped {
    pub(super) fn stored(name: &str, bytes: &[u8]) -> Self {
        let crc = crc32fast::hash(bytes);
        Self { name: name.into(), method: 0, flags: 0, bytes: bytes.into(), size: bytes.len() as u64, crc }
    }

    pub(super) fn deflated(name: &str, bytes: &[u8]) -> Self {
        let packed = miniz_oxide::deflate::compress_to_vec(bytes, 6);
        let crc = crc32fast::hash(bytes);
        Self { name: name.into(), method: 8, flags: 0, bytes: packed, size: bytes.len() as u64, crc }
    }
}

/// A zip archive; `long` writes every size and offset as zip64 does.
pub(super) fn zip(members: &[Zipped], long: bool, comment: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let (offset, packed) = (file.len() as u64, member.bytes.len() as u64);
        let short = |v: u64| if long { u32::MAX } else { v as u32 };
        let mut extra = Vec::new();
        if long {
            // some other field first
            extra.extend([0x99, 0x99, 2, 0, 7, 7, 1, 0, 24, 0]);
            [member.size, packed, offset].iter().for_each(|v| extra.extend(v.to_le_bytes()));
        }
        file.extend(0x0403_4b50u32.to_le_bytes());
        file.extend([0; 22]);
        file.extend((member.name.len() as u16).to_le_bytes());
        // the local header's extra field is of another length than the directory's
        file.extend(4u16.to_le_bytes());
        file.extend(member.name.as_bytes());
        file.extend([0x99, 0x99, 0, 0]);
        file.extend(&member.bytes);

        directory.extend(0x0201_4b50u32.to_le_bytes());
        directory.extend([45, 0, 45, 0]);
        directory.extend(member.flags.to_le_bytes());
        directory.extend(member.method.to_le_bytes());
        directory.extend([0; 4]);
        directory.extend(member.crc.to_le_bytes());
        directory.extend(short(packed).to_le_bytes());
        directory.extend(short(member.size).to_le_bytes());
        directory.extend((member.name.len() as u16).to_le_bytes());
        directory.extend((extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(short(offset).to_le_bytes());
        directory.extend(member.name.as_bytes());
        directory.extend(&extra);
    }
    let start = file.len() as u64;
    file.extend(&directory);
    if long {
        let end = file.len() as u64;
        file.extend(0x0606_4b50u32.to_le_bytes());
        file.extend([0; 20]);
        [members.len() as u64, members.len() as u64, directory.len() as u64, start]
            .iter()
            .for_each(|v| file.extend(v.to_le_bytes()));
        file.extend(0x0706_4b50u32.to_le_bytes());
        file.extend(0u32.to_le_bytes());
        file.extend(end.to_le_bytes());
        file.extend(1u32.to_le_bytes());
    }
    file.extend(0x0605_4b50u32.to_le_bytes());
    file.extend([0; 4]);
    let count = if long { u16::MAX } else { members.len() as u16 };
    file.extend(count.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend((if long { u32::MAX } else { directory.len() as u32 }).to_le_bytes());
    file.extend((if long { u32::MAX } else { start as u32 }).to_le_bytes());
    file.extend((comment.len() as u16).to_le_bytes());
    file.extend(comment.as_bytes());
    file
}
