//! Which of a sample's three texts, and what it is called.

/// Which of a sample's three texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextKind {
    /// `prompt`.
    Prompt,
    /// `prompt + " " + fact`.
    Fact,
    /// `prompt + " " + hallucination`.
    Hall,
}

impl TextKind {
    /// All three, in the order in which a sample names them.
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Fact, Self::Hall];

    /// Name in messages and in the noise key: `prompt`, `fact`, `hallucination`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Fact => "fact",
            Self::Hall => "hallucination",
        }
    }

    /// Name in `features.parquet` and in columns of `metrics.parquet`: `prompt`, `fact`, `hall`.
    pub fn short(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Fact => "fact",
            Self::Hall => "hall",
        }
    }
}

/// The texts that fact-against-hallucination metrics have.
pub(super) const COMPARED: &[TextKind] = &[TextKind::Fact, TextKind::Hall];
