//! The command line: arguments, progress, commands.

use std::process::ExitCode;

/// Runs the command line and maps its outcome to an exit status.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
