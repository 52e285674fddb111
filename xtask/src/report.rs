//! What ran, what failed, what could not run and why: printed last.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps of one command, in order.
#[derive(Debug)]
pub struct Report {
    steps: Vec<Step>,
    begun: Instant,
}

impl Default for Report {
    fn default() -> Self {
        Self { steps: Vec::new(), begun: Instant::now() }
    }
}

#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
    time: Duration,
}

/// How a step ended.
#[derive(Debug)]
pub enum Outcome {
    /// A check that is right or wrong as a whole.
    Check(bool),
    /// Tests, counted; `whole` is false where the program that ran them failed.
    Tests { passed: usize, failed: usize, whole: bool },
    /// Could not run, with the reason.
    Ignored(String),
}

/// What another program's test runner says.
#[derive(Debug, Default, PartialEq)]
pub struct Results {
    /// Tests that passed.
    pub passed: usize,
    /// Those that did not.
    pub failed: usize,
    /// Whether the runner was content.
    pub whole: bool,
    /// Name and reason of each that did not run.
    pub skipped: Vec<(String, String)>,
}

impl Report {
    /// Runs a step. A step that cannot even start has failed; the others still run.
    pub fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Outcome>) {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = run().unwrap_or_else(|error| {
            println!("error: {error:#}");
            Outcome::Check(false)
        });
        let time = start.elapsed();
        // told at once: a run that is ended has no summary
        println!("-- {name}: {} s, {} s since the start", time.as_secs(), self.begun.elapsed().as_secs());
        self.steps.push(Step { name: name.to_owned(), outcome, time });
    }

    /// Notes something that did not run.
    pub fn ignored(&mut self, name: String, reason: String) {
        self.steps.push(Step { name, outcome: Outcome::Ignored(reason), time: Duration::ZERO });
    }

    /// Prints the summary; true if nothing failed. The last line is `N passed, N failed, N skipped`.
    pub fn close(self) -> bool {
        println!("\n== summary");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for Step { name, outcome, time } in &self.steps {
            let seconds = time.as_secs();
            match outcome {
                Outcome::Check(true) => {
                    passed += 1;
                    println!("ok       {name} ({seconds} s)");
                }
                Outcome::Check(false) => {
                    failed += 1;
                    println!("FAILED   {name} ({seconds} s)");
                }
                Outcome::Tests { passed: p, failed: f, whole } => {
                    passed += p;
                    // a test program that does not build, or dies, fails without a failed test
                    failed += if *whole { *f } else { (*f).max(1) };
                    let word = if *whole { "ok    " } else { "FAILED" };
                    println!("{word}   {name}: {p} passed, {f} failed ({seconds} s)");
                }
                Outcome::Ignored(reason) => {
                    skipped += 1;
                    println!("ignored  {name}: {reason}");
                }
            }
        }
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        failed == 0
    }
}
