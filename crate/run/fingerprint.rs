//! What a run's numbers depend on, each thing by its name: parts of a run belong together only where all
//! of it is the same.

use super::spool::Base;
use crate::dataset::Sample;
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::output::FileInfo;

/// sha256 over samples: ids, domains, grades, texts and the clusters that are given, in their order.
pub fn data_sha256(samples: &[Sample]) -> String {
    let mut hasher = Hasher::new();
    for Sample { id, domain, complexity, cluster, prompt, fact, hallucination } in samples {
        for text in [id, domain, prompt, fact, hallucination] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.update(complexity.to_le_bytes());
        if let Some(cluster) = cluster {
            hasher.update(b"cluster");
            hasher.update((cluster.len() as u64).to_le_bytes());
            hasher.update(cluster);
        }
    }
    hasher.hex()
}

/// Things by name, and what stands for each; without the device where any will do.
fn fingerprint(base: &Base, any_device: bool) -> Vec<(String, String)> {
    let Base { manifest: m, data, wanted: _, logprob, nulls, shard: _ } = base;
    let mut out: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: String| out.push((name.to_owned(), value));
    add("version of the program", format!("{} {} ({})", m.program.name, m.program.version, m.program.git_commit));
    add("version of the files' format", m.schema_version.to_string());
    add("data set", data.clone());
    add("text between prompt and completion (--join)", format!("{:?}", m.dataset.join));
    add("model", format!("{} ({} blocks of width {})", m.model.architecture, m.model.n_layers, m.model.d_model));
    for file in &m.model.files {
        add(&format!("model file {}", short(file)), content(file, m.model.revision.as_deref()));
    }
    if let Some(quantized) = &m.model.quantized {
        add("weights as they are read (--quantize)", quantized.clone());
    }
    for field in &m.model.ignored_config_fields {
        add(&format!("ignored config field {}", field.name), field.value.clone());
    }
    add("tokenizer", content(&m.tokenizer.file, None));
    add("rule for the BOS", m.tokenizer.bos_rule.clone());
    add("SAE layers", format!("{:?}", m.layers));
    for sae in &m.saes {
        for file in &sae.files {
            add(&format!("SAE of layer {}: {}", sae.layer, short(file)), content(file, None));
        }
        add(
            &format!("input of the SAE of layer {}", sae.layer),
            format!("scaled by {:?}, centred {}", sae.norm_scaling_factor, sae.center_input),
        );
    }
    add("noise (--noise)", m.noise.rule.clone());
    add("seed (--seed)", m.noise.seed.to_string());
    add("log-probabilities (--logprob)", logprob.to_string());
    add("draws of the nulls (--nulls)", nulls.to_string());
    if !any_device {
        add("precision (--precision)", format!("{:?}", m.compute.precision).to_lowercase());
        let class = if m.compute.device == "cpu" { "CPU" } else { "graphics device" };
        add("kind of device (--device)", class.to_owned());
    }
    out
}

/// A file's own name: the same file may lie elsewhere on another machine.
fn short(file: &FileInfo) -> &str {
    file.path.rsplit(['/', '\\']).next().unwrap_or(&file.path)
}

fn content(file: &FileInfo, revision: Option<&str>) -> String {
    match &file.sha256 {
        Some(sha256) => format!("sha256 {sha256}"),
        None => format!("{} bytes of revision {}", file.bytes, revision.unwrap_or("unknown")),
    }
}

/// Refuses what does not belong to one run, by the name of what differs. `whose` names the two sides:
/// what there is, and what comes to it.
///
/// # Errors
/// [`Error::Mismatch`].
pub(super) fn same(whose: &str, there: &Base, coming: &Base, any_device: bool, hint: &str) -> Result<()> {
    let (there, coming) = (fingerprint(there, any_device), fingerprint(coming, any_device));
    let differs = |what: &str, expected: &str, found: &str| {
        Err(Error::mismatch(format!("{whose}: {what}"), expected, found, hint))
    };
    for (name, value) in &there {
        match coming.iter().find(|(other, _)| other == name) {
            Some((_, found)) if found == value => {}
            Some((_, found)) => return differs(name, value, found),
            None => return differs(name, value, "none"),
        }
    }
    match coming.iter().find(|(name, _)| there.iter().all(|(other, _)| other != name)) {
        Some((name, found)) => differs(name, "none", found),
        None => Ok(()),
    }
}
