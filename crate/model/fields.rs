//! What a `config.json` may hold that no family reads.

use serde_json::Value;

use crate::error::Result;
use crate::json::{Fields, Unread};

/// A checkpoint setting that changes the numbers is honoured or the checkpoint is not run.
static UNREAD: Unread = Unread {
    harmless: HARMLESS,
    private: true,
    idle: false,
    hint: |name| {
        format!(
            "it may change the numbers, so it is not passed over in silence; if you know that it does not, say so \
             with --ignore-config-field {name}"
        )
    },
};

/// Fields of transformers' `PretrainedConfig` that do not enter the forward pass of inference; and private
/// ones that every saved checkpoint may have, not worth a note: where the weights came from and which
/// implementation of attention to take.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "dtype",
    "eos_token_id",
    "id2label",
    "initializer_range",
    "label2id",
    "max_length",
    "model_type",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "problem_type",
    "return_dict",
    "task_specific_params",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_cache",
];

/// The fields of a model's config; `file` appears in messages, and `ignored` are names of fields to pass over
/// where nobody reads them.
///
/// # Errors
/// [`crate::Error::Malformed`] when it is not an object.
pub fn fields(file: &str, config: Value, ignored: &[String]) -> Result<Fields> {
    Fields::new(file, config, &UNREAD, ignored)
}
