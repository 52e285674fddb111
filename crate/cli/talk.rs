//! What the program says: data on stdout, talk on stderr. Whatever becomes of the two (a reader that
//! has gone, a full disk), nothing here panics, and no talk that cannot be heard ends the work. A closed
//! pipe is an error like any other: Rust's runtime has SIGPIPE ignored, and children get it back. What
//! files, names and texts hold may be told, but it steers no terminal: all that leaves goes through here.

use std::io::{self, Write};

use crate::error::{Error, Result, harmless, spoken};

/// Name of stdout in errors.
const STDOUT: &str = "stdout";

/// Data, on stdout.
///
/// # Errors
/// [`Error::Io`] when stdout cannot be written to: a full disk, or a reader that has seen enough
/// (see [`reader_gone`]).
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(harmless(text).as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|e| Error::io(STDOUT, "write", e, "free some space, or send the output elsewhere"))
}

/// Whether the reader of stdout closed it (`| head`), which is no failure of the program.
pub(crate) fn reader_gone(error: &Error) -> bool {
    matches!(error, Error::Io { file, source, .. } if file == STDOUT && source.kind() == io::ErrorKind::BrokenPipe)
}

/// `202.3 MB`
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// One message to the user, on stderr, in one piece. A message that cannot be written is lost.
pub(crate) fn say(text: &str) {
    // nobody is left to tell
    let _ = io::stderr().lock().write_all(format!("{}\n", spoken(text)).as_bytes());
}

/// stderr for the log: never an error, since the log's own answer to one is to panic.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // as `say`
        let _ = io::stderr().lock().write_all(spoken(&String::from_utf8_lossy(bytes)).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_stdout_is_a_reader_that_has_gone() {
        let error = |file: &str, kind: io::ErrorKind| Error::io(file, "write", kind.into(), "");
        assert!(reader_gone(&error("stdout", io::ErrorKind::BrokenPipe)));
        assert!(!reader_gone(&error("stdout", io::ErrorKind::StorageFull)));
        assert!(!reader_gone(&error("metrics.parquet", io::ErrorKind::BrokenPipe)));
    }
}
