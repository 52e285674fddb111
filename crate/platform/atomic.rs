//! Files that appear whole or not at all: written aside, synced, renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::sink::{FileSink, Scratch};
use super::FileJournal;
use crate::error::{Error, Result};

/// Writes one file whole or not at all; its folder is made where it is missing.
///
/// # Errors
/// [`Error::Io`]; then nothing new is left behind, and an older file of this name is untouched.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let Some(name) = path.file_name() else {
        return Err(Error::usage(format!("{} names no file", path.display()), "give the path of a file to write"));
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    write_files(folder, &[(&name.to_string_lossy(), bytes)])
}

/// Writes whole files into a folder, all or none.
fn write_files(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let mut run = RunFiles::begin(folder)?;
    for (name, bytes) in files {
        let written =
            run.create(name).and_then(|mut file| file.write_all(bytes).map_err(|e| unwritten(&folder.join(name), e)));
        if let Err(e) = written {
            run.abandon();
            return Err(e);
        }
    }
    run.commit()
}

/// A folder for a run; what was made for it goes away again, where it is empty, unless it is kept.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Folders that were made, the deepest first.
    made: Vec<PathBuf>,
    kept: bool,
}

impl Claim {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            // only what is empty: others may have put something there meanwhile
            let _ = self.made.iter().try_for_each(fs::remove_dir);
        }
    }
}

fn unclaimable(path: &Path, e: io::Error) -> Error {
    Error::io(path.display().to_string(), "write", e, "choose a folder that can be written to with `--out`")
}

/// Folders of this path that are missing, the deepest first.
fn missing(path: &Path) -> Vec<PathBuf> {
    path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).map(Path::to_owned).collect()
}

/// Makes a folder of this name, or of the first free one with `_2`, `_3` … after it, so that two
/// runs of one second do not share one.
///
/// # Errors
/// [`Error::Io`] when no folder can be made there.
pub fn claim_folder(parent: &Path, name: &str) -> Result<Claim> {
    let mut made = missing(parent);
    fs::create_dir_all(parent).map_err(|e| unclaimable(parent, e))?;
    let mut n = 1;
    loop {
        let path = parent.join(if n == 1 { name.to_owned() } else { format!("{name}_{n}") });
        match fs::create_dir(&path) {
            Ok(()) => {
                made.insert(0, path.clone());
                return Ok(Claim { path, made, kept: false });
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 1000 => n += 1,
            Err(e) => return Err(unclaimable(&path, e)),
        }
    }
}

/// Takes this very folder, made where it is missing.
///
/// # Errors
/// [`Error::Io`] when it cannot be made.
pub fn claim_named(path: &Path) -> Result<Claim> {
    let made = missing(path);
    fs::create_dir_all(path).map_err(|e| unclaimable(path, e))?;
    Ok(Claim { path: path.to_owned(), made, kept: false })
}

/// Whether a run could be written into `folder`, found out by writing and removing a small file:
/// better before hours of work than after. Leaves nothing behind.
///
/// # Errors
/// [`Error::Io`] naming the folder.
pub fn check_writable(folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    // the nearest folder that exists is the one that has to be writable
    let existing =
        folder.ancestors().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p }).find(|p| p.exists());
    let failed = |e| Error::io(folder.display().to_string(), "write", e, "choose a folder that can be written to");
    tempfile::Builder::new().prefix(".probe-").tempfile_in(existing.unwrap_or(folder)).map_err(failed)?;
    Ok(())
}

/// A run's files on their way into a folder, whole or not at all: every file is written aside first;
/// [`Self::commit`] syncs them and renames all in the order in which they were begun. Begin the manifest
/// last: an older one is taken away before the first rename, so that a folder with a manifest is always
/// one complete run.
#[derive(Debug)]
pub struct RunFiles {
    folder: PathBuf,
    aside: TempDir,
    names: Vec<PathBuf>,
    /// Files that go where these come, without a successor.
    replaced: Vec<PathBuf>,
    /// The topmost folder that was made for it.
    made: Option<PathBuf>,
}

