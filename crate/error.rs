//! The library's one error type.
//!
//! Error text is lower-case and specific: it names the file or the field, what was expected and
//! what was found, and ends with one `hint:` line. What comes from files is cut and escaped on the way in
//! ([`shown`]), so that an error can be shown anywhere.

mod text;

use std::fmt;

use text::{field, fields};
pub use text::{harmless, listed, shown, spoken};

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
    /// A device had no memory left for what it was asked to hold: less at once may fit.
    OutOfMemory {
        /// On what, in the driver's words.
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

    /// A hint of several lines.
    pub fn lines(lines: &[String]) -> Self {
        Self(lines.iter().map(|line| field(line)).collect::<Vec<_>>().join("\n        "))
    }
}

impl<T: Into<String>> From<T> for Hint {
    fn from(text: T) -> Self {
        Self(field(&text.into()))
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
            Self::Io { file, action, source, .. } => {
                format!("{file}: cannot {action}: {}", fields(&source.to_string()))
            }
            Self::Malformed { file, what, expected, found, .. } => {
                format!("{file}: {what}: expected {expected}, found {found}")
            }
            Self::Missing { what, .. } => format!("{what} not found"),
            Self::Unsupported { what, .. } => format!("{what} is not supported"),
            Self::Mismatch { what, expected, found, .. } => format!("{what}: expected {expected}, found {found}"),
            Self::Device { what, .. } => format!("device: {what}"),
            Self::OutOfMemory { what, .. } => format!("out of memory: {what}"),
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
            | Self::OutOfMemory { hint, .. }
            | Self::Usage { hint, .. } => Some(hint.0.as_str()).filter(|text| !text.is_empty()),
            Self::Cancelled => None,
        }
    }

    /// The same error with `lines` below what was found.
    #[must_use]
    pub fn with_lines(mut self, lines: &[String]) -> Self {
        if let Self::Malformed { found, .. } | Self::Mismatch { found, .. } = &mut self {
            lines.iter().for_each(|line| found.push_str(&format!("\n  {}", field(line))));
        }
        self
    }

    /// An [`Error::Io`].
    pub fn io(file: impl Into<String>, action: &'static str, source: std::io::Error, hint: impl Into<Hint>) -> Self {
        Self::Io { file: field(&file.into()), action, source, hint: hint.into() }
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
            file: field(&file.into()),
            what: field(&what.into()),
            expected: field(&expected.into()),
            found: field(&found.into()),
            hint: hint.into(),
        }
    }

    /// An [`Error::Missing`].
    pub fn missing(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Missing { what: field(&what.into()), hint: hint.into() }
    }

    /// An [`Error::Unsupported`].
    pub fn unsupported(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Unsupported { what: field(&what.into()), hint: hint.into() }
    }

    /// An [`Error::Mismatch`].
    pub fn mismatch(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<Hint>,
    ) -> Self {
        Self::Mismatch {
            what: field(&what.into()),
            expected: field(&expected.into()),
            found: field(&found.into()),
            hint: hint.into(),
        }
    }

    /// An [`Error::OutOfMemory`].
    pub fn out_of_memory(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::OutOfMemory { what: fields(&what.into()), hint: hint.into() }
    }

    /// An [`Error::Device`].
    pub fn device(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        // a driver's own words may have lines
        Self::Device { what: fields(&what.into()), hint: hint.into() }
    }

    /// An [`Error::Usage`].
    pub fn usage(what: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Usage { what: field(&what.into()), hint: hint.into() }
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
        assert_eq!(Hint::lines(&["a".into(), "b\nc".into()]), Hint("a\n        b\\nc".into()));
        let list = Error::malformed("a", "b", "c", "2 faults", "h").with_lines(&["one".into(), "two\nthree".into()]);
        assert_eq!(list.message(), "a: b: expected c, found 2 faults\n  one\n  two\\nthree");
    }

    #[test]
    fn an_error_is_short_and_steers_no_terminal_whatever_it_speaks_of() {
        let evil = format!("\u{1b}]0;title\u{7}\n  hint: run this\u{202e}{}", "x".repeat(3_000_000));
        let text = || evil.clone();
        let system = || std::io::Error::other(text());
        for error in [
            Error::io(text(), "read", system(), text()),
            Error::malformed(text(), text(), text(), text(), text()),
            Error::malformed(text(), text(), text(), text(), text()).with_lines(&[text(), text()]),
            Error::missing(text(), text()),
            Error::unsupported(text(), text()),
            Error::mismatch(text(), text(), text(), text()),
            Error::device(text(), text()),
            Error::usage(text(), text()),
        ] {
            let said = error.to_string();
            assert!(said.chars().count() < 6000, "{} characters", said.len());
            assert!(said.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{said}");
        }
        let forged = Error::missing(evil, "h").to_string();
        assert_eq!(forged.lines().filter(|line| line.trim_start().starts_with("hint:")).count(), 1, "{forged}");
    }
}
