//! `cargo xtask golden`: the reference data that the tests compare with, made anew by Python.
//! Not part of CI: the data are committed, and the reference stack is some gigabytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::run::{must, output, succeeds};

/// Scripts that need nothing but the reference stack, and what they write.
const SCRIPTS: &[(&str, &str)] = &[
    ("golden_models", "tests/golden/models: tiny checkpoints of every family and their numbers"),
    ("configs_golden", "tests/golden/configs: the tiny models' configs as transformers saves them today"),
    ("golden_sae", "tests/golden/sae: SAEs of every architecture and format"),
    ("golden_metrics", "tests/golden/metrics: every metric, the slow way"),
    ("golden_stats", "tests/golden/metrics/stats.json: the statistics, by scipy, statsmodels and scikit-learn"),
    ("golden_controls", "tests/golden/metrics/controls.json: the controls beside length, by numpy and scipy"),
    ("golden_features", "tests/golden/metrics/features.json: statistics of features, by scipy and scikit-learn"),
    ("golden_probe", "tests/golden/probe.json: decision values of linear probes, by scikit-learn"),
    ("npz_golden", "tests/golden/npz: arrays as numpy writes them"),
    ("quants_golden", "tests/golden/quants.json: quantised blocks, by gguf-py"),
];

/// Scripts that need a real model, with the arguments to fill in.
const REAL: &[(&str, &str)] = &[
    ("gguf_golden", "SmolLM2.gguf GEMMA3.gguf"),
    ("tokenizers_golden", "--smollm2 SmolLM2.gguf --gemma3 FOLDER"),
    ("real_models", "--smollm2 SmolLM2.gguf --gemma3 GEMMA3.gguf --out DIR"),
];

pub fn run(paths: &Paths, args: &[&str]) -> Result<bool> {
    let (script, rest) = match args {
        [] => {
            list(paths);
            return Ok(true);
        }
        ["all"] => {
            let python = environment(paths)?;
            for (script, _) in SCRIPTS {
                must(&mut call(paths, &python, script, &[]))?;
            }
            return Ok(true);
        }
        [script, rest @ ..] => (script.trim_end_matches(".py"), rest),
    };
    if !paths.root.join("reference").join(format!("{script}.py")).is_file() {
        list(paths);
        bail!("there is no reference/{script}.py");
    }
    succeeds(&mut call(paths, &environment(paths)?, script, rest))
}

fn list(paths: &Paths) {
    println!("cargo xtask golden all, or one of:");
    SCRIPTS.iter().for_each(|(script, what)| println!("  cargo xtask golden {script:17} {what}"));
    println!("with real models:");
    REAL.iter().for_each(|(script, args)| println!("  cargo xtask golden {script:17} {args}"));
    println!("The first call makes a Python environment in {} (several GB).", folder(paths).display());
}

fn call(paths: &Paths, python: &Path, script: &str, args: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.current_dir(&paths.root).arg(format!("reference/{script}.py")).args(args);
    command
}

fn folder(paths: &Paths) -> PathBuf {
    paths.cache.join("reference-env")
}

/// The Python of an environment that has what reference/requirements.txt says; made where it is
/// missing or of another day's requirements.
fn environment(paths: &Paths) -> Result<PathBuf> {
    let folder = folder(paths);
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted = paths.root.join("reference/requirements.txt");
    let text = fs::read_to_string(&wanted).with_context(|| wanted.display().to_string())?;
    let stamp = folder.join("requirements.txt");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
        return Ok(python);
    }
    let system = ["python3", "python"].into_iter().find(|p| output(p, &["--version"]).is_some());
    let system = system.context("no python3 found; install Python 3.11 or later")?;
    must(Command::new(system).args(["-I", "-m", "venv"]).arg(&folder))
        .context("on Debian: apt-get install python3-venv")?;
    must(Command::new(&python).args(["-I", "-m", "pip", "install", "--requirement"]).arg(&wanted))?;
    fs::write(&stamp, text).with_context(|| stamp.display().to_string())?;
    Ok(python)
}
