//! What the page asks for.

use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::output::Precision;

/// A request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Request {
    /// Which device there is, and whether it computes right (a short self-test).
    Hello,
    /// Known models, those of the page's host first.
    Models,
    /// Reads a data set and lists the rows that cannot be used.
    Dataset {
        /// The data set.
        data: DataChoice,
    },
    /// Opens headers only: what a run would download and hold.
    Plan {
        /// The run.
        setup: Setup,
    },
    /// The whole run, or what is left of it where an earlier attempt under this name was broken. Events:
    /// download, progress, partial. Where several workers are to measure it, this one asks for them by the event
    /// shares, and waits for what they hand in.
    Analyze {
        /// What is run, and how.
        setup: Setup,
        /// Its name.
        run_id: String,
        /// What the page needs to ask for it again when it is opened anew; the engine only keeps it.
        asked: String,
    },
    /// Measures a share of a run on the CPU, in a worker of its own. Events: download, progress.
    Measure {
        /// The run's. Its data are not looked at.
        setup: Setup,
        /// The share, as [`super::Shares`] has it.
        share: Bytes,
        /// Whether ordinary text is run too: by one worker of a run.
        ordinary: bool,
        /// What the model's files have to be: see [`super::Shares`].
        files: String,
        /// Number of the worker that measures it, from 0: its timeline is its own.
        worker: usize,
    },
    /// Hands a measured share to the run that asked for it.
    Hand {
        /// Id of the request for the run.
        target: u32,
        /// What a worker measured.
        portion: Bytes,
        /// Most memory that all workers took together so far.
        memory: u64,
    },
    /// Runs that were broken and can go on.
    Unfinished,
    /// Lets a broken run go.
    Discard {
        /// Its name.
        run_id: String,
    },
    /// Asks a request to stop; that one then ends with an error of kind `cancelled`.
    Cancel {
        /// Its id.
        target: u32,
    },
    /// Features of every token of a text, weights resident after the first call. Events on that one:
    /// download, progress.
    Explore {
        /// Model and SAEs.
        subject: Subject,
        /// Where to compute.
        device: DeviceChoice,
        /// The text.
        text: String,
        /// Features shown of each layer.
        top: usize,
    },
    /// Tokens of texts as the model sees them. Reads the tokenizer only.
    Tokens {
        /// The model.
        subject: Subject,
        /// The texts.
        texts: Vec<String>,
    },
    /// Active features as a cloud on its principal axes. Reads their rows of W_dec only.
    Cloud {
        /// Model and SAEs.
        subject: Subject,
        /// Layer of the SAE.
        layer: usize,
        /// The features, shape \[n\].
        features: Vec<usize>,
        /// Their activations, shape \[n\].
        activations: Vec<f32>,
    },
    /// What features promote: decoder rows through final norm and unembedding (logit lens). Reads the
    /// unembedding once.
    Promotes {
        /// Model and SAEs.
        subject: Subject,
        /// Layer of the SAE.
        layer: usize,
        /// The features.
        features: Vec<usize>,
        /// Tokens of each.
        top: usize,
    },
    /// Does the instrument work on a finished run's model, SAEs and data: its calibration.json. Events: swaps, then
    /// download and progress where the model is there. It cannot hear anybody while it swaps: whoever wants to stop
    /// it ends its worker, so that it gets one of its own.
    Calibrate {
        /// The run's metrics.parquet.
        metrics: Bytes,
        /// Its manifest.json.
        manifest: String,
        /// Of everything that is drawn.
        seed: u64,
        /// How often fact and hallucination are swapped; 200 where it is absent.
        #[cfg_attr(test, ts(optional))]
        swaps: Option<usize>,
        /// What measures the parts that need the model; absent where they are left out.
        #[cfg_attr(test, ts(optional))]
        with: Option<CalibrateWith>,
    },
    /// Reads labels of features: an export of Neuronpedia, gzipped or not.
    Labels {
        /// The file.
        file: PickedFile,
    },
    /// Downloads a model and its SAEs into the browser's storage. Event: download.
    Fetch {
        /// Model and SAEs.
        subject: Subject,
    },
    /// What is stored.
    Storage,
    /// Deletes a stored item, or all of them.
    Delete {
        /// Which; absent for all.
        #[cfg_attr(test, ts(optional))]
        key: Option<String>,
    },
}

/// What a finished run was made with, to measure texts beside its own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct CalibrateWith {
    /// Its model and SAEs.
    pub subject: Subject,
    /// Its data; absent where they are not at hand.
    pub data: Option<DataChoice>,
    /// Where to compute.
    pub device: DeviceChoice,
}

/// A run: what, on what, how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Setup {
    /// Model and SAEs.
    pub subject: Subject,
    /// Data set.
    pub data: DataChoice,
    /// Only so many samples, drawn from each domain in proportion by the seed.
    pub limit: Option<usize>,
    /// Where to compute.
    pub device: DeviceChoice,
    /// In what.
    pub precision: Precision,
    /// `relative:0.1` or `absolute:S`.
    pub noise: String,
    /// Of the noise and of resampling.
    pub seed: u64,
    /// Whether log-probabilities are computed too.
    pub logprob: bool,
    /// Draws of each null of the geometry, 0 for none; 200 where it is absent.
    pub nulls: Option<usize>,
    /// Triples per micro-batch; the numbers do not depend on it. Absent: the device decides.
    pub batch_size: Option<usize>,
    /// Workers that compute side by side on the CPU; the numbers do not depend on it. Absent: as many as there are
    /// processors, memory and work for.
    pub workers: Option<usize>,
}

