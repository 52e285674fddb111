//! Finished runs of this machine, and the names under which they are offered. A name leads straight to
//! its folder; only the list looks at all of them, and it remembers what their manifests said.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::cli::{catalog, say, siblings};
use crate::error::Error;
use crate::output;
use crate::protocol::HostedRun;

/// Runs beside the page.
pub struct Runs {
    /// Runs, or folders of runs, as the user named them.
    places: Vec<PathBuf>,
    /// Where the page has runs of its own, whose names are taken.
    own: PathBuf,
    /// What the manifests said, by folder.
    listed: Mutex<HashMap<PathBuf, Listed>>,
    /// What was said about runs that are not offered.
    said: Mutex<HashSet<String>>,
}

/// A manifest as it was read; no entry where it was none.
struct Listed {
    size: u64,
    modified: Option<SystemTime>,
    entry: Option<HostedRun>,
}

impl Listed {
    fn is_of(&self, name: &str, meta: &Metadata) -> bool {
        self.size == meta.len()
            && self.modified == meta.modified().ok()
            && self.entry.as_ref().is_none_or(|entry| entry.name == name)
    }
}

impl Runs {
    pub fn new(places: Vec<PathBuf>, own: PathBuf) -> Self {
        Self { places, own, listed: Mutex::default(), said: Mutex::default() }
    }

    /// Folder of the run that is offered as `name`.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let before = name.rsplit_once('_').map(|(before, _)| before).filter(|before| catalog::plain_name(before));
        let called = std::iter::once(name).chain(before);
        called.flat_map(|called| self.offered(called)).find(|(offered, _)| offered == name).map(|(_, folder)| folder)
    }

    /// All of them, newest first.
    pub fn list(&self) -> Vec<HostedRun> {
        let mut listed = lock(&self.listed);
        let mut runs = Vec::new();
        let mut current = HashMap::new();
        for (name, folder) in self.names().iter().flat_map(|called| self.offered(called)) {
            let Ok(meta) = folder.join(output::MANIFEST_FILE).symlink_metadata() else { continue };
            let known = listed.remove(&folder).filter(|known| known.is_of(&name, &meta));
            let known = known.unwrap_or_else(|| Listed {
                size: meta.len(),
                modified: meta.modified().ok(),
                entry: self.entry(&name, &folder),
            });
            // a run may be calibrated at any time after
            let calibrated = Some(catalog::is_calibrated(&folder));
            runs.extend(known.entry.clone().map(|entry| HostedRun { calibrated, ..entry }));
            current.insert(folder, known);
        }
        *listed = current;
        runs.sort_by(|a, b| b.started_at.cmp(&a.started_at));
        runs
    }

    /// A run's entry; what of its files is not as its manifest says is said once, and by the page again.
    fn entry(&self, name: &str, folder: &Path) -> Option<HostedRun> {
        let manifest = catalog::manifest(folder)?;
        for line in siblings::unlike(folder, &manifest, siblings::AT_ONCE) {
            self.say_once(format!("warning: {}: {line}", folder.display()));
        }
        Some(catalog::entry(name, &manifest))
    }

    /// Name of the run in `folder`.
    pub fn name_of(&self, folder: &Path) -> Option<String> {
        let folder = folder.canonicalize().ok()?;
        let called = folder.file_name()?.to_str().filter(|called| catalog::plain_name(called))?;
        self.offered(called)
            .into_iter()
            .find(|(_, one)| one.canonicalize().is_ok_and(|one| one == folder))
            .map(|(name, _)| name)
    }

    /// What folders of runs may be called.
    fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for place in &self.places {
            let own = place.canonicalize().ok();
            names.extend(own.and_then(|own| Some(own.file_name()?.to_string_lossy().into_owned())));
            let inside = std::fs::read_dir(place).into_iter().flatten().flatten();
            names.extend(inside.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        }
        names.retain(|name| catalog::plain_name(name));
        names
    }

    /// The runs in folders called `called`, each with its name: that of the folder for the first, and for
    /// the others that with a number, where no folder is called so itself.
    fn offered(&self, called: &str) -> Vec<(String, PathBuf)> {
        let numbered = (2..).map(|n| format!("{called}_{n}")).filter(|name| self.folders(name).is_empty());
        let free = std::iter::once(called.to_owned()).chain(numbered).filter(|name| !self.own.join(name).exists());
        // in this order: the names have no end
        self.folders(called).into_iter().zip(free).map(|(folder, name)| (name, folder)).collect()
    }

    /// Finished runs in folders called `called`, in the places' order.
    fn folders(&self, called: &str) -> Vec<PathBuf> {
        let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
        for place in &self.places {
            let inside = Some(place.join(called)).filter(|folder| self.is_folder(folder));
            for folder in std::iter::once(place.clone()).chain(inside) {
                // also where the file system takes capitals for small letters
                let Some(real) = folder.canonicalize().ok().filter(|real| real.ends_with(called)) else { continue };
                if !found.iter().any(|(_, known)| *known == real) && self.is_run(&folder) {
                    found.push((folder, real));
                }
            }
        }
        found.into_iter().map(|(folder, _)| folder).collect()
    }

    /// Whether it is a folder itself, and no link to one: that might lead anywhere. One that the user named
    /// is a place of its own.
    fn is_folder(&self, path: &Path) -> bool {
        let linked = path.is_symlink();
        if linked && path.is_dir() && !self.places.iter().any(|place| place == path) {
            let hint = "name the folder that it leads to with `--runs`";
            self.refuse(&Error::malformed(path.display().to_string(), "type", "a folder", "a symbolic link", hint));
        }
        !linked && path.is_dir()
    }

    /// Whether it holds a finished run.
    fn is_run(&self, folder: &Path) -> bool {
        catalog::is_run(folder).unwrap_or_else(|error| {
            self.refuse(&error);
            false
        })
    }

    /// Says why a run is not offered, once.
    fn refuse(&self, error: &Error) {
        self.say_once(format!("not offered: {error}"));
    }

    fn say_once(&self, text: String) {
        if lock(&self.said).insert(text.clone()) {
            say(&text);
        }
    }
}

