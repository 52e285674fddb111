//! Progress on stderr: a bar on a terminal, plain lines otherwise.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;
use super::verdicts::Screen;
use crate::engine::{Observer, Progress, Timings};
use crate::platform::Clock;
use crate::stats::SwapObserver;

/// Seconds between plain lines.
const EVERY: f64 = 2.0;

/// `80/200 samples | 8.5 samples/s | ETA 14s`; `unit` is what is counted.
fn line(p: &Progress, unit: &str) -> String {
    let eta = p.eta().map_or_else(|| "ETA -".to_owned(), |s| format!("ETA {}", duration(s)));
    format!("{}/{} {unit} | {:.1} {unit}/s | {eta}", p.samples_done as usize, p.samples_total, p.rate())
}

/// `14s`, `2m05s`, `1h02m`
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
    }
}

/// Room on the terminal behind stderr for a text of one screen: 24 lines of 100 columns, or less where
/// the terminal is smaller.
pub fn screen() -> Screen {
    let (columns, lines) = match terminal_size::terminal_size_of(std::io::stderr()) {
        Some((columns, lines)) => (columns.0.into(), lines.0.into()),
        None => (usize::MAX, usize::MAX),
    };
    // a terminal of no size is one that does not know it
    let or_unknown = |size: usize, most: usize| if size == 0 { most } else { size.min(most) };
    Screen { lines: or_unknown(lines, 24), columns: or_unknown(columns, 100) }
}

/// Shows a run's progress.
pub struct Shown {
    bar: Option<ProgressBar>,
    last: Mutex<f64>,
    unit: &'static str,
}

impl Shown {
    /// A bar if stderr is a terminal.
    pub fn new(samples: usize) -> Self {
        Self::of(samples, "samples")
    }

    /// The same for work that is counted in another unit.
    pub fn of(total: usize, unit: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan/dim} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, last: Mutex::new(0.0), unit }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line of so much work; a bar has `more` beside it.
    fn show(&self, p: &Progress, more: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(p.samples_done as u64);
                bar.set_message(line(p, self.unit) + more);
            }
            None => {
                if let Ok(mut last) = self.last.lock() {
                    let done = p.samples_done as usize >= p.samples_total;
                    if done || p.seconds - *last >= EVERY {
                        *last = p.seconds;
                        say(&line(p, self.unit));
                    }
                }
            }
        }
    }
}

impl Observer for Shown {
    fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    fn progress(&self, p: &Progress) -> ControlFlow<()> {
        self.show(p, &format!(" | layer {}/{}", p.layer + 1, p.layers));
        ControlFlow::Continue(())
    }
}

/// Shows swaps, of which there are as many as the first of them says; what is over at once has no line.
pub struct Swapping {
    clock: Clock,
    done: AtomicUsize,
    shown: OnceLock<Shown>,
}

impl Swapping {
    /// Of none yet.
    pub fn new() -> Self {
        Self { clock: Clock::start(), done: AtomicUsize::new(0), shown: OnceLock::new() }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.shown.get().into_iter().for_each(Shown::finish);
    }
}

impl SwapObserver for Swapping {
    fn swapped(&self, swaps: usize) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let seconds = self.clock.seconds();
        if seconds < EVERY && self.shown.get().is_none() {
            return;
        }
        let shown = self.shown.get_or_init(|| Shown::of(swaps, "swaps"));
        shown.show(&counted(done, swaps, seconds), "");
    }
}

/// So many of all in so many seconds.
fn counted(done: usize, all: usize, seconds: f64) -> Progress {
    Progress {
        before: 0,
        samples_done: done as f64,
        samples_total: all,
        seconds,
        layer: 0,
        layers: 1,
        bytes_read: 0,
        timings: Timings::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_documented_one() {
        let p = counted(80, 200, 80.0 / 8.5);
        assert_eq!(line(&p, "samples"), "80/200 samples | 8.5 samples/s | ETA 14s");
        assert_eq!(duration(125.0), "2m05s");
        assert_eq!(duration(3725.0), "1h02m");
        let start = Progress { samples_done: 0.0, seconds: 0.0, ..p };
        assert_eq!(line(&start, "samples"), "0/200 samples | 0.0 samples/s | ETA -");
    }
}
