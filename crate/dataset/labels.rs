//! What features stand for, in somebody's words: the explanations that Neuronpedia exports.
//!
//! An export is JSON Lines, plain or gzipped, an object a line: `modelId`, `layer` (the dictionary's name, such as
//! `20-gemmascope-res-16k`), `index` (text or a number), `description`; other fields are passed over. Files of
//! several parts may be joined as they are: gzip members follow one another. Words were written by a model that saw
//! the feature's strongest examples; they are a hint, not a finding.
//!
//! Format: <https://docs.neuronpedia.org/api-and-data/exports>.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::error::{Error, Result, shown};

/// Most bytes of a file once it is unpacked.
const MOST_BYTES: u64 = 4 << 30;

/// Most bytes of a line: some exports carry vectors.
const MOST_LINE: u64 = 1 << 20;

/// Most labels: those of the widest known dictionary, four times over.
const MOST_LABELS: usize = 1 << 22;

/// Characters of a label that are kept.
const MOST_CHARACTERS: usize = 200;

/// Labels of the features of one or more dictionaries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// By dictionary (`model/name`) and feature.
    labels: HashMap<String, HashMap<u32, String>>,
}

/// A line of an export.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "modelId")]
    model: String,
    layer: String,
    index: Index,
    description: Option<String>,
}

/// A feature's number, which exports write as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Index {
    Number(u32),
    Text(String),
}

impl Index {
    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl Labels {
    /// From a file's bytes, gzipped or not; `name` is for messages. Of several labels of a feature the first counts.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no such export, with the line, or is larger than any.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::read_at_most(name, bytes, MOST_LABELS)
    }

    /// The same with at most so many labels: where there is less memory than files may have.
    ///
    /// # Errors
    /// As [`Labels::read`].
    pub fn read_at_most(name: &str, bytes: &[u8], labels: usize) -> Result<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Self::of_lines(name, BufReader::new(MultiGzDecoder::new(bytes)), MOST_BYTES, labels),
            _ => Self::of_lines(name, bytes, MOST_BYTES, labels),
        }
    }

    fn of_lines(name: &str, text: impl BufRead, most: u64, most_labels: usize) -> Result<Self> {
        let hint = "give an export of Neuronpedia: explanations/batch-….jsonl.gz";
        let wrong = |line: usize, expected: &str, found: String| {
            Error::malformed(name, format!("line {line}"), expected.to_owned(), found, hint)
        };
        let mut found = Self::default();
        let mut text = text.take(most);
        let (mut line, mut number, mut n) = (Vec::new(), 0, 0);
        loop {
            number += 1;
            line.clear();
            let read = text.by_ref().take(MOST_LINE + 1).read_until(b'\n', &mut line);
            let length = read.map_err(|e| wrong(number, "text, or whole gzip data", e.to_string()))?;
            if length == 0 {
                break;
            }
            if length as u64 > MOST_LINE {
                return Err(wrong(number, &format!("at most {MOST_LINE} bytes"), "more".to_owned()));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let expected = "an object with modelId, layer, index and description";
            let of: Line = serde_json::from_slice(&line).map_err(|e| wrong(number, expected, e.to_string()))?;
            let index = of.index.number().ok_or_else(|| {
                let found = if let Index::Text(text) = &of.index { shown(text) } else { String::new() };
                wrong(number, "index to be a feature's number", found)
            })?;
            let Some(words) = of.description.map(|words| tidy(&words)).filter(|words| !words.is_empty()) else {
                continue;
            };
            n += 1;
            if n > most_labels {
                return Err(wrong(number, &format!("at most {most_labels} labels"), "more".to_owned()));
            }
            let of_dictionary = found.labels.entry(format!("{}/{}", of.model, of.layer)).or_default();
            of_dictionary.entry(index).or_insert(words);
        }
        if text.limit() == 0 {
            return Err(wrong(number, &format!("at most {most} bytes in all"), "more".to_owned()));
        }
        if found.labels.is_empty() {
            return Err(wrong(1, "at least one label", "none".to_owned()));
        }
        Ok(found)
    }

    /// Adds those of another file; of several of a feature, the earlier one counts.
    pub fn join(&mut self, other: Self) {
        for (dictionary, labels) in other.labels {
            let own = self.labels.entry(dictionary).or_default();
            for (feature, words) in labels {
                own.entry(feature).or_insert(words);
            }
        }
    }

    /// The labelled dictionaries by their names on Neuronpedia, in order.
    pub fn dictionaries(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.labels.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The dictionary of an SAE: that of this name where it is known; else the only one whose name has the layer's
    /// number. None where there is none, or several could be meant.
    pub fn dictionary(&self, known: Option<&str>, layer: usize) -> Option<&str> {
        let names = self.dictionaries();
        if let Some(known) = known {
            return names.into_iter().find(|name| *name == known);
        }
        let mut found = names.into_iter().filter(|name| layer_of(name) == Some(layer));
        found.next().filter(|_| found.next().is_none())
    }

    /// A dictionary's labels, by feature, ascending.
    pub fn of(&self, dictionary: &str) -> Vec<(u32, &str)> {
        let labels = self.labels.get(dictionary).into_iter().flatten();
        let mut found: Vec<(u32, &str)> = labels.map(|(feature, words)| (*feature, words.as_str())).collect();
        found.sort_unstable();
        found
    }

    /// What a feature of a dictionary is said to stand for.
    pub fn label(&self, dictionary: &str, feature: u32) -> Option<&str> {
        self.labels.get(dictionary)?.get(&feature).map(String::as_str)
    }
}

/// The number that a dictionary's name begins with, after its model: `20` of `gemma-2-2b/20-gemmascope-res-16k`.
pub fn layer_of(dictionary: &str) -> Option<usize> {
    dictionary.rsplit('/').next()?.split('-').next()?.parse().ok()
}

/// On one line, and no longer than is read.
fn tidy(words: &str) -> String {
    let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MOST_CHARACTERS) {
        None => words,
        Some((at, _)) => format!("{}…", &words[..at]),
    }
}

