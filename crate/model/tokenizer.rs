//! Text to token ids, with the beginning-of-sequence rule of docs/METRICS.md.
//!
//! The library that does it trusts its files: it panics on some, and makes of a text what they say. So it is
//! called where panics are caught, and only for what [`growth`] has found bounded.

mod growth;
mod rank;

use std::collections::HashMap;

use tokenizers::{ModelWrapper, Tokenizer};

use super::architecture::Family;
use crate::error::{Error, Result, shown};
use crate::platform::quietly;
use growth::Growth;

/// Largest tokenizer.json that is read: Gemma's takes 34 MB.
pub const MAX_TOKENIZER_BYTES: u64 = 128 << 20;

/// When a beginning-of-sequence token is put before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BosRule {
    /// Exactly one, always (Gemma's `<bos>`, GPT-2's `<|endoftext|>`).
    Always(u32),
    /// What the tokenizer's own post-processor does (Llama style).
    PostProcessor,
    /// Never.
    Never,
}

/// A tokenizer and its BOS rule.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    file: String,
    growth: Growth,
    bos: BosRule,
    /// the id that an SAE's `prepend_bos` asks for
    bos_id: Option<u32>,
    reason: String,
}

impl TextTokenizer {
    /// Parses a `tokenizer.json` and applies the family's BOS rule.
    ///
    /// `bos_id` is the config's `bos_token_id`, used where an SAE asks for BOS and the family has
    /// no fixed token.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the file is no tokenizer, or could make too much of a text;
    /// [`Error::Unsupported`] for one that draws lots; [`Error::Mismatch`] when the family's BOS token is not
    /// in it.
    pub fn new(file: &str, json: &[u8], family: &Family, bos_id: Option<u32>) -> Result<Self> {
        let malformed = |found: String| {
            Error::malformed(file, "tokenizer", "a Hugging Face tokenizer.json", found, "fetch the file again")
        };
        if json.len() as u64 > MAX_TOKENIZER_BYTES {
            return Err(malformed(format!("{} bytes, more than {MAX_TOKENIZER_BYTES}", json.len())));
        }
        let growth = Growth::of(json).map_err(malformed)?;
        let mut inner =
            quietly(|| Tokenizer::from_bytes(json)).map_err(malformed)?.map_err(|e| malformed(e.to_string()))?;
        if let ModelWrapper::BPE(model) = inner.get_model()
            && let Some(dropout) = model.dropout.filter(|dropout| *dropout != 0.0)
        {
            return Err(Error::unsupported(
                format!("{file}: model.dropout = {dropout}, merges that are left out at random,"),
                "the same text would have other tokens every time; set it to null, as it is meant for training",
            ));
        }
        // a stored truncation or padding setting would cut texts or add pads
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| malformed(e.to_string()))?;
        let (bos, reason) = match family.bos {
            Some(token) => {
                let id = inner.token_to_id(token).ok_or_else(|| {
                    Error::mismatch(
                        format!("{file}: vocabulary of a {} model", family.name),
                        format!("the token {token}"),
                        "no such token",
                        "is this another model's tokenizer?",
                    )
                })?;
                (BosRule::Always(id), format!("always {token} ({})", family.name))
            }
            None => (BosRule::PostProcessor, "the tokenizer's post-processor".to_owned()),
        };
        let bos_id = match bos {
            BosRule::Always(id) => Some(id),
            _ => bos_id,
        };
        Ok(Self { inner, file: file.to_owned(), growth, bos, bos_id, reason })
    }

    /// Lets an SAE's `prepend_bos` override the family's rule.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when BOS is asked for and the model names no such token.
    pub fn override_bos(&mut self, prepend: bool, source: &str) -> Result<()> {
        self.bos = match (prepend, self.bos_id) {
            (false, _) => BosRule::Never,
            (true, Some(id)) => BosRule::Always(id),
            (true, None) => {
                return Err(Error::unsupported(
                    format!("{source}: prepend_bos = true for a model without bos_token_id"),
                    "add bos_token_id to the model's config.json",
                ));
            }
        };
        self.reason = format!("prepend_bos = {prepend} ({source})");
        Ok(())
    }

    /// The beginning-of-sequence token, where the model names one.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// The rule in force.
    pub fn bos_rule(&self) -> BosRule {
        self.bos
    }

    /// The rule in words, for the manifest.
    pub fn bos_reason(&self) -> &str {
        &self.reason
    }

    /// Token ids of `text`, BOS included.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a text far longer than any model's context; [`Error::Malformed`] when the
    /// tokenizer fails on it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let longest = self.growth.longest_text();
        if text.len() as u64 > longest {
            return Err(Error::mismatch(
                format!("text \"{}\"", shown(text)),
                format!("at most {longest} bytes"),
                format!("{} bytes", text.len()),
                "shorten the text",
            ));
        }
        let special = self.bos == BosRule::PostProcessor;
        let failed = |found: String| {
            let what = format!("tokens of \"{}\"", shown(text));
            Error::malformed(&self.file, what, "a tokenizer that can make them", found, "is the tokenizer damaged?")
        };
        let encoding = quietly(|| self.inner.encode_fast(text, special)).map_err(failed)?;
        let encoding = encoding.map_err(|e| failed(e.to_string()))?;
        let mut ids = encoding.get_ids().to_vec();
        if let BosRule::Always(bos) = self.bos
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of one token as a reader would want to see it (spaces and newlines made visible
    /// by the caller).
    pub fn token_text(&self, id: u32) -> String {
        let token = self.inner.id_to_token(id);
        let short = token.as_ref().is_none_or(|token| token.len() as u64 <= self.growth.longest_token());
        // a decoder that fails leaves the vocabulary's own word
        let text = short.then(|| quietly(|| self.inner.decode(&[id], false)).ok()?.ok()).flatten();
        match text {
            Some(text) if !text.is_empty() && !text.contains('\u{FFFD}') => {
                // decoders strip a leading metaspace; the vocabulary entry still shows it
                let starts_word = token.is_some_and(|t| t.starts_with('▁'));
                if starts_word && !text.starts_with(' ') { format!(" {text}") } else { text }
            }
            _ => match token {
                Some(token) => byte_level(&token).map_or(token, |bytes| shown_bytes(&bytes)),
                None => format!("<{id}>"),
            },
        }
    }

    /// How common these tokens are, by their ids: 0 for the commonest (letters, bytes and special tokens), else the
    /// place of the merge that makes the token, from 1; of a unigram model, how many tokens have a higher score. `json`
    /// is the tokenizer.json. Empty where it has neither merges nor scores.
    pub fn ranks(&self, json: &[u8], ids: impl IntoIterator<Item = u32>) -> HashMap<u32, u32> {
        let words = ids.into_iter().filter_map(|id| Some((id, self.inner.id_to_token(id)?)));
        rank::ranks(json, &words.collect::<Vec<_>>())
    }

    /// Size of the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// The bytes of a token written in GPT-2's alphabet, where printable Latin-1 stands for itself and
/// the other bytes, in order, for the characters from U+0100 on (`bytes_to_unicode` of GPT-2's
/// encoder.py); none where it holds anything else.
fn byte_level(token: &str) -> Option<Vec<u8>> {
    let itself = |b: u8| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let others: Vec<u8> = (0..=255).filter(|b| !itself(*b)).collect();
    token
        .chars()
        .map(|c| match u8::try_from(c) {
            Ok(b) if itself(b) => Some(b),
            _ => (c as usize).checked_sub(0x100).and_then(|i| others.get(i).copied()),
        })
        .collect()
}

/// Text as far as the bytes are text, the others as `<F0>`: a part of a character.
fn shown_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("<{byte:02X}>"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_characters_are_shown_as_bytes() {
        let shown = |token: &str| byte_level(token).map(|bytes| shown_bytes(&bytes));
        // the first token of " 🦊" (20 F0 9F A6 8A) in SmolLM2's vocabulary, and its last byte
        assert_eq!(shown("ĠðŁ").as_deref(), Some(" <F0><9F>"));
        assert_eq!(shown("Ĭ").as_deref(), Some("<8A>"));
        assert_eq!(shown("Ġtoken").as_deref(), Some(" token"));
        assert_eq!(shown("Ã©").as_deref(), Some("é"));
        assert_eq!(shown("▁token"), None);
        let all: Vec<u8> = (0..=255).collect();
        let alphabet: String =
            (0..=0x143).filter_map(char::from_u32).filter(|c| byte_level(&c.to_string()).is_some()).collect();
        let mut bytes = byte_level(&alphabet).unwrap();
        bytes.sort_unstable();
        assert_eq!(bytes, all);
    }
}
