//! SAELens folders: `cfg.json` + `sae_weights.safetensors`, v6 and the flat form before it.
//!
//! v6 keeps what belongs to the SAE at the top level and the rest under `metadata`; before, all of
//! it was one flat object, often with the whole training config mixed in.

use serde_json::Value;

use super::fields;
use super::input::Normalization;
use super::tensors::{self, UPPER};
use super::{Architecture, Format, Sae, hook};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::json::Fields;
use crate::platform::Source;

/// Opens a SAELens SAE.
pub(super) async fn open(
    checkpoint: Checkpoint,
    config: Option<Source>,
    weights: Source,
    scaler: Option<Source>,
    known_factor: Option<f64>,
) -> Result<Sae> {
    let path = weights.name();
    let config = config.ok_or_else(|| {
        Error::missing(
            format!("cfg.json beside {path}"),
            "SAELens writes both; without its config an SAE's numbers are a guess",
        )
    })?;
    let file = config.name();
    let cfg = Config::new(fields::read(&config).await?)?;
    let factor = match &scaler {
        Some(source) => read_scaler(fields::read(source).await?)?,
        None => None,
    };
    let normalization = cfg.normalization(file, factor, known_factor)?;
    if matches!(normalization, Normalization::LayerNorm) && cfg.d_in < 2 {
        return Err(Error::malformed(file, "field d_in", "at least 2 for layer_norm", cfg.d_in.to_string(), ""));
    }
    tensors::check_scaling_factor(path, &checkpoint).await?;
    tensors::sizes(path, &checkpoint, UPPER)?;
    tensors::check(path, &checkpoint, UPPER, cfg.architecture, (cfg.d_in, cfg.d_sae), &["scaling_factor"])?;
    let layer = match &cfg.hook {
        Some(hook) => Some(hook::resid_post_layer(file, hook)?),
        None => cfg.hook_layer.or_else(|| hook::number_in_path(path, "layer_")),
    };
    let uses_factor = scaler.filter(|_| matches!(normalization, Normalization::ExpectedAverage { .. }));
    Ok(Sae {
        id: hook::folders(path, 2),
        d_in: cfg.d_in,
        d_sae: cfg.d_sae,
        architecture: cfg.architecture,
        format: Format::SaeLens,
        layer,
        hook: cfg.hook,
        model: cfg.model,
        prepend_bos: cfg.prepend_bos,
        declared_l0: cfg.declared_l0,
        neuronpedia_id: cfg.neuronpedia_id,
        apply_b_dec_to_input: cfg.apply_b_dec_to_input,
        normalization,
        center_input: cfg.center_input,
        rescale_acts_by_decoder_norm: cfg.rescale,
        checkpoint,
        names: UPPER,
        sources: [config, weights].into_iter().chain(uses_factor).collect(),
    })
}

/// `activation_scaler.json`, which a training checkpoint keeps beside unfolded weights.
fn read_scaler(mut fields: Fields) -> Result<Option<f64>> {
    if fields.optional::<bool>("has_whitening")?.unwrap_or(false) {
        return Err(whitening(fields.file()));
    }
    let factor = fields.optional::<f64>("scaling_factor")?;
    fields.finish()?;
    Ok(factor)
}

fn whitening(file: &str) -> Error {
    Error::unsupported(
        format!("normalize_activations covariance_whitening ({file})"),
        "fold the whitening into the weights: SAELens does so when it saves the finished SAE",
    )
}

#[derive(Debug, Clone, PartialEq)]
struct Config {
    d_in: usize,
    d_sae: usize,
    architecture: Architecture,
    rescale: bool,
    apply_b_dec_to_input: bool,
    normalize: String,
    hook: Option<String>,
    hook_layer: Option<usize>,
    model: Option<String>,
    prepend_bos: Option<bool>,
    center_input: bool,
    declared_l0: Option<f64>,
    neuronpedia_id: Option<String>,
}

