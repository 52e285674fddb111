//! Says before a long step what it does and about how long it takes.

use std::thread;

use crate::paths::Paths;

/// A step that takes minutes when nothing of it is there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Long {
    /// The native program and everything it is built from.
    Program,
    /// The library as WebAssembly, the page around it, packed copies.
    Page,
}

impl Long {
    fn what(self) -> &'static str {
        match self {
            Self::Program => "building the program",
            Self::Page => "building the page: the library again, as WebAssembly, then the script around it",
        }
    }

    /// Minutes of one core from nothing, and the least however many cores there are: some parts wait
    /// for one another. Read off a demo in a fresh clone with an empty cache.
    fn cost(self) -> (u64, u64) {
        match self {
            Self::Program => (20, 6),
            Self::Page => (18, 7),
        }
    }

    /// Whether a build of it is there, so that only what changed is built.
    fn begun(self, paths: &Paths) -> bool {
        match self {
            Self::Program => paths.native_program().is_file(),
            Self::Page => paths.wasm_target.join("pkg").is_dir(),
        }
    }
}

/// Prints one line: what comes now, and how long it takes about.
pub fn announce(paths: &Paths, step: Long) {
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    println!("\n{}", line(step, step.begun(paths), cores));
}

fn line(step: Long, begun: bool, cores: u64) -> String {
    if begun {
        return format!("{}: only what has changed since the last time", step.what());
    }
    let (work, least) = step.cost();
    let minutes = work.div_ceil(cores).max(least);
    let cores = if cores == 1 { "one core".to_owned() } else { format!("{cores} cores") };
    format!("{}: about {minutes} minutes on {cores}, this first time", step.what())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_cores_take_less_down_to_a_least() {
        let minutes = |step, cores| {
            let text = line(step, false, cores);
            let number = text.split("about ").nth(1).and_then(|rest| rest.split(' ').next());
            number.and_then(|n| n.parse::<u64>().ok()).expect("a number of minutes")
        };
        for step in [Long::Program, Long::Page] {
            assert!(minutes(step, 1) > minutes(step, 2), "{step:?}");
            assert_eq!(minutes(step, 64), step.cost().1, "{step:?}");
        }
        assert!(!line(Long::Program, true, 2).contains("minutes"));
    }
}
