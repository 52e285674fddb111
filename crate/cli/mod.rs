//! The command line: arguments, progress, commands. Thin: everything it computes is in the library.
//!
//! Data goes to stdout, talk to stderr. Exit status 0 done, 1 the work failed, 2 bad usage.

mod active;
mod analyze;
pub mod args;
mod bench;
mod calibrate;
pub mod catalog;
mod closing;
pub mod cluster;
mod compare;
mod control_words;
mod convert;
mod dry_run;
mod durable;
pub mod embed;
mod feature_words;
mod fetch;
mod folder;
mod hash;
mod health;
pub mod inputs;
mod inspect;
mod interrupt;
mod known;
mod labels;
mod memory;
mod merge;
mod models;
mod pack;
mod profile;
mod progress;
mod random_model;
mod ready;
mod report;
mod serve;
mod setup;
mod siblings;
mod stats;
mod talk;
mod verdicts;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use futures::executor::block_on;

use crate::error::{Error, Result};
use crate::platform;
use args::{Cli, Command};
pub(crate) use talk::{megabytes, print, say};

/// Runs the command line and maps its outcome to an exit status.
pub fn main() -> ExitCode {
    ExitCode::from(main_with(std::env::args_os().collect()))
}

/// The same with a command line that is not the process' own: the name of the program, then its arguments. Gives
/// the exit status; what clap answers by itself (help, usage errors) ends the process.
///
/// It sets an environment variable, so no other thread may run yet.
pub fn main_with(words: Vec<OsString>) -> u8 {
    platform::keep_freed_memory();
    let filter = tracing_subscriber::EnvFilter::try_from_env("SAESCOPE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| talk::Stderr).init();
    let typed = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    // clap prints help to stdout and usage errors, with status 2, to stderr
    let cli = Cli::parse_from(words);
    if cli.command.looks_for_adapters() {
        // SAFETY: no other thread has been started yet
        unsafe { platform::no_display_for_adapters() };
    }
    match run(cli.command, typed) {
        Ok(code) => u8::from(code != ExitCode::SUCCESS),
        Err(error) if talk::reader_gone(&error) => 0,
        Err(error) => {
            say(&format!("error: {error}"));
            match error {
                Error::Usage { .. } => 2,
                _ => 1,
            }
        }
    }
}

/// `typed` are the words that `command` was read from.
fn run(command: Command, typed: Vec<String>) -> Result<ExitCode> {
    match command {
        Command::Analyze(args) => block_on(analyze::run(&args, typed)),
        Command::Merge(args) => merge::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Calibrate(args) => block_on(calibrate::run(&args)),
        Command::Verify(args) => block_on(verify::run(&args)),
        Command::Bench(args) => block_on(bench::run(&args)).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => block_on(inspect::run(&args)).map(|()| ExitCode::SUCCESS),
        Command::Health(args) => block_on(health::run(&args)).map(|()| ExitCode::SUCCESS),
        Command::Fetch(args) => block_on(fetch::run(&args)).map(|()| ExitCode::SUCCESS),
        Command::Convert(args) => block_on(convert::run(&args)),
        Command::Models => models::run().map(|()| ExitCode::SUCCESS),
        Command::Report(args) => block_on(report::run(&args)).map(|()| ExitCode::SUCCESS),
        Command::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Pack(args) => pack::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "saescope", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
