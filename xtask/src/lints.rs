//! Lints and documentation of the workspace's own packages, over the dependencies that are built anyway.
//!
//! `cargo clippy` and `cargo doc` read every dependency as `cargo check` compiles it, and so compile all of them once
//! more: minutes, for nothing that they find. Here this program stands where cargo takes a compiler for the packages
//! of the workspace, in a build: it calls the linter for the types alone, then rustdoc for the library, and leaves
//! files without code in a folder of their own.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::run::{cargo, locked, succeeds};

/// Set where this program is cargo's compiler wrapper: the folder of the documentation.
const WRAPPER: &str = "SAESCOPE_LINTS_WRAPPER";
/// The library whose documentation is made.
const LIBRARY: &str = "saescope";

/// Whether a package has neither lints nor, if it is the library, faults in its documentation.
pub fn clean(paths: &Paths, package: &str) -> Result<bool> {
    let place = paths.target.join("lints");
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    // cargo keeps what another wrapper made apart by its name, and the fuzzer has this program's
    let wrapper = place.join(format!("lints{}", env::consts::EXE_SUFFIX));
    let copy = || -> io::Result<()> {
        let fresh = place.join("lints-new");
        fs::copy(env::current_exe()?, &fresh)?;
        fs::rename(&fresh, &wrapper)
    };
    copy().with_context(|| wrapper.display().to_string())?;
    let mut build = cargo(paths, &place);
    // what is kept between builds is that of all builds; what would be a program lies in the folder
    build.env("CARGO_BUILD_BUILD_DIR", &paths.target);
    build.args(["build", "--release", "--package", package, "--all-targets"]).args(locked());
    build.env("RUSTC_WORKSPACE_WRAPPER", &wrapper).env(WRAPPER, place.join("doc"));
    build.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    succeeds(&mut build)
}

/// Whether cargo calls this program as its compiler; then it is a linter.
pub fn wrapped(args: &[String]) -> Option<ExitCode> {
    let documentation = env::var_os(WRAPPER)?;
    let done = lint(args, Path::new(&documentation));
    Some(done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    }))
}

fn lint(args: &[String], documentation: &Path) -> Result<ExitCode> {
    let (compiler, args) = args.split_first().context("no compiler is named")?;
    let call = Call::read(args);
    // questions about the compiler, and programs that the build itself runs
    let Some(made) = call.made().filter(|_| call.name != "build_script_build") else {
        return run(linter(compiler).args(args));
    };
    let code = run(linter(compiler).args(types_alone(args)))?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    if call.name == LIBRARY && call.kind == "lib" && !call.test {
        let mut rustdoc = Command::new("rustdoc");
        rustdoc.args(documented(args)).arg("-Dwarnings").arg("--out-dir").arg(documentation);
        let code = run(&mut rustdoc)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    // cargo looks for it
    File::create(&made).with_context(|| made.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// The linter as a compiler.
fn linter(compiler: &str) -> Command {
    let mut linter = Command::new("clippy-driver");
    linter.arg(compiler);
    linter
}

fn run(command: &mut Command) -> Result<ExitCode> {
    let name = command.get_program().to_owned();
    let status = command.status();
    let status = status.with_context(|| format!("cannot run `{}`; rustup component add clippy", name.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// What cargo wants of the compiler.
#[derive(Debug, Default, PartialEq)]
struct Call {
    name: String,
    kind: String,
    folder: Option<PathBuf>,
    suffix: String,
    test: bool,
}

impl Call {
    fn read(args: &[String]) -> Self {
        let mut call = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut next = || args.next().cloned().unwrap_or_default();
            match arg.as_str() {
                "--crate-name" => call.name = next(),
                "--crate-type" => call.kind = next(),
                "--out-dir" => call.folder = Some(next().into()),
                "--test" => call.test = true,
                "-C" => call.suffix = next().strip_prefix("extra-filename=").map_or(call.suffix, str::to_owned),
                _ => {}
            }
        }
        call
    }

    /// The file that this call is to make.
    fn made(&self) -> Option<PathBuf> {
        let stem = format!("{}{}", self.name, self.suffix);
        let name = match self.kind.as_str() {
            // a test, or a program with tests of its own making, has no type
            "bin" | "" => format!("{stem}{}", env::consts::EXE_SUFFIX),
            _ if self.test => format!("{stem}{}", env::consts::EXE_SUFFIX),
            "cdylib" => format!("{}{stem}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX),
            "lib" | "rlib" => format!("lib{stem}.rlib"),
            _ => return None,
        };
        Some(self.folder.as_ref()?.join(name))
    }
}

/// The same call for what `cargo check` would make: the packages of the workspace have no code, and are read as types.
fn types_alone(args: &[String]) -> Vec<String> {
    let own = ["saescope=", "saescope_"];
    let mut all: Vec<String> = Vec::new();
    for arg in args {
        let after = all.last().is_some_and(|last| last == "--extern");
        all.push(match arg.strip_suffix(".rlib") {
            _ if arg.starts_with("--emit=") => "--emit=dep-info,metadata".to_owned(),
            Some(file) if after && own.iter().any(|name| arg.starts_with(name)) => format!("{file}.rmeta"),
            _ => arg.clone(),
        });
    }
    all
}

/// The same call for rustdoc.
fn documented(args: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--out-dir" => drop(args.next()),
            emit if emit.starts_with("--emit=") => {}
            // a program that embeds rustdoc does not know what the compiler calls its files
            "--json" => drop(args.next()),
            json if json.starts_with("--json=") => {
                all.push("--json=diagnostic-rendered-ansi,future-incompat".to_owned());
            }
            other => all.push(other.to_owned()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_calls_are_understood() {
        let words = "--crate-name saescope --edition=2024 crate/lib.rs --error-format=json \
                     --json=diagnostic-rendered-ansi,artifacts,future-incompat --crate-type lib \
                     --emit=dep-info,metadata,link -C opt-level=3 -C metadata=1a -C extra-filename=-2b --out-dir /t/deps \
                     -L dependency=/t/deps --extern burn=/t/deps/libburn-3.rmeta --extern saescope=/t/deps/libsaescope-4.rlib";
        let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let call = Call::read(&args);
        assert_eq!((call.name.as_str(), call.kind.as_str(), call.test), ("saescope", "lib", false));
        assert_eq!(call.made(), Some(PathBuf::from("/t/deps/libsaescope-2b.rlib")));
        let types = types_alone(&args).join(" ");
        assert!(types.contains("--emit=dep-info,metadata -C") && types.ends_with("libsaescope-4.rmeta"), "{types}");
        let documented = documented(&args).join(" ");
        assert!(
            !documented.contains("emit") && !documented.contains("artifacts") && !documented.contains("/t/deps -L")
        );
        let asked = Call::read(&["-".to_owned(), "--print=file-names".to_owned()]);
        assert_eq!(asked.made(), None);
        assert_eq!(Call { kind: String::new(), ..call }.made(), Some(PathBuf::from("/t/deps/saescope-2b")));
    }
}
