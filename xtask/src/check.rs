//! `cargo xtask check`: formatting, lints, documentation.

use anyhow::Result;

use crate::paths::Paths;
use crate::report::{Outcome, Report};
use crate::run::{cargo, locked, succeeds};
use crate::wasm::Toolchain;

pub fn run(paths: &Paths) -> Result<bool> {
    let mut report = Report::default();
    steps(paths, &mut report);
    Ok(report.close())
}

/// The checks; `test` runs them too.
pub fn steps(paths: &Paths, report: &mut Report) {
    report.step("formatting", || {
        Ok(Outcome::Check(succeeds(cargo(paths, &paths.target).args(["fmt", "--all", "--", "--check"]))?))
    });
    report.step("lints, native", || {
        let mut command = cargo(paths, &paths.target);
        command.args(["clippy", "--release", "--workspace", "--all-targets"]).args(locked());
        Ok(Outcome::Check(succeeds(command.args(["--", "-D", "warnings"]))?))
    });
    report.step("documentation", || {
        let mut command = cargo(paths, &paths.target);
        command.args(["doc", "--release", "--no-deps", "--lib", "--package", "saescope"]).args(locked());
        Ok(Outcome::Check(succeeds(command.env("RUSTDOCFLAGS", "-D warnings"))?))
    });
    // clippy compiles the library as `cargo check` does: this is also the test that it builds there
    report.step("lints and compile check, web", || {
        let mut command = Toolchain::find(paths)?.clippy(paths);
        command.args(["--release", "--lib", "--package", "saescope"]).args(locked());
        // its clippy.toml bans what a browser does not have
        command.env("CLIPPY_CONF_DIR", paths.root.join("scripts/clippy_wasm"));
        // what is shared between threads on native holds JavaScript values on the web, and stays an Arc
        command.args(["--", "-D", "warnings", "-A", "clippy::arc_with_non_send_sync"]);
        Ok(Outcome::Check(succeeds(&mut command)?))
    });
}
