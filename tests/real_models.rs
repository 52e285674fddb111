//! The real SmolLM2-135M-Instruct and Gemma-3-270M, from GGUF, against transformers on the
//! dequantised weights. The checkpoints are not in the repository: set `SAESCOPE_TEST_MODELS` to a
//! folder that holds them and run `cargo test --release --test tests -- --ignored real_`.

use std::path::PathBuf;

use futures::executor::block_on;
use saescope::cli::inputs;
use saescope::dataset::DEFAULT_JOIN;
use saescope::engine::{self, Question};
use saescope::model::Model;
use saescope::model::ops::Compute;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn compare(name: &str) {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/real").join(format!("{name}.json"));
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let folder = std::env::var("SAESCOPE_TEST_MODELS").expect("SAESCOPE_TEST_MODELS names a folder of GGUF files");
    let file = PathBuf::from(folder).join(golden["file"].as_str().unwrap());
    let model = block_on(Model::open(block_on(inputs::model_files(&file, None)).unwrap())).unwrap();
    let d = model.dims().d_model;
    let last = model.dims().n_layers - 1;
    let coordinates: Vec<usize> = numbers(&golden["coordinates"]).iter().map(|&c| c as usize).collect();
    let mut layers: Vec<usize> = numbers(&golden["layers"]).iter().map(|&l| l as usize).collect();
    layers.push(last);
    let compute = Compute::cpu();
    for text in golden["texts"].as_array().unwrap() {
        let words = text["text"].as_str().unwrap();
        let want: Vec<u32> = numbers(&text["token_ids"]).iter().map(|&t| t as u32).collect();
        assert_eq!(model.tokenizer.encode(words).unwrap(), want, "{name}: tokens of {words:?}");
        let got = block_on(engine::residuals(&model, &compute, std::slice::from_ref(&want), &layers)).unwrap();
        for (layer, want) in text["resid_post"].as_object().unwrap() {
            let rows = &got[&layer.parse::<usize>().unwrap()][0];
            let x = &rows[rows.len() - d..];
            let norm = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let want_norm = want["last_norm"].as_f64().unwrap();
            let want = numbers(&want["last"]);
            // relative to the residual's own size per coordinate
            let scale = want_norm / (d as f64).sqrt();
            let worst = coordinates
                .iter()
                .zip(&want)
                .map(|(&c, w)| (f64::from(x[c]) - w).abs() / w.abs().max(scale))
                .fold(0.0, f64::max);
            println!(
                "{name}: {words:?}: resid_post.{layer}: norm {norm:.4} against {want_norm:.4}, worst coordinate {worst:.1e}"
            );
            assert!((norm - want_norm).abs() / want_norm < 1e-3, "norm");
            assert!(worst < 1e-3, "coordinate");
        }
        let x = &got[&last][0];
        let x = compute.tensor2(x[x.len() - d..].to_vec(), 1, d);
        let want = text["next"].as_array().unwrap();
        let question = Question { targets: Vec::new(), top: want.len() };
        let answers = block_on(engine::next_token_logprobs(&model, x, &[question], &compute)).unwrap();
        for (got, want) in answers[0].top.iter().zip(want) {
            let (id, log_p) = (want["id"].as_u64().unwrap() as u32, want["logprob"].as_f64().unwrap());
            println!("  next {:?} {:.5} against {:.5}", model.tokenizer.token_text(got.0), got.1, log_p);
            assert_eq!(got.0, id, "{name}: ranking after {words:?}");
            assert!((got.1 - log_p).abs() < 1e-3, "{name}: log p after {words:?}");
        }
    }
}

#[test]
#[ignore = "needs the real GGUF files: set SAESCOPE_TEST_MODELS"]
fn real_smollm2() {
    compare("smollm2");
}

#[test]
#[ignore = "needs the real GGUF files: set SAESCOPE_TEST_MODELS"]
fn real_gemma3() {
    compare("gemma3");
}

#[test]
#[ignore = "needs the real GGUF files: set SAESCOPE_TEST_MODELS"]
fn real_tokens_of_the_built_in_triples() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/triples_tokens.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let folder = std::env::var("SAESCOPE_TEST_MODELS").expect("SAESCOPE_TEST_MODELS names a folder of GGUF files");
    let file = PathBuf::from(folder).join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let model = block_on(Model::open(block_on(inputs::model_files(&file, None)).unwrap())).unwrap();
    let samples = saescope::dataset::builtin().unwrap().samples;
    assert_eq!(samples.len(), 200);
    for s in samples {
        let got = [s.prompt_text(), s.fact_text(DEFAULT_JOIN), s.hall_text(DEFAULT_JOIN)]
            .map(|text| model.tokenizer.encode(&text).unwrap().len() as f64);
        assert_eq!(got.to_vec(), numbers(&golden[&s.id]), "{}", s.id);
    }
}