/// The page of a feature on Neuronpedia; none where the dictionary's name is not one that can stand in an address.
pub fn neuronpedia_url(dictionary: &str, feature: u32) -> Option<String> {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let (model, source) = dictionary.split_once('/')?;
    let dots = |part: &str| part.bytes().all(|b| b == b'.');
    (plain(model) && plain(source) && !dots(model) && !dots(source))
        .then(|| format!("https://www.neuronpedia.org/{model}/{source}/{feature}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const LINES: &str = concat!(
        r#"{"modelId":"gemma-2-2b","layer":"20-gemmascope-res-16k","index":"7","description":" names  of\nrivers ","embedding":[1,2]}"#,
        "\n\n",
        r#"{"modelId":"gemma-2-2b","layer":"20-gemmascope-res-16k","index":7,"description":"another"}"#,
        "\n",
        r#"{"modelId":"gemma-2-2b","layer":"12-gemmascope-res-16k","index":0,"description":"dates"}"#,
        "\n",
        r#"{"modelId":"gemma-2-2b","layer":"12-gemmascope-res-16k","index":1,"description":null}"#,
    );

    fn packed(text: &str) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn plain_and_packed_are_the_same() {
        let plain = Labels::read("a", LINES.as_bytes()).unwrap();
        assert_eq!(Labels::read("a", &packed(LINES)).unwrap(), plain);
        assert_eq!(plain.dictionaries(), ["gemma-2-2b/12-gemmascope-res-16k", "gemma-2-2b/20-gemmascope-res-16k"]);
        assert_eq!(plain.label("gemma-2-2b/20-gemmascope-res-16k", 7), Some("names of rivers"));
        assert_eq!(plain.label("gemma-2-2b/12-gemmascope-res-16k", 1), None);
        assert_eq!(plain.of("gemma-2-2b/12-gemmascope-res-16k"), [(0, "dates")]);
        assert_eq!(plain.of("gemma-2-2b/19-gemmascope-res-16k"), []);
        // members one after the other, as `cat` joins them
        let line = r#"{"modelId":"m","layer":"3-x","index":1,"description":"d"}"#;
        let joined = [packed(&format!("{LINES}\n")), packed(line)].concat();
        let mut both = plain.clone();
        both.join(Labels::read("b", line.as_bytes()).unwrap());
        assert_eq!(Labels::read("a", &joined).unwrap(), both);
    }

    #[test]
    fn dictionaries_are_found_by_name_or_by_the_only_number() {
        let labels = Labels::read("a", LINES.as_bytes()).unwrap();
        let of_20 = Some("gemma-2-2b/20-gemmascope-res-16k");
        assert_eq!(labels.dictionary(None, 20), of_20);
        assert_eq!(labels.dictionary(of_20, 19), of_20, "numbers may count otherwise");
        assert_eq!(labels.dictionary(Some("gemma-2-2b/20-gemmascope-mlp-16k"), 20), None);
        assert_eq!(labels.dictionary(None, 2), None);
        let mut two = labels.clone();
        let line = r#"{"modelId":"gemma-2-2b","layer":"20-gemmascope-att-16k","index":1,"description":"d"}"#;
        two.join(Labels::read("b", line.as_bytes()).unwrap());
        assert_eq!(two.dictionary(None, 20), None, "several could be meant");
    }

    #[test]
    fn what_is_no_export_is_refused_with_its_line() {
        let said = |bytes: &[u8]| Labels::read("x.jsonl", bytes).unwrap_err().to_string();
        assert!(said(b"").contains("at least one label"), "{}", said(b""));
        let second = format!("{}\n{{\"modelId\": 3}}", LINES.lines().next().unwrap());
        assert!(said(second.as_bytes()).contains("x.jsonl: line 2"), "{}", said(second.as_bytes()));
        let index = r#"{"modelId":"m","layer":"1","index":"seven","description":"d"}"#;
        assert!(said(index.as_bytes()).contains("seven"), "{}", said(index.as_bytes()));
        let mut cut = packed(LINES);
        cut.truncate(cut.len() / 2);
        assert!(said(&cut).contains("hint: "), "{}", said(&cut));
        assert!(said(&[b'"'; 2 << 20]).contains("bytes"));
    }

    #[test]
    fn what_unpacks_to_more_than_any_export_is_refused() {
        let line = format!("{}\n", LINES.lines().next().unwrap());
        let lines = line.repeat(100);
        let error = Labels::of_lines("x", lines.as_bytes(), 1000, MOST_LABELS).unwrap_err().to_string();
        assert!(error.contains("1000 bytes") || error.contains("line"), "{error}");
        assert!(Labels::of_lines("x", lines.as_bytes(), 1 << 20, MOST_LABELS).is_ok());
        let few = Labels::read_at_most("x", lines.as_bytes(), 99).unwrap_err().to_string();
        assert!(few.contains("at most 99 labels"), "{few}");
        assert!(Labels::read_at_most("x", lines.as_bytes(), 100).is_ok());
        // a line without an end is cut off before it is held
        let bomb = packed(&" ".repeat(64 << 20));
        assert!(bomb.len() < 1 << 17 && Labels::read("x", &bomb).is_err());
    }

    #[test]
    fn addresses_hold_names_alone() {
        let url = neuronpedia_url("gemma-2-2b/20-gemmascope-res-16k", 7);
        assert_eq!(url.as_deref(), Some("https://www.neuronpedia.org/gemma-2-2b/20-gemmascope-res-16k/7"));
        for dictionary in ["", "a", "a/", "/b", "a/b/c", "../x", "a/..", "a/b c", "a/b?x", "\u{e9}/b"] {
            assert_eq!(neuronpedia_url(dictionary, 1), None, "{dictionary}");
        }
    }

    #[test]
    fn long_words_are_cut() {
        let cut = tidy(&"é".repeat(300));
        assert_eq!(cut.chars().count(), MOST_CHARACTERS + 1);
        assert_eq!(tidy(" a \u{a0} b "), "a b");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), gz in any::<bool>()) {
            let bytes = if gz { [&[0x1f, 0x8b, 8, 0][..], &bytes].concat() } else { bytes };
            let _ = Labels::read("x", &bytes);
        }
    }
}
