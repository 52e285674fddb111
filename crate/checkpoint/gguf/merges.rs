//! BPE merges out of a SentencePiece vocabulary that has only scores.

use std::cmp::Reverse;
use std::collections::HashMap;

/// Longest piece that merges are looked for in; real ones stay below 100 bytes.
const MAX_PIECE: usize = 256;
/// Most merges a piece on average; real vocabularies have two.
const MAX_MERGES: usize = 16;

/// The merges that build the pieces of `vocabulary`, best first.
///
/// Every way of cutting a piece into two pieces is a merge of the whole piece's score; merges are
/// ordered by score, then by the length of their left and right parts, all descending, and
/// otherwise as the pieces are numbered. This is how Hugging Face turns a `tokenizer.model` into a
/// `tokenizer.json` (`generate_merges` in transformers), and it gives Gemma 3's list exactly.
/// `score(id)` is `None` for pieces that take no part (control and byte tokens). None for more merges than
/// a vocabulary can have that was learnt from text.
pub(super) fn merges<'a>(
    vocabulary: &[&'a str],
    score: impl Fn(usize) -> Option<f32>,
) -> Option<Vec<(&'a str, &'a str)>> {
    let most = MAX_MERGES * vocabulary.len() + MAX_PIECE;
    let ids: HashMap<&str, usize> = vocabulary
        .iter()
        .enumerate()
        .filter(|&(id, piece)| piece.len() <= MAX_PIECE && score(id).is_some())
        .map(|(id, piece)| (*piece, id))
        .collect();
    let mut all = Vec::with_capacity(2 * vocabulary.len());
    let mut cuts = Vec::new();
    for (id, &piece) in vocabulary.iter().enumerate() {
        let Some(score) = score(id).filter(|_| piece.len() <= MAX_PIECE) else { continue };
        // −0 and 0 are one score
        let score = Descending(score + 0.0);
        let length = piece.chars().count();
        cuts.clear();
        for (left_length, (at, _)) in piece.char_indices().enumerate().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                cuts.push((l, r, (score, Reverse(left_length), Reverse(length - left_length)), left, right));
            }
        }
        cuts.sort_unstable_by_key(|&(l, r, ..)| (l, r));
        all.extend(cuts.iter().map(|&(_, _, rank, left, right)| (rank, left, right)));
        if all.len() > most {
            return None;
        }
    }
    // stable: ties stay in the order of the vocabulary
    all.sort_by_key(|&(rank, ..)| rank);
    Some(all.into_iter().map(|(_, left, right)| (left, right)).collect())
}

/// A float in descending order; NaN has a place too.
#[derive(Clone, Copy, PartialEq)]
struct Descending(f32);

impl Eq for Descending {}

impl Ord for Descending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.total_cmp(&self.0)
    }
}

impl PartialOrd for Descending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_by_score_then_length_then_number() {
        let vocabulary = ["a", "b", "c", "ab", "bc", "abc", "<ctl>", "ba", "é", "éa"];
        let scores = [-9.0, -9.0, -9.0, -1.0, -2.0, -3.0, 0.0, -1.0, -9.0, -0.0];
        let got = merges(&vocabulary, |id| (id != 6).then(|| scores[id])).unwrap();
        assert_eq!(got, [("é", "a"), ("a", "b"), ("b", "a"), ("b", "c"), ("ab", "c"), ("a", "bc")]);
    }

    #[test]
    fn absurdly_long_pieces_are_left_alone() {
        let long = "a".repeat(1 << 20);
        assert!(merges(&["a", "aa", &long], |_| Some(0.0)).unwrap() == [("a", "a")]);
        assert!(merges(&["a", "aa"], |_| Some(f32::NAN)).unwrap().len() == 1);
    }

    #[test]
    fn a_vocabulary_of_nothing_but_cuts_has_no_merges() {
        let long = "a".repeat(MAX_PIECE);
        let mut vocabulary: Vec<&str> = (1..=MAX_PIECE).map(|n| &long[..n]).collect();
        vocabulary.extend(vec![long.as_str(); 4000]);
        assert_eq!(merges(&vocabulary, |_| Some(0.0)), None);
    }
}
