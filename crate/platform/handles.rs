//! How many files may be open at once: 256 on macOS and 1024 on many a Linux, unless a process asks for more.

use crate::error::{Error, Result};

/// What a process opens beside what it was asked for.
const OTHERS: u64 = 64;

/// Asks the system to let this process have `files` open at once beside its own; what the system allows by
/// itself stays.
///
/// # Errors
/// [`Error::Usage`] where it allows fewer.
pub fn allow_open(files: usize) -> Result<()> {
    let wanted = files as u64 + OTHERS;
    // a system that does not tell has no such limit, or says so when a file is opened
    let Some(allowed) = raised(wanted) else { return Ok(()) };
    if allowed >= wanted {
        return Ok(());
    }
    Err(Error::usage(
        format!("{files} files are to be open at once, and this process may have {allowed}"),
        format!("`ulimit -n {wanted}` in this shell, or a higher hard limit of the system"),
    ))
}

#[cfg(unix)]
fn raised(wanted: u64) -> Option<u64> {
    let (soft, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).ok()?;
    if soft >= wanted { Some(soft) } else { rlimit::increase_nofile_limit(wanted).ok() }
}

#[cfg(not(unix))]
fn raised(_: u64) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_allowed_and_more_than_any_system_has_are_not() {
        allow_open(1).unwrap();
        #[cfg(unix)]
        {
            let message = allow_open(1 << 40).unwrap_err().to_string();
            assert!(message.contains("may have") && message.contains("ulimit -n"), "{message}");
        }
    }
}
