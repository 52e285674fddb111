//! What the tests of this module share.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::error::Result;
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
    pub(super) asked: Mutex<Vec<Range<u64>>>,
}

impl Watched {
    pub(super) fn new(bytes: impl Into<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self { inner: MemorySource::new("watched.bin", bytes), asked: Mutex::default() })
    }
}

impl ByteSource for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
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