/// A thread that panicked leaves something forgotten, and nothing wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_run(folder: &Path, day: u32) {
        std::fs::create_dir_all(folder).unwrap();
        for file in catalog::RUN_FILES {
            let manifest = format!(r#"{{"started_at": "2026-01-{day:02}"}}"#);
            std::fs::write(folder.join(file), manifest).unwrap();
        }
    }

    fn names(runs: &Runs) -> Vec<String> {
        runs.list().into_iter().map(|run| run.name).collect()
    }

    #[test]
    fn every_run_is_found_under_the_name_that_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let folders = ["a/x", "b/x", "b/x_2", "c/x", "c/x_2", "b/y_10", "c/own", "d"];
        for (day, folder) in (1..).zip(folders) {
            write_run(&at(folder), day);
        }
        std::fs::create_dir_all(at("page/own")).unwrap();
        // one place twice, and a run that lies in another place
        let places = ["b/y_10", "a", "b", "c", "b", "d", "not plain", "none"].map(at).to_vec();
        let runs = Runs::new(places, at("page"));
        assert_eq!(names(&runs), ["d", "own_2", "y_10", "x_2_2", "x_4", "x_2", "x_3", "x"]);
        for (name, folder) in [
            ("x", "a/x"),
            ("x_3", "b/x"),
            ("x_4", "c/x"),
            ("x_2", "b/x_2"),
            ("x_2_2", "c/x_2"),
            ("y_10", "b/y_10"),
            ("own_2", "c/own"),
            ("d", "d"),
        ] {
            assert_eq!(runs.find(name), Some(at(folder)), "{name}");
            assert_eq!(runs.name_of(&at(folder)).as_deref(), Some(name), "{folder}");
        }
        write_run(&at("not plain"), 1);
        assert_eq!(runs.name_of(&at("not plain")), None);
        for name in ["own", "x_1", "x_5", "x_02", "y", "y_2", "d_2", "page"] {
            assert_eq!(runs.find(name), None, "{name}");
        }
    }

    #[test]
    fn the_list_follows_what_becomes_of_runs() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(vec![dir.path().to_owned()], dir.path().join("page"));
        assert!(names(&runs).is_empty());
        write_run(&dir.path().join("a"), 1);
        write_run(&dir.path().join("b"), 2);
        assert_eq!(names(&runs), ["b", "a"]);
        std::fs::write(dir.path().join("a").join(output::CALIBRATION_FILE), "{}").unwrap();
        let calibrated: Vec<Option<bool>> = runs.list().into_iter().map(|run| run.calibrated).collect();
        assert_eq!(calibrated, [Some(false), Some(true)], "b, then a");
        // another length of the manifest, so that the test does not hang on the clock's steps
        write_run(&dir.path().join("a"), 300);
        assert_eq!(names(&runs), ["a", "b"]);
        std::fs::remove_file(dir.path().join("b/manifest.json")).unwrap();
        assert_eq!(names(&runs), ["a"]);
        assert_eq!(lock(&runs.listed).len(), 1);
        std::fs::write(dir.path().join("a/manifest.json"), "{").unwrap();
        assert!(names(&runs).is_empty());
    }
}
