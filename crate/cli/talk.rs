//! What the program says: data on stdout, talk on stderr. Whatever becomes of the two (a reader that
//! has gone, a full disk), nothing here panics, and no talk that cannot be heard ends the work. A closed
//! pipe is an error like any other: Rust's runtime has SIGPIPE ignored, and children get it back. What
//! files, names and texts hold may be told, but it steers no terminal: all that leaves goes through here.

use std::cell::RefCell;
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

thread_local! {
    /// Who is told in place of stderr what this thread says.
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

/// Takes one message, which steers no terminal.
pub type Listener = Box<dyn Fn(&str)>;

/// Has this thread's messages told to `listener` for as long as `work` runs: a program that the library is part
/// of has ways of its own to its user.
pub(crate) fn told<T>(listener: Listener, work: impl FnOnce() -> T) -> T {
    /// Puts back who listened before, also where the work panics.
    struct Before(Option<Listener>);
    impl Drop for Before {
        fn drop(&mut self) {
            LISTENER.set(self.0.take());
        }
    }
    let _before = Before(LISTENER.replace(Some(listener)));
    work()
}

/// One message to the user, on stderr, in one piece. A message that cannot be written is lost.
pub(crate) fn say(text: &str) {
    let heard = LISTENER.with_borrow(|listener| listener.as_ref().map(|tell| tell(&spoken(text))).is_some());
    if !heard {
        // nobody is left to tell
        let _ = io::stderr().lock().write_all(format!("{}\n", spoken(text)).as_bytes());
    }
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
    fn a_listener_hears_what_its_own_thread_says_until_its_work_is_done() {
        let (tell, told_of) = std::sync::mpsc::channel::<String>();
        let tell_of = move |text: &str| tell.send(text.to_owned()).unwrap();
        let done = told(Box::new(tell_of), || {
            say("one\u{1b}[2J");
            std::thread::spawn(|| say("another thread's, on stderr")).join().unwrap();
            7
        });
        say("afterwards, on stderr");
        assert_eq!(done, 7);
        let heard: Vec<String> = told_of.iter().collect();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].starts_with("one") && !heard[0].contains('\u{1b}'), "{heard:?}");
    }

    #[test]
    fn only_a_closed_stdout_is_a_reader_that_has_gone() {
        let error = |file: &str, kind: io::ErrorKind| Error::io(file, "write", kind.into(), "");
        assert!(reader_gone(&error("stdout", io::ErrorKind::BrokenPipe)));
        assert!(!reader_gone(&error("stdout", io::ErrorKind::StorageFull)));
        assert!(!reader_gone(&error("metrics.parquet", io::ErrorKind::BrokenPipe)));
    }
}
