//! Each system call of a run that changes a disk, failing or being its last, by strace.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use super::{Bench, Standing, row, tries};
use crate::cli::Run;
use crate::durable::{SPOOL, analyze};

/// The calls that change something; `openat` where it makes a file.
const CALLS: &str = "write,pwrite64,fsync,fdatasync,ftruncate,fallocate,openat,mkdir,rename,renameat2,unlink,unlinkat";

/// The same command under strace.
fn traced(command: &Command, options: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--quiet=all"]).args(options).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        strace.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap_or_default());
    }
    // one order of the calls
    strace.env("RAYON_NUM_THREADS", "1");
    strace
}

/// A call of the main thread: its name, how many of that name came before, and how it looked.
struct Call {
    name: String,
    number: usize,
    line: String,
}

/// The calls of an unbroken run that change something, in order.
fn calls(run: &Run, command: &Command) -> Vec<Call> {
    let log = run.path("calls.txt");
    let trace = format!("--trace={CALLS}");
    let output = traced(command, &[&trace, "--output", log.to_str().unwrap()]).output().expect("strace");
    assert_eq!(output.status.code(), Some(1), "one sample fails: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let main = text.split_whitespace().next().unwrap().to_owned();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        // a call that is interrupted by another thread's comes in two lines, the first with its name
        let Some((name, arguments)) = rest.trim_start().split_once('(') else { continue };
        if pid != main || name.starts_with('<') {
            continue;
        }
        let number = counts.entry(name.to_owned()).or_default();
        *number += 1;
        if name != "openat" || arguments.contains("O_CREAT") {
            calls.push(Call { name: name.to_owned(), number: *number, line: line.to_owned() });
        }
    }
    calls
}

/// So many of them, evenly spread, the first and the last among them.
fn spread(calls: Vec<Call>, most: usize) -> Vec<Call> {
    let n = calls.len();
    let step = |i: usize| i * (n - 1) / (most - 1).max(1);
    let chosen: std::collections::BTreeSet<usize> =
        if n <= most { (0..n).collect() } else { (0..most).map(step).collect() };
    calls.into_iter().enumerate().filter(|(i, _)| chosen.contains(i)).map(|(_, call)| call).collect()
}

/// Runs a command whose so-and-so-manieth call meets this fate.
fn struck(command: &Command, call: &Call, fate: &str) -> Output {
    let inject = format!("--inject={}:{fate}:when={}", call.name, call.number);
    let trace = format!("--trace={}", call.name);
    traced(command, &[&trace, &inject, "--output", "/dev/null"]).output().unwrap()
}

/// After an error the program ends in words, not in a panic; a status of success means that all is there.
fn ended_well(output: &Output, standing: Standing, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{what}: {text}");
    match output.status.code() {
        // one sample of these fails, so that the status of a whole run is 1 too
        Some(1) if text.contains("error: ") => assert!(text.contains("hint:"), "{what}: {text}"),
        Some(0 | 1) => assert_eq!(standing, Standing::New, "{what}: {text}"),
        Some(2) => assert_ne!(standing, Standing::Nothing, "{what}: {text}"),
        code => panic!("{what}: ended with {code:?}: {text}"),
    }
}

fn partial(out: &Path) -> bool {
    std::fs::read_dir(out)
        .into_iter()
        .flatten()
        .flatten()
        .any(|e| e.file_name().to_string_lossy().starts_with(".partial"))
}

#[test]
#[ignore = "needs strace; cargo xtask test runs it"]
fn injected_errors_lose_nothing() {
    let bench = Bench::new(8);
    let command = analyze(&bench.run, &["--out", "out", "--force"]);
    bench.lay();
    let calls = spread(calls(&bench.run, &command), tries(12, usize::MAX));
    for (fate, name) in
        [("error=ENOSPC", "no space left"), ("error=EIO", "an I/O error"), ("error=EDQUOT", "a full quota")]
    {
        let mut counts: HashMap<Standing, usize> = HashMap::new();
        for call in &calls {
            let what = format!("{fate} at {}", call.line);
            let out = bench.lay();
            let output = struck(&command, call, fate);
            let standing = bench.standing(&out, &what);
            ended_well(&output, standing, &what);
            assert_ne!(standing, Standing::Nothing, "{what}: nothing is left");
            assert!(!partial(&out) || call.name.starts_with("unlink"), "{what}: leaves files aside");
            *counts.entry(standing).or_default() += 1;
            bench.recover(&out, &what);
        }
        let of = |standing| counts.get(&standing).copied().unwrap_or(0);
        let outcome = format!(
            "0 lost: the earlier run whole {}, resumable {}, done {}",
            of(Standing::Old),
            of(Standing::Unfinished),
            of(Standing::New)
        );
        row(
            &format!("a run takes an earlier one's place; {name} at one of {} writing calls", calls.len()),
            calls.len(),
            &outcome,
        );
    }
}

