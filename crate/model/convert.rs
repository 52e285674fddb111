//! A model quantised: as it is read, or written into a GGUF file. Both go by one plan, so both give the same numbers.

use std::collections::BTreeMap;
use std::io::Write;

use super::architecture::Architecture;
use super::{Model, TextTokenizer, family, fields};
use crate::checkpoint::Quantization;
use crate::checkpoint::gguf::{self, Description, HUGGING_FACE_TOKENIZER, MetaValue, Named, Plan, Subject};
use crate::error::{Error, Result, shown};
use crate::platform::Source;

/// A model that can be written as a GGUF file.
#[derive(Debug)]
pub struct Conversion {
    /// Reads the quantised tensors.
    quantized: Model,
    plan: Plan,
    description: Description,
    name: String,
    textless: Option<String>,
}

impl Model {
    /// The same model with its weights quantised as they are read; in memory they stay packed until they are
    /// used. `again` allows that of weights that are quantised already. `name` is for messages.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn quantized(&self, name: &str, quantization: Quantization, again: bool) -> Result<Self> {
        let plan = self.plan(name, quantization, again)?;
        Ok(Self { checkpoint: plan.apply(&self.checkpoint), ..self.clone() })
    }

    /// Prepares writing the model, called `name`, into a GGUF file. `gguf` is the GGUF file that it was read from,
    /// where it was.
    ///
    /// # Errors
    /// As [`Model::quantized`]; [`Error::Unsupported`] for a model that such a file cannot describe.
    pub async fn conversion(
        &self,
        name: &str,
        gguf: Option<&Source>,
        quantization: Quantization,
        again: bool,
    ) -> Result<Conversion> {
        let plan = self.plan(name, quantization, again)?;
        let mut description = self.architecture.gguf().map_err(|what| {
            Error::unsupported(format!("{name}: {what} in a GGUF file"), "run the model as it is, with `--quantize`")
        })?;
        let (others, textless) = self.vocabulary(name, gguf).await?;
        description.others = others;
        let config = plan.config(&description, name)?;
        let (family, config) = family(name, config)?;
        let read = (family.read)(fields::fields(name, config, &[])?)?;
        if let Some(what) = difference(self.architecture.as_ref(), read.as_ref()) {
            return Err(Error::unsupported(
                format!("{name}: {what} as this model has it in a GGUF file of architecture {}", family.gguf),
                "run the model as it is, with `--quantize`",
            ));
        }
        let quantized = Self { checkpoint: plan.apply(&self.checkpoint), ..self.clone() };
        Ok(Conversion { quantized, plan, description, name: name.to_owned(), textless })
    }

    fn plan(&self, name: &str, quantization: Quantization, again: bool) -> Result<Plan> {
        let (heads, tensors) = (self.architecture.attention(0), self.tensors());
        let subject = Subject {
            file: name,
            architecture: self.architecture.family().gguf,
            layers: self.dims().n_layers,
            heads: [heads.heads, heads.kv_heads],
            tensors: &tensors,
        };
        Plan::new(&subject, &self.checkpoint, quantization, again)
    }

    /// Every tensor that the model reads.
    fn tensors(&self) -> Vec<Named> {
        let family = self.architecture.family();
        let own = family.prefixes.first().copied().unwrap_or("");
        let named = |short: &str| Named { from: self.full_name(short), name: format!("{own}{short}") };
        let (embedding, unembedding) = (self.architecture.embedding(), self.architecture.unembedding());
        let mut out = vec![named(embedding.tokens)];
        out.extend(embedding.positions.map(named));
        for layer in 0..self.dims().n_layers {
            let block = self.architecture.layer_tensors(layer).into_iter();
            out.extend(block.map(|(short, _)| named(&format!("{}.{layer}.{short}", family.blocks))));
        }
        out.extend(unembedding.norm.iter().map(|(short, _)| named(short)));
        let matrix =
            unembedding.matrix.map(|matrix| Named { from: self.unembedding_matrix(), name: matrix.to_owned() });
        // a checkpoint without it is run all the same, as far as it goes
        out.extend(matrix.filter(|matrix| self.checkpoint.contains(&matrix.from)));
        out
    }

    /// What the file says of texts: the vocabulary of the GGUF file that the model came from, or its tokenizer.json
    /// and the vocabulary that stands for it there; why there is none, where there is none.
    async fn vocabulary(
        &self,
        name: &str,
        gguf: Option<&Source>,
    ) -> Result<(BTreeMap<String, MetaValue>, Option<String>)> {
        let mut out = BTreeMap::new();
        let mut own = false;
        if let Some(file) = gguf {
            let file = gguf::open(file.clone()).await?;
            own = file.tokenizer_json.as_ref() == Some(&self.tokenizer_json);
            let kept = |key: &String| match key.split('.').next() {
                Some("general") => !gguf::is_of_the_file(key),
                Some("tokenizer") => own || key.ends_with("_token_id"),
                _ => false,
            };
            out.extend(file.metadata.into_iter().filter(|(key, _)| kept(key)));
        }
        out.entry("general.name".to_owned()).or_insert_with(|| MetaValue::Text(name.to_owned()));
        if own {
            return Ok((out, None));
        }
        let json = String::from_utf8(self.tokenizer_json.clone()).map_err(|e| {
            Error::malformed(name, "tokenizer.json", "UTF-8 text", e.to_string(), "fetch the file again")
        })?;
        let marks = [("bos", self.tokenizer.bos_id()), ("eos", self.eos_id)];
        for (mark, id) in marks.into_iter().filter_map(|(mark, id)| Some((mark, id?))) {
            out.entry(format!("tokenizer.ggml.{mark}_token_id")).or_insert(MetaValue::Int(id.into()));
        }
        let textless = match self.written_vocabulary(name, &out) {
            Ok(vocabulary) => {
                out.extend(vocabulary);
                None
            }
            Err(why) => Some(why),
        };
        out.insert(HUGGING_FACE_TOKENIZER.to_owned(), MetaValue::Text(json));
        Ok((out, textless))
    }

    /// The vocabulary for llama.cpp, beside the `marks`' keys: one that gives this tokenizer's tokens, or why there is
    /// none.
    fn written_vocabulary(
        &self,
        name: &str,
        marks: &BTreeMap<String, MetaValue>,
    ) -> Result<BTreeMap<String, MetaValue>, String> {
        let mut out = gguf::vocabulary(&self.tokenizer_json, self.dims().vocab_size)?;
        let tokens = |text: &str| self.tokenizer.encode(text).map_err(|e| e.message());
        let begins = self.tokenizer.bos_id().is_some_and(|bos| tokens("a").is_ok_and(|ids| ids.first() == Some(&bos)));
        out.insert("tokenizer.ggml.add_bos_token".to_owned(), MetaValue::Bool(begins));
        let ends = self.eos_id.is_some_and(|eos| tokens("a").is_ok_and(|ids| ids.last() == Some(&eos)));
        out.insert("tokenizer.ggml.add_eos_token".to_owned(), MetaValue::Bool(ends));
        let all = marks.iter().chain(&out).map(|(key, value)| (key.clone(), value.clone())).collect();
        let read = gguf::tokenizer_json(&all)?;
        let family = self.architecture.family();
        let read = TextTokenizer::new(name, &read, family, self.tokenizer.bos_id()).map_err(|e| e.message())?;
        // every so many tokens of the vocabulary, too
        let every = (self.tokenizer.vocab_size() / SOME_TOKENS).max(1);
        let words = (0..self.tokenizer.vocab_size() as u32).step_by(every).map(|id| self.tokenizer.token_text(id));
        for text in AWKWARD.iter().map(|text| (*text).to_owned()).chain(words) {
            let (expected, found) = (tokens(&text)?, read.encode(&text).map_err(|e| e.message())?);
            if expected != found {
                return Err(format!("\"{}\" would have the tokens {found:?}, not {expected:?}", shown(&text)));
            }
        }
        Ok(out)
    }
}

