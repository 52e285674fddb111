//! Names that are near another.

use crate::error::shown;

/// The three of `names` that share the longest beginning and end with `name`.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let likeness = |other: &str| {
        let most = name.len().min(other.len());
        let front = name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let back = name.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
        (front + back).min(most)
    };
    let mut scored: Vec<_> = names.map(|other| (likeness(other), other)).collect();
    // stable: equally alike names stay in alphabetical order
    scored.sort_by_key(|(score, other)| (std::cmp::Reverse(*score), other.len().abs_diff(name.len())));
    scored.into_iter().take(3).map(|(_, other)| shown(other)).collect()
}
