//! `saescope analyze`: the full run, from its beginning or from where it was broken.

use std::process::ExitCode;

use super::args::Analyze;
use super::closing::closing;
use super::durable::{self, Door, Steer};
use super::folder::RunFolder;
use super::interrupt::Interrupts;
use super::profile::Profile;
use super::progress::{Shown, screen};
use super::ready::Ready;
use super::{dry_run, print, say, talk};
use crate::engine::Outcome;
use crate::error::Result;

/// Runs the command; `words` are those that `args` were read from, without the program's name.
///
/// # Errors
/// Whatever ends the run. Failed samples do not: they give exit status 1 after the files are
/// written.
pub async fn run(args: &Analyze, words: Vec<String>) -> Result<ExitCode> {
    if args.dry_run {
        return dry_run::run(args).await.map(|()| ExitCode::SUCCESS);
    }
    let interrupts = Interrupts::watch()?;
    let door = Door { interrupts: &interrupts, rows: None, embedded: false, steer: &Steer::default() };
    match &args.resume {
        Some(folder) => {
            let (args, ready, folder) = durable::resume(folder, &door).await?;
            measure(&args, &ready, folder, &interrupts).await
        }
        None => {
            let Some((ready, folder)) = durable::begin(args, words, &door).await? else {
                // by chance, in a data set of few samples: no task of an array has failed
                say(&format!("{}; nothing is written", durable::empty(args.shard).message()));
                return Ok(ExitCode::SUCCESS);
            };
            measure(args, &ready, folder, &interrupts).await
        }
    }
}

/// Measures what is left, writes the files, and says what came of it.
async fn measure(args: &Analyze, ready: &Ready, mut folder: RunFolder, interrupts: &Interrupts) -> Result<ExitCode> {
    say(&ready.heading(folder.spool.header().samples));
    let computes = ready.request().computes;
    let shown = Shown::new(folder.spool.header().samples);
    let mut profile = Profile::begin(args.profile, computes);
    let mut kept = |pass: &Outcome| profile.add(pass);
    let finished = durable::measure(args, ready, &mut folder, interrupts, &shown, &mut kept).await;
    shown.finish();
    profile.finish(computes).await;
    let finished = finished?;
    if args.profile {
        // the run is there, whatever becomes of this
        if let Err(error) = profile.write(&folder.out) {
            say(&format!("warning: {error}"));
        }
        say(&profile.text());
    }
    say(&closing(&folder.shown, &finished, &ready.doubts, screen()));
    match print(&format!("{}\n", folder.shown.display())) {
        // the run is there all the same, and its status is the run's
        Err(error) if talk::reader_gone(&error) => {}
        result => result?,
    }
    Ok(if finished.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