/// Tokens of a vocabulary whose texts are tried.
const SOME_TOKENS: usize = 2000;
/// Texts in which tokenizers differ.
const AWKWARD: &[&str] = &[
    "",
    " ",
    "The capital of France is Paris.",
    " two  spaces   and    more     ",
    "\ttabs\tand\nlines\n\n\nand\r\nothers\u{a0}\u{3000}here",
    "I'm, you're, he'll, she'd, we've, IT'S, they’re; don't 'quote' \"this\"",
    "1 22 333 4444 55555 3.14159 1,000,000 ½ Ⅳ ４２ 1e-10 0x1F",
    "naïve café Ångström ﬁne e\u{301}clair İstanbul straße Ελληνικά кириллица",
    "日本語の文章。한국어 문장 中文，标点！ไทย हिन्दी العربية עברית",
    "😀👩‍👩‍👧‍👦🏳️‍🌈🇫🇷 ∑∫√∞ ≠≤≥ → ←",
    "def f(x):\n    return {\"a\": [x**2, 'b']}  # comment\n\tif not x: pass",
    "<html><b>bold</b>&amp;</html> <bos><eos><pad><unk><s></s><|endoftext|><|im_start|>user",
    "▁metaspace ▁▁ and Ġbytes Ċ and <0x0A> written out",
    "\u{0}\u{1}\u{7f}\u{feff}\u{fffd}\u{10ffff}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!!!!!!!!!!!!????....----____====",
    "CamelCaseWords snake_case_words kebab-case-words https://example.org/a?b=c&d=%20e user@example.org",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
];

impl Conversion {
    /// Bytes that the file will have, near enough.
    pub fn bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// Writes the file, one tensor in memory at a time; `file` names it in messages, `told` hears of every tensor's
    /// bytes, and may end it.
    ///
    /// # Errors
    /// Those of reading the weights, and of `told`; [`Error::Io`].
    pub async fn write(
        &self,
        out: &mut (dyn Write + Send),
        file: &str,
        told: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        self.plan.write(&self.quantized.checkpoint, &self.description, out, file, told).await
    }

    /// Why the file holds no vocabulary that llama.cpp could read texts with, where it holds none.
    pub fn textless(&self) -> Option<&str> {
        self.textless.as_deref()
    }

    /// What the model is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What of a model's computing is not the same in both.
fn difference(a: &dyn Architecture, b: &dyn Architecture) -> Option<&'static str> {
    if a.dims() != b.dims() {
        return Some("the sizes");
    }
    let layers = || 0..a.dims().n_layers;
    if layers().any(|layer| a.layer_tensors(layer) != b.layer_tensors(layer)) {
        return Some("the blocks' tensors");
    }
    if layers().any(|layer| a.attention(layer) != b.attention(layer)) {
        return Some("the attention (its scale, soft cap or windows)");
    }
    if a.rotary_frequencies() != b.rotary_frequencies() {
        return Some("the scaling of the rotary frequencies");
    }
    (a.embedding() != b.embedding() || a.unembedding() != b.unembedding()).then_some("the embedding or unembedding")
}
