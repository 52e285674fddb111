//! `cargo xtask generate`: files that are made from the library and committed.

use anyhow::Result;

use crate::paths::Paths;
use crate::run::{cargo, locked, succeeds};
use crate::web;

/// Has the report's template built, and runs the tests that compare the other files, with the variable that has
/// them written instead.
pub fn run(paths: &Paths) -> Result<bool> {
    // after them: the page's words go into it
    let template = |done| match web::ready(paths) {
        Ok(()) => web::report::write(paths).map(|()| done),
        Err(reason) => {
            println!("{}: left as it is: {reason:#}", web::report::TEMPLATE);
            Ok(done)
        }
    };
    let mut command = cargo(paths, &paths.target);
    command.args(["test", "--release", "--package", "saescope", "--lib", "--test", "tests"]).args(locked());
    succeeds(command.args(["--", "generated"]).env("SAESCOPE_GENERATE", "1")).and_then(template)
}
