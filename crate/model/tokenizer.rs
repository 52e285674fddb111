//! Text to token ids, with the beginning-of-sequence rule of docs/METRICS.md.

use tokenizers::Tokenizer;

use super::architecture::Family;
use crate::error::{Error, Result};

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
    /// [`Error::Malformed`] when the file is no tokenizer; [`Error::Mismatch`] when the family's
    /// BOS token is not in it.
    pub fn new(file: &str, json: &[u8], family: &Family, bos_id: Option<u32>) -> Result<Self> {
        let mut inner = Tokenizer::from_bytes(json).map_err(|e| {
            Error::malformed(file, "tokenizer", "a Hugging Face tokenizer.json", e.to_string(), "fetch the file again")
        })?;
        // a stored truncation or padding setting would cut texts or add pads
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| Error::malformed(file, "truncation", "none", e.to_string(), "fetch the file again"))?;
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
        Ok(Self { inner, bos, bos_id, reason })
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
    /// [`Error::Malformed`] when the tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let special = self.bos == BosRule::PostProcessor;
        let encoding = self.inner.encode_fast(text, special).map_err(|e| {
            Error::malformed("tokenizer", format!("text {text:?}"), "tokens", e.to_string(), "look at the text")
        })?;
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
        match self.inner.decode(&[id], false) {
            Ok(text) if !text.is_empty() && !text.contains('\u{FFFD}') => {
                // decoders strip a leading metaspace; the vocabulary entry still shows it
                let starts_word = self.inner.id_to_token(id).is_some_and(|t| t.starts_with('▁'));
                if starts_word && !text.starts_with(' ') { format!(" {text}") } else { text }
            }
            _ => match self.inner.id_to_token(id) {
                Some(token) => byte_level(&token).map_or(token, |bytes| shown_bytes(&bytes)),
                None => format!("<{id}>"),
            },
        }
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
