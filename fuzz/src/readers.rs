//! The readers, one function each: `fn(&[u8])`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::executor::block_on;
use saescope::checkpoint::Checkpoint;
use saescope::cli::catalog;
use saescope::dataset::{self, Columns, Format};
use saescope::hash;
use saescope::model::{Model, ModelFiles};
use saescope::platform::{MemoryJournal, MemorySource, Source};
use saescope::run::{Spool, merged};
use saescope::sae::Sae;

use crate::{check, told};

/// Texts for a tokenizer that was accepted.
const TEXTS: [&str; 4] =
    ["The white whale", "  ", "naïve \u{202e}mañana 🦆\u{0} <bos>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"];
/// Rows and tensors of a file that are read: the fuzzer finds no more in the rest.
const MOST: usize = 16;

fn source(name: &str, bytes: &[u8]) -> Source {
    Arc::new(MemorySource::new(name, bytes))
}

/// A file of the reference data, read once.
fn golden(path: &str) -> &'static [u8] {
    static READ: OnceLock<Mutex<HashMap<String, &'static [u8]>>> = OnceLock::new();
    let mut read = READ.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    read.entry(path.to_owned()).or_insert_with(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(path);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).leak()
    })
}

/// Golden files of a folder, one of them with other bytes.
fn with(folder: &str, others: &[&str], name: &str, bytes: &[u8]) -> Vec<Source> {
    let golden = |other: &&str| source(&format!("{folder}/{other}"), golden(&format!("{folder}/{other}")));
    others
        .iter()
        .filter(|other| **other != name)
        .map(golden)
        .chain([source(&format!("{folder}/{name}"), bytes)])
        .collect()
}

/// The golden models whose files take the fuzzer's in turn.
const FAMILIES: [&str; 4] = ["gemma2", "gemma3", "llama", "gpt2"];

/// A golden model with one file in place of its own.
fn model_with(case: usize, name: &str, bytes: &[u8]) -> Vec<Source> {
    let folder = format!("models/{}/model", FAMILIES[case % FAMILIES.len()]);
    with(&folder, &["config.json", "tokenizer.json", "model.safetensors"], name, bytes)
}

fn open_model(files: &[Source]) {
    let Some(files) = told(block_on(ModelFiles::among("model", files, None))) else { return };
    let Some(model) = told(block_on(Model::open(files))) else { return };
    for text in TEXTS {
        if let Some(ids) = told(model.tokenizer.encode(text)) {
            ids.iter().take(64).for_each(|&id| drop(model.tokenizer.token_text(id)));
            told(model.check_ids(&ids));
        }
    }
    told(model.storage_types());
    told(model.bytes_up_to(model.dims().n_layers.saturating_sub(1), true));
}

fn read_all(checkpoint: &Checkpoint) {
    for name in checkpoint.names().into_iter().take(MOST) {
        let Some(info) = told(checkpoint.info(name).cloned()) else { continue };
        told(block_on(checkpoint.read(name)));
        told(block_on(checkpoint.read_packed(name, &info.shape)));
        if let [rows, _] = info.shape[..] {
            told(block_on(checkpoint.read_rows(name, &[0, rows / 2, rows.saturating_sub(1), rows])));
        }
    }
}

/// Weights, and as a model's.
pub fn safetensors(file: &[u8]) {
    if let Some(checkpoint) = told(block_on(Checkpoint::open_safetensors(vec![source("model.safetensors", file)]))) {
        read_all(&checkpoint);
    }
    open_model(&model_with(file.len(), "model.safetensors", file));
}

/// A list of shards.
pub fn shards(file: &[u8]) {
    const OTHERS: [&str; 5] = [
        "config.json",
        "tokenizer.json",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
    ];
    open_model(&with("models/llama3_sharded_bf16/model", &OTHERS, "model.safetensors.index.json", file));
}

/// A whole model in one file.
pub fn gguf(file: &[u8]) {
    open_model(&[source("model.gguf", file)]);
    open_model(&[source("model.gguf", file), source("tokenizer.json", golden("models/llama/model/tokenizer.json"))]);
}

/// Numpy archives, and as Gemma Scope's dictionaries.
pub fn npz(file: &[u8]) {
    if let Some(checkpoint) = told(block_on(Checkpoint::open_npz(source("params.npz", file)))) {
        read_all(&checkpoint);
    }
    open_sae(vec![source("layer_20/width_16k/average_l0_71/params.npz", file)]);
}