fn unwritten(path: &Path, e: io::Error) -> Error {
    let hint = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or choose another folder",
        _ => "choose a folder that can be written to",
    };
    Error::io(path.display().to_string(), "write", e, hint)
}

/// How folders are called that a run's files are written aside in.
const ASIDE: &str = ".partial-";
/// The same for a file by itself, which any number of processes may write into one folder.
const ASIDE_ALONE: &str = ".partial.";

impl RunFiles {
    /// Makes the folder where it is missing, and a place aside in it.
    ///
    /// # Errors
    /// [`Error::Io`]; then nothing new is left behind.
    pub fn begin(folder: impl AsRef<Path>) -> Result<Self> {
        Self::begin_in(folder.as_ref(), ASIDE)
    }

    /// The same for a file that is no run's: [`Self::clear`] leaves what is aside for it alone.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_one(folder: impl AsRef<Path>) -> Result<Self> {
        Self::begin_in(folder.as_ref(), ASIDE_ALONE)
    }

    fn begin_in(folder: &Path, aside: &str) -> Result<Self> {
        let made = missing(folder).pop();
        let aside = fs::create_dir_all(folder)
            .and_then(|()| tempfile::Builder::new().prefix(aside).tempdir_in(folder))
            .map_err(|e| unwritten(folder, e));
        match aside {
            Ok(aside) => Ok(Self { folder: folder.to_owned(), aside, names: Vec::new(), replaced: Vec::new(), made }),
            Err(e) => {
                if let Some(made) = made {
                    // only folders of ours, and only empty ones: the first error is the one to report
                    let _ = remove_empty(folder, &made);
                }
                Err(e)
            }
        }
    }

    /// A file of this name goes when these come: it was made of what they replace. It comes back where that fails.
    pub fn replaces(&mut self, name: &str) {
        self.replaced.push(name.into());
    }

    /// Takes away what a killed process left aside in a folder that no other run is written to.
    pub fn clear(folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(ASIDE) {
                // a leftover that stays does no harm
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Puts the files into their place.
    ///
    /// # Errors
    /// [`Error::Io`]; then no file of this run is left behind, and older ones are as they were.
    pub fn commit(self) -> Result<()> {
        let Self { folder, aside, names, replaced, made } = self;
        let result = (|| {
            for name in &names {
                sync(&aside.path().join(name)).map_err(|e| unwritten(&folder.join(name), e))?;
            }
            let replaced: Vec<PathBuf> = replaced.into_iter().filter(|name| !names.contains(name)).collect();
            rename_all(aside.path(), &folder, &names, &replaced).map_err(|(path, e)| unwritten(&path, e))?;
            aside.close().map_err(|e| unwritten(&folder, e))
        })();
        if let (Err(_), Some(made)) = (&result, made) {
            let _ = remove_empty(&folder, &made);
        }
        result
    }

    /// Gives the files up; what was made for them goes away.
    pub fn abandon(self) {
        let Self { folder, aside, made, .. } = self;
        drop(aside);
        if let Some(made) = made {
            let _ = remove_empty(&folder, &made);
        }
    }
}

impl FileSink for RunFiles {
    fn create(&mut self, name: &str) -> Result<Box<dyn Write + Send + '_>> {
        let file = File::create_new(self.aside.path().join(name)).map_err(|e| unwritten(&self.folder.join(name), e))?;
        self.names.push(name.into());
        Ok(Box::new(file))
    }

    fn scratch(&mut self) -> Result<Scratch> {
        // is none of the names, and goes with the folder
        Ok(Box::new(FileJournal::create(&self.aside.path().join("scratch"))?))
    }
}

/// Waits until a file is on the disk.
fn sync(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.sync_all()
}

