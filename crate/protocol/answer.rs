//! What comes back: events while a request is open, and its end.

use std::io;

use serde::Serialize;

use super::Bytes;
use crate::dataset::{Rejected, Sample};
use crate::error::Error;
use crate::platform::Floats;

/// The result of a request, by the request's type.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "result", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Answer {
    /// What is here.
    Hello(Hello),
    /// The models that this page can get.
    Models(Vec<ModelInfo>),
    /// The data set as it was read.
    Dataset(DatasetInfo),
    /// What a run would cost.
    Plan(Plan),
    /// A finished run.
    Analyze(RunFiles),
    /// What was measured, for [`super::Request::Hand`].
    Measure(Bytes),
    /// It is on its way.
    Hand(()),
    /// Runs that can go on, the latest first.
    Unfinished(Vec<UnfinishedRun>),
    /// That run is let go.
    Discard(()),
    /// The other request was asked to stop, if it was still open.
    Cancel(()),
    /// A text's features.
    Explore(Explore),
    /// Tokens of each text.
    Tokens(Vec<Tokens>),
    /// A cloud.
    Cloud(Cloud),
    /// Per feature its tokens, the most promoted first.
    Promotes(Vec<Vec<String>>),
    /// calibration.json as written.
    Calibrate(String),
    /// The labels, by dictionary.
    Labels(Vec<LabelledDictionary>),
    /// What is stored now.
    Fetch(Vec<StoredItem>),
    /// What is stored.
    Storage(StorageInfo),
    /// What is stored now.
    Delete(StorageInfo),
}

/// What a request says before its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineEvent"))]
pub enum Event {
    /// Bytes came in.
    Download {
        /// How far that is.
        download: Download,
    },
    /// The work went on.
    Progress {
        /// How far it is.
        progress: Progress,
    },
    /// Samples are finished.
    Partial {
        /// All that are, so far.
        partial: PartialRun,
    },
    /// A finished run's fact and hallucination were swapped once more.
    Swaps {
        /// How often so far.
        done: usize,
        /// How often in all.
        total: usize,
    },
    /// Something that the user should know of, and that the run goes on after.
    Note {
        /// In words.
        note: String,
    },
    /// The run is to be measured by several workers.
    Shares {
        /// What each of them gets.
        shares: Shares,
    },
}

/// A failed request, in words for a researcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct EngineError {
    /// What went wrong, for programs.
    pub kind: ErrorKind,
    /// Lower-case, specific: names the file or field, expected against found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What went wrong. The last three kinds are those of workers that cannot speak for themselves any more: their
/// scripts say them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ErrorKind {
    /// A file or URL could not be read.
    Io,
    /// No answer, or no connection.
    Network,
    /// Fewer bytes than announced.
    Truncated,
    /// The browser's storage is full.
    Quota,
    /// A file is not what its format says.
    Malformed,
    /// Something is not there.
    Missing,
    /// Well-formed, but not computed correctly here.
    Unsupported,
    /// Inputs that do not fit each other.
    Mismatch,
    /// The device failed or cannot hold it.
    Device,
    /// A setting that cannot be meant.
    Usage,
    /// The user stopped it.
    Cancelled,
    /// The graphics device was lost.
    DeviceLost,
    /// The device or the worker has no memory left.
    OutOfMemory,
    /// The worker broke.
    Crashed,
}

impl From<&Error> for EngineError {
    fn from(error: &Error) -> Self {
        let kind = match error {
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => ErrorKind::Quota,
                io::ErrorKind::UnexpectedEof => ErrorKind::Truncated,
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown | io::ErrorKind::ConnectionAborted => {
                    ErrorKind::Network
                }
                _ => ErrorKind::Io,
            },
            Error::Malformed { .. } => ErrorKind::Malformed,
            Error::Missing { .. } => ErrorKind::Missing,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Mismatch { .. } => ErrorKind::Mismatch,
            Error::Device { .. } => ErrorKind::Device,
            Error::OutOfMemory { .. } => ErrorKind::OutOfMemory,
            Error::Usage { .. } => ErrorKind::Usage,
            Error::Cancelled => ErrorKind::Cancelled,
        };
        Self { kind, message: error.message(), hint: error.hint().map(str::to_owned) }
    }
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Device {
    /// The graphics adapter.
    Webgpu,
    /// The CPU, in WASM.
    Cpu,
}

/// The engine, and what it can compute on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Hello {
    /// Of the package.
    pub version: String,
    /// That it was built from, or `unknown`.
    pub commit: String,
    /// What is known of WebGPU here.
    pub webgpu: WebGpu,
    /// Largest relative difference of the CPU path from the known numbers.
    pub cpu_self_test: f64,
    /// What multiplies on the CPU path: `SIMD128`, or `relaxed SIMD` where the browser has it.
    pub cpu_product: String,
    /// What `auto` stands for here.
    pub device: Device,
}

