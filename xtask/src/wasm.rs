//! The compiler for `wasm32-unknown-unknown`.
//!
//! The easy way is rustup's own standard library for that target. Where it cannot be had, Debian's
//! `rustc-web` is unpacked aside (nothing of it is installed, so it meets no other Rust) and builds
//! the standard library from its own source, driven by the cargo at hand.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::paths::Paths;
use crate::run::{cargo, locked, must, output, succeeds_within};

pub const TARGET: &str = "wasm32-unknown-unknown";
/// Without a network rustup fails at once; behind a silent firewall it would wait for minutes.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);
/// Marks a folder that is complete, and names the version in it.
const STAMP: &str = "complete";

/// A way to compile for the web.
#[derive(Debug)]
pub enum Toolchain {
    /// The rustc at hand, with a standard library for the target.
    Rustup,
    /// Debian's rustc, unpacked aside.
    Debian(Debian),
}

/// Debian's rustc, unpacked under `root`.
#[derive(Debug)]
pub struct Debian {
    root: PathBuf,
    /// Its shared libraries.
    libraries: OsString,
    linker: PathBuf,
}

impl Toolchain {
    /// The first that works, set up where it is missing; says which one it is.
    pub fn find(paths: &Paths) -> Result<Self> {
        let chosen = env::var("SAESCOPE_WASM").unwrap_or_default();
        ensure!(matches!(chosen.as_str(), "" | "rustup" | "debian"), "SAESCOPE_WASM is `rustup` or `debian`");
        if chosen != "debian" {
            if has_std() || add_target() {
                println!("web compiler: the rustc at hand, with its standard library for {TARGET}");
                return Ok(Self::Rustup);
            }
            println!("rustup has no standard library for {TARGET} and cannot fetch one");
            ensure!(chosen.is_empty(), "to type when there is a network: rustup target add {TARGET}");
        }
        let debian = Debian::find(&paths.cache).with_context(|| {
            format!("no web compiler; either of these is enough:\n  rustup target add {TARGET}\n  Debian 12 or later")
        })?;
        println!("web compiler: Debian's rustc-web, unpacked in {}", debian.root.display());
        Ok(Self::Debian(debian))
    }

    /// `cargo <command>` for the web target.
    pub fn cargo(&self, paths: &Paths, command: &str) -> Command {
        let mut cargo = cargo(paths, &paths.wasm_target);
        cargo.arg(command);
        self.target(&mut cargo);
        cargo
    }

    /// The lints of the library for the web target, with the linter that belongs to the compiler. It stands where
    /// cargo takes a compiler for the packages of the workspace, in a build: `cargo clippy` would check every
    /// dependency once more for itself, which takes longer than a build of the library without optimisation.
    pub fn lints(&self, paths: &Paths, allowed: &[&str]) -> Command {
        let mut cargo = self.cargo(paths, "rustc");
        let linter = match self {
            Self::Rustup => "clippy-driver".into(),
            Self::Debian(debian) => debian.root.join("usr/bin/clippy-driver"),
        };
        cargo.env("RUSTC_WORKSPACE_WRAPPER", linter);
        // the page's profile, whose dependencies are then built
        cargo.args(["--profile", "web", "--lib", "--crate-type", "rlib", "--package", "saescope"]).args(locked());
        cargo.args(["--config", "profile.web.package.saescope.opt-level=0"]);
        cargo.args(["--", "-D", "warnings"]);
        for lint in allowed {
            cargo.args(["-A", lint]);
        }
        cargo
    }

    fn target(&self, command: &mut Command) {
        command.args(["--target", TARGET]);
        if let Self::Debian(debian) = self {
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
            command.env("RUSTC", debian.root.join("usr/bin/rustc"));
            command.env("LD_LIBRARY_PATH", &debian.libraries);
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &debian.linker);
        }
    }
}

/// Whether the rustc at hand has a standard library for the target.
fn has_std() -> bool {
    let folder = output("rustc", &["--print", "target-libdir", "--target", TARGET]);
    let Some(files) = folder.and_then(|folder| fs::read_dir(folder).ok()) else { return false };
    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

fn add_target() -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "0");
    succeeds_within(&mut rustup, RUSTUP_LIMIT) && has_std()
}

