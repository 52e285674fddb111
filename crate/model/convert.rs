//! A model quantised: as it is read, or written into a GGUF file. Both go by one plan, so both give the same numbers.

use std::collections::BTreeMap;
use std::io::Write;

use super::architecture::Architecture;
use super::{Model, family, fields};
use crate::checkpoint::Quantization;
use crate::checkpoint::gguf::{self, Description, HUGGING_FACE_TOKENIZER, MetaValue, Named, Plan, Subject};
use crate::error::{Error, Result};
use crate::platform::Source;

/// A model that can be written as a GGUF file.
#[derive(Debug)]
pub struct Conversion {
    /// Reads the quantised tensors.
    quantized: Model,
    plan: Plan,
    description: Description,
    name: String,
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
        description.others = self.vocabulary(name, gguf).await?;
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
        Ok(Conversion { quantized, plan, description, name: name.to_owned() })
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

    /// What the file says of texts: the vocabulary of the GGUF file that the model came from, or its tokenizer.json.
    async fn vocabulary(&self, name: &str, gguf: Option<&Source>) -> Result<BTreeMap<String, MetaValue>> {
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
        if !own {
            let json = String::from_utf8(self.tokenizer_json.clone()).map_err(|e| {
                Error::malformed(name, "tokenizer.json", "UTF-8 text", e.to_string(), "fetch the file again")
            })?;
            out.insert(HUGGING_FACE_TOKENIZER.to_owned(), MetaValue::Text(json));
            let bos = self.tokenizer.bos_id().map(|id| MetaValue::Int(id.into()));
            out.extend(bos.map(|bos| ("tokenizer.ggml.bos_token_id".to_owned(), bos)));
        }
        Ok(out)
    }
}

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
