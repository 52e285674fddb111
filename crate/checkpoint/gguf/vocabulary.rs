//! A GGUF vocabulary out of a Hugging Face tokenizer.json: what llama.cpp reads texts with. The other direction is
//! `tokenizer.rs`; what is written here and read there must give the same tokens, which `model/convert.rs` tries.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::header::MetaValue;
use super::tokenizer::{BYTE, CONTROL, LLAMA3_SPLIT, QWEN2_SPLIT, SPACE, UNKNOWN, USER_DEFINED};
use crate::error::shown;

/// llama.cpp's type of an ordinary token.
const NORMAL: i64 = 1;
/// Of one that stands for nothing.
const UNUSED: i64 = 5;
/// As llama.cpp's converter has it: below all that a merge makes.
const NO_MERGE: f32 = -1e6;

/// The keys `tokenizer.ggml.*` of a tokenizer, without its begin and end, for an embedding of `rows` tokens; or
/// why there are none for it.
pub(super) fn vocabulary(json: &[u8], rows: usize) -> Result<BTreeMap<String, MetaValue>, String> {
    let json: Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let model = &json["model"];
    if model["type"] != "BPE" {
        return Err(format!("its tokenizer is of type {}", shown(&model["type"].to_string())));
    }
    for part in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if !matches!(model[part].as_str(), None | Some("")) {
            return Err(format!("its tokenizer has a {part}"));
        }
    }
    let tokens = Tokens::read(&json, rows)?;
    let merges = merges(model)?;
    let mut out = BTreeMap::new();
    let mut put = |key: &str, value: MetaValue| out.insert(format!("tokenizer.ggml.{key}"), value);
    if model["byte_fallback"] == true {
        let prefix = space_prefix(&json)?;
        let unknown = model["unk_token"].as_str();
        let (mut texts, mut kinds) = (tokens.texts, tokens.kinds);
        let mut scores = scores(&texts, &merges);
        for (id, (text, kind)) in texts.iter_mut().zip(&mut kinds).enumerate() {
            let byte = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            if unknown == Some(text.as_str()) {
                put("unknown_token_id", MetaValue::Int(id as i64));
                *kind = UNKNOWN;
            } else if *kind == NORMAL && byte.is_some_and(|hex| hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok()) {
                *kind = BYTE;
            } else if *kind == USER_DEFINED && !text.is_empty() && text.chars().all(|c| SPACE.contains(c)) {
                // as llama.cpp's converter writes them
                *text = " ".repeat(text.chars().count());
            }
            if *kind != NORMAL {
                scores[id] = if *kind == USER_DEFINED { -1000.0 } else { 0.0 };
            }
        }
        put("model", MetaValue::Text("llama".to_owned()));
        put("pre", MetaValue::Text("default".to_owned()));
        put("add_space_prefix", MetaValue::Bool(prefix));
        put("tokens", MetaValue::Texts(texts));
        put("token_type", MetaValue::Ints(kinds));
        put("scores", MetaValue::Floats(scores));
    } else {
        let pre = byte_level(&json)?;
        put("model", MetaValue::Text("gpt2".to_owned()));
        put("pre", MetaValue::Text(pre.to_owned()));
        put("tokens", MetaValue::Texts(tokens.texts));
        put("token_type", MetaValue::Ints(tokens.kinds));
        put("merges", MetaValue::Texts(merges.iter().map(|(left, right)| format!("{left} {right}")).collect()));
    }
    Ok(out)
}

/// Every token by its number, and its type.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<i64>,
}

impl Tokens {
    fn read(json: &Value, rows: usize) -> Result<Self, String> {
        // llama.cpp wants as many tokens as the embedding has rows
        let (mut texts, mut kinds) = (vec![None; rows], vec![UNUSED; rows]);
        let mut put = |id: Option<u64>, text: &str, kind: i64| {
            let id = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < rows);
            let id = id.ok_or_else(|| format!("its token {} is past the {rows} rows of the embedding", shown(text)))?;
            if texts[id].replace(text.to_owned()).is_some_and(|old| old != text) {
                return Err(format!("its tokenizer has two tokens of number {id}"));
            }
            kinds[id] = kind;
            Ok(())
        };
        for (text, id) in json["model"]["vocab"].as_object().ok_or("its tokenizer has no vocabulary")? {
            put(id.as_u64(), text, NORMAL)?;
        }
        for token in json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice) {
            let text = token["content"].as_str().ok_or("its tokenizer has an added token without a text")?;
            if ["lstrip", "rstrip", "single_word"].iter().any(|flag| token[flag] == true) {
                return Err(format!("its token {} takes the spaces beside it along", shown(text)));
            }
            put(token["id"].as_u64(), text, if token["special"] == true { CONTROL } else { USER_DEFINED })?;
        }
        let named = texts.into_iter().enumerate().map(|(id, text)| text.unwrap_or_else(|| format!("[PAD{id}]")));
        Ok(Self { texts: named.collect(), kinds })
    }
}

