//! Files that a user names. A path may lead to something that has no end, gives nothing, or does things
//! when it is opened; so its kind is looked at first, and reading as a whole has limits of size and of time.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::error::{Error, Result};

/// Bytes that are handed on at once.
const CHUNK: usize = 256 << 10;

/// How far [`read_all`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most bytes.
    pub bytes: u64,
    /// Longest time without a byte.
    pub patience: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { bytes: 1 << 30, patience: Duration::from_secs(30) }
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Pipe,
    Other(&'static str),
}

impl Kind {
    fn of(kind: FileType) -> Self {
        match kind {
            kind if kind.is_file() => Self::File,
            kind if kind.is_dir() => Self::Other("a folder"),
            kind => special(kind),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Pipe => "a pipe",
            Self::Other(words) => words,
        }
    }
}

#[cfg(unix)]
fn special(kind: FileType) -> Kind {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_fifo() => Kind::Pipe,
        kind if kind.is_char_device() || kind.is_block_device() => Kind::Other("a device"),
        kind if kind.is_socket() => Kind::Other("a socket"),
        _ => Kind::Other("something else"),
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> Kind {
    Kind::Other("something else")
}

/// What is at `path`, if it is a file: read by position, or as often as one likes.
///
/// # Errors
/// [`Error::Missing`] when there is nothing, [`Error::Malformed`] naming what there is instead,
/// [`Error::Io`] otherwise.
pub(super) fn regular(path: &Path) -> Result<Metadata> {
    let name = path.display().to_string();
    let meta = std::fs::metadata(path).map_err(|e| unopened(&name, e))?;
    match Kind::of(meta.file_type()) {
        Kind::File => Ok(meta),
        other => Err(Error::malformed(name, "path", "a file", other.words(), "name a file by its path")),
    }
}

/// Opens a file that lies at `path` itself. A link there is refused, also one that is put there meanwhile: what
/// was opened has to be what the folder has.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidInput`] for a link and whatever else is no file.
pub fn open_unlinked(path: &Path) -> io::Result<File> {
    let other = |words: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    // before it is opened: a pipe would wait for its writer
    if !path.symlink_metadata()?.is_file() {
        return other("a link, or no file");
    }
    let file = File::open(path)?;
    let there = path.symlink_metadata()?;
    if !there.is_file() || super::identity(&there) != super::identity(&file.metadata()?) {
        return other("it was replaced while it was opened");
    }
    Ok(file)
}

/// A path that cannot be opened.
pub(super) fn unopened(name: &str, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => {
            Error::missing(format!("file {name}"), "check the path; `saescope models` lists what is in the cache")
        }
        _ => Error::io(name, "open", e, "check that the file is readable"),
    }
}

