//! Runs that are ended from outside at any moment, and runs that want one folder.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Bench, Standing, row, tries};
use crate::durable::{SPOOL, analyze, draws};

/// About how long an unbroken run takes here.
fn length(bench: &Bench) -> Duration {
    let begun = Instant::now();
    bench.lay();
    analyze(&bench.run, &["--out", "out", "--force"]).output().unwrap();
    begun.elapsed()
}

fn begin(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_kill_at_any_moment_loses_nothing() {
    let bench = Bench::new(40);
    let length = length(&bench);
    let n = tries(8, 100);
    let mut counts = [0; 3];
    for draw in draws(n) {
        let out = bench.lay();
        let mut child = begin(&mut analyze(&bench.run, &["--out", "out", "--force"]));
        std::thread::sleep(length.mul_f64((draw % 1000) as f64 / 1000.0));
        child.kill().unwrap();
        child.wait().unwrap();
        let standing = bench.standing(&out, "a kill");
        assert_ne!(standing, Standing::Nothing);
        counts[standing as usize] += 1;
        bench.recover(&out, "a kill");
    }
    let [old, new, unfinished] = counts;
    let outcome = format!("0 lost: the earlier run whole {old}, resumable {unfinished}, done {new}");
    row("a run takes an earlier one's place; kill −9 at a random moment", n, &outcome);
}

#[test]
#[cfg(unix)]
fn a_signal_at_any_moment_leaves_a_run_or_what_goes_on() {
    let bench = Bench::new(40);
    let length = length(&bench);
    let n = tries(8, 100);
    let (mut told, mut gone, mut done) = (0, 0, 0);
    for (i, draw) in draws(n).enumerate() {
        let out = bench.run.path("out");
        std::fs::remove_dir_all(&out).unwrap();
        let (signal, code) = [("INT", 130), ("TERM", 143), ("HUP", 129)][i % 3];
        let child = begin(&mut analyze(&bench.run, &["--out", "out"]));
        std::thread::sleep(length.mul_f64((draw % 1000) as f64 / 1000.0));
        // it may have ended by itself
        let _ = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).output();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let standing = out.exists().then(|| bench.standing(&out, signal));
        match standing {
            // before it watches for signals, the system ends it
            None => {
                assert!(output.status.code().is_none_or(|found| found == code), "{signal}: {text}");
                gone += 1;
            }
            Some(Standing::Unfinished) => {
                assert_eq!(output.status.code(), Some(code), "{signal}: {text}");
                assert!(text.contains("saescope analyze --resume out"), "{signal}: {text}");
                told += 1;
            }
            Some(Standing::New) => done += 1,
            Some(other) => panic!("{signal}: {other:?}: {text}"),
        }
        assert!(!text.contains("panicked"), "{text}");
        if standing.is_some() {
            bench.recover(&out, signal);
        } else {
            std::fs::create_dir(&out).unwrap();
        }
    }
    let outcome = format!("0 lost: says how to resume {told}, nothing begun and nothing left {gone}, done {done}");
    row("SIGINT, SIGTERM or SIGHUP at a random moment", n, &outcome);
}

#[test]
fn of_runs_into_one_folder_one_writes() {
    let bench = Bench::new(40);
    let n = tries(3, 25);
    for _ in 0..n {
        let out = bench.lay();
        let runs: Vec<Child> = (0..4).map(|_| begin(&mut analyze(&bench.run, &["--out", "out", "--force"]))).collect();
        let mut refused = 0;
        for child in runs {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!text.contains("panicked"), "{text}");
            match output.status.code() {
                Some(2) => {
                    assert!(text.contains("another process"), "{text}");
                    refused += 1;
                }
                // one sample fails
                code => assert!(code == Some(1) && !text.contains("error: "), "{text}"),
            }
        }
        assert!(refused < 4);
        assert_eq!(bench.standing(&out, "four at once"), Standing::New);
        assert!(!out.join(SPOOL).exists());
    }
    row("four runs into one folder at once", n, "0 mixed: one run whole, the others refused by name or after it");
}
