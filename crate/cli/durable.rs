//! A run that can be gone on with: begun or resumed, and measured. The command line and programs that this
//! library is part of have it in common.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use clap::Parser;
use serde::{Deserialize, Serialize};

use super::args::{Analyze, Cli, Command};
use super::closing::quoted;
use super::folder::RunFolder;
use super::hash::hash_files;
use super::interrupt::Interrupts;
use super::ready::Ready;
use super::{say, setup};
use crate::dataset::Rows;
use crate::engine::{Observer, Outcome};
use crate::error::{Error, Result};
use crate::output::{FileInfo, MANIFEST_FILE};
use crate::platform::{self, FileJournal, Source};
use crate::run::{self, Comparisons, Finished, Header, Loaded, Parts, Request, SPOOL_FILE, Shard, Spool};

/// What the two sides of a run know of each other while it goes on: who does it, and who waits for it.
#[derive(Debug, Default)]
pub struct Steer {
    stop: AtomicBool,
    begun: AtomicBool,
}

impl Steer {
    /// The run is not wanted any more. Gives whether it is begun: then its observer ends it, what was measured
    /// stays to be resumed, and the caller waits for that. Else nothing will be begun.
    pub fn stop(&self) -> bool {
        self.stop.store(true, SeqCst);
        self.begun.load(SeqCst)
    }

    /// Whether it is not wanted any more.
    pub fn stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// Begins, where that is still wanted.
    pub(super) fn begin(&self) -> Result<()> {
        // in this order: `stop` sees this, or this sees `stop`
        self.begun.store(true, SeqCst);
        if self.stopped() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Who asks for a run.
pub struct Door<'a> {
    /// What ends it early.
    pub interrupts: &'a Interrupts,
    /// Rows in memory, in place of the data sets that the arguments name.
    pub rows: Option<&'a Rows>,
    /// Whether a program is asking that this library is part of, whose current folder is its own.
    pub embedded: bool,
    /// By which it is told whether the run is still wanted after all that was fetched and opened for it.
    pub steer: &'a Steer,
}

impl Door<'_> {
    /// How to go on with a run, for a message.
    pub(super) fn again(&self, folder: &Path) -> String {
        match (self.embedded, self.rows) {
            (false, _) => format!("saescope analyze --resume {}", quoted(folder)),
            (true, None) => format!("saescope.analyze(resume={:?})", folder.display().to_string()),
            (true, Some(_)) => format!("saescope.analyze(data, resume={:?})", folder.display().to_string()),
        }
    }
}

/// How a run was asked for: what `--resume` asks for again.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    arguments: Vec<String>,
    /// Where relative paths begin.
    folder: PathBuf,
    /// Whether its rows were in a program's memory.
    #[serde(default)]
    rows: bool,
}

/// A run from its beginning; `arguments` are the words that `args` were read from. None where no sample falls to
/// the part that is asked for: nothing is opened or made for it, and a merge needs nothing of it.
///
/// # Errors
/// Whatever is missing or does not fit; a folder that cannot be had.
pub async fn begin(args: &Analyze, arguments: Vec<String>, door: &Door<'_>) -> Result<Option<(Ready, RunFolder)>> {
    RunFolder::check(args.out.as_deref(), args.force)?;
    let started_at = now()?;
    let data = setup::data_or(&args.data, args.measure.seed, door.rows)?;
    if args.shard.is_some_and(|shard| !data.samples.iter().any(|sample| shard.takes(&sample.id))) {
        return Ok(None);
    }
    let ready = Ready::of(args, data).await?;
    let folder = place(args, &ready, arguments, started_at, door)?;
    Ok(Some((ready, folder)))
}

/// No sample falls to a part.
pub fn empty(shard: Option<Shard>) -> Error {
    let shard = shard.map_or_else(String::new, |shard| shard.to_string());
    Error::usage(format!("no sample falls to part {shard}"), "take fewer parts; a merge does without this one")
}

/// The folder of a run whose needs are opened, with a spool of it.
///
/// # Errors
/// A run that is not wanted any more; a folder that cannot be had.
pub fn place(
    args: &Analyze,
    ready: &Ready,
    arguments: Vec<String>,
    started_at: jiff::Timestamp,
    door: &Door<'_>,
) -> Result<RunFolder> {
    let stamp = started_at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string();
    door.steer.begin()?;
    let beginning = door.interrupts.beginning();
    // an unwritable folder is better found before the work than after it
    let claim = match &args.out {
        Some(out) => platform::claim_named(out),
        None => platform::claim_folder(Path::new("runs"), &stamp),
    }?;
    let samples = ready.request().samples().count();
    RunFolder::has_room(claim.path(), ready.bytes_on_disk(samples))?;
    let named = || claim.path().file_name().filter(|_| args.out.is_none()).map(|n| n.to_string_lossy().into_owned());
    let run_id = args.run_id.clone().or_else(named).unwrap_or(stamp);
    let asked = Asked { arguments, folder: current_folder()?, rows: door.rows.is_some() };
    let asked = serde_json::to_string(&asked).map_err(|e| Error::io("the command line", "keep", e.into(), ""))?;
    let header = Header::new(run_id, started_at, samples, asked);
    let again = door.again(claim.path());
    RunFolder::begin(beginning, claim, args.force, header, again)
}

