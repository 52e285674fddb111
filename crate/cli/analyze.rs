//! `saescope analyze`: the full run, from its beginning or from where it was broken.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::{Deserialize, Serialize};

use super::args::{Analyze, Cli, Command};
use super::closing::{closing, quoted};
use super::folder::{RunFolder, remove};
use super::hash::hash_files;
use super::interrupt::Interrupts;
use super::profile::{self, Profile};
use super::progress::{Shown, screen};
use super::ready::Ready;
use super::{dry_run, print, say, talk};
use crate::engine::Outcome;
use crate::error::{Error, Result};
use crate::platform::{self, FileJournal, RunFiles};
use crate::run::{self, Header, Loaded, Parts, Request, SPOOL_FILE, Spool};

/// How a run was asked for: what `--resume` asks for again.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    arguments: Vec<String>,
    /// Where relative paths begin.
    folder: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Whatever ends the run. Failed samples do not: they give exit status 1 after the files are
/// written.
pub async fn run(args: &Analyze) -> Result<ExitCode> {
    if args.dry_run {
        return dry_run::run(args).await.map(|()| ExitCode::SUCCESS);
    }
    match &args.resume {
        Some(folder) => resume(folder).await,
        None => begin(args).await,
    }
}

/// A run from its beginning.
async fn begin(args: &Analyze) -> Result<ExitCode> {
    RunFolder::check(args.out.as_deref(), args.force)?;
    let interrupts = Interrupts::watch()?;
    let started_at = now()?;
    let stamp = started_at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string();
    let ready = Ready::of(args).await?;
    // an unwritable folder is better found before the work than after it
    let claim = match &args.out {
        Some(out) => platform::claim_named(out),
        None => platform::claim_folder(Path::new("runs"), &stamp),
    }?;
    let samples = ready.request().samples().count();
    RunFolder::has_room(claim.path(), ready.bytes_on_disk(samples))?;
    let named = || claim.path().file_name().filter(|_| args.out.is_none()).map(|n| n.to_string_lossy().into_owned());
    let run_id = args.run_id.clone().or_else(named).unwrap_or(stamp);
    let asked = Asked { arguments: std::env::args().skip(1).collect(), folder: current_folder()? };
    let asked = serde_json::to_string(&asked).map_err(|e| Error::io("the command line", "keep", e.into(), ""))?;
    let header = Header::new(run_id, started_at, samples, asked);
    let folder = RunFolder::begin(claim, args.force, header, &interrupts)?;
    measure(args, &ready, folder, &interrupts).await
}

/// A run from where it was broken.
async fn resume(folder: &Path) -> Result<ExitCode> {
    let path = folder.join(SPOOL_FILE);
    if !path.exists() {
        let finished = folder.join(crate::output::MANIFEST_FILE).exists();
        let what = format!("{}: an unfinished run", folder.display());
        let hint = if finished { "the run there is complete" } else { "`--resume` takes the folder of a run" };
        return Err(Error::missing(what, hint));
    }
    let spool = Spool::open(Box::new(FileJournal::open(&path)?))?;
    let interrupts = Interrupts::watch()?;
    let again = |found: String| {
        Error::malformed(path.display().to_string(), "command line", "the one of this run", found, "begin it anew")
    };
    let Asked { arguments, folder: from } =
        serde_json::from_str(&spool.header().request).map_err(|e| again(e.to_string()))?;
    let cli = Cli::try_parse_from(std::iter::once("saescope".to_owned()).chain(arguments.clone()))
        .map_err(|e| again(e.kind().to_string()))?;
    let Command::Analyze(args) = cli.command else { return Err(again(arguments.join(" "))) };
    let out = std::path::absolute(folder).map_err(|e| Error::io(folder.display().to_string(), "find", e, ""))?;
    let shown = quoted(folder);
    say(&format!(
        "going on with {shown}: {} of {} samples are there; saescope {}",
        spool.done().len(),
        spool.header().samples,
        arguments.join(" ")
    ));
    // relative paths of the command line are the ones of then
    let moved = std::env::set_current_dir(&from);
    moved.map_err(|e| Error::io(from.display().to_string(), "enter", e, "the run was begun in this folder"))?;
    let ready = Ready::of(&args).await?;
    let folder = RunFolder::resume(out, folder.to_owned(), spool, &interrupts);
    measure(&args, &ready, folder, &interrupts).await
}

