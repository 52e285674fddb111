//! Foreign text: what files, their tensors, fields and ids are called and say. Nothing of it may steer a
//! terminal, forge a line of ours or drown a message, so it passes through here: into an [`super::Error`] by
//! its constructors, to the terminal by the command line's `say` and `print`.

use std::borrow::Cow;

/// Most characters of a name that stands in a sentence.
const NAME: usize = 120;
/// Most characters of one part of an error: what, expected, found.
const FIELD: usize = 600;
/// Most characters of a line that the program says.
const LINE: usize = 2000;
/// Most lines of a part of an error that may have several.
const LINES: usize = 40;

/// Whether a terminal would obey `c` instead of showing it: control characters (C0, DEL, C1), and those
/// that turn the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `most` characters of `text`, in one line, with escapes in place of what would steer a terminal.
fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for c in text.chars().take(most) {
        if steers(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    if text.chars().nth(most).is_some() {
        line.push('…');
    }
    line
}

/// A name or value out of a file, fit for a sentence.
pub fn shown(text: &str) -> String {
    one_line(text, NAME)
}

/// Names out of a file as a list, the first few of many.
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const MOST: usize = 12;
    let mut list: Vec<String> = names.iter().take(MOST).map(|name| shown(name.as_ref())).collect();
    if names.len() > MOST {
        list.push(format!("and {} more", names.len() - MOST));
    }
    list.join(", ")
}

/// One part of an error.
pub(super) fn field(text: &str) -> String {
    one_line(text, FIELD)
}

/// A part of an error that has lines of its own.
pub(super) fn fields(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().take(LINES).map(field).collect();
    if text.lines().nth(LINES).is_some() {
        lines.push("…".to_owned());
    }
    lines.join("\n")
}

/// Text as a terminal may have it: line ends and tabs stay, everything else that would steer it is escaped.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| steers(c) && !matches!(c, '\n' | '\t');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// [`harmless`] text whose lines end somewhere: for talk, which nobody reads by the megabyte.
pub fn spoken(text: &str) -> Cow<'_, str> {
    if text.split('\n').all(|line| line.len() <= LINE) {
        return harmless(text);
    }
    let cut = |line: &str| match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", harmless(&line[..end])),
        None => harmless(line).into_owned(),
    };
    Cow::Owned(text.split('\n').map(cut).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_nothing_else() {
        let evil = "a\u{1b}[2Jb\u{7f}c\u{9b}31md\u{202e}e\u{2066}f\rg\0h";
        let tame = "a\\u{1b}[2Jb\\u{7f}c\\u{9b}31md\\u{202e}e\\u{2066}f\\rg\\u{0}h";
        assert_eq!(harmless(evil), tame);
        assert_eq!(shown(evil), tame);
        assert_eq!(spoken(evil), tame);
        let good = "Größe 一つ 🦊 \"quoted\" back\\slash ▁token";
        assert!(matches!(harmless(good), Cow::Borrowed(text) if text == good));
        assert_eq!(shown(good), good);
        assert_eq!(harmless("a\n\tb"), "a\n\tb");
        assert_eq!(shown("a\n\tb"), "a\\n\\tb");
        assert_eq!(fields("a\u{1b}\nb"), "a\\u{1b}\nb");
    }

    #[test]
    fn nothing_goes_on_without_an_end() {
        let long = "ü".repeat(3_000_000);
        assert_eq!(shown(&long).chars().count(), NAME + 1);
        assert_eq!(field(&long).chars().count(), FIELD + 1);
        assert_eq!(spoken(&format!("{long}\nshort")).chars().count(), LINE + 1 + "\nshort".len());
        assert!(shown(&"a".repeat(NAME)).ends_with('a') && shown(&long).ends_with('…'));
        assert_eq!(fields(&"line\n".repeat(100_000)).lines().count(), LINES + 1);
        assert_eq!(listed(&["a\n", "b"]), "a\\n, b");
        assert!(listed(&vec!["a"; 100_000]).ends_with("a, and 99988 more"));
    }
}
