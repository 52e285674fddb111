//! A Hugging Face tokenizer.json out of a GGUF vocabulary.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::header::MetaValue;
use super::merges::merges;
use crate::error::shown;

/// llama.cpp's token types (`llama_token_type`).
pub(super) const UNKNOWN: i64 = 2;
pub(super) const CONTROL: i64 = 3;
pub(super) const USER_DEFINED: i64 = 4;
pub(super) const BYTE: i64 = 6;

/// How SentencePiece writes a space.
pub(super) const SPACE: &str = "▁";

/// GPT-4's split as Llama 3 took it over: numbers by threes.
pub(super) const LLAMA3_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with single digits.
pub(super) const QWEN2_SPLIT: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The bytes of a tokenizer.json, or why the vocabulary cannot be turned into one.
pub(super) fn tokenizer_json(metadata: &BTreeMap<String, MetaValue>) -> Result<Vec<u8>, String> {
    let vocabulary = Vocabulary::read(metadata)?;
    let json = match vocabulary.text("model")? {
        "gpt2" => byte_level(&vocabulary)?,
        "llama" => sentencepiece(&vocabulary)?,
        other => return Err(format!("tokenizer model {} is not known", shown(other))),
    };
    Ok(json)
}

/// What the metadata says of the tokenizer.
struct Vocabulary<'a> {
    metadata: &'a BTreeMap<String, MetaValue>,
    tokens: &'a [String],
    types: &'a [i64],
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a BTreeMap<String, MetaValue>) -> Result<Self, String> {
        let tokens = match metadata.get("tokenizer.ggml.tokens") {
            Some(MetaValue::Texts(tokens)) if !tokens.is_empty() => tokens.as_slice(),
            Some(_) => return Err("tokenizer.ggml.tokens is not a list of texts".into()),
            None => return Err("the file has no vocabulary".into()),
        };
        let types: &[i64] = match metadata.get("tokenizer.ggml.token_type") {
            None => &[],
            Some(MetaValue::Ints(types)) if types.len() == tokens.len() => types,
            Some(_) => return Err("tokenizer.ggml.token_type is not one number for each token".into()),
        };
        Ok(Self { metadata, tokens, types })
    }

    fn get(&self, key: &str) -> Option<&'a MetaValue> {
        self.metadata.get(&format!("tokenizer.ggml.{key}"))
    }

    fn text(&self, key: &str) -> Result<&'a str, String> {
        match self.get(key) {
            Some(MetaValue::Text(text)) => Ok(text),
            _ => Err(format!("tokenizer.ggml.{key} is missing")),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(default),
            Some(MetaValue::Bool(flag)) => Ok(*flag),
            Some(_) => Err(format!("tokenizer.ggml.{key} is neither true nor false")),
        }
    }

    /// A token by the key of its id.
    fn token(&self, key: &str) -> Result<Option<(usize, &'a str)>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(MetaValue::Int(id)) => match usize::try_from(*id).ok().and_then(|id| Some((id, self.tokens.get(id)?)))
            {
                Some((id, token)) => Ok(Some((id, token))),
                None => Err(format!("tokenizer.ggml.{key} {id} is past the {} tokens", self.tokens.len())),
            },
            Some(_) => Err(format!("tokenizer.ggml.{key} is not a number")),
        }
    }

    /// 1, a normal token, where the file does not say.
    fn kind(&self, id: usize) -> i64 {
        self.types.get(id).copied().unwrap_or(1)
    }

    /// Tokens that are matched whole in the text, before anything else.
    fn added(&self, tokens: &[Cow<'_, str>]) -> Vec<Value> {
        let whole = |id: &usize| matches!(self.kind(*id), UNKNOWN | CONTROL | USER_DEFINED) && !tokens[*id].is_empty();
        (0..tokens.len())
            .filter(whole)
            .map(|id| {
                json!({
                    "id": id,
                    "content": tokens[id],
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": self.kind(id) != USER_DEFINED,
                })
            })
            .collect()
    }

    /// A template that adds the begin and end tokens, where the file asks for them.
    fn post_processor(&self, bos_default: bool) -> Result<Value, String> {
        let mut special = serde_json::Map::new();
        let mut wanted = |flag: &str, default: bool, key: &str| -> Result<Option<Value>, String> {
            if !self.flag(flag, default)? {
                return Ok(None);
            }
            let Some((id, token)) = self.token(key)? else {
                return Err(format!("{flag} is set but tokenizer.ggml.{key} is missing"));
            };
            special.insert(token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]}));
            Ok(Some(json!({"SpecialToken": {"id": token, "type_id": 0}})))
        };
        let bos = wanted("add_bos_token", bos_default, "bos_token_id")?;
        let eos = wanted("add_eos_token", false, "eos_token_id")?;
        if special.is_empty() {
            return Ok(Value::Null);
        }
        let around = |sequence: &str, type_id: u32| -> Vec<Value> {
            let of = |token: &Option<Value>| {
                token.clone().map(|mut token| {
                    token["SpecialToken"]["type_id"] = json!(type_id);
                    token
                })
            };
            let text = json!({"Sequence": {"id": sequence, "type_id": type_id}});
            of(&bos).into_iter().chain([text]).chain(of(&eos)).collect()
        };
        let pair: Vec<Value> = around("A", 0).into_iter().chain(around("B", 1)).collect();
        Ok(json!({"type": "TemplateProcessing", "single": around("A", 0), "pair": pair, "special_tokens": special}))
    }
}

