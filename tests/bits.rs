//! The CPU's default path in 32 bits gives the bits that were last accepted, on every processor with fused
//! multiply-add: residuals, active features and activations of every family.
//!
//! `tests/golden/bits.json` holds them. After a change that is meant to change them:
//!
//! ```text
//! SAESCOPE_GENERATE=1 cargo test --release --test tests bits
//! ```

use std::collections::BTreeMap;

use futures::executor::block_on;
use saescope::engine;
use saescope::hash::sha256;
use saescope::metrics::TextKind;
use saescope::model::ops::Compute;

use crate::golden_models::{analysed, ids, load, strings};

/// Where the accepted ones are.
const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bits.json");

fn hash(values: impl Iterator<Item = [u8; 4]>) -> String {
    let bytes: Vec<u8> = values.flatten().collect();
    assert!(!bytes.is_empty());
    sha256(bytes)
}

#[test]
fn bits_are_those_that_were_accepted() {
    let compute = Compute::cpu();
    let mut found = BTreeMap::new();
    for case in ["gemma2", "gemma3", "llama", "gpt2"] {
        let golden = load(case);
        let tokens: Vec<Vec<u32>> =
            strings(&golden.expected["texts"]).iter().map(|t| ids(&golden.expected["token_ids"][t])).collect();
        let layers: Vec<usize> = (0..golden.model.dims().n_layers).collect();
        let residuals = block_on(engine::residuals(&golden.model, &compute, &tokens, &layers)).unwrap();
        let values = layers.iter().flat_map(|layer| residuals[layer].iter().flatten());
        found.insert(format!("{case}: residuals"), hash(values.map(|value| value.to_le_bytes())));
        let outcome = analysed(case, &golden, &compute);
        let texts = outcome.samples.iter().flat_map(|sample| TextKind::ALL.map(|kind| sample.text(kind)));
        let layers: Vec<_> = texts.flat_map(|text| &text.layers).collect();
        let active = layers.iter().flat_map(|layer| {
            let ids = layer.indices.iter().map(|id| id.to_le_bytes());
            ids.chain(layer.activations.iter().map(|value| value.to_le_bytes()))
        });
        found.insert(format!("{case}: active features"), hash(active));
    }
    if std::env::var_os("SAESCOPE_GENERATE").is_some() {
        std::fs::write(ACCEPTED, format!("{}\n", serde_json::to_string_pretty(&found).unwrap())).unwrap();
    }
    let accepted: BTreeMap<String, String> = serde_json::from_slice(&std::fs::read(ACCEPTED).unwrap()).unwrap();
    assert_eq!(found, accepted, "other bits in f32 on the CPU than were accepted");
}
