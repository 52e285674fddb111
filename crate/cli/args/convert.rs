//! Arguments of `convert`, and of quantising on reading.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::checkpoint::Quantization;

/// `--quantize q8|q4`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QuantizeArg {
    /// 8 bits a weight: Q8_0.
    Q8,
    /// 4 bits a weight: Q4_K, or Q5_0 where rows are no multiples of 256; embeddings in 8.
    Q4,
}

impl From<QuantizeArg> for Quantization {
    fn from(arg: QuantizeArg) -> Self {
        match arg {
            QuantizeArg::Q8 => Self::Q8,
            QuantizeArg::Q4 => Self::Q4,
        }
    }
}

/// Whether the weights are quantised as they are read.
#[derive(Debug, Default, Args)]
pub struct QuantizeArgs {
    /// Quantise the model's weights as they are read; in memory and on a GPU they stay packed until they are used.
    /// The same numbers as `saescope convert` and its file give.
    #[arg(long, value_enum)]
    pub quantize: Option<QuantizeArg>,
    /// Quantise weights that are quantised already: one error adds to the other.
    #[arg(long, requires = "quantize")]
    pub allow_requantize: bool,
}

/// `convert`
#[derive(Debug, Args)]
pub struct Convert {
    /// A known name, a Hugging Face folder, or a .gguf file.
    #[arg(value_name = "NAME|DIR|FILE.gguf")]
    pub model: String,
    /// What the weights are quantised to.
    #[arg(long, value_enum)]
    pub quantize: QuantizeArg,
    /// The file to write, or a folder for it, where it gets the model's name and type.
    #[arg(long, value_name = "FILE.gguf|DIR")]
    pub out: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Quantise weights that are quantised already: one error adds to the other.
    #[arg(long)]
    pub allow_requantize: bool,
    /// A tokenizer.json instead of the model's own.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Pass over a field of the model's config that is not known. Repeat for more.
    #[arg(long = "ignore-config-field", value_name = "NAME")]
    pub ignored_fields: Vec<String>,
}