fn open_sae(files: Vec<Source>) {
    let Some(sae) = told(block_on(Sae::open(files))) else { return };
    told(block_on(sae.load_encoder()));
    told(block_on(sae.decoder_rows(&[0, 1])));
}

/// The first byte says which model; the rest is its tokenizer.
pub fn tokenizer(file: &[u8]) {
    if let Some((&case, rest)) = file.split_first() {
        open_model(&model_with(case.into(), "tokenizer.json", rest));
    }
}

/// The first byte says which model; the rest is its config.
pub fn config(file: &[u8]) {
    if let Some((&case, rest)) = file.split_first() {
        open_model(&model_with(case.into(), "config.json", rest));
    }
}

/// Dictionaries with a config, by the first byte; the rest is that config.
pub fn sae_config(file: &[u8]) {
    const CASES: [(&str, &str, &[&str]); 4] = [
        ("models/llama/saes/layer_1", "cfg.json", &["sae_weights.safetensors"]),
        ("sae/saelens_topk_none_no_b_dec_k7", "cfg.json", &["sae_weights.safetensors"]),
        (
            "sae/saelens_jumprelu_expected_average_only_in_no_b_dec",
            "cfg.json",
            &["sae_weights.safetensors", "activation_scaler.json"],
        ),
        ("models/gemma3/saes/resid_post/layer_2_width_96_l0_small", "config.json", &["params.safetensors"]),
    ];
    let Some((&case, rest)) = file.split_first() else { return };
    let (folder, config, others) = CASES[usize::from(case) % CASES.len()];
    open_sae(with(folder, others, config, rest));
}

fn data(name: &str, format: Format, file: &[u8]) {
    Format::detect(name, file);
    for columns in [Columns::default(), "prompt=question,fact=correct,hallucination=wrong".parse().unwrap_or_default()]
    {
        let Some(mut data) = told(dataset::parse_as(name, format, file, None, &columns)) else { continue };
        drop((data.fault_table(), data.warnings(" ")));
        data.limit(3, 0);
        told(dataset::merge(vec![data.clone(), data.clone()]));
        told(data.strict());
    }
}

/// A data set.
pub fn data_json(file: &[u8]) {
    data("t.json", Format::Json, file);
}

/// A data set.
pub fn data_jsonl(file: &[u8]) {
    data("t.jsonl", Format::Jsonl, file);
}

/// A data set.
pub fn data_csv(file: &[u8]) {
    data("t.csv", Format::Csv, file);
}

/// A data set.
pub fn data_parquet(file: &[u8]) {
    data("t.parquet", Format::Parquet, file);
}

/// A spool: as it is, and as the payloads of frames whose checksums are right.
pub fn spool(file: &[u8]) {
    let mut framed = Vec::new();
    let mut rest = file;
    while let [kind, low, high, after @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (payload, next) = after.split_at(length);
        let body = [&[kind % 8][..], payload].concat();
        framed.extend((body.len() as u32).to_le_bytes());
        framed.extend_from_slice(&hash::bytes(&body)[..8]);
        framed.extend(body);
        rest = next;
    }
    for bytes in [file.to_vec(), framed] {
        let Some(spool) = told(Spool::open(Box::new(MemoryJournal { bytes }))) else { continue };
        (0..spool.measured().min(MOST)).for_each(|i| drop(told(spool.sample(i))));
        told(merged(&[("part".to_owned(), &spool), ("part".to_owned(), &spool)], None));
    }
}

/// A finished run's manifest, and a page's catalog, as the server reads them.
pub fn run_folder(file: &[u8]) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the run");
        for name in catalog::RUN_FILES {
            std::fs::write(folder.path().join(name), b"").expect("a file of the run");
        }
        folder
    });
    for name in ["manifest.json", "catalog.json"] {
        std::fs::write(folder.path().join(name), file).expect("a file of the run");
    }
    if let Err(error) = catalog::is_run(folder.path()) {
        check(&error);
    }
    drop(catalog::manifest(folder.path()).map(|manifest| catalog::entry("run", &manifest)));
    told(catalog::read(folder.path()));
}