impl Config {
    fn new(mut fields: Fields) -> Result<Self> {
        let file = fields.file().to_owned();
        let missing = |name: &str| Error::missing(format!("field {name} in {file}"), "SAELens always writes it");
        let mut metadata = fields.object("metadata")?;
        let flat = metadata.is_none();

        let d_in = fields.optional::<usize>("d_in")?.ok_or_else(|| missing("d_in"))?;
        let d_sae = fields.optional::<usize>("d_sae")?.ok_or_else(|| missing("d_sae"))?;
        let (architecture, rescale, declared_l0) = architecture(&mut fields, d_sae)?;
        let declared_l0 = match (declared_l0, metadata.as_mut()) {
            (None, Some(metadata)) => trained_l0(metadata)?,
            (found, _) => found,
        };
        // SAELens's own default, v6 and before
        let apply_b_dec_to_input = fields.optional::<bool>("apply_b_dec_to_input")?.unwrap_or(true);
        let normalize = match fields.take("normalize_activations") {
            None | Some(Value::Bool(false)) => "none".to_owned(),
            Some(Value::Bool(true)) => "expected_average_only_in".to_owned(),
            Some(Value::String(s)) => s,
            Some(other) => {
                return Err(Error::malformed(&file, "field normalize_activations", "a string", other.to_string(), ""));
            }
        };
        let reshape = fields.optional::<String>("reshape_activations")?.unwrap_or_else(|| "none".into());
        if reshape != "none" {
            return Err(Error::unsupported(
                format!("reshape_activations {reshape} in {file}"),
                "take an SAE of the residual stream (hook_resid_post)",
            ));
        }
        if let Some(d_out) = fields.optional::<usize>("d_out")? {
            return Err(tensors::transcoder(&file, &format!("d_out {d_out}")));
        }

        // where the SAE sits and how its texts began: under metadata since v6
        let place = metadata.as_mut().unwrap_or(&mut fields);
        let hook = place.optional::<String>("hook_name")?.or(place.optional::<String>("hook_point")?);
        let hf_hook = place.optional::<String>("hf_hook_name")?;
        for name in ["hook_name_out", "hf_hook_name_out", "hook_head_index_out"] {
            if place.has(name) {
                return Err(tensors::transcoder(&file, name));
            }
        }
        for name in ["hook_head_index", "hook_point_head_index"] {
            if let Some(head) = place.optional::<usize>(name)? {
                return Err(Error::unsupported(
                    format!("{name} {head} in {file} (an SAE of one attention head)"),
                    "take an SAE of the residual stream (hook_resid_post)",
                ));
            }
        }
        let hook_layer = place.optional::<usize>("hook_layer")?.or(place.optional::<usize>("hook_point_layer")?);
        let model = place.optional::<String>("model_name")?;
        let prepend_bos = place.optional::<bool>("prepend_bos")?.or(flat.then_some(true));
        let center_input = match place.object("model_from_pretrained_kwargs")? {
            Some(kwargs) => centered(kwargs)?,
            None => false,
        };
        let neuronpedia_id = match place.take("neuronpedia_id") {
            Some(Value::String(s)) => Some(s),
            _ => None,
        };
        if let Some(metadata) = metadata {
            // the rest of `metadata` is the trainer's notes: SAELens lets anybody write anything there
            // and computes with none of it; only what belongs elsewhere would be a misunderstanding
            metadata.refuse(METADATA_MISPLACED)?;
            fields.harmless(TOP_HARMLESS);
            fields.finish()?;
        } else {
            let all: Vec<&str> = [TOP_HARMLESS, METADATA_HARMLESS, FLAT_HARMLESS].concat();
            fields.harmless(&all);
            fields.finish()?;
        }
        let hook = hook.or(hf_hook);
        Ok(Self {
            d_in,
            d_sae,
            architecture,
            rescale,
            apply_b_dec_to_input,
            normalize,
            hook,
            hook_layer,
            model,
            prepend_bos,
            center_input,
            declared_l0,
            neuronpedia_id,
        })
    }

    /// The normalisation, with the factor of `expected_average_only_in` from the scaler file or
    /// from what the caller knows. SAELens itself goes on without a factor, with a warning and
    /// wrong numbers; this refuses.
    fn normalization(&self, file: &str, stored: Option<f64>, known: Option<f64>) -> Result<Normalization> {
        match self.normalize.as_str() {
            "none" if stored.is_some() => Err(Error::mismatch(
                format!("normalize_activations in {file}"),
                "expected_average_only_in, since activation_scaler.json holds a factor",
                "none",
                "if the factor is folded into the weights, remove activation_scaler.json",
            )),
            "none" => Ok(Normalization::None),
            "expected_average_only_in" => match stored.or(known) {
                Some(factor) if factor.is_finite() && factor > 0.0 => Ok(Normalization::ExpectedAverage { factor }),
                Some(factor) => Err(Error::malformed(
                    file,
                    "scaling factor of expected_average_only_in",
                    "a positive number",
                    factor.to_string(),
                    "check activation_scaler.json",
                )),
                None => Err(Error::missing(
                    format!("the scaling factor of normalize_activations expected_average_only_in ({file})"),
                    "put activation_scaler.json ({\"scaling_factor\": …}) beside it, \
                     or fold the factor into the weights and set normalize_activations to none",
                )),
            },
            "constant_norm_rescale" => Ok(Normalization::ConstantNorm),
            "layer_norm" => Ok(Normalization::LayerNorm),
            "covariance_whitening" => Err(whitening(file)),
            other => Err(Error::unsupported(
                format!("normalize_activations {other} in {file}"),
                "known are none, expected_average_only_in, constant_norm_rescale, layer_norm",
            )),
        }
    }
}

