//! What can go wrong with an SAE's files and rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{Architecture, Feature, Normalization, Overrides, Sae};
use crate::error::Result;
use crate::platform::{MemorySource, Source};

const D_IN: usize = 3;
const D_SAE: usize = 4;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn file(name: &str, bytes: impl Into<Vec<u8>>) -> Source {
    Arc::new(MemorySource::new(name, bytes))
}

fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let bytes: BTreeMap<&String, Vec<u8>> =
        tensors.iter().map(|(n, (_, v))| (n, v.iter().flat_map(|v| v.to_le_bytes()).collect())).collect();
    let views =
        tensors.iter().map(|(n, (shape, _))| (n, TensorView::new(Dtype::F32, shape.clone(), &bytes[n]).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// W_enc and W_dec are parts of the identity; feature 3 reads nothing.
fn standard() -> Tensors {
    let eye = |rows: usize, cols: usize| {
        let data = (0..rows * cols).map(|i| f32::from(u8::from(i / cols == i % cols))).collect();
        (vec![rows, cols], data)
    };
    [
        ("W_enc", eye(D_IN, D_SAE)),
        ("W_dec", eye(D_SAE, D_IN)),
        ("b_enc", (vec![D_SAE], vec![0.0; D_SAE])),
        ("b_dec", (vec![D_IN], vec![0.5; D_IN])),
    ]
    .into_iter()
    .map(|(n, t)| (n.to_owned(), t))
    .collect()
}

const CFG: &str = r#"{"architecture": "standard", "d_in": 3, "d_sae": 4, "apply_b_dec_to_input": false,
    "metadata": {"hook_name": "blocks.1.hook_resid_post", "sae_lens_version": "6.54.0"}}"#;

fn saelens_files(cfg: &str, tensors: &Tensors) -> Vec<Source> {
    vec![
        file("sae/layer_1/cfg.json", cfg),
        file("sae/layer_1/sae_weights.safetensors", safetensors(tensors)),
        file("sae/layer_1/sparsity.safetensors", "not read"),
    ]
}

fn open(cfg: &str, tensors: &Tensors) -> Result<Sae> {
    block_on(Sae::open(saelens_files(cfg, tensors)))
}

#[track_caller]
fn refused(result: Result<Sae>, words: &[&str]) {
    let error = result.expect_err("should have been refused").to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn encodes_and_decodes_by_hand() {
    let sae = open(CFG, &standard()).unwrap();
    assert_eq!((sae.architecture, sae.layer, sae.id.as_str()), (Architecture::Standard, Some(1), "sae/layer_1"));
    let mut encoder = block_on(sae.load_encoder()).unwrap();
    assert_eq!(encoder.take_w_enc().shape, [D_IN, D_SAE]);
    assert!(encoder.w_enc.data.is_empty());
    let prepared = encoder.prepare(&[2.0, -1.0, 0.0]).unwrap();
    assert_eq!(prepared.input, [2.0, -1.0, 0.0]);
    let features = encoder.activate(&[2.0, -1.0, 0.0, 0.0]).unwrap();
    assert_eq!(features, [Feature { index: 0, activation: 2.0 }]);
    let rows = block_on(sae.decoder_rows(&[0])).unwrap();
    assert_eq!(encoder.decode(&features, &rows.data, &prepared).unwrap(), [2.5, 0.5, 0.5]);
    // no active feature: b_dec alone
    assert_eq!(encoder.decode(&[], &[], &prepared).unwrap(), [0.5; 3]);
}

#[test]
fn files_that_are_no_sae_are_named() {
    let weights = safetensors(&standard());
    refused(block_on(Sae::open(vec![])), &["no files", "params.npz", "cfg.json + sae_weights.safetensors"]);
    refused(block_on(Sae::open(vec![file("a/readme.md", "")])), &["readme.md"]);
    refused(block_on(Sae::open(vec![file("a.npz", ""), file("b.npz", "")])), &["a.npz, b.npz"]);
    refused(
        block_on(Sae::open(vec![file("a.safetensors", weights.clone()), file("b.safetensors", weights.clone())])),
        &["a.safetensors, b.safetensors"],
    );
    refused(block_on(Sae::open(vec![file("sae_weights.safetensors", weights)])), &["cfg.json beside"]);
    let mut other = Tensors::new();
    other.insert("encoder.weight".into(), (vec![4, 3], vec![0.0; 12]));
    refused(open(CFG, &other), &["encoder.weight", "sparsify"]);
}

#[test]
fn tensors_have_to_fit_each_other_and_the_config() {
    let with = |name: &str, shape: &[usize]| {
        let mut tensors = standard();
        tensors.insert(name.into(), (shape.to_vec(), vec![1.0; shape.iter().product()]));
        open(CFG, &tensors)
    };
    refused(with("W_enc", &[4, 3]), &["shape of W_enc", "[3, 4]", "[4, 3]", "transposed"]);
    refused(with("W_dec", &[5, 3]), &["shape of W_dec", "[4, 3]", "[5, 3]"]);
    refused(with("b_enc", &[3]), &["shape of b_enc"]);
    refused(with("b_dec", &[4]), &["shape of b_dec"]);
    refused(with("W_enc", &[12]), &["shape of W_enc"]);
    refused(with("threshold", &[4]), &["tensor threshold", "standard"]);
    refused(with("W_skip", &[3, 3]), &["transcoder", "W_skip"]);
    refused(open(&CFG.replace("\"d_sae\": 4", "\"d_sae\": 8"), &standard()), &["d_sae 8", "[3, 4]"]);
    let mut tensors = standard();
    tensors.remove("b_enc");
    refused(open(CFG, &tensors), &["tensor b_enc", "not found"]);
    refused(open(&CFG.replace("standard", "jumprelu"), &standard()), &["tensor threshold", "not found"]);
}

#[test]
fn nan_weights_are_refused() {
    for name in ["W_enc", "b_enc", "b_dec"] {
        let mut tensors = standard();
        tensors.get_mut(name).unwrap().1[1] = f32::NAN;
        let sae = open(CFG, &tensors).unwrap();
        let error = block_on(sae.load_encoder()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_fine_tuned_scaling_factor_is_refused_and_ones_are_not() {
    let mut tensors = standard();
    tensors.insert("scaling_factor".into(), (vec![4], vec![1.0; 4]));
    assert!(open(CFG, &tensors).is_ok());
    tensors.get_mut("scaling_factor").unwrap().1[2] = 1.01;
    refused(open(CFG, &tensors), &["scaling_factor", "1.01"]);
}

#[test]
fn rows_of_the_wrong_width_or_not_finite_are_refused() {
    let sae = open(CFG, &standard()).unwrap();
    let encoder = block_on(sae.load_encoder()).unwrap();
    let prepared = encoder.prepare(&[1.0; 3]).unwrap();
    let one = [Feature { index: 0, activation: 1.0 }];
    let text = |error: crate::Error| error.to_string();
    assert!(text(encoder.prepare(&[1.0; 4]).unwrap_err()).contains("expected 3, found 4"));
    assert!(text(encoder.prepare(&[1.0, f32::NAN, 0.0]).unwrap_err()).contains("NaN"));
    assert!(text(encoder.prepare(&[1.0, f32::INFINITY, 0.0]).unwrap_err()).contains("inf"));
    assert!(text(encoder.activate(&[1.0; 3]).unwrap_err()).contains("expected 4, found 3"));
    assert!(text(encoder.activate(&[0.0, 0.0, f32::NAN, 0.0]).unwrap_err()).contains("feature 2"));
    assert!(text(encoder.activate(&[0.0, f32::NEG_INFINITY, 0.0, 0.0]).unwrap_err()).contains("feature 1"));
    assert!(text(encoder.decode(&one, &[1.0; 2], &prepared).unwrap_err()).contains("1 x 3"));
    assert!(text(encoder.decode(&one, &[1.0; 6], &prepared).unwrap_err()).contains("1 x 3"));
}

#[test]
fn decoder_rows_keep_the_order_asked_for() {
    let sae = open(CFG, &standard()).unwrap();
    let rows = block_on(sae.decoder_rows(&[2, 0, 2])).unwrap();
    assert_eq!(rows.data, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(block_on(sae.decoder_rows(&[])).unwrap().shape, [0, 3]);
    assert!(block_on(sae.decoder_rows(&[4])).unwrap_err().to_string().contains("less than 4"));
}

#[test]
fn the_factor_of_expected_average_comes_from_the_files_or_the_caller() {
    let cfg = CFG.replace("\"d_in\"", "\"normalize_activations\": \"expected_average_only_in\", \"d_in\"");
    refused(open(&cfg, &standard()), &["scaling factor", "activation_scaler.json"]);
    let with = |scaler: &str| {
        let mut files = saelens_files(&cfg, &standard());
        files.push(file("sae/layer_1/activation_scaler.json", scaler));
        block_on(Sae::open(files))
    };
    let found = with(r#"{"scaling_factor": 0.25, "has_whitening": false}"#).unwrap();
    assert_eq!(found.normalization, Normalization::ExpectedAverage { factor: 0.25 });
    assert_eq!(found.sources().len(), 3);
    refused(with(r#"{"scaling_factor": 0.25, "has_whitening": true}"#), &["whitening"]);
    refused(with(r#"{"scaling_factor": -1}"#), &["positive", "-1"]);
    refused(with(r#"{"scaling_factor": null}"#), &["scaling factor"]);
    let overrides = Overrides { norm_scaling_factor: Some(0.5), ..Overrides::default() };
    let known = block_on(Sae::open_with(saelens_files(&cfg, &standard()), overrides)).unwrap();
    assert_eq!(known.normalization, Normalization::ExpectedAverage { factor: 0.5 });
    // folded according to the config, and yet a factor beside it
    let mut files = saelens_files(CFG, &standard());
    files.push(file("sae/layer_1/activation_scaler.json", r#"{"scaling_factor": 0.25}"#));
    refused(block_on(Sae::open(files)), &["normalize_activations", "none"]);
}

#[test]
fn centring_is_undone_by_decoding() {
    let overrides = Overrides { center_input: Some(true), ..Overrides::default() };
    let sae = block_on(Sae::open_with(saelens_files(CFG, &standard()), overrides)).unwrap();
    let encoder = block_on(sae.load_encoder()).unwrap();
    let prepared = encoder.prepare(&[4.0, 1.0, 1.0]).unwrap();
    assert_eq!(prepared.input, [2.0, -1.0, -1.0]);
    assert_eq!(encoder.decode(&[], &[], &prepared).unwrap(), [2.5; 3]);
}

#[test]
fn wide_archives_without_a_layer_still_open() {
    let mut tensors = standard();
    tensors.insert("threshold".into(), (vec![4], vec![0.0; 4]));
    let lower = tensors.into_iter().map(|(n, t)| (n.to_lowercase(), t)).collect();
    let sae = block_on(Sae::open(vec![file("params.safetensors", safetensors(&lower))])).unwrap();
    assert_eq!((sae.layer, sae.architecture), (None, Architecture::JumpRelu));
    let mut skip: Tensors = lower;
    skip.insert("affine_skip_connection".into(), (vec![3, 3], vec![0.0; 9]));
    let affine = vec![file("params.safetensors", safetensors(&skip))];
    refused(block_on(Sae::open(affine)), &["transcoder", "affine_skip_connection"]);
    let folder = "transcoder_all/layer_5_width_16k_l0_big/params.safetensors";
    refused(block_on(Sae::open(vec![file(folder, safetensors(&skip))])), &["transcoder", "folder"]);
}

#[test]
fn loading_runs_in_the_background() {
    let sae = block_on(crate::platform::spawn(Sae::open(saelens_files(CFG, &standard())))).unwrap().unwrap();
    let encoder = block_on(crate::platform::spawn(async move { sae.load_encoder().await })).unwrap().unwrap();
    assert_eq!(encoder.w_enc.shape, [D_IN, D_SAE]);
}

#[test]
fn broken_json_is_located() {
    refused(open("{\"d_in\": 3,\n \"d_sae\": }", &standard()), &["cfg.json", "line 2, column 11"]);
    refused(open("[1]", &standard()), &["a JSON object", "a list"]);
}