/// What is known of WebGPU.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct WebGpu {
    /// Whether it can be used.
    pub state: WebGpuState,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// In words, where the state is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Largest relative difference from the known numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_test: Option<f64>,
    /// Largest storage buffer that a kernel may bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_buffer: Option<u64>,
}

/// Whether WebGPU can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum WebGpuState {
    /// A GPU that computes right.
    Ok,
    /// Right, but a rasteriser on the CPU, slower than the CPU path.
    Software,
    /// No adapter.
    None,
    /// It computes wrong values.
    Wrong,
    /// It could not be opened.
    Failed,
}

/// A model that the page can get.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct ModelInfo {
    /// Name in the registry or in the host's catalog.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Name of its licence.
    pub licence: String,
    /// Where that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence_url: Option<String>,
    /// Whether this page's own host has its files; otherwise the hub is asked.
    pub hosted: bool,
    /// The hub wants a token of an account that accepted the licence.
    pub gated: bool,
    /// In words: `this page's host`, `hub google/gemma-2-2b at c5ebcd40d208`.
    pub source: String,
    /// Bytes of all its files and its SAEs', where known without asking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes of it in the browser's storage.
    pub stored_bytes: u64,
    /// The SAEs that it brings.
    pub saes: Vec<ModelSae>,
    /// Whether it is the one to begin with.
    pub default: bool,
}

/// An SAE that a known model brings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct ModelSae {
    /// Block that it reads.
    pub layer: usize,
    /// L0 that its name or config declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_l0: Option<f64>,
    /// Its name on Neuronpedia.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neuronpedia: Option<String>,
}

/// A data set as it was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DatasetInfo {
    /// Name of the file, or `builtin`.
    pub name: String,
    /// The samples, in file order.
    pub samples: Vec<Sample>,
    /// Rows that cannot be used.
    pub rejected: Vec<Rejected>,
    /// Domain and its number of samples, in order of appearance.
    pub domains: Vec<(String, usize)>,
}

/// What a run would cost, from headers alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Plan {
    /// Name of the model.
    pub model: String,
    /// Its family.
    pub architecture: String,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// SAE layers.
    pub layers: Vec<usize>,
    /// What would compute.
    pub device: Device,
    /// How many workers would, side by side.
    pub workers: usize,
    /// Samples.
    pub samples: usize,
    /// Texts of them.
    pub texts: usize,
    /// Tokens of all texts.
    pub tokens: usize,
    /// Distinct prefixes that are computed.
    pub tokens_computed: usize,
    /// Bytes that a run reads of the model and the SAEs.
    pub needed_bytes: u64,
    /// Of these, what is here already.
    pub stored_bytes: u64,
    /// Free space of the browser's storage, where it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<f64>,
    /// Most that the run holds at once on the device; 0 on the CPU.
    pub device_bytes: u64,
    /// Most that it holds at once in each worker's memory.
    pub worker_bytes: u64,
    /// Anything to know before starting.
    pub warnings: Vec<String>,
}

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Download {
    /// Name of the file.
    pub file: String,
    /// Bytes of it that are here.
    pub done: u64,
    /// All its bytes.
    pub total: u64,
    /// Bytes of all this request's downloads so far.
    pub received: u64,
}

/// Memory in use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Memory {
    /// In GPU buffers now, counted at createBuffer and destroy; 0 on the CPU.
    pub gpu: u64,
    /// In GPU buffers at most.
    pub gpu_peak: u64,
    /// The largest GPU buffer.
    pub gpu_largest: u64,
    /// Size of the WASM memory; it only grows.
    pub wasm: u64,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Progress {
    /// Shares of samples: half the layers of 200 samples are 100.
    pub samples_done: f64,
    /// Samples in all.
    pub samples_total: usize,
    /// Since the start.
    pub seconds: f64,
    /// Samples a second.
    pub rate: f64,
    /// Seconds to the end, once that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Block at work.
    pub layer: usize,
    /// Blocks that are run.
    pub layers: usize,
    /// Bytes of weights read.
    pub bytes_read: u64,
    /// Seconds per stage so far: tokenize, weights, model, sae, geometry, nulls, logprob.
    pub stages: Vec<(String, f64)>,
    /// In use now.
    pub memory: Memory,
}

/// The finished samples of a run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PartialRun {
    /// Finished samples.
    pub samples_done: usize,
    /// Samples in all.
    pub samples_total: usize,
    /// metrics.parquet of the finished samples.
    pub metrics: Bytes,
}

/// Samples for one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Share {
    /// How many.
    pub samples: usize,
    /// They themselves: JavaScript's numbers do not hold every grade of complexity.
    pub packed: Bytes,
}