#[test]
#[ignore = "needs strace; cargo xtask test runs it"]
fn a_kill_at_any_call_loses_nothing() {
    let bench = Bench::new(8);
    let command = analyze(&bench.run, &["--out", "out", "--force"]);
    bench.lay();
    let calls = spread(calls(&bench.run, &command), tries(20, usize::MAX));
    let (mut old, mut unfinished, mut new) = (0, 0, 0);
    for call in &calls {
        let what = format!("killed at {}", call.line);
        let out = bench.lay();
        struck(&command, call, "signal=SIGKILL");
        match bench.standing(&out, &what) {
            Standing::Old => old += 1,
            Standing::Unfinished => unfinished += 1,
            Standing::New => new += 1,
            Standing::Nothing => panic!("{what}: nothing is left"),
        }
        bench.recover(&out, &what);
    }
    let outcome = format!("0 lost: the earlier run whole {old}, resumable {unfinished}, done {new}");
    row("a run takes an earlier one's place; kill −9 at one of its writing calls", calls.len(), &outcome);
}

#[test]
#[ignore = "needs strace; cargo xtask test runs it"]
fn a_resumed_run_that_is_struck_can_be_resumed() {
    let bench = Bench::new(8);
    // half a run: killed at the write that begins its third pass or so
    let first = analyze(&bench.run, &["--out", "out"]);
    let writes: Vec<Call> = calls(&bench.run, &first).into_iter().filter(|call| call.name == "fsync").collect();
    let out = bench.run.path("out");
    let begin = || {
        std::fs::remove_dir_all(&out).unwrap();
        struck(&first, &writes[3], "signal=SIGKILL");
        assert!(out.join(SPOOL).exists() && !out.join("manifest.json").exists());
    };
    begin();
    let resume = bench.run.command(&["analyze", "--resume", "out"]);
    let calls = spread(calls(&bench.run, &resume), tries(12, usize::MAX));
    for (fate, name) in [("error=ENOSPC", "no space left"), ("signal=SIGKILL", "kill −9")] {
        for call in &calls {
            let what = format!("{fate} at {} of a resumed run", call.line);
            begin();
            let output = struck(&resume, call, fate);
            let standing = bench.standing(&out, &what);
            assert!(matches!(standing, Standing::Unfinished | Standing::New), "{what}: {standing:?}");
            if fate.starts_with("error") {
                ended_well(&output, standing, &what);
            }
            bench.recover(&out, &what);
        }
        row(
            &format!("a resumed run; {name} at one of its writing calls"),
            calls.len(),
            "0 lost: resumed again to the same bytes",
        );
    }
}

/// On a disk of so many kilobytes of its own; what it held afterwards lies in `kept`.
fn on_small_disk(run: &Run, command: &Command, kilobytes: usize) -> Output {
    let script = format!(
        "set -e; mkdir -p disk; mount -t tmpfs -o size={kilobytes}k tmpfs disk; code=0; \"$0\" \"$@\" || code=$?; \
         rm -rf kept; cp -a disk kept; exit $code"
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    unshare.arg(command.get_program()).args(command.get_args()).current_dir(run.path(""));
    for (name, value) in command.get_envs() {
        unshare.env(name, value.unwrap_or_default());
    }
    unshare.output().expect("unshare")
}

#[test]
#[ignore = "needs strace (and user namespaces); cargo xtask test runs it"]
fn a_disk_that_is_full_ends_a_run_in_words() {
    let bench = Bench::new(8);
    let command = analyze(&bench.run, &["--out", "disk/out"]);
    let sizes: Vec<usize> = (0..tries(8, 40)).map(|i| 16 + i * tries(64, 12)).collect();
    let (mut refused, mut midway, mut done) = (0, 0, 0);
    for &size in &sizes {
        let what = format!("a disk of {size} KB");
        let output = on_small_disk(&bench.run, &command, size);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let out = bench.run.path("kept/out");
        let standing = bench.standing(&out, &what);
        ended_well(&output, standing, &what);
        match standing {
            Standing::New => done += 1,
            Standing::Unfinished => midway += 1,
            _ => {
                assert!(text.contains("space") || text.contains("room"), "{what}: {text}");
                assert!(!out.exists(), "{what}: an empty folder is left");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && done > 0, "{refused} {midway} {done}");
    let outcome = format!("0 lost: refused before computing {refused}, resumable {midway}, done {done}");
    row(&format!("a disk of {} to {} KB", sizes[0], sizes[sizes.len() - 1]), sizes.len(), &outcome);
}