/// A run from where it was broken, with the arguments that it was begun with.
///
/// # Errors
/// [`Error::Missing`] where there is no such run; whatever is missing now or does not fit.
pub async fn resume(folder: &Path, door: &Door<'_>) -> Result<(Analyze, Ready, RunFolder)> {
    let path = folder.join(SPOOL_FILE);
    if !path.exists() {
        let finished = folder.join(MANIFEST_FILE).exists();
        let what = format!("{}: an unfinished run", folder.display());
        let hint = if finished { "the run there is complete" } else { "`--resume` takes the folder of a run" };
        return Err(Error::missing(what, hint));
    }
    let spool = Spool::open(Box::new(FileJournal::open(&path)?))?;
    let again = |found: String| {
        Error::malformed(path.display().to_string(), "command line", "the one of this run", found, "begin it anew")
    };
    let Asked { arguments, folder: from, rows } =
        serde_json::from_str(&spool.header().request).map_err(|e| again(e.to_string()))?;
    if rows != door.rows.is_some() {
        let (what, hint) = if rows {
            ("its rows were in a program's memory", "give them again: saescope.analyze(data, resume=RUN)")
        } else {
            ("its data are in files, which it reads again", "leave out the data: saescope.analyze(resume=RUN)")
        };
        return Err(Error::usage(format!("{}: {what}", folder.display()), hint));
    }
    let cli = Cli::try_parse_from(std::iter::once("saescope".to_owned()).chain(arguments.clone()))
        .map_err(|e| again(e.kind().to_string()))?;
    let Command::Analyze(args) = cli.command else { return Err(again(arguments.join(" "))) };
    let out = std::path::absolute(folder).map_err(|e| Error::io(folder.display().to_string(), "find", e, ""))?;
    say(&format!(
        "going on with {}: {} of {} samples are there; saescope {}",
        quoted(folder),
        spool.done().len(),
        spool.header().samples,
        arguments.join(" ")
    ));
    let here = current_folder()?;
    // relative paths of the command line are the ones of then
    enter(&from, "the run was begun in this folder")?;
    let ready = async { Ready::of(&args, setup::data_or(&args.data, args.measure.seed, door.rows)?).await };
    let ready = ready.await;
    if door.embedded {
        enter(&here, "the program was in this folder")?;
    }
    let ready = ready?;
    door.steer.begin()?;
    let folder = RunFolder::resume(out, folder.to_owned(), spool, door.again(folder), door.interrupts);
    Ok((args, ready, folder))
}

/// The time, where the system's clock shows one that has a date.
pub(super) fn now() -> Result<jiff::Timestamp> {
    jiff::Timestamp::try_from(std::time::SystemTime::now()).map_err(|e| {
        Error::usage(format!("the system's clock shows no time that a run can have: {e}"), "set the clock")
    })
}

fn current_folder() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| Error::io("the current folder", "find", e, "start in a folder that exists"))
}

fn enter(folder: &Path, hint: &str) -> Result<()> {
    std::env::set_current_dir(folder).map_err(|e| Error::io(folder.display().to_string(), "enter", e, hint))
}

/// Measures what is left and writes the files; `kept` is told of every pass.
///
/// # Errors
/// Whatever ends the run. Failed samples do not.
pub async fn measure(
    args: &Analyze,
    ready: &Ready,
    folder: &mut RunFolder,
    interrupts: &Interrupts,
    observer: &dyn Observer,
    kept: &mut dyn FnMut(&Outcome),
) -> Result<Finished> {
    let (request, compute) = (ready.request(), ready.devices.info());
    let Request { loaded, data, options, shard, .. } = request;
    let header = folder.spool.header();
    let (run_id, started_at) = (header.run_id.clone(), header.started_at);
    let hashes = hashes(loaded, args.rehash);
    let base = async {
        let limit = args.data.limit;
        let hashes = hashes.await?;
        let excerpt = ready.excerpt.as_ref();
        Ok(Parts { run_id, started_at, loaded, compute, data, excerpt, limit, shard, options, hashes }.base())
    };
    let mut kept = |spool: &Spool, pass: &Outcome| {
        kept(pass);
        interrupts.kept(spool.measured());
    };
    if let Err(error) = run::execute(request, &mut folder.spool, base, observer, &mut kept).await {
        return Err(folder.broken(error));
    }
    let base = folder.spool.base().cloned().ok_or_else(|| empty(shard))?;
    let mut files = RunFolder::files(&folder.out)?;
    let comparisons = if args.no_stats { Comparisons::LeftToMerge } else { Comparisons::Made };
    let finished = match run::finish(base, &[&folder.spool], comparisons, platform::peak_buffers(), &mut files) {
        Ok(finished) => finished,
        // there are no tables of it, but a merge has to know that these samples failed
        Err(error) if shard.is_some() && folder.spool.measured() == 0 && !folder.spool.failed().is_empty() => {
            files.abandon();
            interrupts.writing(&folder.shown, || folder.kept_as_part())?;
            return Err(error);
        }
        Err(error) => return Err(folder.broken(error)),
    };
    interrupts.writing(&folder.shown, || folder.finished(files, shard.is_some()))?;
    Ok(finished)
}

/// Hashes of the model's and the SAEs' files, computed beside the run.
fn hashes(loaded: &Loaded, anew: bool) -> impl Future<Output = Result<(Vec<FileInfo>, Vec<Vec<FileInfo>>)>> + use<> {
    let model = loaded.model_files();
    let sae_files: Vec<Vec<Source>> = loaded.saes.iter().map(|s| s.sae.sources().to_vec()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_not_wanted_is_not_begun_and_one_that_is_begun_is_waited_for() {
        let early = Steer::default();
        assert!(!early.stop(), "nothing to wait for");
        assert!(matches!(early.begin(), Err(Error::Cancelled)));
        let late = Steer::default();
        assert!(late.begin().is_ok() && !late.stopped());
        assert!(late.stop() && late.stopped());
    }
}