/// The time, where the system's clock shows one that has a date.
fn now() -> Result<jiff::Timestamp> {
    jiff::Timestamp::try_from(std::time::SystemTime::now()).map_err(|e| {
        Error::usage(format!("the system's clock shows no time that a run can have: {e}"), "set the clock")
    })
}

fn current_folder() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| Error::io("the current folder", "find", e, "start in a folder that exists"))
}

/// Measures what is left and writes the files.
async fn measure(args: &Analyze, ready: &Ready, mut folder: RunFolder, interrupts: &Interrupts) -> Result<ExitCode> {
    let (request, compute) = (ready.request(), ready.devices.info());
    let Request { loaded, data, options, shard, .. } = request;
    say(&format!(
        "{} on {}: {} samples, SAEs at layers {}",
        loaded.name,
        compute.adapter.clone().unwrap_or_else(|| format!("the CPU ({} threads)", platform::threads())),
        folder.spool.header().samples,
        loaded.saes.iter().map(|s| s.layer.to_string()).collect::<Vec<_>>().join(", ")
    ));
    let header = folder.spool.header();
    let (run_id, started_at) = (header.run_id.clone(), header.started_at);
    let hashes = hashes(loaded, args.rehash);
    let base = async {
        let limit = args.data.limit;
        let hashes = hashes.await?;
        Ok(Parts { run_id, started_at, loaded, compute, data, limit, shard, options, hashes }.base())
    };
    let shown = Shown::new(folder.spool.header().samples);
    let mut profile = Profile::begin(args.profile, request.computes);
    let mut kept = |spool: &Spool, pass: &Outcome| {
        profile.add(pass);
        interrupts.kept(spool.measured());
    };
    let measured = run::execute(request, &mut folder.spool, base, &shown, &mut kept).await;
    shown.finish();
    profile.finish(request.computes).await;
    if let Err(error) = measured {
        return Err(folder.broken(error));
    }
    let base = folder.spool.base().cloned().ok_or_else(|| {
        Error::usage(
            format!("no sample falls to part {}", shard.map_or_else(String::new, |s| s.to_string())),
            "take fewer parts; a merge does without this one",
        )
    })?;
    let mut files = RunFiles::begin(&folder.out)?;
    let finished =
        run::finish(base, &[&folder.spool], platform::peak_buffers(), &mut files).map_err(|e| folder.broken(e))?;
    interrupts.writing(&folder.shown, || folder.finished(files, shard.is_some()))?;
    if args.profile {
        // the run is there, whatever becomes of this
        if let Err(error) = profile.write(&folder.out) {
            say(&format!("warning: {error}"));
        }
        say(&profile.text());
    } else {
        // of a run that was replaced
        remove(&folder.out.join(profile::FILE))?;
    }
    say(&closing(&folder.shown, &finished, &ready.doubts, screen()));
    match print(&format!("{}\n", folder.shown.display())) {
        // the run is there all the same, and its status is the run's
        Err(error) if talk::reader_gone(&error) => {}
        result => result?,
    }
    Ok(if finished.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Hashes of the model's and the SAEs' files, computed beside the run.
fn hashes(
    loaded: &Loaded,
    anew: bool,
) -> impl Future<Output = Result<(Vec<crate::output::FileInfo>, Vec<Vec<crate::output::FileInfo>>)>> + use<> {
    let model = loaded.model_files();
    let sae_files: Vec<Vec<platform::Source>> = loaded.saes.iter().map(|s| s.sae.sources().to_vec()).collect();
    let work = platform::spawn(async move {
        let model = hash_files(model, anew).await?;
        let mut saes = Vec::new();
        for files in sae_files {
            saes.push(hash_files(files, anew).await?);
        }
        Ok::<_, Error>((model, saes))
    });
    async move { work.await.unwrap_or_else(|| Err(Error::device("hashing the weight files stopped", "run again"))) }
}
