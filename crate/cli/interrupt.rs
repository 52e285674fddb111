//! Ctrl-C during a run: what was claimed for it goes away again, and a second one ends at once.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use super::closing::quoted;
use super::say;
use crate::error::{Error, Result};
use crate::platform::{self, Claim};

/// Watches for SIGINT, SIGTERM and SIGHUP (the terminal is gone): the first takes away a run of which
/// nothing is measured, says in a line how things stand and ends the program with status 128 + the
/// signal's number; a second ends it without waiting for that.
pub struct Interrupts {
    state: Arc<Mutex<State>>,
}

/// How far the run is.
enum State {
    /// Nothing is begun.
    Idle,
    /// Under way.
    Running(Running),
    /// The run's files are in this folder.
    Written(PathBuf),
}

/// A run under way.
struct Running {
    /// Its folder, as it was named.
    folder: PathBuf,
    spool: PathBuf,
    /// Samples in the spool, and in all.
    kept: usize,
    samples: usize,
    /// The folder, where this process made it.
    claim: Option<Claim>,
}

impl Running {
    /// Takes away a run that has nothing; leaves the others to be resumed.
    fn stop(self) {
        if self.kept == 0 {
            // what cannot be removed is found, and named, by the next run there
            let _ = std::fs::remove_file(&self.spool);
        } else if let Some(claim) = self.claim {
            claim.keep();
        }
    }
}

impl Interrupts {
    /// Starts watching. A signal that the program was started to ignore stays ignored.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn watch() -> Result<Self> {
        raised()?;
        let mut signals = Signals::new(watched()).map_err(failed)?;
        let state = Arc::new(Mutex::new(State::Idle));
        let watched = Arc::clone(&state);
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                say(&ended(&mut lock(&watched)));
                // the work goes on in other threads: nothing of theirs is torn down under them
                low_level::exit(128 + signal);
            }
        });
        Ok(Self { state })
    }

    /// Watches for nothing: signals are the business of the program that this library is part of. A run that
    /// ends early leaves behind what it leaves after a signal.
    pub fn unwatched() -> Self {
        Self { state: Arc::new(Mutex::new(State::Idle)) }
    }

    /// Before a folder is claimed: a signal waits until it is known whose the folder is, so that it goes away again.
    pub fn beginning(&self) -> Beginning<'_> {
        Beginning(lock(&self.state))
    }

    /// So many samples are in the spool.
    pub fn kept(&self, samples: usize) {
        if let State::Running(running) = &mut *lock(&self.state) {
            running.kept = samples;
        }
    }

    /// Writes the run's files, which a signal waits for: they are there all or not at all. The claimed
    /// folder is kept where they are.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn writing(&self, folder: &Path, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = lock(&self.state);
        write()?;
        if let State::Running(Running { claim: Some(claim), .. }) =
            std::mem::replace(&mut *state, State::Written(folder.to_owned()))
        {
            claim.keep();
        }
        Ok(())
    }
}

/// A run that is about to begin.
pub struct Beginning<'a>(MutexGuard<'a, State>);

impl Beginning<'_> {
    /// It has begun: its folder as it was named, its spool, and how many samples it has.
    pub fn began(mut self, folder: &Path, spool: PathBuf, samples: usize, claim: Option<Claim>) {
        *self.0 = State::Running(Running { folder: folder.to_owned(), spool, kept: 0, samples, claim });
    }
}

/// A flag that the first SIGINT, SIGTERM or SIGHUP raises; the second one ends the program.
///
/// # Errors
/// [`Error::Io`] when the system refuses.
pub fn raised() -> Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in watched() {
        // in this order: the first signal finds the flag down and raises it
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&raised)).map_err(failed)?;
        flag::register(signal, Arc::clone(&raised)).map_err(failed)?;
    }
    Ok(raised)
}

/// Which signal came, for work that ends itself where it can.
pub struct Caught(Arc<AtomicUsize>);

impl Caught {
    /// Watches from now on, as [`raised`] does.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn watch() -> Result<Self> {
        raised()?;
        let caught = Arc::new(AtomicUsize::new(0));
        for signal in watched() {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&caught), number).map_err(failed)?;
        }
        Ok(Self(caught))
    }

    /// The exit status of a program that it ended: 128 and its number; none where none came.
    pub fn status(&self) -> Option<u8> {
        let signal = self.0.load(Ordering::Relaxed);
        if signal == 0 { None } else { u8::try_from(128 + signal).ok() }
    }
}

/// A signal that the program was started to ignore stays ignored.
fn watched() -> Vec<i32> {
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|s| !platform::ignores_signal(*s)).collect()
}

fn failed(e: io::Error) -> Error {
    Error::io("the interrupt signal", "watch", e, "report this as a bug")
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // a run that failed at once leaves nothing
        if let State::Running(running) = std::mem::replace(&mut *lock(&self.state), State::Idle) {
            running.stop();
        }
    }
}

/// Undoes what is not worth keeping, and the line about it.
fn ended(state: &mut State) -> String {
    // a progress bar leaves its line open
    let line = if io::stderr().is_terminal() { "\n" } else { "" };
    match std::mem::replace(state, State::Idle) {
        State::Running(running) if running.kept > 0 => {
            let Running { folder, kept, samples, .. } = &running;
            let resume = format!("saescope analyze --resume {}", quoted(folder));
            let said = format!("{line}interrupted: {kept} of {samples} samples are kept; go on with: {resume}");
            running.stop();
            said
        }
        State::Running(running) => {
            running.stop();
            format!("{line}interrupted: nothing was written")
        }
        State::Idle => format!("{line}interrupted: nothing was written"),
        State::Written(folder) => format!("{line}interrupted: the run is complete in {}", folder.display()),
    }
}

/// What a thread that panicked left behind is a folder's name: whole.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_caught_once_and_is_the_exit_status() {
        let caught = Caught::watch().unwrap();
        assert_eq!(caught.status(), None);
        // the first does not end the program
        low_level::raise(SIGTERM).unwrap();
        assert_eq!(caught.status(), Some(143));
    }
}
