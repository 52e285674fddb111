//! Ctrl-C during a run: what was claimed for it goes away again, and a second one ends at once.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use super::say;
use crate::error::{Error, Result};
use crate::platform::{self, Claim};

/// Watches for SIGINT, SIGTERM and SIGHUP (the terminal is gone): the first takes away an empty claimed folder, says so in a line and
/// ends the program with status 128 + the signal's number; a second ends it without waiting for that.
pub struct Interrupts {
    state: Arc<Mutex<State>>,
}

/// How far the run is.
enum State {
    /// Nothing is written.
    Running(Option<Claim>),
    /// The run's files are in this folder.
    Written(PathBuf),
}

impl Interrupts {
    /// Starts watching. A signal that the program was started to ignore stays ignored.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn watch() -> Result<Self> {
        let failed = |e| Error::io("the interrupt signal", "watch", e, "report this as a bug");
        let watched: Vec<i32> =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|s| !platform::ignores_signal(*s)).collect();
        let second = Arc::new(AtomicBool::new(false));
        for signal in &watched {
            // in this order: the first signal finds the flag down and raises it
            flag::register_conditional_shutdown(*signal, 128 + signal, Arc::clone(&second)).map_err(failed)?;
            flag::register(*signal, Arc::clone(&second)).map_err(failed)?;
        }
        let mut signals = Signals::new(&watched).map_err(failed)?;
        let state = Arc::new(Mutex::new(State::Running(None)));
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

    /// Claims a folder for the run.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn claim(&self, make: impl FnOnce() -> Result<Claim>) -> Result<PathBuf> {
        let mut state = lock(&self.state);
        let claim = make()?;
        let folder = claim.path().to_owned();
        *state = State::Running(Some(claim));
        Ok(folder)
    }

    /// Writes the run's files, which a signal waits for: they are there all or not at all. The claimed
    /// folder is kept where they are.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn writing(&self, folder: &Path, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = lock(&self.state);
        write()?;
        if let State::Running(Some(claim)) = std::mem::replace(&mut *state, State::Written(folder.to_owned())) {
            claim.keep();
        }
        Ok(())
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // a run that failed leaves no folder
        if let State::Running(claim) = &mut *lock(&self.state) {
            drop(claim.take());
        }
    }
}

/// Undoes what is not finished, and the line about it.
fn ended(state: &mut State) -> String {
    // a progress bar leaves its line open
    let line = if io::stderr().is_terminal() { "\n" } else { "" };
    match state {
        State::Running(claim) => {
            drop(claim.take());
            format!("{line}interrupted: nothing was written")
        }
        State::Written(folder) => format!("{line}interrupted: the run is complete in {}", folder.display()),
    }
}

/// What a thread that panicked left behind is a folder's name: whole.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