/// Whether a file may take this place: nothing is there, or a file, or a link, which itself is replaced.
pub fn replaceable(path: &Path) -> bool {
    path.symlink_metadata().map_or(true, |meta| !meta.is_dir())
}

/// Folder, inside the one that files are written aside in, for the files whose place they take.
const OLD: &str = "old";

/// Moves the files into place. Files of a run that they replace are moved away first, the manifest before all
/// others, then what was made of it, and come back where one fails: the folder then holds what it held.
fn rename_all(
    from: &Path,
    to: &Path,
    files: &[PathBuf],
    replaced: &[PathBuf],
) -> std::result::Result<(), (PathBuf, io::Error)> {
    if let Some(name) = files.iter().find(|name| !replaceable(&to.join(name))) {
        return Err((to.join(name), io::ErrorKind::IsADirectory.into()));
    }
    if let ([one], []) = (files, replaced) {
        return fs::rename(from.join(one), to.join(one)).map_err(|e| (to.join(one), e));
    }
    let old = from.join(OLD);
    fs::create_dir(&old).map_err(|e| (old.clone(), e))?;
    let mut moved = Vec::new();
    let result = (|| {
        let mut step = |from: PathBuf, to: PathBuf| match fs::rename(&from, &to) {
            Ok(()) => {
                moved.push((from, to));
                Ok(())
            }
            Err(e) => Err((from, to, e)),
        };
        // a folder of such a name is somebody's own
        let made_of_it = replaced.iter().filter(|name| replaceable(&to.join(name)));
        for name in files.iter().rev().chain(made_of_it) {
            match step(to.join(name), old.join(name)) {
                Err((there, _, e)) if e.kind() != io::ErrorKind::NotFound => return Err((there, e)),
                _ => {}
            }
        }
        for name in files {
            step(from.join(name), to.join(name)).map_err(|(_, there, e)| (there, e))?;
        }
        Ok(())
    })();
    if let Err(first) = result {
        for (from, to) in moved.into_iter().rev() {
            // the first error is the one to report
            let _ = fs::rename(to, from);
        }
        return Err(first);
    }
    if let Ok(folder) = File::open(to) {
        // not every file system can sync a folder, and the files themselves are on the disk
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Removes `folder` and its parents up to `top` as long as they are empty.
fn remove_empty(folder: &Path, top: &Path) -> io::Result<()> {
    for path in folder.ancestors() {
        match fs::remove_dir(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ if path == top => break,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn run(text: &str) -> [(&'static str, &[u8]); 2] {
        [("metrics.parquet", text.as_bytes()), ("manifest.json", text.as_bytes())]
    }

    #[test]
    fn a_run_appears_whole_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("runs/one");
        for text in ["first", "second"] {
            write_files(&folder, &run(text)).unwrap();
            assert_eq!(names(&folder), ["manifest.json", "metrics.parquet"]);
            assert_eq!(fs::read_to_string(folder.join("manifest.json")).unwrap(), text);
        }
        write_atomic(folder.join("report.html"), b"page").unwrap();
        assert_eq!(fs::read(folder.join("report.html")).unwrap(), b"page");
        assert_eq!(names(&folder).len(), 3);
    }

    #[test]
    fn what_was_made_of_a_run_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        write_files(dir.path(), &run("first")).unwrap();
        for made in ["report.html", "calibration.json", "notes.txt"] {
            fs::write(dir.path().join(made), "of the first").unwrap();
        }
        fs::create_dir(dir.path().join("timeline.json")).unwrap();
        let replacing = |text: &[u8], names: &[&str]| {
            let mut files = RunFiles::begin(dir.path()).unwrap();
            for made in ["report.html", "calibration.json", "timeline.json", "stats.parquet"] {
                files.replaces(made);
            }
            for name in names {
                files.create(name).unwrap().write_all(text).unwrap();
            }
            files.commit().unwrap();
        };
        replacing(b"second", &["metrics.parquet", "stats.parquet", "manifest.json"]);
        assert_eq!(
            names(dir.path()),
            ["manifest.json", "metrics.parquet", "notes.txt", "stats.parquet", "timeline.json"],
            "a folder of that name is somebody's own"
        );
        assert_eq!(fs::read(dir.path().join("stats.parquet")).unwrap(), b"second");
        replacing(b"third", &["metrics.parquet", "manifest.json"]);
        assert_eq!(names(dir.path()), ["manifest.json", "metrics.parquet", "notes.txt", "timeline.json"]);
    }

    #[test]
    fn what_a_killed_run_left_goes_and_a_file_that_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let left = RunFiles::begin(dir.path()).unwrap();
        std::mem::forget(left);
        let mut file = RunFiles::begin_one(dir.path()).unwrap();
        file.create("model.gguf").unwrap().write_all(b"GGUF").unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        RunFiles::clear(dir.path());
        assert_eq!(names(dir.path()).len(), 1);
        file.commit().unwrap();
        assert_eq!(names(dir.path()), ["model.gguf"]);
    }

    #[test]
    fn what_fails_while_written_aside_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("runs/one");
        let files = [("metrics.parquet", &[1][..]), ("no/such/folder", &[2]), ("manifest.json", &[3])];
        let message = write_files(&folder, &files).unwrap_err().to_string();
        assert!(message.contains("no/such/folder") && message.contains("hint:"), "{message}");
        assert!(names(dir.path()).is_empty());

        // an older run is untouched
        write_files(&folder, &run("old")).unwrap();
        write_files(&folder, &files).unwrap_err();
        assert_eq!(names(&folder), ["manifest.json", "metrics.parquet"]);
        assert_eq!(fs::read_to_string(folder.join("metrics.parquet")).unwrap(), "old");
    }

    #[test]
    fn a_folder_in_the_way_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("stats.parquet/x")).unwrap();
        let files = [("metrics.parquet", &[1][..]), ("stats.parquet", &[2]), ("manifest.json", &[3])];
        let message = write_files(dir.path(), &files).unwrap_err().to_string();
        assert!(message.contains("stats.parquet"), "{message}");
        assert_eq!(names(dir.path()), ["stats.parquet"]);
        assert!(dir.path().join("stats.parquet/x").is_dir());
    }

    #[test]
    fn what_fails_while_renamed_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        for there in ["metrics.parquet", "stats.parquet", "manifest.json", "calibration.json"] {
            fs::write(dir.path().join(there), format!("old {there}")).unwrap();
        }
        let mut run = RunFiles::begin(dir.path()).unwrap();
        for name in ["metrics.parquet", "stats.parquet", "manifest.json"] {
            run.create(name).unwrap().write_all(b"new").unwrap();
        }
        // the second of three is lost on its way
        let aside = run.aside.path().to_owned();
        run.names[1] = "gone/stats.parquet".into();
        let made = ["calibration.json".into()];
        let message = rename_all(&aside, dir.path(), &run.names, &made).unwrap_err().0.display().to_string();
        assert!(message.contains("gone/stats.parquet"), "{message}");
        run.abandon();
        assert_eq!(names(dir.path()), ["calibration.json", "manifest.json", "metrics.parquet", "stats.parquet"]);
        for there in names(dir.path()) {
            assert_eq!(fs::read_to_string(dir.path().join(&there)).unwrap(), format!("old {there}"));
        }
    }

    #[test]
    fn places_that_cannot_be_written_to_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"x").unwrap();
        let message = write_files(&file.join("run"), &run("x")).unwrap_err().to_string();
        assert!(message.contains("file/run") && message.contains("hint:"), "{message}");
        assert_eq!(names(dir.path()), ["file"]);
        assert!(write_atomic(&file, b"y").is_ok());
        assert!(write_atomic(dir.path().join(".."), b"y").is_err());
    }
}
