//! Putting a run's manifest together: what is known before, and how it went.

use std::collections::BTreeSet;

use super::Loaded;
use super::shard::Shard;
use super::spool::Base;
use super::wanted::Wanted;
use super::whole::{Excerpt, Whole};
use crate::dataset::Dataset;
use crate::engine::{Batching, Counters, FailedSample, Options};
use crate::hash;
use crate::metrics::{LayerHealth, MOST_FEATURES, POOL_ROWS};
use crate::model::ops::Moved;
use crate::output::{
    self, BatchInfo, ClassifierInfo, ComputeInfo, DatasetInfo, DecoderRows, FileInfo, IgnoredField, Manifest,
    ModelInfo, MovedInfo, NoiseInfo, NullsInfo, ProgramInfo, SCHEMA_VERSION, SaeInfo, StageTiming, StatisticsInfo,
    Timeline, Timings, TokenizerInfo,
};
use crate::stats::{Classifier, RESIDUAL, Settings};

/// Everything that is known of a run before it is measured.
pub struct Parts<'a> {
    /// The run's name.
    pub run_id: String,
    /// Start.
    pub started_at: jiff::Timestamp,
    /// Model and SAEs.
    pub loaded: &'a Loaded,
    /// Where it is computed.
    pub compute: ComputeInfo,
    /// Data, all of it; with an `excerpt` the part's own.
    pub data: &'a Dataset,
    /// What the data are a part of, where they are not all.
    pub excerpt: Option<&'a Excerpt>,
    /// Only so many samples were asked for.
    pub limit: Option<usize>,
    /// The part of the data that is measured, where it is one.
    pub shard: Option<Shard>,
    /// Noise, seed and batches.
    pub options: &'a Options,
    /// Hashes of the model's files, then of each SAE's files.
    pub hashes: (Vec<FileInfo>, Vec<Vec<FileInfo>>),
}

impl Parts<'_> {
    /// The manifest without results, and what else the numbers depend on.
    pub fn base(self) -> Base {
        let Self { run_id, started_at, loaded, compute, data, excerpt, limit, shard, options, hashes } = self;
        let whole = excerpt.map_or_else(|| Whole::of(data, limit, &options.join), |excerpt| excerpt.whole.clone());
        let ids = data.samples.iter().map(|s| s.id.as_str());
        let wanted = match excerpt {
            Some(excerpt) => Wanted::part(ids.map(str::to_owned).collect(), excerpt.rows.clone(), whole.info.samples),
            None => Wanted::new(ids, shard),
        };
        let skipped = whole.info.skipped_rows.len();
        let model = &loaded.model;
        let (weights, sae_hashes) = hashes;
        let warnings = whole
            .warnings
            .into_iter()
            .chain(model.ignored_fields.iter().filter(|f| f.asked).map(|f| {
                format!(
                    "config field {} = {} was ignored on request, whatever it means for the numbers",
                    f.name, f.value
                )
            }))
            .chain((skipped > 0).then(|| format!("{skipped} rows of the data set were skipped")))
            .collect();
        let tokenizer = model.tokenizer_json.as_slice();
        let manifest = Manifest {
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
                quantized: loaded.quantized.map(|quantization| quantization.as_str().to_owned()),
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
                    sha256: Some(hash::sha256(tokenizer)),
                },
                bos_rule: model.tokenizer.bos_reason().to_owned(),
            },
            layers: loaded.saes.iter().map(|s| s.layer).collect(),
            saes: saes(loaded, sae_hashes),
            dataset: DatasetInfo { shard: shard.map(|s| s.to_string()), ..whole.info },
            noise: NoiseInfo { rule: options.noise.to_string(), seed: options.seed },
            nulls: (options.nulls > 0).then_some(NullsInfo {
                draws: options.nulls,
                seed: options.seed,
                pool_rows: POOL_ROWS,
                most_features: MOST_FEATURES,
            }),
            statistics: None,
            compute,
            batch: BatchInfo {
                batch_size: match options.batching {
                    Batching::Triples(n) => n,
                    Batching::Auto | Batching::OneText => 0,
                },
                batches: 0,
                texts: 0,
                tokens: 0,
                tokens_computed: 0,
            },
            timings: Timings {
                stages: Vec::new(),
                total_seconds: 0.0,
                samples_per_second: 0.0,
                parts: 0,
                peak_memory_bytes: None,
                peak_gpu_buffer_bytes: None,
                moved: None,
            },
            timeline: None,
            sae_health: Vec::new(),
            warnings,
            failed_samples: Vec::new(),
            files: Vec::new(),
        };
        Base { manifest, data: whole.sha256, wanted, logprob: options.logprob, nulls: options.nulls, shard }
    }
}