/// A run as it is dealt out to workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Shares {
    /// Workers that are wanted.
    pub workers: usize,
    /// The samples that are left, cut in the data set's order: one share after the other for whoever is free.
    pub shares: Vec<Share>,
    /// Samples that an earlier attempt finished.
    pub before: usize,
    /// What tells the files of model and SAEs from others: every worker opens them itself.
    pub files: String,
    /// In use by the worker that has the run.
    pub memory: Memory,
}

/// A run that was broken and can go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct UnfinishedRun {
    /// Its name.
    pub run_id: String,
    /// What the page had given to ask for it again.
    pub asked: String,
    /// Samples that are done.
    pub samples_done: usize,
    /// Samples in all.
    pub samples_total: usize,
    /// What it takes in the browser's storage.
    pub bytes: u64,
}

/// A finished run's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunFiles {
    /// metrics.parquet.
    pub metrics: Bytes,
    /// features.parquet.
    pub features: Bytes,
    /// stats.parquet.
    pub stats: Bytes,
    /// stats_features.parquet.
    pub stats_features: Bytes,
    /// manifest.json as written.
    pub manifest: String,
    /// In use at the end.
    pub memory: Memory,
}

/// One text's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Tokens {
    /// Ids.
    pub ids: Vec<u32>,
    /// What each stands for.
    pub texts: Vec<String>,
}

/// The features of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Explore {
    /// What each token stands for.
    pub tokens: Vec<String>,
    /// One entry per SAE.
    pub layers: Vec<LayerOfText>,
    /// That the call took.
    pub seconds: f64,
    /// Whether the weights were resident before this call.
    pub resident: bool,
    /// In use at the end.
    pub memory: Memory,
}

/// The features of a text at one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LayerOfText {
    /// Block number.
    pub layer: usize,
    /// L0 per token.
    pub l0: Vec<usize>,
    /// The features with the largest activations over the tokens after the first.
    pub features: Vec<u32>,
    /// Their activations, [features × tokens] row-major.
    pub activations: Floats,
}

/// Active features on the principal axes of their weighted cloud.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Cloud {
    /// Per feature its coordinates on the three leading axes, [n × 3] row-major, from the weighted centroid.
    pub points: Floats,
    /// √λ of the three axes (0 where there is none): semi-axes of the ellipsoid.
    pub semi_axes: [f64; 3],
    /// Share of the total variance on the three axes.
    pub explained: f64,
    /// All eigenvalues λ of the covariance, descending.
    pub eigenvalues: Vec<f64>,
}

/// What features of one dictionary stand for, in somebody's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct LabelledDictionary {
    /// Its name on Neuronpedia: model and source.
    pub name: String,
    /// The number that its source's name begins with: the layer, as it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Address of its features' pages, without the number at its end; absent where the name cannot stand in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The labelled features, ascending.
    pub features: Vec<u32>,
    /// Their labels.
    pub labels: Vec<String>,
}

/// A file in the browser's storage, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StoredItem {
    /// What `delete` takes.
    pub key: String,
    /// In words: file and where from.
    pub name: String,
    /// Bytes here.
    pub bytes: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

/// What is in the browser's storage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct StorageInfo {
    /// The files.
    pub items: Vec<StoredItem>,
    /// Of all of them.
    pub bytes: u64,
    /// The browser's own figure of what this site has stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<f64>,
    /// The browser's own figure of what it may store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<f64>,
    /// Why nothing can be stored (private window, old browser), where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_crosses_in_its_parts() {
        let at = |kind| Error::io("https://h/x", "read", io::Error::new(kind, "gone"), "try again");
        let error = EngineError::from(&at(io::ErrorKind::NetworkDown));
        let (kind, message) = ("network", "https://h/x: cannot read: gone");
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            json!({"kind": kind, "message": message, "hint": "try again"})
        );
        assert_eq!(EngineError::from(&at(io::ErrorKind::StorageFull)).kind, ErrorKind::Quota);
        let cancelled = serde_json::to_value(EngineError::from(&Error::Cancelled)).unwrap();
        assert_eq!(cancelled, json!({"kind": "cancelled", "message": "cancelled"}));
        assert_eq!(serde_json::to_value(ErrorKind::DeviceLost).unwrap(), json!("device-lost"));
    }

    #[test]
    fn answers_and_events_have_their_type_beside_them() {
        let tokens = Answer::Tokens(vec![Tokens { ids: vec![1], texts: vec!["a".into()] }]);
        let expected = json!({"type": "tokens", "result": [{"ids": [1], "texts": ["a"]}]});
        assert_eq!(serde_json::to_value(tokens).unwrap(), expected);
        assert_eq!(serde_json::to_value(Answer::Cancel(())).unwrap(), json!({"type": "cancel", "result": null}));
        let download = Download { file: "f".into(), done: 1, total: 2, received: 1 };
        let expected = json!({"type": "download", "download": {"file": "f", "done": 1, "total": 2, "received": 1}});
        assert_eq!(serde_json::to_value(Event::Download { download }).unwrap(), expected);
    }
}
