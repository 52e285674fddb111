//! How many bytes a tokenizer.json can make of one byte of text, told from its words before anything is
//! built from them. A chain of replacements is short in the file and multiplies the text at every step.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::shown;

/// Largest growth that is accepted: real tokenizers stay below 50.
const MAX_GROWTH: u64 = 512;
/// Most bytes that a text may become on its way to tokens; a few hundred megabytes of memory.
const MAX_BYTES: u64 = 16 << 20;
/// Most tokens that are put around a text.
const MAX_AROUND: u64 = 1024;
/// Most values in the description of one part: real ones have a few hundred.
const MAX_VALUES: usize = 20_000;

/// What a tokenizer can make of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    text: u64,
    token: u64,
}

impl Growth {
    /// Reads it out of a tokenizer.json.
    ///
    /// # Errors
    /// What is wrong: no JSON, growth above [`MAX_GROWTH`], a pattern that matches the empty text.
    pub(super) fn of(json: &[u8]) -> Result<Self, String> {
        let parts: Parts = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let affix = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() as u64);
        let model = &parts.model;
        // every character may get one, and fall back to bytes with it
        let model = 1u64.saturating_add(affix(&model.continuing_subword_prefix) + affix(&model.end_of_word_suffix));
        around(&parts.post_processor.0)?;
        let steps = [growth(&parts.normalizer.0)?, growth(&parts.pre_tokenizer.0)?, model];
        let text = steps.into_iter().fold(1, u64::saturating_mul);
        let token = growth(&parts.decoder.0)?;
        for (what, grown) in [("a byte of text", text), ("a byte of a token", token)] {
            if grown > MAX_GROWTH {
                return Err(format!("{what} may become {grown} bytes, at most {MAX_GROWTH} are accepted"));
            }
        }
        let growth = Self { text, token };
        let added: u64 = parts.added_tokens.iter().map(|added| added.content.len() as u64).sum();
        if added > growth.longest_text() {
            return Err(format!("added tokens of {added} bytes, at most {} are accepted", growth.longest_text()));
        }
        Ok(growth)
    }

    /// Bytes of the longest text that is encoded.
    pub(super) fn longest_text(self) -> u64 {
        MAX_BYTES / self.text
    }

    /// Bytes of the longest token that is decoded.
    pub(super) fn longest_token(self) -> u64 {
        MAX_BYTES / self.token
    }
}

/// Growth through a step and the steps in it.
fn growth(step: &Value) -> Result<u64, String> {
    let (own, inner): (u64, Box<dyn Iterator<Item = &Value>>) = match step {
        Value::Array(steps) => (1, Box::new(steps.iter())),
        Value::Object(map) => (own_growth(map)?, Box::new(map.values())),
        _ => return Ok(1),
    };
    inner.map(growth).try_fold(own, |grown, inner| Ok(grown.saturating_mul(inner?)))
}

/// Growth through a step alone. Steps are told by their fields: old files have no types.
fn own_growth(map: &Map<String, Value>) -> Result<u64, String> {
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    let bytes = |key: &str| text(key).map(|text| text.len() as u64);
    if let (Some(pattern), Some(content)) = (map.get("pattern"), bytes("content")) {
        return match pattern.get("String").and_then(Value::as_str) {
            Some("") => Err("a replacement whose pattern is the empty text".to_owned()),
            Some(pattern) => Ok(content.div_ceil(pattern.len() as u64).max(1)),
            // an expression may match beside every byte
            None => Ok(1 + content),
        };
    }
    if let Some(prepend) = bytes("prepend") {
        // once before every piece of the text
        return Ok(1 + prepend);
    }
    if let Some(map) = text("precompiled_charsmap") {
        return charsmap(map);
    }
    if let Some(replacement) = bytes("replacement") {
        // for a space, and before every piece
        return Ok(2 * replacement.max(1));
    }
    if map.contains_key("add_prefix_space") {
        // byte-level: of two bytes at most, and a space before every piece
        return Ok(4);
    }
    if map.contains_key("handle_chinese_chars") {
        // decomposed, lower case, spaces around
        return Ok(12);
    }
    Ok(match text("type") {
        // U+FDFA is three bytes, and 33 decomposed
        Some("NFKC" | "NFKD") => 11,
        Some("NFC" | "NFD") => 3,
        Some("Lowercase" | "ByteLevel" | "BPEDecoder" | "CTC") => 2,
        _ => 1,
    })
}