fn saes(loaded: &Loaded, hashes: Vec<Vec<FileInfo>>) -> Vec<SaeInfo> {
    let info = |(at, files): (&crate::engine::SaeAt, Vec<FileInfo>)| {
        let sae = &at.sae;
        SaeInfo {
            layer: at.layer,
            id: sae.id.clone(),
            architecture: sae.architecture,
            format: sae.format,
            d_sae: sae.d_sae,
            declared_l0: sae.declared_l0,
            hook: sae.hook.clone(),
            prepend_bos: sae.prepend_bos,
            apply_b_dec_to_input: sae.apply_b_dec_to_input,
            normalize_activations: sae.normalization.kind(),
            norm_scaling_factor: sae.normalization.factor(),
            center_input: sae.center_input,
            rescale_acts_by_decoder_norm: sae.rescale_acts_by_decoder_norm,
            decoder_rows: DecoderRows::AsStored,
            files,
        }
    };
    loaded.saes.iter().zip(hashes).map(info).collect()
}

/// What comparisons are made with, and what classifiers say, as the manifest has it.
pub(super) fn statistics(settings: Settings, classifiers: &[Classifier]) -> StatisticsInfo {
    let Settings { seed, resamples, bound, clusters, by_domain: _ } = settings;
    let classifiers = classifiers.iter().map(classifier).collect();
    StatisticsInfo { seed, resamples, equivalence_bound: bound, clusters, classifiers }
}

fn classifier(of: &Classifier) -> ClassifierInfo {
    ClassifierInfo {
        reads: of.reads.to_owned(),
        layer: of.layer,
        samples: of.n,
        columns: of.columns,
        kept: of.kept,
        auroc: of.auroc.map(|auroc| auroc.area),
        auroc_interval: of.auroc.and_then(|auroc| auroc.interval),
        samples_at_equal_length: of.n_matched,
        auroc_at_equal_length: of.matched.map(|auroc| auroc.area),
        auroc_at_equal_length_interval: of.matched.and_then(|auroc| auroc.interval),
        swapped_auroc: of.swapped.map(|swapped| swapped.mean),
        swapped_p: of.swapped.map(|swapped| swapped.p),
        swapped_p_over_layers: of.swapped.map(|swapped| swapped.p_over_layers),
    }
}

/// A finished run's manifest with other comparisons: what they were made with, and their files, by name. What the residual
/// stream tells stays, where the same was drawn for it: the residual is in no file.
#[must_use]
pub fn with_statistics(
    mut manifest: Manifest,
    settings: Settings,
    classifiers: &[Classifier],
    files: &[(&str, &[u8])],
) -> Manifest {
    let mut made = statistics(settings, classifiers);
    if let Some(before) = manifest.statistics.take()
        && (before.seed, before.clusters) == (made.seed, made.clusters)
    {
        made.classifiers.extend(before.classifiers.into_iter().filter(|of| of.reads == RESIDUAL));
    }
    manifest.statistics = Some(made);
    for (path, file) in files {
        let info = FileInfo { path: (*path).to_owned(), bytes: file.len() as u64, sha256: Some(hash::sha256(file)) };
        match manifest.files.iter_mut().find(|known| known.path == info.path) {
            Some(known) => *known = info,
            None => manifest.files.push(info),
        }
    }
    manifest
}

