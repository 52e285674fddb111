//! The attack as a part of the project: processes are killed, system calls fail, disks fill up, two runs want
//! one folder, clients crowd a server. Every test prints a row of the table in docs/RELIABILITY.md, and fails
//! where something was lost.
//!
//! `cargo test` tries a part of it; `cargo xtask reliability --full` all.

#[cfg(target_os = "linux")]
mod injected;
#[cfg(target_os = "linux")]
mod load;
mod runs;

use std::path::{Path, PathBuf};

use saescope::hash;

use crate::cli::Run;
use crate::durable::{SPOOL, TABLES, analyze, done, manifest, tables, triples};

/// How much to try: `quick` of it, or `full` where `SAESCOPE_RELIABILITY=full`.
pub(crate) fn tries(quick: usize, full: usize) -> usize {
    if std::env::var("SAESCOPE_RELIABILITY").is_ok_and(|value| value == "full") { full } else { quick }
}

/// Prints a row: what was done to the program, how often, and what came of it. `cargo xtask reliability` looks
/// for it.
pub(crate) fn row(fault: &str, tries: usize, outcome: &str) {
    println!("reliability: | {fault} | {tries} | {outcome} |");
}

/// What stands in a run's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Standing {
    /// The run that was there before, whole.
    Old,
    /// The run that was asked for, whole.
    New,
    /// What `--resume` goes on with.
    Unfinished,
    /// Neither.
    Nothing,
}

/// A finished run, the same request's other run that takes its place, and copies of the first to be attacked.
struct Bench {
    run: Run,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
}

impl Bench {
    fn new(samples: usize) -> Self {
        let run = Run::new();
        run.write("t.jsonl", triples(samples));
        done(&analyze(&run, &["--out", "old", "--seed", "5"]).output().unwrap());
        done(&analyze(&run, &["--out", "new"]).output().unwrap());
        let (old, new) = (tables(&run.path("old")), tables(&run.path("new")));
        assert_ne!(old, new);
        Self { run, old, new }
    }

    /// `out` holds the old run and nothing else.
    fn lay(&self) -> PathBuf {
        let out = self.run.path("out");
        // there is none at first
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir(&out).unwrap();
        for entry in std::fs::read_dir(self.run.path("old")).unwrap().flatten() {
            std::fs::copy(entry.path(), out.join(entry.file_name())).unwrap();
        }
        out
    }

    /// What is there, and whether it is whole: a folder with a manifest is one run, as its hashes say.
    fn standing(&self, out: &Path, what: &str) -> Standing {
        if out.join("manifest.json").exists() {
            let manifest = manifest(out);
            for file in manifest["files"].as_array().unwrap() {
                let bytes = std::fs::read(out.join(file["path"].as_str().unwrap())).unwrap();
                assert_eq!(file["sha256"], hash::sha256(&bytes), "{what}: {file}");
            }
            match tables(out) {
                found if found == self.old => Standing::Old,
                found if found == self.new => Standing::New,
                _ => panic!("{what}: the tables are of no run"),
            }
        } else if out.join(SPOOL).exists() {
            Standing::Unfinished
        } else {
            Standing::Nothing
        }
    }

    /// Goes on as a user would, and has to come to the run that was asked for, with no leftovers.
    fn recover(&self, out: &Path, what: &str) {
        if self.standing(out, what) != Standing::New || out.join(SPOOL).exists() {
            // a spool that has no pass yet is no run: it is begun anew
            let resumed = out.join(SPOOL).exists() && {
                let output = self.run.saescope(&["analyze", "--resume", "out"]);
                output.status.code() == Some(1) && self.standing(out, what) == Standing::New
            };
            if !resumed {
                done(&analyze(&self.run, &["--out", "out", "--force"]).output().unwrap());
            }
        }
        assert_eq!(self.standing(out, what), Standing::New, "{what}");
        let mut left: Vec<String> =
            std::fs::read_dir(out).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        left.retain(|name| name != "manifest.json" && !TABLES.contains(&name.as_str()));
        assert!(left.is_empty(), "{what} leaves {left:?}");
    }
}
