//! Putting a run's manifest together.

use sha2::{Digest, Sha256};

use super::Loaded;
use super::hash::hex;
use crate::dataset::Dataset;
use crate::engine::{Batching, Options, Outcome};
use crate::metrics::{self, LayerHealth};
use crate::output::{
    BatchInfo, ComputeInfo, DatasetInfo, FailedSample, FileInfo, IgnoredField, Manifest, ModelInfo, NoiseInfo,
    ProgramInfo, SCHEMA_VERSION, SaeInfo, StageTiming, Timings, TokenizerInfo,
};
use crate::platform;

/// Everything a manifest is made from.
pub struct Parts<'a> {
    /// `YYYYMMDD_HHMMSS` and the like.
    pub run_id: String,
    /// Start.
    pub started_at: jiff::Timestamp,
    /// Model and SAEs.
    pub loaded: &'a Loaded,
    /// Where it was computed.
    pub compute: ComputeInfo,
    /// Data.
    pub data: &'a Dataset,
    /// The files it came from.
    pub data_files: Vec<FileInfo>,
    /// Only so many samples were asked for.
    pub limit: Option<usize>,
    /// Noise, seed and batches.
    pub options: &'a Options,
    /// How it went.
    pub outcome: &'a Outcome,
    /// Most bytes in buffers of the graphics device, where they are counted.
    pub peak_gpu_buffer_bytes: Option<u64>,
    /// Hashes of the weight files, then of each SAE's files.
    pub hashes: (Vec<FileInfo>, Vec<Vec<FileInfo>>),
}

/// Puts the manifest together. `health` is per layer, `more_stages` are seconds per stage that is not
/// the engine's.
pub(super) fn manifest(parts: Parts<'_>, health: Vec<LayerHealth>, more_stages: &[(&'static str, f64)]) -> Manifest {
    let Parts {
        run_id,
        started_at,
        loaded,
        compute,
        data,
        data_files,
        limit,
        options,
        outcome,
        peak_gpu_buffer_bytes,
        hashes,
    } = parts;
    let model = &loaded.model;
    let (weights, sae_hashes) = hashes;
    let stages: Vec<StageTiming> = outcome
        .timings
        .named()
        .into_iter()
        .chain(more_stages.iter().copied())
        .map(|(stage, seconds)| StageTiming { stage: stage.to_owned(), seconds })
        .collect();
    let warnings = health
        .iter()
        .flat_map(|h| h.warnings.iter().cloned())
        .chain(metrics::sink_warnings(&outcome.samples))
        .chain(data.warnings(&options.join))
        .chain(model.ignored_fields.iter().filter(|f| f.asked).map(|f| {
            format!("config field {} = {} was ignored on request, whatever it means for the numbers", f.name, f.value)
        }))
        .chain(
            (!data.rejected.is_empty()).then(|| format!("{} rows of the data set were skipped", data.rejected.len())),
        )
        .chain((!outcome.failed.is_empty()).then(|| format!("{} samples failed", outcome.failed.len())))
        .collect();
    let tokenizer = model.tokenizer_json.as_slice();
    Manifest {
        schema_version: SCHEMA_VERSION,
        run_id,
        started_at,
        program: ProgramInfo::this(),
        model: ModelInfo {
            name: loaded.name.clone(),
            architecture: model.architecture.name().to_owned(),
            source: loaded.origin.clone(),
            revision: loaded.revision.clone(),
            d_model: model.dims().d_model,
            n_layers: model.dims().n_layers,
            quantization: loaded.quantization.clone(),
            files: weights,
            ignored_config_fields: model
                .ignored_fields
                .iter()
                .map(|f| IgnoredField { name: f.name.clone(), value: f.value.clone(), asked: f.asked })
                .collect(),
        },
        tokenizer: TokenizerInfo {
            file: FileInfo {
                path: loaded.tokenizer_file.clone(),
                bytes: tokenizer.len() as u64,
                sha256: Some(hex(&Sha256::digest(tokenizer))),
            },
            bos_rule: model.tokenizer.bos_reason().to_owned(),
        },
        layers: loaded.saes.iter().map(|s| s.layer).collect(),
        saes: loaded
            .saes
            .iter()
            .zip(sae_hashes)
            .map(|(at, files)| {
                let m = at.sae.metadata();
                SaeInfo {
                    layer: at.layer,
                    id: m.id,
                    architecture: m.architecture,
                    format: m.format,
                    d_sae: m.d_sae,
                    declared_l0: m.declared_l0,
                    hook: m.hook,
                    prepend_bos: m.prepend_bos,
                    apply_b_dec_to_input: m.apply_b_dec_to_input,
                    normalize_activations: m.normalize_activations,
                    norm_scaling_factor: m.norm_scaling_factor,
                    center_input: m.center_input,
                    rescale_acts_by_decoder_norm: m.rescale_acts_by_decoder_norm,
                    decoder_rows: "as stored, unfolded".to_owned(),
                    files,
                }
            })
            .collect(),
        dataset: DatasetInfo {
            files: data_files,
            samples: data.samples.len(),
            limit,
            join: options.join.clone(),
            columns: (!data.columns.is_empty()).then(|| data.columns.to_string()),
            made_ids: data.made_ids,
            skipped_rows: data.rejected.iter().map(|r| format!("{}: {r}", r.file)).collect(),
        },
        noise: NoiseInfo { rule: options.noise.to_string(), seed: options.seed },
        compute,
        batch: BatchInfo {
            batch_size: match options.batching {
                Batching::Triples(n) => n,
                Batching::Auto | Batching::OneText => 0,
            },
            batches: outcome.batches,
            texts: outcome.texts,
            tokens: outcome.tokens,
            tokens_computed: outcome.nodes,
        },
        timings: Timings {
            stages,
            total_seconds: outcome.seconds,
            samples_per_second: outcome.samples.len() as f64 / outcome.seconds.max(1e-9),
            peak_memory_bytes: platform::peak_memory(),
            peak_gpu_buffer_bytes,
        },
        sae_health: health,
        warnings,
        failed_samples: outcome
            .failed
            .iter()
            .map(|f| FailedSample { sample_id: f.sample_id.clone(), reason: f.reason.clone() })
            .collect(),
    }
}