/// Growth through SentencePiece's table of replacements: the length of the trie, the trie, and what it
/// leads to, texts with a zero after each.
fn charsmap(base64: &str) -> Result<u64, String> {
    let broken = |what: &str| format!("a precompiled_charsmap {what}");
    let bytes = decoded(base64).ok_or_else(|| broken("that is not base64"))?;
    let (length, rest) = bytes.split_first_chunk().ok_or_else(|| broken("without a trie"))?;
    // in whole units, as its reader takes it
    let length = u32::from_le_bytes(*length) as usize / 4 * 4;
    let texts = rest.get(length..).ok_or_else(|| broken("that ends within its trie"))?;
    let longest = texts.split(|b| *b == 0).map(<[u8]>::len).max().unwrap_or(0);
    Ok((longest as u64).max(1))
}

/// The bytes of a base64 text (RFC 4648), padded or not.
fn decoded(base64: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(base64.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0u32, 0);
    for c in base64.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

/// Refuses templates that repeat the text, or put more than [`MAX_AROUND`] tokens around it.
fn around(step: &Value) -> Result<(), String> {
    let mut total = 0;
    count_around(step, &mut total)?;
    if total > MAX_AROUND {
        return Err(format!("a template that puts {total} tokens around a text"));
    }
    Ok(())
}

fn count_around(step: &Value, total: &mut u64) -> Result<(), String> {
    let inner: Box<dyn Iterator<Item = &Value>> = match step {
        Value::Array(steps) => Box::new(steps.iter()),
        Value::Object(map) => {
            if let Some(Value::Array(pieces)) = map.get("single") {
                let special = |piece: &Value| piece.get("SpecialToken").and_then(|s| s.get("id")).cloned();
                if pieces.iter().filter(|piece| special(piece).is_none()).count() > 1 {
                    return Err("a template that repeats the text".to_owned());
                }
                for id in pieces.iter().filter_map(special) {
                    let token = id.as_str().and_then(|id| map.get("special_tokens")?.get(id));
                    let ids = token.and_then(|token| token.get("ids")?.as_array()).map_or(1, Vec::len);
                    *total += ids as u64;
                }
            }
            Box::new(map.values())
        }
        _ => return Ok(()),
    };
    for step in inner {
        count_around(step, total)?;
    }
    Ok(())
}

/// What of a tokenizer.json makes a text longer.
#[derive(serde::Deserialize)]
struct Parts {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Part,
    #[serde(default)]
    pre_tokenizer: Part,
    #[serde(default)]
    post_processor: Part,
    #[serde(default)]
    decoder: Part,
    model: Affixes,
}

#[derive(serde::Deserialize)]
struct Added {
    content: String,
}

#[derive(serde::Deserialize)]
struct Affixes {
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

/// A part of at most [`MAX_VALUES`] values.
#[derive(Default)]
struct Part(Value);

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Counted(&Cell::new(MAX_VALUES)).deserialize(json).map(Self)
    }
}