/// The merges, best first; they are written in two ways.
fn merges(model: &Value) -> Result<Vec<(&str, &str)>, String> {
    let all = model["merges"].as_array().ok_or("its tokenizer has no merges")?;
    all.iter()
        .map(|merge| pair(merge).ok_or_else(|| "its tokenizer has a merge that is not of two tokens".into()))
        .collect()
}

fn pair(merge: &Value) -> Option<(&str, &str)> {
    let pair = match merge {
        Value::String(text) => text.split_once(' ')?,
        merge => (merge.get(0)?.as_str()?, merge.get(1)?.as_str()?),
    };
    (!pair.0.contains(' ') && !pair.1.contains(' ')).then_some(pair)
}

/// SentencePiece's scores: a piece's is the better, the earlier the first merge that makes it.
fn scores(texts: &[String], merges: &[(&str, &str)]) -> Vec<f32> {
    let mut ranks: HashMap<String, usize> = HashMap::new();
    for (left, right) in merges {
        let next = ranks.len();
        ranks.entry(format!("{left}{right}")).or_insert(next);
    }
    texts.iter().map(|text| ranks.get(text).map_or(NO_MERGE, |rank| -(*rank as f32))).collect()
}

/// What a part of the tokenizer does, one step after the other.
fn steps<'a>(part: &'a Value, list: &str) -> Vec<&'a Value> {
    match part {
        Value::Null => Vec::new(),
        part if part["type"] == "Sequence" => {
            part[list].as_array().map_or(&[][..], Vec::as_slice).iter().flat_map(|step| steps(step, list)).collect()
        }
        part => vec![part],
    }
}

/// llama.cpp's name for how a byte-level tokenizer splits a text.
fn byte_level(json: &Value) -> Result<&'static str, String> {
    let splits = steps(&json["pre_tokenizer"], "pretokenizers");
    let is_bytes = |step: &Value, regex: bool| {
        // what is not said is true
        step["type"] == "ByteLevel" && step["add_prefix_space"] == false && (step["use_regex"] != false) == regex
    };
    let is_digits = |step: &Value| step["type"] == "Digits" && step["individual_digits"] == true;
    let is_split = |step: &Value, pattern: &str| {
        let as_it_is = step["behavior"] == "Isolated" && step["invert"] != true;
        step["type"] == "Split" && step["pattern"]["Regex"] == pattern && as_it_is
    };
    let pre = match splits.as_slice() {
        [bytes] if is_bytes(bytes, true) => "gpt-2",
        [digits, bytes] if is_digits(digits) && is_bytes(bytes, true) => "smollm",
        [split, bytes] if is_split(split, LLAMA3_SPLIT) && is_bytes(bytes, false) => "llama-bpe",
        [split, bytes] if is_split(split, QWEN2_SPLIT) && is_bytes(bytes, false) => "qwen2",
        _ => return Err("its tokenizer splits texts in a way that has no name there".to_owned()),
    };
    let normalizers = steps(&json["normalizer"], "normalizers");
    let known = match normalizers.as_slice() {
        [] => pre != "qwen2",
        [one] => pre == "qwen2" && one["type"] == "NFC",
        _ => false,
    };
    if !known {
        return Err(format!("its tokenizer changes texts before it splits them, unlike {pre}"));
    }
    if (json["model"]["ignore_merges"] == true) != (pre == "llama-bpe") {
        return Err(format!("its tokenizer takes whole words where {pre} does not, or the other way round"));
    }
    Ok(pre)
}

/// Whether a tokenizer of SentencePiece's kind puts a space before a text.
fn space_prefix(json: &Value) -> Result<bool, String> {
    let is_space =
        |step: &Value| step["type"] == "Replace" && step["pattern"]["String"] == " " && step["content"] == SPACE;
    let prefix = match steps(&json["normalizer"], "normalizers").as_slice() {
        [space] if is_space(space) => false,
        [prepend, space] if prepend["type"] == "Prepend" && prepend["prepend"] == SPACE && is_space(space) => true,
        _ => return Err("its tokenizer changes texts in a way that SentencePiece's does not".to_owned()),
    };
    // Gemma's: at spaces, of which none are left
    let is_idle = |step: &&Value| step["type"] == "Split" && step["pattern"]["String"] == " ";
    if !steps(&json["pre_tokenizer"], "pretokenizers").iter().all(is_idle) {
        return Err("its tokenizer splits texts, which SentencePiece's does not".to_owned());
    }
    Ok(prefix)
}
