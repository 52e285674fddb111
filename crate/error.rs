//! The library's one error type.
//!
//! Error text is lower-case and specific: it names the file or the field, what was expected and
//! what was found, and ends with one `hint:` line.

use std::fmt;

/// Result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by kind. `Display` is the whole message, hint included.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system (or the browser) refused to read or write.
    #[error("{file}: cannot {action}: {source}{hint}")]
    Io {
        /// File, URL or other name of the thing.
        file: String,
        /// What was tried, as a verb: `read`, `write`, `open`.
        action: &'static str,
        /// The system's own error.
        source: std::io::Error,
        /// What to do about it.
        hint: Hint,
    },
    /// A file is not what its format says: truncated, wrong type, absurd size.
    #[error("{file}: {what}: expected {expected}, found {found}{hint}")]
    Malformed {
        /// File, URL or other name of the source.
        file: String,
        /// Field, tensor or place in the file (line and column for text).
        what: String,
        /// What the format wants there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do about it.
        hint: Hint,
    },
    /// Something that was asked for is not there: a file, a tensor, a registry entry.
    #[error("{what} not found{hint}")]
    Missing {
        /// The thing, with the place where it was looked for.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// Well-formed, but not something that this program computes correctly; refused, not ignored.
    #[error("{what} is not supported{hint}")]
    Unsupported {
        /// The thing, with the file or field that asks for it.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// Two inputs that do not fit each other: an SAE of another width, another model's tokenizer.
    #[error("{what}: expected {expected}, found {found}{hint}")]
    Mismatch {
        /// What does not fit.
        what: String,
        /// What the one side wants.
        expected: String,
        /// What the other side has.
        found: String,
        /// What to do about it.
        hint: Hint,
    },
    /// The compute device failed or cannot hold what it was asked to hold.
    #[error("device: {what}{hint}")]
    Device {
        /// What happened.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// An argument or setting that cannot be meant.
    #[error("{what}{hint}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// The caller cancelled the work.
    #[error("cancelled{hint}", hint = Hint::none())]
    Cancelled,
}

/// The one `hint:` line of an error; empty hints print nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// No hint: only where there is nothing a user could do.
    pub fn none() -> Self {
        Self(String::new())
    }

    /// The text after `hint: `.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Hint {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "\n  hint: {}", self.0) }
    }
}

impl Error {
    /// An [`Error::Io`].
    pub fn io(file: impl Into<String>, action: &'static str, source: std::io::Error, hint: impl Into<Hint>) -> Self {
        Self::Io { file: file.into(), action, source, hint: hint.into() }
    }

    /// An [`Error::Malformed`].
    pub fn malformed(
        file: impl Into<String>,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<Hint>,
    ) -> Self {
        Self::Malformed {
            file: file.into(),
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
            hint: hint.into(),
        }
    }

    /// An [`Error::Missing`].
    pub fn missing(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Missing { what: what.into(), hint: hint.into() }
    }

    /// An [`Error::Unsupported`].
    pub fn unsupported(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Unsupported { what: what.into(), hint: hint.into() }
    }

    /// An [`Error::Mismatch`].
    pub fn mismatch(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<Hint>,
    ) -> Self {
        Self::Mismatch { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
    }

    /// An [`Error::Device`].
    pub fn device(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Device { what: what.into(), hint: hint.into() }
    }

    /// An [`Error::Usage`].
    pub fn usage(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Usage { what: what.into(), hint: hint.into() }
    }
}
