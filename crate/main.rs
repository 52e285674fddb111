//! The `saescope` command. Everything it does is in the library; it blocks once, here.

use std::process::ExitCode;

fn main() -> ExitCode {
    saescope::cli::main()
}