impl Debian {
    fn find(cache: &Path) -> Result<Self> {
        let root = cache.join("rust-web");
        if !root.join(STAMP).is_file() {
            unpack(&root)?;
        }
        let triplet = output("gcc", &["-print-multiarch"]).filter(|t| !t.is_empty());
        let triplet = triplet.unwrap_or_else(|| format!("{}-linux-gnu", env::consts::ARCH));
        let libraries = env::join_paths([root.join("usr/lib"), root.join("usr/lib").join(triplet)])
            .context("the cache folder's path holds a colon")?;
        let debian = Self { linker: linker()?, libraries, root };
        let mut rustc = Command::new(debian.root.join("usr/bin/rustc"));
        must(rustc.arg("--version").env("LD_LIBRARY_PATH", &debian.libraries)).with_context(|| {
            format!("the unpacked compiler does not run; remove {} and try again", debian.root.display())
        })?;
        Ok(debian)
    }
}

/// Fetches the packages and unpacks them at `root`, whole or not at all.
fn unpack(root: &Path) -> Result<()> {
    ensure!(output("dpkg", &["--version"]).is_some(), "not a Debian system (no dpkg)");
    let parent = root.parent().context("no cache folder")?;
    let debs = parent.join("rust-web.debs");
    let aside = parent.join("rust-web.partial");
    for folder in [&debs, &aside] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let version = match candidate().map(|version| (download(&debs, &version), version)) {
        Some((Ok(()), version)) => version,
        // no package lists, or lists of another day that name what is gone
        _ => {
            as_root("apt-get", &["--quiet=2", "update"])?;
            let version = candidate().context("no package rustc-web; Debian 12 with its security updates has it")?;
            download(&debs, &version)?;
            version
        }
    };
    let mut llvm = Vec::new();
    for entry in fs::read_dir(&debs).with_context(|| debs.display().to_string())? {
        let deb = entry?.path();
        must(Command::new("dpkg").arg("-x").arg(&deb).arg(&aside))?;
        let needs = output("dpkg-deb", &["--field", &deb.to_string_lossy(), "Depends"]).unwrap_or_default();
        llvm.extend(needs.split([',', '|', ' ']).filter(|word| word.starts_with("libllvm")).map(str::to_owned));
    }
    llvm.sort();
    llvm.dedup();
    install(&llvm)?;
    fs::write(aside.join(STAMP), &version)?;
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| root.display().to_string())?;
    }
    fs::rename(&aside, root).with_context(|| root.display().to_string())?;
    fs::remove_dir_all(&debs).with_context(|| debs.display().to_string())
}

/// The version of `rustc-web` that apt would fetch, if it knows one.
fn candidate() -> Option<String> {
    let policy = output("apt-cache", &["policy", "rustc-web"])?;
    let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (line != "(none)").then(|| line.to_owned())
}

/// Fetches compiler, linter, standard library and its source, all of one version.
fn download(folder: &Path, version: &str) -> Result<()> {
    // 1.96.0+dfsg1-1~deb12u2 → 1.96
    let short = version.split('.').take(2).collect::<Vec<_>>().join(".");
    println!("fetching Debian's rustc-web {version}");
    let library = format!("libstd-rust-web-{short}");
    let names = ["rustc-web", "rust-web-clippy", &library, "libstd-rust-web-dev", "rust-web-src"];
    let wanted = names.map(|name| format!("{name}={version}"));
    must(Command::new("apt-get").args(["--quiet=2", "download"]).args(&wanted).current_dir(folder))
}

/// Installs the packages that are not there yet.
fn install(packages: &[String]) -> Result<()> {
    let there = |name: &String| {
        output("dpkg-query", &["--show", "--showformat=${db:Status-Status}", name]).is_some_and(|s| s == "installed")
    };
    let missing: Vec<&str> = packages.iter().filter(|name| !there(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    as_root("apt-get", &[&["install", "--yes", "--quiet=2", "--no-install-recommends"], &missing[..]].concat())
}

/// Runs what only root may; says what to type to anybody else.
fn as_root(program: &str, args: &[&str]) -> Result<()> {
    if output("id", &["-u"]).is_none_or(|id| id != "0") {
        bail!("this needs root; type: sudo {program} {}", args.join(" "));
    }
    must(Command::new(program).args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The linker for WebAssembly that comes with rustup's rustc, or LLVM's own.
fn linker() -> Result<PathBuf> {
    let bundled = output("rustc", &["--print", "sysroot"]).zip(output("rustc", &["--print", "host-tuple"]));
    let bundled = bundled.map(|(root, host)| Path::new(&root).join("lib/rustlib").join(host).join("bin/rust-lld"));
    if let Some(bundled) = bundled.filter(|path| path.is_file()) {
        return Ok(bundled);
    }
    let found = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path).map(|folder| folder.join("wasm-ld")).find(|program| program.is_file())
    });
    found.context("no linker for WebAssembly; on Debian: sudo apt-get install lld")
}
