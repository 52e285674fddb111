//! Putting a run's manifest together.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::args::MeasureArgs;
use super::setup::{Devices, Loaded};
use crate::dataset::Dataset;
use crate::engine::Outcome;
use crate::error::Result;
use crate::metrics::LayerHealth;
use crate::output::{
    BatchInfo, ComputeInfo, DatasetInfo, FailedSample, FileInfo, Manifest, ModelInfo, NoiseInfo, ProgramInfo,
    SCHEMA_VERSION, SaeInfo, StageTiming, Timings, TokenizerInfo,
};
use crate::platform::fetch::cache_dir;
use crate::platform::{self, Source};

/// Bytes hashed at once.
const CHUNK: u64 = 8 << 20;

/// sha256 of whole files. Known ones are remembered by path, size and time of change, so that a
/// large checkpoint is not read through at every run.
///
/// # Errors
/// Reading errors.
pub async fn hash_files(files: Vec<Source>) -> Result<Vec<FileInfo>> {
    let memory = cache_dir().ok().map(|d| d.join("sha256.json"));
    let mut known: BTreeMap<String, String> = memory
        .as_ref()
        .and_then(|p| std::fs::read(p).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut out = Vec::new();
    let mut learned = false;
    for file in files {
        let key = key(&file);
        let sha256 = match key.as_ref().and_then(|k| known.get(k)) {
            Some(sha256) => sha256.clone(),
            None => {
                let sha256 = hash(&file).await?;
                if let Some(key) = key {
                    known.insert(key, sha256.clone());
                    learned = true;
                }
                sha256
            }
        };
        out.push(FileInfo { path: file.name().to_owned(), bytes: file.len(), sha256: Some(sha256) });
    }
    if let (true, Some(path), Ok(bytes)) = (learned, memory, serde_json::to_vec_pretty(&known)) {
        // only a convenience: a run does not fail for it
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = platform::write_atomic(&path, &bytes);
    }
    Ok(out)
}

fn key(file: &Source) -> Option<String> {
    let path = std::fs::canonicalize(file.name()).ok()?;
    let changed = std::fs::metadata(&path).ok()?.modified().ok()?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(format!("{}|{}|{}", path.display(), file.len(), since.as_nanos()))
}

async fn hash(file: &Source) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut at = 0;
    while at < file.len() {
        let end = (at + CHUNK).min(file.len());
        hasher.update(file.read(at..end).await?);
        at = end;
    }
    Ok(hex(&hasher.finalize()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Everything a manifest is made from.
pub struct Parts<'a> {
    /// `YYYYMMDD_HHMMSS` and the like.
    pub run_id: String,
    /// Start.
    pub started_at: jiff::Timestamp,
    /// Model and SAEs.
    pub loaded: &'a Loaded,
    /// Devices.
    pub devices: &'a Devices,
    /// Data.
    pub data: &'a Dataset,
    /// The files it came from.
    pub data_files: Vec<FileInfo>,
    /// `--limit`.
    pub limit: Option<usize>,
    /// Noise and seed.
    pub measure: &'a MeasureArgs,
    /// Triples per batch asked for; 0 for automatic.
    pub batch_size: usize,
    /// How it went.
    pub outcome: &'a Outcome,
    /// Hashes of the weight files, then of each SAE's files.
    pub hashes: (Vec<FileInfo>, Vec<Vec<FileInfo>>),
    /// Health per layer.
    pub health: Vec<LayerHealth>,
    /// Seconds per stage that is not the engine's.
    pub more_stages: Vec<(&'static str, f64)>,
}

/// Puts the manifest together.
pub fn manifest(parts: Parts<'_>) -> Manifest {
    let Parts {
        run_id,
        started_at,
        loaded,
        devices,
        data,
        data_files,
        limit,
        measure,
        batch_size,
        outcome,
        hashes,
        health,
        more_stages,
    } = parts;
    let model = &loaded.model;
    let (weights, sae_hashes) = hashes;
    let stages: Vec<StageTiming> = outcome
        .timings
        .named()
        .into_iter()
        .chain(more_stages)
        .map(|(stage, seconds)| StageTiming { stage: stage.to_owned(), seconds })
        .collect();
    let warnings = health
        .iter()
        .flat_map(|h| h.warnings.iter().cloned())
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
            skipped_rows: data.rejected.iter().map(|r| format!("{}: {r}", r.file)).collect(),
        },
        noise: NoiseInfo { rule: measure.noise.to_string(), seed: measure.seed },
        compute: ComputeInfo {
            precision: devices.computes.first().map_or("f32", |c| c.precision.as_str()).to_owned(),
            device: devices.kind(),
            adapter: devices.name(),
            backend: devices.backend(),
            threads: platform::threads(),
            weights: "streamed".to_owned(),
        },
        batch: BatchInfo {
            batch_size,
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