/// Architecture, `rescale_acts_by_decoder_norm`, and the L0 that k declares.
fn architecture(fields: &mut Fields, d_sae: usize) -> Result<(Architecture, bool, Option<f64>)> {
    let file = fields.file().to_owned();
    let name = fields.optional::<String>("architecture")?.unwrap_or_else(|| "standard".into());
    let activation = fields.optional::<String>("activation_fn_str")?.or(fields.optional::<String>("activation_fn")?);
    let mut kwargs = fields.object("activation_fn_kwargs")?;
    let kwargs_k = match kwargs.as_mut() {
        Some(kwargs) => kwargs.optional::<f64>("k")?,
        None => None,
    };
    if let Some(kwargs) = kwargs {
        kwargs.finish()?;
    }
    let k = fields.optional::<f64>("k")?.or(kwargs_k);
    let rescale = fields.optional::<bool>("rescale_acts_by_decoder_norm")?;

    // before v6 a standard SAE with activation_fn "topk" was how TopK was spelt
    let name = match activation.as_deref() {
        None | Some("relu" | "ReLU") => name,
        Some("topk") if name == "standard" || name == "topk" => "topk".to_owned(),
        Some(other) => {
            return Err(Error::unsupported(
                format!("activation function {other} with architecture {name} in {file}"),
                "known are relu and topk",
            ));
        }
    };
    let refuse_rescale = |architecture: Architecture| match rescale {
        Some(true) => Err(Error::unsupported(
            format!("rescale_acts_by_decoder_norm with architecture {architecture} in {file}"),
            "fold the decoder norms into the weights and remove the field",
        )),
        _ => Ok((architecture, false, None)),
    };
    match name.as_str() {
        "standard" | "gated" if k.is_some() => Err(Error::unsupported(
            format!("field k with architecture {name} in {file}"),
            "an SAE with k is a topk SAE; correct the field architecture",
        )),
        "standard" => refuse_rescale(Architecture::Standard),
        "gated" => refuse_rescale(Architecture::Gated),
        "jumprelu" => refuse_rescale(Architecture::JumpRelu).map(|(a, r, _)| (a, r, k)),
        "topk" => {
            let found = k.map_or_else(|| "nothing".to_owned(), |k| k.to_string());
            let k = k.filter(|k| k.fract() == 0.0 && *k >= 1.0 && *k <= d_sae as f64);
            let k = k.ok_or_else(|| {
                Error::malformed(&file, "field k", format!("an integer from 1 to d_sae ({d_sae})"), found, "")
            })?;
            Ok((Architecture::TopK { k: k as usize }, rescale.unwrap_or(false), Some(k)))
        }
        // the training class, whose default is to rescale
        "batchtopk" | "matryoshka_batchtopk" => Ok((Architecture::BatchTopK, rescale.unwrap_or(true), k)),
        other if other.contains("transcoder") || other.contains("clt") => {
            Err(tensors::transcoder(&file, &format!("architecture {other}")))
        }
        other => Err(Error::unsupported(
            format!("architecture {other} in {file}"),
            "known are standard, jumprelu, topk, batchtopk and gated",
        )),
    }
}

/// k or target L0 that the training details declare.
fn trained_l0(metadata: &mut Fields) -> Result<Option<f64>> {
    // measured by the trainer, or aimed at
    let measured = metadata.take("l0").and_then(|l0| l0.as_f64()).map(shortest);
    let Some(mut details) = metadata.object("training_architecture_details")? else { return Ok(measured) };
    // what is left there describes training only
    let aimed = details.take("k").or_else(|| details.take("target_l0")).and_then(|l0| l0.as_f64());
    Ok(measured.or(aimed))
}

/// A number that was an f32 when it was written, with the digits that tell it apart as one: trainers
/// measure in f32 and write 45.000003814697266 for 45.000004.
fn shortest(value: f64) -> f64 {
    let narrow = value as f32;
    if f64::from(narrow) == value { narrow.to_string().parse().unwrap_or(value) } else { value }
}

/// `center_writing_weights` of the model that the SAE was trained on; other arguments that would
/// change its residual stream are refused.
fn centered(mut kwargs: Fields) -> Result<bool> {
    let center = kwargs.optional::<bool>("center_writing_weights")?.unwrap_or(false);
    kwargs.harmless(MODEL_KWARGS_HARMLESS);
    kwargs.finish()?;
    Ok(center)
}

