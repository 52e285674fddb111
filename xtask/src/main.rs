//! `cargo xtask`: everything that is done with this repository, one word each.

mod browser;
mod check;
mod demo;
mod dependencies;
mod fuzz;
mod generate;
mod golden;
mod lints;
mod paths;
mod precisions;
mod python;
mod ray;
mod reliability;
mod report;
mod run;
mod ship;
mod test;
mod wait;
mod wasm;
mod web;

use std::process::ExitCode;

use anyhow::Result;

use paths::Paths;

const HELP: &str = "\
Usage: cargo xtask COMMAND

Commands:
  check             formatting, lints (native and web), documentation, types of the page, dependencies
  lints             of check: lints and documentation, native
  test              all that CI runs: check, every test, the page and its tests in a browser
  web [--fast]      build the page into dist/: a static folder, with the default model and a run of it;
                    --fast leaves out packed copies and the limits of size
  demo [-- ARGS]    build, fetch what is missing, analyse the built-in 200 triples, write the report, show
                    the page with the results (where no terminal is: the command that shows it)
  generate          write anew what is made from the library: docs/METRICS.md, the page's words and types,
                    the list of columns; and the report's template (tests compare them)
  fuzz [--seconds N] [TARGET…]
                    libFuzzer over every reader of a foreign file, N seconds in all (60)
  reliability [--full]
                    kills, failing system calls, full disks, load, a hub's faults, as a table; --full tries all
                    of each, which takes most of an hour, and writes docs/RELIABILITY.md
  golden [SCRIPT]   make the reference data anew with Python; without a name, list the scripts
  ship              of check: what a release is made by (workflows, versions, packages)
  wheel [--test]    build the Python package, the command line inside, for this machine; --test tests it and
                    the Ray job
  npm               build the npm package: the page's engine, for pages of others
  ray               of test: the Ray job, with the wheel and a real Ray on this machine
  wasm              set up the compiler for the web target and say which one it is

Build folders: CARGO_TARGET_DIR where it is set, else the user's cache folder; the web target has
one of its own beside it. One profile (release), so that every dependency is built once.
SAESCOPE_WASM=rustup|debian chooses the web compiler; by default the first that works.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = lints::wrapped(&args).or_else(|| fuzz::wrapped(&args)) {
        return code;
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["check"] => with_paths(check::run),
        ["lints"] => with_paths(check::lints),
        ["test"] => with_paths(test::run),
        ["web"] => with_paths(|paths| web::run(paths, web::Care::Full).map(|()| true)),
        ["web", "--fast"] => with_paths(|paths| web::run(paths, web::Care::Fast).map(|()| true)),
        ["demo", rest @ ..] => with_paths(|paths| demo::run(paths, rest.strip_prefix(&["--"]).unwrap_or(rest))),
        ["generate"] => with_paths(generate::run),
        ["fuzz", rest @ ..] => with_paths(|paths| fuzz::run(paths, &fuzz::Options::read(rest)?)),
        ["reliability"] => with_paths(|paths| reliability::run(paths, false)),
        ["reliability", "--full"] => with_paths(|paths| reliability::run(paths, true)),
        ["golden", rest @ ..] => with_paths(|paths| golden::run(paths, rest)),
        ["ship"] => with_paths(ship::run),
        ["npm"] => with_paths(|paths| web::package::make(paths).map(|()| true)),
        ["wheel"] => with_paths(python::build),
        ["wheel", "--test"] => with_paths(ray::with_the_wheel),
        ["ray"] => with_paths(ray::alone),
        ["wasm"] => with_paths(|paths| wasm::Toolchain::find(paths).map(|_| true)),
        _ => {
            eprint!("error: unknown command `{}`\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn with_paths(command: impl FnOnce(&Paths) -> Result<bool>) -> Result<bool> {
    command(&Paths::find()?)
}