/// `tokenizer.ggml.model` gpt2: BPE over bytes, merges in the file.
fn byte_level(vocabulary: &Vocabulary<'_>) -> Result<Vec<u8>, String> {
    let pre = match vocabulary.get("pre") {
        None => "default",
        _ => vocabulary.text("pre")?,
    };
    let plain = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let split = |pattern: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]})
    };
    let (pre_tokenizer, normalizer, llama3) = match pre {
        // files of before this key existed say nothing or "default"; GPT-2's own split is what
        // Hugging Face takes for them
        "default" | "gpt-2" | "phi-2" => (plain, Value::Null, false),
        "smollm" | "starcoder" | "refact" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            (json!({"type": "Sequence", "pretokenizers": [digits, plain]}), Value::Null, false)
        }
        "llama-bpe" | "llama3" | "llama-v3" => (split(LLAMA3_SPLIT), Value::Null, true),
        "qwen2" | "deepseek-r1-qwen" => (split(QWEN2_SPLIT), json!({"type": "NFC"}), false),
        other => return Err(format!("pre-tokenizer {} is not known", shown(other))),
    };
    let merges = match vocabulary.get("merges") {
        Some(MetaValue::Texts(merges)) => merges,
        _ => return Err("tokenizer.ggml.merges is missing".into()),
    };
    let tokens: Vec<Cow<'_, str>> = vocabulary.tokens.iter().map(|token| Cow::Borrowed(token.as_str())).collect();
    let known: HashSet<&str> = vocabulary.tokens.iter().map(String::as_str).collect();
    let mut pairs = Vec::with_capacity(merges.len());
    for merge in merges {
        let pair = merge.split_once(' ').filter(|(left, right)| {
            known.contains(left) && known.contains(right) && known.contains(format!("{left}{right}").as_str())
        });
        pairs.push(pair.ok_or_else(|| format!("merge {:?} is not of two tokens", shown(merge)))?);
    }
    let json = TokenizerJson {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: vocabulary.added(&tokens),
        normalizer,
        pre_tokenizer,
        // llama.cpp adds a begin token to Llama 3 vocabularies that do not say otherwise
        post_processor: vocabulary.post_processor(llama3)?,
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        model: Model::new(None, false, llama3, &tokens, pairs),
    };
    json.bytes()
}