/// How a run went.
pub(super) struct Results {
    /// Samples measured.
    pub(super) measured: usize,
    /// The others.
    pub(super) failed: Vec<FailedSample>,
    /// Time and work.
    pub(super) counters: Counters,
    /// Processes that measured it.
    pub(super) parts: usize,
    /// When they did what.
    pub(super) timeline: Option<Timeline>,
    /// Seconds of stages that are not the engine's.
    pub(super) more_stages: Vec<(&'static str, f64)>,
    pub(super) peak_memory: Option<u64>,
    pub(super) peak_gpu_buffer: Option<u64>,
    /// How often a device ran out of memory.
    pub(super) shortages: u32,
    /// Per layer.
    pub(super) health: Vec<LayerHealth>,
    /// Of attention sinks.
    pub(super) sink_warnings: Vec<String>,
    /// What measured the samples.
    pub(super) devices: BTreeSet<String>,
    /// What the comparisons were made with, and what classifiers say; none where they are left to a merge.
    pub(super) statistics: Option<StatisticsInfo>,
    /// The files beside the manifest.
    pub(super) files: Vec<FileInfo>,
}

/// Adds the results to a manifest without them.
pub(super) fn complete(mut manifest: Manifest, results: Results) -> Manifest {
    let Results {
        measured,
        failed,
        counters,
        parts,
        timeline,
        more_stages,
        peak_memory,
        peak_gpu_buffer,
        shortages,
        health,
        sink_warnings,
        devices,
        statistics,
        files,
    } = results;
    let of_devices = (devices.len() > 1).then(|| {
        let named = devices.into_iter().collect::<Vec<_>>().join(", ");
        format!("the samples were measured on several devices ({named}), whose numbers differ by rounding")
    });
    manifest.dataset.samples = measured + failed.len();
    manifest.batch.batches = counters.batches;
    manifest.batch.texts = counters.texts;
    manifest.batch.tokens = counters.tokens;
    manifest.batch.tokens_computed = counters.nodes;
    manifest.timings = Timings {
        stages: counters
            .timings
            .named()
            .into_iter()
            .chain(more_stages)
            .map(|(stage, seconds)| StageTiming { stage: stage.to_owned(), seconds })
            .collect(),
        total_seconds: counters.seconds,
        samples_per_second: measured as f64 / counters.seconds.max(1e-9),
        parts,
        peak_memory_bytes: peak_memory,
        peak_gpu_buffer_bytes: peak_gpu_buffer,
        moved: (counters.moved != Moved::default()).then_some(MovedInfo {
            uploaded_bytes: counters.moved.uploaded,
            read_back_bytes: counters.moved.read_back,
            waits: counters.moved.waits,
        }),
    };
    manifest.timeline = timeline;
    let of_shortages = (shortages > 0).then(|| {
        let times = if shortages == 1 { "once".to_owned() } else { format!("{shortages} times") };
        format!(
            "the device ran out of memory {times} and was opened anew, for smaller batches; the numbers are the same"
        )
    });
    let of_failures = (!failed.is_empty()).then(|| format!("{} samples failed", failed.len()));
    manifest.warnings = health
        .iter()
        .flat_map(|h| h.warnings.iter().cloned())
        .chain(sink_warnings)
        .chain(manifest.warnings)
        .chain(of_devices)
        .chain(of_shortages)
        .chain(of_failures)
        .collect();
    manifest.sae_health = health;
    manifest.statistics = statistics;
    manifest.files = files;
    manifest.failed_samples = failed
        .into_iter()
        .map(|FailedSample { sample_id, reason }| output::FailedSample { sample_id, reason })
        .collect();
    manifest
}