/// Reads a value while it is counted what is in it.
#[derive(Clone, Copy)]
struct Counted<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| D::Error::custom(format!("a part of more than {MAX_VALUES} values")))?);
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of a tokenizer")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            // of two, the library takes whichever it likes
            if object.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format!("{} is given twice", shown(&key))));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(parts: Value) -> Result<Growth, String> {
        let mut file = json!({"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": []});
        file.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        Growth::of(file.to_string().as_bytes())
    }

    fn normalized(normalizer: Value) -> Result<u64, String> {
        of(json!({ "normalizer": normalizer })).map(|growth| growth.text)
    }

    fn replace(pattern: &str, content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
    }

    #[test]
    fn known_tokenizers_grow_little() {
        for (case, text) in [("gemma2", 3), ("gemma3", 3), ("llama", 12), ("llama3_sharded_bf16", 4), ("gpt2", 4)] {
            let file = format!("{}/tests/golden/models/{case}/model/tokenizer.json", env!("CARGO_MANIFEST_DIR"));
            let growth = Growth::of(&std::fs::read(file).unwrap()).unwrap();
            assert!(growth.text <= text, "{case}: {growth:?}");
        }
    }

    #[test]
    fn growth_multiplies_along_a_chain() {
        assert_eq!(normalized(replace("a", "bb")), Ok(2));
        assert_eq!(normalized(replace("ab", "abc")), Ok(2));
        assert_eq!(normalized(replace("abc", "")), Ok(1));
        assert_eq!(normalized(json!({"type": "Replace", "pattern": {"Regex": "a*"}, "content": "bb"})), Ok(3));
        let chain = |n: usize| json!({"type": "Sequence", "normalizers": vec![replace("a", "aa"); n]});
        assert_eq!(normalized(chain(9)), Ok(512));
        assert!(normalized(chain(10)).unwrap_err().contains("may become 1024 bytes"));
        assert!(normalized(chain(100)).is_err());
        assert!(normalized(json!({"type": "Sequence", "normalizers": [chain(5), chain(5)]})).is_err());
        // without a type, as old files have it
        let untyped = json!({"pattern": {"String": "a"}, "content": "b".repeat(1000)});
        assert!(normalized(untyped).unwrap_err().contains("1000"));
        assert!(normalized(json!({"type": "Prepend", "prepend": "b".repeat(1000)})).is_err());
        assert!(normalized(replace("", "b")).unwrap_err().contains("empty text"));
        let levels = vec![json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}); 20];
        assert!(of(json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": levels}})).is_err());
        let decoder = json!({"type": "Sequence", "decoders": vec![replace("a", "aaaa"); 6]});
        assert!(of(json!({ "decoder": decoder })).unwrap_err().contains("a byte of a token"));
        let model = json!({"vocab": {}, "continuing_subword_prefix": "#".repeat(1000)});
        assert!(of(json!({ "model": model })).is_err());
    }

    #[test]
    fn tables_of_replacements_are_read_for_their_longest() {
        // a trie of one unit, then "ab", "abcd"
        assert_eq!(decoded("BAAAAAAAAABhYgBhYmNkAA==").unwrap(), b"\x04\0\0\0\0\0\0\0ab\0abcd\0");
        let map = |base64: &str| normalized(json!({"type": "Precompiled", "precompiled_charsmap": base64}));
        assert_eq!(map("BAAAAAAAAABhYgBhYmNkAA=="), Ok(4));
        assert!(map("/////w==").unwrap_err().contains("within its trie"));
        assert!(map("!").unwrap_err().contains("base64"));
        assert!(map("").unwrap_err().contains("without a trie"));
    }

    #[test]
    fn templates_put_little_around_a_text() {
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let special = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
        let of = |single: Vec<&Value>, ids: usize| {
            let tokens = json!({"<s>": {"id": "<s>", "ids": vec![1; ids], "tokens": vec!["<s>"; ids]}});
            let template =
                json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": tokens});
            of(json!({"post_processor": {"type": "Sequence", "processors": [template]}}))
        };
        assert!(of(vec![&special, &text, &special], 1).is_ok());
        assert!(of(vec![&text, &text], 1).unwrap_err().contains("repeats the text"));
        assert!(of(vec![&special, &text, &special], 600).unwrap_err().contains("1200 tokens"));
    }

    #[test]
    fn what_is_too_much_or_said_twice_is_refused() {
        assert!(normalized(json!(vec![0; MAX_VALUES + 1])).unwrap_err().contains("more than"));
        let twice = r#"{"normalizer": null, "normalizer": null, "model": {}}"#;
        assert!(Growth::of(twice.as_bytes()).unwrap_err().contains("duplicate"));
        let twice = r#"{"normalizer": {"content": "a", "content": "b"}, "model": {}}"#;
        assert!(Growth::of(twice.as_bytes()).unwrap_err().contains("content is given twice"));
        let long = json!({"added_tokens": [{"content": "a".repeat(17 << 20)}]});
        assert!(of(long).unwrap_err().contains("added tokens"));
        assert!(Growth::of(b"{").is_err() && Growth::of(b"[]").is_err());
    }
}