/// A model with its SAEs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Subject {
    /// The model.
    pub model: ModelChoice,
    /// Its SAEs; where there is none, a known model brings its own.
    pub saes: Vec<SaeAt>,
    /// Hugging Face token, typed by the user: kept in memory, sent to the hub alone.
    pub token: Option<String>,
    /// Keep what is downloaded in the browser's private file system.
    pub store: bool,
}

impl Subject {
    /// What tells one subject from another: everything but the token, and but for where in a request its
    /// picked files were. These stand for their name, size and date.
    pub fn identity(&self) -> Self {
        let mut out = Self { token: None, ..self.clone() };
        let of_model = match &mut out.model {
            ModelChoice::Files { files } => Some(files),
            _ => None,
        };
        let of_saes = out.saes.iter_mut().filter_map(|at| match &mut at.sae {
            SaeChoice::Files { files } => Some(files),
            _ => None,
        });
        of_model.into_iter().chain(of_saes).flatten().for_each(|file| file.index = 0);
        out
    }
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ModelChoice {
    /// The registry, or the page's host.
    Known {
        /// Its name there.
        name: String,
    },
    /// A repository of the Hugging Face hub.
    Hub {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit; absent for `main`.
        #[cfg_attr(test, ts(optional))]
        revision: Option<String>,
    },
    /// A GGUF file on the web.
    Url {
        /// Its address.
        url: String,
    },
    /// Files of this machine, which never leave it.
    Files {
        /// The files.
        files: Vec<PickedFile>,
    },
}

/// An SAE and the layer that it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SaeAt {
    /// Block whose `resid_post` it reads.
    pub layer: usize,
    /// Where it comes from.
    pub sae: SaeChoice,
}

/// Where one SAE comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum SaeChoice {
    /// A repository of the Hugging Face hub.
    Hub {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit; absent for `main`.
        #[cfg_attr(test, ts(optional))]
        revision: Option<String>,
        /// A `.npz` file or a folder in the repository.
        path: String,
    },
    /// Files on the web.
    Urls {
        /// Their addresses.
        urls: Vec<String>,
    },
    /// Files of this machine.
    Files {
        /// The files.
        files: Vec<PickedFile>,
    },
}

/// A file that the user picked: a `File` on the page. Its bytes are no plain data: the border keeps a handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(type = "File"))]
pub struct PickedFile {
    /// Which of the request's handles is its.
    pub index: usize,
    /// Path in the picked folder, or name.
    pub name: String,
    /// Bytes.
    pub size: f64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified: f64,
}

/// Where the data come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum DataChoice {
    /// The built-in triples.
    Builtin,
    /// A file's bytes (JSON, JSONL, CSV, Parquet, told by name and content), or a pasted text.
    Bytes {
        /// Name of the file.
        name: String,
        /// Its contents.
        bytes: Bytes,
        /// Domain of all its samples; absent where it has a column of them.
        #[cfg_attr(test, ts(optional))]
        domain: Option<String>,
    },
}

/// Where the user wants it computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum DeviceChoice {
    /// WebGPU where it is real and computes right, else the CPU.
    Auto,
    /// WebGPU, also where it is a rasteriser on the CPU.
    Webgpu,
    /// The CPU.
    Cpu,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<Request, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn requests_are_read_by_their_type() {
        assert_eq!(read(json!({"id": 3, "type": "hello"})).unwrap(), Request::Hello);
        assert_eq!(read(json!({"type": "delete"})).unwrap(), Request::Delete { key: None });
        let setup = json!({
            "subject": {"model": {"kind": "hub", "repo": "a/b"}, "saes": [], "store": false},
            "data": {"kind": "builtin"}, "device": "auto", "precision": "f16", "noise": "relative:0.1",
            "seed": 7, "logprob": false, "limit": null,
        });
        let Request::Plan { setup } = read(json!({"type": "plan", "setup": setup})).unwrap() else { panic!() };
        assert_eq!((setup.device, setup.precision, setup.seed), (DeviceChoice::Auto, Precision::F16, 7));
        assert_eq!((setup.limit, setup.batch_size, setup.data), (None, None, DataChoice::Builtin));
        assert_eq!(setup.workers, None);
        assert_eq!(setup.subject.model, ModelChoice::Hub { repo: "a/b".into(), revision: None });
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        let error = |value| read(value).unwrap_err().to_string();
        assert!(error(json!({"type": "dance"})).contains("unknown variant `dance`"));
        assert!(error(json!({"type": "cancel"})).contains("missing field `target`"));
        assert!(error(json!({"type": "tokens", "subject": {}, "texts": []})).contains("missing field `model`"));
        assert!(error(json!({"type": "dataset", "data": {"kind": "tape"}})).contains("unknown variant `tape`"));
    }

    #[test]
    fn a_subject_is_the_same_with_another_token_and_not_with_another_file() {
        let file = |index, size| PickedFile { index, name: "m.gguf".into(), size, modified: 1.0 };
        let subject = |token: Option<&str>, index, size| Subject {
            model: ModelChoice::Files { files: vec![file(index, size)] },
            saes: vec![SaeAt { layer: 1, sae: SaeChoice::Files { files: vec![file(index + 1, 9.0)] } }],
            token: token.map(str::to_owned),
            store: true,
        };
        assert_eq!(subject(None, 0, 5.0).identity(), subject(Some("t"), 4, 5.0).identity());
        assert_ne!(subject(None, 0, 5.0).identity(), subject(None, 0, 6.0).identity());
    }
}
