//! Bodies of answers.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes of a file that are read at a time.
const PIECE: u64 = 128 << 10;

/// What is sent.
pub struct Content {
    /// Bytes still to come.
    left: u64,
    source: Source,
}

enum Source {
    Memory(Bytes),
    /// A file, and the piece of it that is being read.
    File(Arc<File>, Option<JoinHandle<io::Result<Bytes>>>),
}

impl Content {
    /// Bytes at hand.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { left: bytes.len() as u64, source: Source::Memory(bytes) }
    }

    /// So many bytes of a file, from where it stands.
    pub fn file(file: File, length: u64) -> Self {
        Self { left: length, source: Source::File(Arc::new(file), None) }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { left, source } = self.get_mut();
        if *left == 0 {
            return Poll::Ready(None);
        }
        let piece = match source {
            Source::Memory(bytes) => Ok(std::mem::take(bytes)),
            Source::File(file, reading) => {
                let task = reading.get_or_insert_with(|| {
                    let (file, length) = (Arc::clone(file), PIECE.min(*left));
                    spawn_blocking(move || read(&file, length))
                });
                let read = ready!(Pin::new(task).poll(cx));
                *reading = None;
                read.map_err(io::Error::other).flatten()
            }
        };
        if let Ok(piece) = &piece {
            *left -= piece.len() as u64;
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The next bytes of a file; fewer, where it has become shorter, are an error.
fn read(file: &File, length: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes.into()) }
}