/// `tokenizer.ggml.model` llama: SentencePiece's BPE, with scores in place of merges.
fn sentencepiece(vocabulary: &Vocabulary<'_>) -> Result<Vec<u8>, String> {
    if vocabulary.flag("remove_extra_whitespaces", false)? {
        return Err("remove_extra_whitespaces is not known".into());
    }
    let scores = match vocabulary.get("scores") {
        Some(MetaValue::Floats(scores)) if scores.len() == vocabulary.tokens.len() => scores,
        _ => return Err("tokenizer.ggml.scores is not one number for each token".into()),
    };
    // llama.cpp's converter writes runs of spaces as such; inside the model they are ▁ again
    let tokens: Vec<Cow<'_, str>> = (0..)
        .zip(vocabulary.tokens)
        .map(|(id, token)| {
            let spaces = vocabulary.kind(id) == USER_DEFINED && token.bytes().all(|b| b == b' ');
            if spaces { Cow::Owned(SPACE.repeat(token.len())) } else { Cow::Borrowed(token.as_str()) }
        })
        .collect();
    let pieces: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
    let pairs = merges(&pieces, |id| match vocabulary.kind(id) {
        1 => Some(scores[id]),
        // the converter writes −1000 for these; in the original model they come first, with 0
        USER_DEFINED => Some(0.0),
        _ => None,
    })
    .ok_or("its tokens can be cut into one another in too many ways")?;
    let unknown = match vocabulary.token("unknown_token_id")? {
        Some((_, token)) => Some(token),
        None => (0..vocabulary.tokens.len()).find(|&id| vocabulary.kind(id) == UNKNOWN).map(|id| pieces[id]),
    };
    let bytes: HashSet<&str> =
        (0..pieces.len()).filter(|&id| vocabulary.kind(id) == BYTE).map(|id| pieces[id]).collect();
    // a vocabulary may lack the bytes that are tokens by themselves, as Gemma's does
    let fallback = (0..=255u8).any(|b| bytes.contains(format!("<0x{b:02X}>").as_str()));
    let prefix = vocabulary.flag("add_space_prefix", true)?;
    let underscore = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    let normalizer = if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, underscore]})
    } else {
        underscore
    };
    let json = TokenizerJson {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: vocabulary.added(&tokens),
        normalizer,
        // nothing to split at: the spaces have become ▁
        pre_tokenizer: Value::Null,
        // llama.cpp adds a begin token to SentencePiece vocabularies that do not say otherwise
        post_processor: vocabulary.post_processor(true)?,
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        model: Model::new(unknown, fallback, false, &tokens, pairs),
    };
    json.bytes()
}

/// The whole of tokenizer.json; the large parts are written straight from borrowed text.
#[derive(serde::Serialize)]
struct TokenizerJson<'a> {
    version: &'static str,
    truncation: (),
    padding: (),
    added_tokens: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Model<'a>,
}

impl TokenizerJson<'_> {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|e| e.to_string())
    }
}

#[derive(serde::Serialize)]
struct Model<'a> {
    r#type: &'static str,
    dropout: (),
    unk_token: Option<&'a str>,
    continuing_subword_prefix: (),
    end_of_word_suffix: (),
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Ids<'a>,
    merges: Vec<(&'a str, &'a str)>,
}

impl<'a> Model<'a> {
    fn new(
        unknown: Option<&'a str>,
        fallback: bool,
        ignore_merges: bool,
        tokens: &'a [Cow<'a, str>],
        merges: Vec<(&'a str, &'a str)>,
    ) -> Self {
        Self {
            r#type: "BPE",
            dropout: (),
            unk_token: unknown,
            continuing_subword_prefix: (),
            end_of_word_suffix: (),
            fuse_unk: unknown.is_some(),
            byte_fallback: fallback,
            ignore_merges,
            vocab: Ids(tokens),
            merges,
        }
    }
}

/// Tokens as a JSON object from text to number.
struct Ids<'a>(&'a [Cow<'a, str>]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (id, token) in self.0.iter().enumerate() {
            map.serialize_entry(token, &id)?;
        }
        map.end()
    }
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
