//! Files that appear whole or not at all: written aside, synced, renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

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
    write_aside(folder, &[(Path::new(name), bytes)])
}

/// A new folder that goes away again unless it is kept.
#[derive(Debug)]
pub struct Claim {
    path: std::path::PathBuf,
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
            // only if nothing was put into it; its parent only if it was the first
            let _ = fs::remove_dir(&self.path);
            let _ = self.path.parent().map(fs::remove_dir);
        }
    }
}

/// Makes a folder of this name, or of the first free one with `_2`, `_3` … after it, so that two
/// runs of one second do not share one.
///
/// # Errors
/// [`Error::Io`] when no folder can be made there.
pub fn claim_folder(parent: &Path, name: &str) -> Result<Claim> {
    let failed = |path: &Path, e| {
        Error::io(path.display().to_string(), "write", e, "choose a folder that can be written to with `--out`")
    };
    fs::create_dir_all(parent).map_err(|e| failed(parent, e))?;
    let mut n = 1;
    loop {
        let path = parent.join(if n == 1 { name.to_owned() } else { format!("{name}_{n}") });
        match fs::create_dir(&path) {
            Ok(()) => return Ok(Claim { path, kept: false }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 1000 => n += 1,
            Err(e) => return Err(failed(&path, e)),
        }
    }
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

/// Writes a run's files into `folder` (made where it is missing), whole or not at all: every file
/// is written and synced aside first, then all are renamed in the order given. Put the manifest
/// last: an older one is taken away before the first rename, so that a folder with a manifest is
/// always one complete run.
///
/// # Errors
/// [`Error::Io`]; then no file of this run is left behind. Older files stay as they were unless it
/// was the renaming that failed.
pub fn write_run(folder: impl AsRef<Path>, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let files: Vec<(&Path, &[u8])> = files.iter().map(|(name, bytes)| (Path::new(*name), bytes.as_slice())).collect();
    write_aside(folder.as_ref(), &files)
}

/// Both of the above.
fn write_aside(folder: &Path, files: &[(&Path, &[u8])]) -> Result<()> {
    let failed = |path: &Path, e: io::Error| {
        let hint = match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or choose another folder",
            _ => "choose a folder that can be written to",
        };
        Error::io(path.display().to_string(), "write", e, hint)
    };
    // the topmost folder that this call makes is the one to take away again on failure
    let made = folder.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).last();
    let result = fs::create_dir_all(folder).map_err(|e| failed(folder, e)).and_then(|()| {
        let aside = tempfile::Builder::new().prefix(".partial-").tempdir_in(folder).map_err(|e| failed(folder, e))?;
        for (name, bytes) in files {
            write_synced(&aside.path().join(name), bytes).map_err(|e| failed(&folder.join(name), e))?;
        }
        rename_all(aside.path(), folder, files).map_err(|(path, e)| failed(&path, e))?;
        aside.close().map_err(|e| failed(folder, e))
    });
    if result.is_err()
        && let Some(made) = made
    {
        // only folders of ours, and only empty ones: the first error is the one to report
        let _ = remove_empty(folder, made);
    }
    result
}

/// Writes a new file and waits until it is on the disk.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Moves the files into place; takes the moved ones back where one fails.
fn rename_all(
    from: &Path,
    to: &Path,
    files: &[(&Path, &[u8])],
) -> std::result::Result<(), (std::path::PathBuf, io::Error)> {
    if let Some((last, _)) = files.last()
        && files.len() > 1
    {
        let old = to.join(last);
        if let Err(e) = fs::remove_file(&old)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err((old, e));
        }
    }
    for (i, (name, _)) in files.iter().enumerate() {
        if let Err(e) = fs::rename(from.join(name), to.join(name)) {
            for (name, _) in &files[..i] {
                // the first error is the one to report
                let _ = fs::remove_file(to.join(name));
            }
            return Err((to.join(name), e));
        }
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

    fn run(text: &str) -> [(&'static str, Vec<u8>); 2] {
        [("metrics.parquet", text.into()), ("manifest.json", text.into())]
    }

    #[test]
    fn a_run_appears_whole_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("runs/one");
        for text in ["first", "second"] {
            write_run(&folder, &run(text)).unwrap();
            assert_eq!(names(&folder), ["manifest.json", "metrics.parquet"]);
            assert_eq!(fs::read_to_string(folder.join("manifest.json")).unwrap(), text);
        }
        write_atomic(folder.join("report.html"), b"page").unwrap();
        assert_eq!(fs::read(folder.join("report.html")).unwrap(), b"page");
        assert_eq!(names(&folder).len(), 3);
    }

    #[test]
    fn what_fails_while_written_aside_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("runs/one");
        let files = [("metrics.parquet", vec![1]), ("no/such/folder", vec![2]), ("manifest.json", vec![3])];
        let message = write_run(&folder, &files).unwrap_err().to_string();
        assert!(message.contains("no/such/folder") && message.contains("hint:"), "{message}");
        assert!(names(dir.path()).is_empty());

        // an older run is untouched
        write_run(&folder, &run("old")).unwrap();
        write_run(&folder, &files).unwrap_err();
        assert_eq!(names(&folder), ["manifest.json", "metrics.parquet"]);
        assert_eq!(fs::read_to_string(folder.join("metrics.parquet")).unwrap(), "old");
    }

    #[test]
    fn what_fails_while_renamed_leaves_no_run() {
        let dir = tempfile::tempdir().unwrap();
        // a folder is in the way of the second of three files
        fs::create_dir_all(dir.path().join("stats.parquet/x")).unwrap();
        let files = [("metrics.parquet", vec![1]), ("stats.parquet", vec![2]), ("manifest.json", vec![3])];
        let message = write_run(dir.path(), &files).unwrap_err().to_string();
        assert!(message.contains("stats.parquet"), "{message}");
        assert_eq!(names(dir.path()), ["stats.parquet"]);
    }

    #[test]
    fn places_that_cannot_be_written_to_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"x").unwrap();
        let message = write_run(file.join("run"), &run("x")).unwrap_err().to_string();
        assert!(message.contains("file/run") && message.contains("hint:"), "{message}");
        assert_eq!(names(dir.path()), ["file"]);
        assert!(write_atomic(&file, b"y").is_ok());
        assert!(write_atomic(dir.path().join(".."), b"y").is_err());
    }
}
