//! How common a token is, as far as its tokenizer says: its place among the merges.
//!
//! Byte-pair encoding learns the most frequent pair first, so the place of the merge that makes a token is its rank
//! of frequency in the corpus that the tokenizer was learned from. It is known of every token, is the same in every
//! run and in every part of one, and knows nothing of the data set.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Ranks of these tokens, given as (id, word of the vocabulary), by their ids: the place, from 1, of the first merge
/// that makes the token, and 0 where none does (letters and bytes, which every merge is made of, and special tokens). Of a
/// unigram model, how many tokens have a higher score. Empty where the file is no tokenizer, or one without merges
/// and scores.
///
/// Source: R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units", 2016;
/// for unigram models T. Kudo, "Subword regularization", 2018.
pub(super) fn ranks(json: &[u8], wanted: &[(u32, String)]) -> HashMap<u32, u32> {
    let Ok(File { model: Model { merges: Merges(merges), vocab } }) = serde_json::from_slice(json) else {
        return HashMap::new();
    };
    if let Vocabulary::Scores(scores) = vocab {
        let mut sorted = scores.clone();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let rank = |score: &f64| sorted.partition_point(|other| other > score) as u32;
        return wanted.iter().map(|(id, _)| (*id, scores.get(*id as usize).map_or(0, rank))).collect();
    }
    if merges.is_empty() {
        return HashMap::new();
    }
    let mut places: HashMap<&str, u32> = HashMap::with_capacity(wanted.len());
    let words: HashMap<&str, ()> = wanted.iter().map(|(_, word)| (word.as_str(), ())).collect();
    for (made, place) in merges.iter().zip(1..) {
        if words.contains_key(made.as_str()) {
            places.entry(made).or_insert(place);
        }
    }
    wanted.iter().map(|(id, word)| (*id, places.get(word.as_str()).copied().unwrap_or_default())).collect()
}

#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    merges: Merges,
    #[serde(default)]
    vocab: Vocabulary,
}

/// What each merge makes.
#[derive(Default)]
struct Merges(Vec<String>);

/// One of them: a text with a space between the two, or a list of the two.
struct Merge(String);

/// Scores of a unigram model by token; of a list of other models nothing is read.
#[derive(Default)]
enum Vocabulary {
    #[default]
    Names,
    Scores(Vec<f64>),
}

struct OfMerges;

impl<'de> Visitor<'de> for OfMerges {
    type Value = Merges;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of merges")
    }

    fn visit_unit<E>(self) -> Result<Merges, E> {
        Ok(Merges::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
        let mut merges = Vec::new();
        while let Some(Merge(made)) = list.next_element()? {
            merges.push(made);
        }
        Ok(Merges(merges))
    }
}

struct OfMerge;

impl<'de> Visitor<'de> for OfMerge {
    type Value = Merge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two parts of a token")
    }

    fn visit_str<E>(self, text: &str) -> Result<Merge, E> {
        let made = text.split_once(' ').map_or_else(|| text.to_owned(), |(left, right)| format!("{left}{right}"));
        Ok(Merge(made))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
        let mut made = String::new();
        while let Some(part) = list.next_element::<String>()? {
            made += &part;
        }
        Ok(Merge(made))
    }
}

struct OfVocabulary;

impl<'de> Visitor<'de> for OfVocabulary {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary")
    }

    fn visit_unit<E>(self) -> Result<Vocabulary, E> {
        Ok(Vocabulary::Names)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vocabulary::Names)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocabulary, A::Error> {
        let mut scores = Vec::new();
        while let Some((_, score)) = list.next_element::<(IgnoredAny, f64)>()? {
            scores.push(score);
        }
        Ok(Vocabulary::Scores(scores))
    }
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfMerges)
    }
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfMerge)
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfVocabulary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str, words: &[&str]) -> Vec<Option<u32>> {
        let wanted: Vec<(u32, String)> = words.iter().zip(0..).map(|(word, id)| (id, (*word).to_owned())).collect();
        let found = ranks(json.as_bytes(), &wanted);
        (0..words.len() as u32).map(|id| found.get(&id).copied()).collect()
    }

    #[test]
    fn merges_count_from_one_and_letters_are_commonest() {
        let words = ["t", "th", "the", "<s>", "Ġthe"];
        let expected = [Some(0), Some(1), Some(2), Some(0), Some(3)];
        let old = r#"{"model": {"type": "BPE", "vocab": {"t": 0}, "merges": ["t h", "th e", "Ġ the", "t he"]}}"#;
        assert_eq!(of(old, &words), expected);
        let new = r#"{"model": {"vocab": {"t": 0}, "merges": [["t", "h"], ["th", "e"], ["Ġ", "the"], ["t", "he"]]}}"#;
        assert_eq!(of(new, &words), expected);
    }

    #[test]
    fn of_scores_the_higher_are_commoner() {
        let json =
            r#"{"model": {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -2.5], ["b", -1.5], ["c", -2.5]]}}"#;
        assert_eq!(of(json, &["<unk>", "a", "b", "c"]), [Some(0), Some(2), Some(1), Some(2)]);
    }

    #[test]
    fn what_says_nothing_gives_nothing() {
        for json in
            ["", "{}", r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}}}"#, r#"{"model": {"merges": null}}"#]
        {
            assert_eq!(of(json, &["a"]), [None], "{json}");
        }
    }
}