/// Arguments of TransformerLens's `from_pretrained` that leave the residual stream as it is (they
/// fold weights into readers of the stream, or say where and in what precision to compute).
const MODEL_KWARGS_HARMLESS: &[&str] = &[
    "fold_ln",
    "center_unembed",
    "fold_value_biases",
    "refactor_factored_attn_matrices",
    "dtype",
    "torch_dtype",
    "device",
    "device_map",
    "n_devices",
    "move_to_device",
    "trust_remote_code",
    "attn_implementation",
    "low_cpu_mem_usage",
    "local_files_only",
    "cache_dir",
    "default_padding_side",
    "default_prepend_bos",
];

/// Top-level fields that do not change the numbers: storage and training only.
#[rustfmt::skip]
const TOP_HARMLESS: &[&str] = &[
    // where and how to compute; everything here is computed in f32
    "dtype", "device",
    // no effect at inference without a scaling_factor tensor, which is checked
    "finetuning_scaling_factor",
    // training
    "decoder_init_norm", "l1_coefficient", "lp_norm", "l1_warm_up_steps", "l0_coefficient", "l0_warm_up_steps",
    "jumprelu_init_threshold", "jumprelu_bandwidth", "jumprelu_sparsity_loss_mode", "jumprelu_tanh_scale",
    "jumprelu_ste_to_input", "pre_act_loss_coefficient", "target_l0", "aux_loss_coefficient",
    "use_sparse_activations", "topk_threshold_lr", "matryoshka_widths", "use_matryoshka_aux_loss",
];

/// Fields that would change the numbers if SAELens read them, and that have no business under
/// `metadata`.
#[rustfmt::skip]
const METADATA_MISPLACED: &[&str] = &[
    "activation_fn", "activation_fn_kwargs", "activation_fn_str", "apply_b_dec_to_input", "architecture", "d_in",
    "d_sae", "input_scale", "model_kwargs", "normalize_activations", "rescale_acts_by_decoder_norm",
    "reshape_activations", "scaling_factor", "threshold",
];

/// Fields that v6 keeps under `metadata` and that do not change the numbers.
#[rustfmt::skip]
const METADATA_HARMLESS: &[&str] = &[
    "sae_lens_version", "sae_lens_training_version", "training_architecture", "training_architecture_details",
    "model_class_name", "dataset_path", "dataset_trust_remote_code", "context_size",
    // which positions training saw; here the last token is read, by docs/METRICS.md
    "seqpos_slice", "exclude_special_tokens", "disable_concat_sequences", "sequence_separator_token",
    "neuronpedia_id",
];

/// The training configuration that flat configs carry along.
#[rustfmt::skip]
const FLAT_HARMLESS: &[&str] = &[
    "act_store_device", "activations_mixing_fraction", "adam_beta1", "adam_beta2", "autocast", "autocast_lm",
    "b_dec_init_method", "cached_activations_path", "checkpoint_path", "compile_llm", "compile_sae",
    "dataset_name", "dead_feature_estimation_method", "dead_feature_threshold", "dead_feature_window",
    "decoder_heuristic_init", "decoder_heuristic_init_norm", "decoder_orthogonal_init", "eval_batch_size_prompts",
    "eval_every_n_wandb_logs", "expansion_factor", "feature_reinit_scale", "feature_sampling_method",
    "feature_sampling_window", "finetuning_method", "finetuning_tokens", "from_pretrained_path", "hook_eval",
    "hook_point_eval", "init_encoder_as_decoder_transpose", "is_dataset_tokenized", "llm_compilation_mode",
    "log_activations_store_to_wandb", "log_optimizer_state_to_wandb", "log_to_wandb", "log_weights_to_wandb",
    "logger", "lr", "lr_decay_steps", "lr_end", "lr_scheduler", "lr_scheduler_name", "lr_warm_up_steps",
    "mse_loss_normalization", "n_batches_for_norm_estimate", "n_batches_in_buffer", "n_checkpoints",
    "n_eval_batches", "n_restart_cycles", "noise_scale", "normalize_sae_decoder", "output_path",
    "prefetch_llm_batches", "resample_batches", "resume", "resume_from_checkpoint", "run_name",
    "sae_compilation_mode", "save_final_checkpoint", "scale_sparsity_penalty_by_decoder_norm", "seed",
    "sparsity", "store_batch_size", "store_batch_size_prompts", "streaming", "tokenizer_name",
    "tokens_per_buffer", "total_training_steps", "total_training_tokens", "train_batch_size",
    "train_batch_size_tokens", "training_tokens", "unique_id", "use_cached_activations", "use_ghost_grads",
    "verbose", "wandb_entity", "wandb_id", "wandb_log_frequency", "wandb_project",
];

#[cfg(test)]
mod tests;
