//! Native: files, threads, rayon.

use std::fs::File;
use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use rayon::prelude::*;
use serde::Serialize;

use super::source::{ByteSource, past_end};
use crate::error::{Error, Result};

mod atomic;
mod file_journal;
mod files;
mod handles;
mod quiet;

pub use atomic::{Claim, RunFiles, check_writable, claim_folder, claim_named, replaceable, write_atomic};
pub use file_journal::FileJournal;
pub use files::{ReadLimits, open_unlinked, read_all};
pub use handles::allow_open;
pub use quiet::quietly;

#[path = "gpu.rs"]
mod gpu;
pub use gpu::{
    Adapter, Interface, adapters, check_device, close_device, count_buffers, no_display_for_adapters,
    open as open_adapter, open_anew, peak_buffers,
};
pub mod fetch;

/// A list of numbers for the page, where it is a `Float32Array`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(type = "Float32Array"))]
pub struct Floats(pub Vec<f32>);

/// `Send` on native, nothing on the web (where futures hold JavaScript values).
pub trait MaybeSend: Send {}
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Sync` on native, nothing on the web.
pub trait MaybeSync: Sync {}
impl<T: Sync + ?Sized> MaybeSync for T {}

/// A boxed future, `Send` where the platform has threads.
pub type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;

/// Runs a future in the background (a thread of its own) and returns a future of its output.
///
/// The work goes on whether or not the returned future is polled, so that reading the next
/// layer overlaps with computing this one.
pub fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Option<T>> + Send {
    let (tx, rx) = oneshot::channel();
    std::thread::spawn(move || {
        // the receiver is gone only when the caller gave up: nobody left to tell
        let _ = tx.send(futures::executor::block_on(future));
    });
    async move { rx.await.ok() }
}

/// Makes a future on a thread of its own, and runs it there: it need not be one that goes from thread to thread.
pub fn spawn_from<F: Future<Output = ()>>(make: impl FnOnce() -> F + Send + 'static) {
    std::thread::spawn(move || futures::executor::block_on(make()));
}

/// Waits without blocking the thread that polls.
pub async fn sleep(duration: Duration) {
    spawn(async move { std::thread::sleep(duration) }).await;
}

/// Lets other tasks run; on native there is nothing to yield to.
pub async fn yield_now() {}

/// A monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Calls `f(index, chunk)` for every `chunk_len` elements of `data`, in parallel.
pub fn par_chunks_mut<T: Send>(data: &mut [T], chunk_len: usize, f: impl Fn(usize, &mut [T]) + Send + Sync) {
    data.par_chunks_mut(chunk_len.max(1)).enumerate().for_each(|(i, c)| f(i, c));
}

/// `f(0), f(1), … f(n−1)`, computed in parallel, in order.
pub fn par_map<T: Send>(n: usize, f: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    // what is left when a thread runs out is taken one by one: the last of a few long ones keep nobody waiting
    (0..n).into_par_iter().with_max_len(1).map(f).collect()
}

/// Number of threads that [`par_map`] uses.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// The system's shell, and the flag before a command line given to it.
pub const SHELL: (&str, &str) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };

/// Bytes that are free for this user on the disk of a folder, which may not be there yet, where the system tells.
pub fn free_space(folder: &Path) -> Option<u64> {
    let mut above = folder.ancestors().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    fs4::available_space(above.find(|p| p.exists())?).ok()
}

/// Peak resident memory of this process in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Begins [`peak_memory`] anew from what this process has now, after giving back what it does not use; false where the
/// system has no way to.
pub fn restart_peak_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: gives free pages back to the system, under the allocator's own lock
        unsafe { malloc_trim(0) };
    }
    // Documentation/filesystems/proc.rst: 5 resets the peak resident set size
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Bytes of memory that this process can take before the system runs short, where it tells: what is available on
/// Linux, or what a control group has left.
pub fn free_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let available = line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024;
    Some(available.min(group_memory().unwrap_or(u64::MAX)))
}

/// What this process' control group has left, where it has a limit; file pages that it can drop are not counted.
fn group_memory() -> Option<u64> {
    let group = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = group.lines().find_map(|line| line.strip_prefix("0::/"))?.trim_end_matches('/');
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{path}/{name}")).ok();
    // without a limit it says `max`
    let limit = read("memory.max")?.trim().parse::<u64>().ok()?;
    let used = read("memory.current")?.trim().parse::<u64>().ok()?;
    let stat = read("memory.stat").unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

/// Has freed memory kept for the next tensor instead of given back to the system: fresh memory comes a page at a
/// time, at about a gigabyte a second. Only glibc's allocator is told; others decide by themselves.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const TRIM_THRESHOLD: i32 = -1;
        const MMAP_THRESHOLD: i32 = -3;
        unsafe extern "C" {
            fn mallopt(parameter: i32, value: i32) -> i32;
        }
        // SAFETY: sets two numbers of the allocator, which takes its own lock
        unsafe {
            mallopt(TRIM_THRESHOLD, i32::MAX);
            // the most that it takes
            mallopt(MMAP_THRESHOLD, 32 << 20);
        }
    }
}

/// Whether this process was told to ignore a signal when it was started, as `nohup` and a shell's `&`
/// do, where the system tells.
pub fn ignores_signal(signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|l| u64::from_str_radix(l.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| (1..=64).contains(&signal) && mask & (1 << (signal - 1)) != 0)
}

/// A file on disk, read by position.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    path: PathBuf,
    file: File,
    len: u64,
    /// When it was opened.
    identity: String,
}

/// Device, inode, size, and times of change: the second of them nobody sets by hand.
#[cfg(unix)]
fn identity(meta: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    let changed = [(meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())];
    let [modified, status] = changed.map(|(seconds, nanos)| format!("{seconds}.{nanos:09}"));
    format!("{}:{} {} {modified} {status}", meta.dev(), meta.ino(), meta.len())
}

/// Size and times.
#[cfg(windows)]
fn identity(meta: &std::fs::Metadata) -> String {
    use std::os::windows::fs::MetadataExt;
    format!("{} {} {}", meta.file_size(), meta.creation_time(), meta.last_write_time())
}

impl FileSource {
    /// Opens `path` for reading.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such file, [`Error::Malformed`] for what is no file,
    /// [`Error::Io`] otherwise.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // before it is opened: a pipe would wait for its writer
        files::regular(path)?;
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| files::unopened(&name, e))?;
        let meta = file.metadata().map_err(|e| files::unopened(&name, e))?;
        Ok(Self { len: meta.len(), identity: identity(&meta), path: path.to_owned(), name, file })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
fn read_at(file: &File, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut buf: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !buf.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, buf, offset)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buf = &mut buf[n..];
        offset += n as u64;
    }
    Ok(())
}

impl ByteSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn identity(&self) -> Option<String> {
        Some(self.identity.clone())
    }

    fn touched(&self) -> Result<bool> {
        let meta = self.file.metadata().map_err(|e| Error::io(&self.name, "look at", e, "check the disk"))?;
        Ok(identity(&meta) != self.identity)
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            if range.end > self.len || range.start > range.end {
                return Err(past_end(&self.name, self.len, &range));
            }
            let mut buf = vec![0; (range.end - range.start) as usize];
            read_at(&self.file, &mut buf, range.start).map_err(|e| {
                Error::io(&self.name, "read", e, "check the disk; the file may have changed while open")
            })?;
            Ok(buf)
        })
    }
}
