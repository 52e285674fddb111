//! Every case of tests/golden/sae against what SAELens computed (reference/golden_sae.py).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use serde_json::Value;

use super::{Architecture, Feature, Sae};
use crate::checkpoint::{Checkpoint, HostTensor};
use crate::platform::{FileSource, Source};

const TOLERANCE: f64 = 1e-5;

fn source(path: &Path) -> Source {
    Arc::new(FileSource::open(path).unwrap())
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sae");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 44, "only {} cases; run reference/golden_sae.py", cases.len());
    cases
}

/// x · W_enc for one row, summed in f64.
fn matmul(x: &[f32], w: &HostTensor) -> Vec<f32> {
    let n = w.shape[1];
    let mut out = vec![0f64; n];
    for (x, row) in x.iter().zip(w.data.chunks_exact(n)) {
        out.iter_mut().zip(row).for_each(|(o, w)| *o += f64::from(*x) * f64::from(*w));
    }
    out.into_iter().map(|v| v as f32).collect()
}

/// Largest difference over the largest reference value.
fn relative(found: &[f64], expected: &[f32]) -> f64 {
    let scale = expected.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
    let worst = found.iter().zip(expected).fold(0f64, |m, (f, e)| m.max((f - f64::from(*e)).abs()));
    if worst == 0.0 { 0.0 } else { worst / scale }
}

fn check_facts(case: &str, sae: &Sae, facts: &Value) {
    let architecture = match sae.architecture {
        Architecture::TopK { .. } => "topk".to_owned(),
        other => other.to_string(),
    };
    assert_eq!(architecture, facts["architecture"].as_str().unwrap(), "{case}: architecture");
    assert_eq!(sae.layer.map(|l| l as u64), facts["layer"].as_u64(), "{case}: layer");
    assert_eq!(sae.model.as_deref(), facts["model"].as_str(), "{case}: model");
    assert_eq!(sae.prepend_bos, facts["prepend_bos"].as_bool(), "{case}: prepend_bos");
    assert_eq!(sae.declared_l0, facts["declared_l0"].as_f64(), "{case}: declared_l0");
    assert_eq!(sae.sources().len(), facts["files"].as_array().unwrap().len(), "{case}: files in the manifest");
}

/// Compares one case; returns the largest relative differences of activations and x̂.
async fn compare(folder: &Path) -> (f64, f64) {
    let case = folder.file_name().unwrap().to_string_lossy().into_owned();
    let facts: Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let files = facts["files"].as_array().unwrap().iter().map(|f| source(&folder.join(f.as_str().unwrap()))).collect();
    let sae = Sae::open(files).await.unwrap_or_else(|e| panic!("{case}: {e}"));
    check_facts(&case, &sae, &facts);

    let expected = Checkpoint::open_safetensors(vec![source(&folder.join("expected.safetensors"))]).await.unwrap();
    let mut encoder = sae.load_encoder().await.unwrap();
    let w_enc = encoder.take_w_enc();
    let x = expected.read("x").await.unwrap();
    let n_rows = x.shape[0];
    // rows without a finite reference are NaN there, which reading refuses: read row by row
    let (mut worst_activation, mut worst_x_hat, mut compared) = (0f64, 0f64, 0);
    for i in 0..n_rows {
        let row = &x.data[i * sae.d_in..(i + 1) * sae.d_in];
        let Ok(acts) = expected.read_rows("feature_acts", &[i]).await else {
            let error = encoder.prepare(row).expect_err("the reference is NaN, so this has to be refused");
            assert!(error.to_string().contains("zero vector"), "{case} row {i}: {error}");
            continue;
        };
        let x_hat = expected.read_rows("x_hat", &[i]).await.unwrap();
        let prepared = encoder.prepare(row).unwrap();
        let features = encoder.activate(&matmul(&prepared.input, &w_enc)).unwrap();
        let indices: Vec<usize> = features.iter().map(|f| f.index as usize).collect();
        let active: Vec<usize> = (0..sae.d_sae).filter(|&j| acts.data[j] > 0.0).collect();
        assert_eq!(indices, active, "{case} row {i}: active features");
        let mut dense = vec![0f64; sae.d_sae];
        for Feature { index, activation } in &features {
            dense[*index as usize] = f64::from(*activation);
        }
        let rows = sae.decoder_rows(&indices).await.unwrap();
        let decoded = encoder.decode(&features, &rows.data, &prepared).unwrap();
        worst_activation = worst_activation.max(relative(&dense, &acts.data));
        worst_x_hat = worst_x_hat.max(relative(&decoded, &x_hat.data));
        compared += 1;
    }
    assert!(compared >= n_rows - 1, "{case}: only {compared} of {n_rows} rows have a reference");
    (worst_activation, worst_x_hat)
}

#[test]
fn every_case_agrees_with_saelens() {
    let mut failed = Vec::new();
    for folder in cases() {
        let case = folder.file_name().unwrap().to_string_lossy().into_owned();
        let (activation, x_hat) = block_on(compare(&folder));
        println!("{case:70} activations {activation:.1e}  reconstruction {x_hat:.1e}");
        if activation > TOLERANCE || x_hat > TOLERANCE {
            failed.push(format!("{case}: activations {activation:.1e}, reconstruction {x_hat:.1e}"));
        }
    }
    assert!(failed.is_empty(), "above {TOLERANCE:.0e} relative:\n{}", failed.join("\n"));
}
