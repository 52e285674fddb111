//! Pairs that do differ in what a model represents, equal in length as nearly as tokenizers agree: what an
//! instrument has to find, if it finds anything.

use super::{Dataset, Format, parse};
use crate::error::Result;

/// Statements true and false. Every completion is the true one of one prompt and the false one of another of its
/// relation (their cluster), so that no word tells anything by itself.
const TRUTH_JSONL: &str = include_str!("calibration/truth.jsonl");

/// Completions in English, and in French or German.
const LANGUAGE_JSONL: &str = include_str!("calibration/language.jsonl");

/// Completions in formal and in colloquial English, of the same prompts and much the same matters.
const REGISTER_JSONL: &str = include_str!("calibration/register.jsonl");

/// Built-in pairs; the domain of each is its kind, which no fold of a probe divides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPairs {
    /// `truth`, `language`, `register`.
    pub name: &'static str,
    /// What they differ in.
    pub what: &'static str,
    /// The pairs.
    pub pairs: Dataset,
}

/// The built-in pairs.
///
/// # Errors
/// None in a build whose tests pass: the data are compiled in.
pub fn positive_controls() -> Result<Vec<ControlPairs>> {
    let of = |name: &'static str, what, text: &str| {
        let pairs = parse(name, Format::Jsonl, text.as_bytes(), None)?.strict()?;
        Ok(ControlPairs { name, what, pairs })
    };
    Ok(vec![
        of("truth", "statements that are true, and false ones made of the same words", TRUTH_JSONL)?,
        of("language", "completions in English, and in French or German", LANGUAGE_JSONL)?,
        of("register", "completions in formal English, and in colloquial English", REGISTER_JSONL)?,
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;
    use crate::dataset::Sample;

    #[test]
    fn no_word_tells_true_from_false() {
        let truth = &positive_controls().unwrap()[0].pairs.samples;
        assert!(truth.len() >= 80);
        let mut balance: HashMap<(&str, &str), i32> = HashMap::new();
        for pair in truth {
            let kind = pair.cluster.as_deref().unwrap();
            assert!(pair.fact != pair.hallucination, "{}", pair.id);
            *balance.entry((kind, pair.fact.as_str())).or_default() += 1;
            *balance.entry((kind, pair.hallucination.as_str())).or_default() -= 1;
        }
        assert!(balance.values().all(|sum| *sum == 0), "{balance:?}");
        let kinds: BTreeSet<&str> = truth.iter().map(|pair| pair.domain.as_str()).collect();
        assert!(kinds.len() >= 5, "a fold is of whole relations");
    }

    #[test]
    fn completions_of_languages_and_registers_differ_and_are_of_many_lengths() {
        let controls = positive_controls().unwrap();
        assert_eq!(controls.iter().map(|of| of.name).collect::<Vec<_>>(), ["truth", "language", "register"]);
        for ControlPairs { name, pairs, .. } in &controls[1..] {
            let pairs = &pairs.samples;
            assert!(pairs.len() >= 60);
            let prompts: BTreeSet<&str> = pairs.iter().map(|pair| pair.prompt.as_str()).collect();
            let kinds: BTreeSet<&str> = pairs.iter().map(|pair| pair.domain.as_str()).collect();
            assert!(prompts.len() == kinds.len() && kinds.len() >= 5, "{name}: a fold is of whole prompts");
            let sides: [fn(&Sample) -> &str; 2] = [|pair| &pair.fact, |pair| &pair.hallucination];
            for side in sides {
                let texts: BTreeSet<&str> = pairs.iter().map(side).collect();
                assert_eq!(texts.len(), pairs.len(), "{name}: a completion twice");
                let words: BTreeSet<usize> = texts.iter().map(|text| text.split(' ').count()).collect();
                assert!(words.len() >= 3, "{name}: {words:?}");
            }
        }
    }
}
