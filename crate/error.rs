//! The library's one error type.
//!
//! Error text is lower-case and specific: it names the file or the field, what was expected and
//! what was found, and ends with one `hint:` line.

use std::fmt;

/// Result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by kind. `Display` is [`Error::message`] with the hint on a line of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system (or the browser) refused to read or write.
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
    Missing {
        /// The thing, with the place where it was looked for.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// Well-formed, but not something that this program computes correctly; refused, not ignored.
    Unsupported {
        /// The thing, with the file or field that asks for it.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// Two inputs that do not fit each other: an SAE of another width, another model's tokenizer.
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
    Device {
        /// What happened.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// An argument or setting that cannot be meant.
    Usage {
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        hint: Hint,
    },
    /// The caller cancelled the work.
    Cancelled,
}

/// What to do about an error; empty where there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// No hint: only where there is nothing a user could do.
    pub fn none() -> Self {
        Self(String::new())
    }
}

impl<T: Into<String>> From<T> for Hint {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

impl Error {
    /// What went wrong, expected against found, without the hint.
    pub fn message(&self) -> String {
        match self {
            Self::Io { file, action, source, .. } => format!("{file}: cannot {action}: {source}"),
            Self::Malformed { file, what, expected, found, .. } => {
                format!("{file}: {what}: expected {expected}, found {found}")
            }
            Self::Missing { what, .. } => format!("{what} not found"),
            Self::Unsupported { what, .. } => format!("{what} is not supported"),
            Self::Mismatch { what, expected, found, .. } => format!("{what}: expected {expected}, found {found}"),
            Self::Device { what, .. } => format!("device: {what}"),
            Self::Usage { what, .. } => what.clone(),
            Self::Cancelled => "cancelled".to_owned(),
        }
    }

    /// What the one side wanted, where two things differ.
    pub fn expected(&self) -> Option<&str> {
        match self {
            Self::Malformed { expected, .. } | Self::Mismatch { expected, .. } => Some(expected),
            _ => None,
        }
    }

    /// What was there instead, where two things differ.
    pub fn found(&self) -> Option<&str> {
        match self {
            Self::Malformed { found, .. } | Self::Mismatch { found, .. } => Some(found),
            _ => None,
        }
    }

    /// What to do about it; none where there is nothing a user could do.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Io { hint, .. }
            | Self::Malformed { hint, .. }
            | Self::Missing { hint, .. }
            | Self::Unsupported { hint, .. }
            | Self::Mismatch { hint, .. }
            | Self::Device { hint, .. }
            | Self::Usage { hint, .. } => Some(hint.0.as_str()).filter(|text| !text.is_empty()),
            Self::Cancelled => None,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_apart_and_display_puts_them_together() {
        let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        let source = gone.to_string();
        let all = [
            (Error::io("a.bin", "read", gone, "h"), format!("a.bin: cannot read: {source}")),
            (Error::malformed("a", "b", "c", "d", "h"), "a: b: expected c, found d".to_owned()),
            (Error::missing("a", "h"), "a not found".to_owned()),
            (Error::unsupported("a", "h"), "a is not supported".to_owned()),
            (Error::mismatch("a", "c", "d", "h"), "a: expected c, found d".to_owned()),
            (Error::device("a", "h"), "device: a".to_owned()),
            (Error::usage("a", "h"), "a".to_owned()),
        ];
        for (error, message) in all {
            assert_eq!(error.message(), message);
            assert_eq!(error.hint(), Some("h"));
            assert_eq!(error.to_string(), format!("{message}\n  hint: h"));
            let differ = matches!(error, Error::Malformed { .. } | Error::Mismatch { .. });
            assert_eq!((error.expected(), error.found()), if differ { (Some("c"), Some("d")) } else { (None, None) });
        }
        assert_eq!(Error::Cancelled.to_string(), "cancelled");
        assert_eq!(Error::usage("a", Hint::none()).to_string(), "a");
        // words that look like a hint stay in the message
        assert_eq!(Error::usage("a\n  hint: b", "h").hint(), Some("h"));
    }
}
