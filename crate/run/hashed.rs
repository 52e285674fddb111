//! A sink for a run's files that remembers what went into them, for the manifest.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::hash::Hasher;
use crate::output::FileInfo;
use crate::platform::{FileSink, Scratch};

/// Bytes written, and their hash.
type Sum = Arc<Mutex<(u64, Hasher)>>;

/// Hands everything on to another sink.
pub(super) struct Hashed<'a> {
    sink: &'a mut dyn FileSink,
    files: Vec<(String, Sum)>,
}

impl<'a> Hashed<'a> {
    pub(super) fn new(sink: &'a mut dyn FileSink) -> Self {
        Self { sink, files: Vec::new() }
    }

    /// The files so far.
    pub(super) fn written(&self) -> Vec<FileInfo> {
        let info = |(name, sum): &(String, Sum)| {
            let (bytes, hasher) = sum.lock().unwrap_or_else(PoisonError::into_inner).clone();
            FileInfo { path: name.clone(), bytes, sha256: Some(hasher.hex()) }
        };
        self.files.iter().map(info).collect()
    }
}

impl FileSink for Hashed<'_> {
    fn create(&mut self, name: &str) -> Result<Box<dyn Write + Send + '_>> {
        let to = self.sink.create(name)?;
        let sum = Sum::default();
        self.files.push((name.to_owned(), Arc::clone(&sum)));
        Ok(Box::new(HashedWriter { to, sum }))
    }

    fn scratch(&mut self) -> Result<Scratch> {
        self.sink.scratch()
    }
}

struct HashedWriter<'a> {
    to: Box<dyn Write + Send + 'a>,
    sum: Sum,
}

impl Write for HashedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.0 += n as u64;
        sum.1.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;
    use crate::platform::MemoryFiles;

    #[test]
    fn what_is_written_is_what_is_remembered() {
        let mut files = MemoryFiles::default();
        let mut hashed = Hashed::new(&mut files);
        for (name, pieces) in [("a", ["x", "yz"]), ("b", ["", ""])] {
            let mut writer = hashed.create(name).unwrap();
            pieces.iter().for_each(|piece| writer.write_all(piece.as_bytes()).unwrap());
        }
        let written = hashed.written();
        for (info, (name, bytes)) in written.iter().zip(&files.files) {
            assert_eq!((&info.path, info.bytes), (name, bytes.len() as u64));
            assert_eq!(info.sha256.as_deref(), Some(hash::sha256(bytes).as_str()));
        }
        assert_eq!(written.len(), 2);
    }
}
