//! Running other programs.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths::Paths;

/// Cargo, in the checkout, with this build folder.
pub fn cargo(paths: &Paths, target: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    own_environment(&mut command);
    command.current_dir(&paths.root).env("CARGO_TARGET_DIR", target);
    command
}

/// Builds the native program.
pub fn native(paths: &Paths) -> Result<()> {
    must(cargo(paths, &paths.target).args(["build", "--release", "--bin", "saescope"]).args(locked()))
}

/// One of the native program's commands.
pub fn program(paths: &Paths, command: &str) -> Command {
    let mut program = Command::new(paths.native_program());
    own_environment(&mut program);
    program.arg(command);
    program
}

/// Takes away what `cargo run` set for xtask itself: build scripts that watch such a variable
/// would run again whenever a call through xtask follows one of cargo alone, and then everything
/// above them is built again.
pub fn own_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}

/// In CI the lock file has to be right as it is.
pub fn locked() -> &'static [&'static str] {
    if in_ci() { &["--locked"] } else { &[] }
}

pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name =
        if program.is_absolute() { program.file_stem().unwrap_or(program.as_os_str()) } else { program.as_os_str() };
    let words = [name].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Says what is run, runs it, and tells whether it went well.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    println!("\n$ {}", shown(command));
    Ok(command.status().with_context(|| format!("cannot run `{}`", shown(command)))?.success())
}

/// [`succeeds`], or an error.
pub fn must(command: &mut Command) -> Result<()> {
    match succeeds(command)? {
        true => Ok(()),
        false => bail!("`{}` failed", shown(command)),
    }
}

/// What a program prints, trimmed; nothing if it cannot be run or fails.
pub fn output(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// [`succeeds`], given up after a while. A program that cannot be run has not succeeded.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    println!("\n$ {}", shown(command));
    let Ok(mut child) = command.spawn() else { return false };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < limit => thread::sleep(Duration::from_millis(100)),
            _ => {
                println!("no answer after {} s", limit.as_secs());
                // it may have ended by itself just now
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}