/// All bytes of a file or a pipe; nothing else is opened.
///
/// # Errors
/// [`Error::Missing`] when there is nothing at `path`; [`Error::Malformed`] naming what there is instead of
/// a file or a pipe, or for more than `limits` allow; [`Error::Io`] when nothing comes for too long, or
/// when reading fails.
pub fn read_all(path: &Path, limits: ReadLimits) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let meta = std::fs::metadata(path).map_err(|e| unopened(&name, e))?;
    let kind = Kind::of(meta.file_type());
    if let Kind::Other(words) = kind {
        return Err(Error::malformed(name, "path", "a file or a pipe", words, "name a file by its path"));
    }
    let most = limits.bytes;
    let too_large =
        |found: String| Error::malformed(&name, "size", format!("at most {most} bytes"), found, "split the file");
    if meta.len() > most {
        return Err(too_large(format!("{} bytes", meta.len())));
    }
    // opening a pipe that nobody writes to waits, and so does reading some files of the system's own:
    // a thread that stays behind then, until the program ends
    let (sender, chunks) = sync_channel(4);
    let opened = path.to_owned();
    std::thread::spawn(move || {
        if let Err(e) = pump(&opened, kind, &sender) {
            // nobody listens once the reader has given up
            let _ = sender.send(Err(e));
        }
    });
    let mut bytes = Vec::new();
    // as many as the file says it has; what cannot be had is found below
    let _ = bytes.try_reserve_exact(meta.len() as usize);
    let failed = |e| Error::io(&name, "read", e, "check that the file is readable");
    loop {
        match chunks.recv_timeout(limits.patience) {
            Ok(Ok(chunk)) if chunk.is_empty() => return Ok(bytes),
            Ok(Ok(chunk)) if (bytes.len() + chunk.len()) as u64 > most => return Err(too_large("more".to_owned())),
            Ok(Ok(chunk)) => {
                bytes.try_reserve(chunk.len()).map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
                bytes.extend_from_slice(&chunk);
            }
            Ok(Err(e)) => return Err(failed(e)),
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("no byte came for {} s", limits.patience.as_secs_f64());
                let hint = "whatever writes to it has to start and go on; or name a file";
                return Err(Error::io(&name, "read", io::Error::new(io::ErrorKind::TimedOut, text), hint));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Sends what is at `path` chunk by chunk, then an empty one.
fn pump(path: &Path, expected: Kind, chunks: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let mut file = File::open(path)?;
    // it may have been exchanged meanwhile
    if Kind::of(file.metadata()?.file_type()) != expected {
        return Err(io::Error::other("it changed while it was opened"));
    }
    let mut buffer = vec![0; CHUNK];
    loop {
        // as much as there is: a slow pipe's bytes show that it lives
        let n = match file.read(&mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if chunks.send(Ok(buffer[..n].to_vec())).is_err() || n == 0 {
            return Ok(());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;

    use super::*;

    const SOON: ReadLimits = ReadLimits { bytes: 1000, patience: Duration::from_millis(200) };

    fn fifo(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn files_and_pipes_are_read_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, [7; 1000]).unwrap();
        assert_eq!(read_all(&file, SOON).unwrap(), [7; 1000]);
        std::fs::write(&file, [7; 1001]).unwrap();
        let text = read_all(&file, SOON).unwrap_err().to_string();
        assert!(text.contains("at most 1000 bytes, found 1001 bytes"), "{text}");
        let pipe = fifo(folder.path());
        for (bytes, fits) in [(1000, true), (1001, false)] {
            let into = pipe.clone();
            // the reader goes where it is too much, and the writer is told
            let writer = std::thread::spawn(move || std::fs::write(into, vec![7; bytes]));
            assert_eq!(read_all(&pipe, SOON).is_ok_and(|read| read == vec![7; bytes]), fits);
            let _ = writer.join().unwrap();
        }
    }

    #[test]
    fn a_pipe_without_a_writer_and_one_that_falls_silent_are_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = fifo(folder.path());
        let silent = |pipe: &Path| {
            let text = read_all(pipe, SOON).unwrap_err().to_string();
            assert!(text.contains("no byte came for 0.2 s") && text.contains("hint:"), "{text}");
        };
        silent(&pipe);
        let mut child = Command::new("sh").arg("-c").arg("(printf a; sleep 20) > \"$0\"").arg(&pipe).spawn().unwrap();
        silent(&pipe);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn nothing_else_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _open = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, kind) in [(folder.path(), "a folder"), (Path::new("/dev/zero"), "a device"), (&socket, "a socket")] {
            for error in [read_all(path, SOON).unwrap_err(), regular(path).unwrap_err()] {
                assert!(error.to_string().contains(&format!("found {kind}")), "{error}");
            }
        }
        let text = regular(&fifo(folder.path())).unwrap_err().to_string();
        assert!(text.contains("expected a file, found a pipe"), "{text}");
        assert!(matches!(regular(&folder.path().join("nowhere")), Err(Error::Missing { .. })));
    }

    #[test]
    fn a_link_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open_unlinked(&file).is_ok());
        for path in [link, dir.path().to_owned(), "/dev/null".into()] {
            assert_eq!(open_unlinked(&path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        assert_eq!(open_unlinked(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// Somebody puts a link in the file's place, and the file back, as fast as they can: what is opened is the
    /// file, or nothing.
    #[test]
    fn a_link_that_comes_between_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("secret"), "secret").unwrap();
        std::fs::write(at("kept"), "own").unwrap();
        std::fs::hard_link(at("kept"), at("file")).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::os::unix::fs::symlink(at("secret"), at("next")).unwrap();
                    std::fs::rename(at("next"), at("file")).unwrap();
                    std::fs::hard_link(at("kept"), at("next")).unwrap();
                    std::fs::rename(at("next"), at("file")).unwrap();
                }
            });
            let mut opened = 0;
            for _ in 0..20_000 {
                if let Ok(mut file) = open_unlinked(&at("file")) {
                    let mut text = String::new();
                    file.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "own");
                    opened += 1;
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(opened > 0);
        });
    }
}
