//! Calls that take long: the work is done by a thread of its own, while the calling one waits without the GIL, tells
//! the listener and looks for Ctrl-C.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use pyo3::prelude::*;
use saescope::cli::embed::{Listener, Steer};
use saescope::engine::{Observer, Progress};
use saescope::{Error, Result};

use crate::errors;

/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// What the worker has to say.
enum Told<T> {
    Note(String),
    Progress(Progress),
    Done(Result<T>),
}

/// The worker's observer. It needs no interpreter: what it says is passed on by the thread that waits.
pub struct Teller<T> {
    tell: Sender<Told<T>>,
    steer: Arc<Steer>,
}

impl<T: Send> Observer for Teller<T> {
    fn progress(&self, progress: &Progress) -> ControlFlow<()> {
        // nobody waits any more where the caller was interrupted twice
        let _ = self.tell.send(Told::Progress(*progress));
        if self.steer.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn note(&self, text: &str) {
        let _ = self.tell.send(Told::Note(text.to_owned()));
    }
}

/// Does `work` and gives what it gives.
///
/// The first Ctrl-C ends a run that is begun after the block that is being computed: it is waited for, so that
/// everything is in its place when KeyboardInterrupt is raised. What is not begun is not waited for, nor is anything
/// after a second Ctrl-C. An error of the listener's ends the work in the same way.
pub fn wait<T: Send + 'static>(
    py: Python<'_>,
    listener: &Bound<'_, PyAny>,
    steer: Arc<Steer>,
    work: impl FnOnce(&Teller<T>, Listener) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (tell, mut told) = channel();
    let teller = Teller { tell: tell.clone(), steer: steer.clone() };
    let worker = std::thread::Builder::new().name("saescope".to_owned());
    let started = worker.spawn(move || {
        let notes = tell.clone();
        let listener: Listener = Box::new(move |text| drop(notes.send(Told::Note(text.to_owned()))));
        let done = catch_unwind(AssertUnwindSafe(|| work(&teller, listener)));
        let _ = tell.send(Told::Done(done.unwrap_or_else(|_| Err(panicked()))));
    });
    started.map_err(|e| errors::of(py, &Error::io("a thread", "start", e, "close what else runs")))?;
    let mut ended: Option<PyErr> = None;
    loop {
        let (next, back) = py.detach(move || next(told));
        told = back;
        let mut told_of = match next {
            // one more error of its own would be taken for a second Ctrl-C; how to go on is told all the same
            Ok(Told::Progress(_)) if ended.is_some() => Ok(()),
            Ok(Told::Note(text)) if ended.is_some() => {
                let _ = listener.call_method1("note", (text,));
                Ok(())
            }
            Ok(Told::Note(text)) => listener.call_method1("note", (text,)).map(drop),
            Ok(Told::Progress(p)) => {
                let done = p.samples_done.min(p.samples_total as f64);
                let args = (done, p.samples_total, p.rate(), p.eta(), p.layer, p.layers);
                listener.call_method1("progress", args).map(drop)
            }
            Ok(Told::Done(done)) => {
                return match ended {
                    Some(error) => Err(error),
                    None => done.map_err(|error| errors::of(py, &error)),
                };
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            // the worker says how it ended, whatever happens
            Err(RecvTimeoutError::Disconnected) => return Err(errors::of(py, &panicked())),
        };
        told_of = told_of.and(py.check_signals());
        if let Err(error) = told_of {
            let again = ended.is_some();
            if again || !steer.stop() {
                return Err(error);
            }
            ended = Some(error);
        }
    }
}

/// The next message, and the receiver again: it goes along to where the GIL is not held.
fn next<T>(told: Receiver<Told<T>>) -> (Result<Told<T>, RecvTimeoutError>, Receiver<Told<T>>) {
    (told.recv_timeout(LOOK), told)
}

fn panicked() -> Error {
    Error::device("the library stopped unexpectedly", "its words are on stderr; please report them")
}
