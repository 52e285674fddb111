//! What features stand for, beside what is measured: somebody's words (`--labels FILE`), and the tokens that they
//! promote (`--promoted`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use serde_json::{Value, json};

use super::args::ModelArgs;
use super::calibrate::find::same_model;
use super::{inspect, say, setup, stats};
use crate::dataset::{Labels, neuronpedia_url, parquet_batches};
use crate::engine;
use crate::error::{Error, Result, shown};
use crate::model::ops::Compute;
use crate::model::registry;
use crate::output::{self, Manifest};
use crate::platform::fetch::{Settings, cached_labels};
use crate::platform::{self, ReadLimits};
use crate::stats::Verdict;

/// Labels of a report at most: more than its tables can show.
const MOST: usize = 50_000;

/// Features of a layer whose promoted tokens are looked up: twice as many as a report's table lists.
const MOST_PROMOTED: usize = 16;

/// Tokens of each.
const TOKENS: usize = 5;

/// Verdicts in the order in which a report lists their features.
const ORDER: [Verdict; 8] = [
    Verdict::SurvivesLengthControl,
    Verdict::ExplainedByLength,
    Verdict::NoLengthControl,
    Verdict::Undecided,
    Verdict::NoDifference,
    Verdict::NoVariation,
    Verdict::TooFewSamples,
    Verdict::Control,
];

/// The labels of these files together; of several of a feature, the first counts. None without files.
///
/// # Errors
/// Files that cannot be read, or are no exports of Neuronpedia.
pub fn read(files: &[PathBuf]) -> Result<Option<Labels>> {
    let mut all: Option<Labels> = None;
    for file in files {
        let bytes = platform::read_all(file, ReadLimits::default())?;
        let labels = Labels::read(&file.display().to_string(), &bytes)?;
        match &mut all {
            None => all = Some(labels),
            Some(all) => all.join(labels),
        }
    }
    Ok(all)
}

/// The labels of these files; without any, those that `saescope fetch NAME --labels` put into the cache for these
/// dictionaries. What lies there and cannot be read is said and left out.
///
/// # Errors
/// As [`read`].
pub fn read_or_cached(files: &[PathBuf], dictionaries: &[String]) -> Result<Option<Labels>> {
    if !files.is_empty() || dictionaries.is_empty() {
        return read(files);
    }
    // without a place for a cache there is nothing in it
    let Ok(settings) = Settings::from_env() else { return Ok(None) };
    let mut all: Option<Labels> = None;
    for dictionary in dictionaries {
        let Some(files) = cached_labels(dictionary, &settings) else { continue };
        match read(&files) {
            Ok(Some(labels)) => match &mut all {
                None => all = Some(labels),
                Some(all) => all.join(labels),
            },
            Ok(None) => {}
            Err(error) => say(&format!("note: no labels of {}: {}", shown(dictionary), error.message())),
        }
    }
    Ok(all)
}

/// Names on Neuronpedia of the SAEs of a run, by layer, where they are those of a known model.
pub fn of_saes(manifest: &Value) -> BTreeMap<usize, String> {
    let model = manifest["model"]["name"].as_str().and_then(|name| registry::find(name).ok());
    let mut names = BTreeMap::new();
    for sae in model.into_iter().flat_map(|model| model.saes) {
        // another SAE of the same layer has other features; those of one model differ in what L0 they declare
        let of_run = manifest["saes"].as_array().into_iter().flatten().find(|other| other["layer"] == sae.layer);
        let declared = of_run.and_then(|sae| sae["declared_l0"].as_f64());
        let same = |known: f64| declared.is_some_and(|l0| (l0 - known).abs() <= 0.01 * known);
        if let (Some(name), true) = (sae.neuronpedia, sae.declared_l0.is_some_and(same)) {
            names.insert(sae.layer, name);
        }
    }
    names
}

/// The labelled dictionary that is this layer's SAE, `known` by its name on Neuronpedia where it is; says so where
/// there is none.
pub fn dictionary<'a>(labels: &'a Labels, known: Option<&str>, layer: usize) -> Option<&'a str> {
    let found = labels.dictionary(known, layer);
    if found.is_none() {
        let there: Vec<String> = labels.dictionaries().into_iter().take(5).map(shown).collect();
        let wanted = known.map_or_else(|| "one dictionary of that number".to_owned(), shown);
        say(&format!("note: no labels for layer {layer}: expected {wanted}, found {}", there.join(", ")));
    }
    found
}

/// Compared features of each layer, in the order in which a report lists them.
type Compared = BTreeMap<usize, Vec<u32>>;

/// What a report says of a run's compared features beside their numbers: a list of layer, feature, label, address
/// and promoted tokens.
///
/// # Errors
/// A stats_features.parquet that is not there or cannot be read; of `promoted`, a model that is not the run's.
pub async fn of_run(
    labels: Option<&Labels>,
    promoted: Option<&ModelArgs>,
    manifest: &Value,
    folder: &Path,
) -> Result<Vec<u8>> {
    let compared = compared(folder)?;
    let tokens = match promoted {
        Some(args) => promoted_tokens(args, &stats::manifest(folder)?, manifest, &compared).await?,
        None => BTreeMap::new(),
    };
    let names = of_saes(manifest);
    let mut found = Vec::new();
    for (&layer, features) in &compared {
        let known = names.get(&layer).map(String::as_str);
        let labelled = labels.and_then(|labels| Some((labels, dictionary(labels, known, layer)?)));
        let id = labelled.map(|(_, dictionary)| dictionary).or(known);
        for &feature in features {
            let label = labelled.and_then(|(labels, dictionary)| labels.label(dictionary, feature));
            let promotes = tokens.get(&(layer, feature));
            if label.is_some() || promotes.is_some() {
                let url = id.and_then(|id| neuronpedia_url(id, feature));
                found.push(
                    json!({"layer": layer, "feature": feature, "label": label, "url": url, "promotes": promotes}),
                );
            }
        }
    }
    found.truncate(MOST);
    serde_json::to_vec(&found).map_err(|e| Error::io("labels", "write", e.into(), "please report this"))
}

/// The compared features of a finished run.
fn compared(folder: &Path) -> Result<Compared> {
    let path = folder.join(output::STATS_FEATURES_FILE);
    let name = path.display().to_string();
    if path.symlink_metadata().is_err() {
        let hint = "an earlier version wrote this run: make the file with `saescope stats RUN`";
        return Err(Error::missing(format!("{name}: comparisons of features"), hint));
    }
    let bytes = platform::read_all(&path, ReadLimits::default())?;
    let mut all: Vec<(usize, f64, f64, usize, u32)> = Vec::new();
    let columns = ["layer", "feature", "verdict", "cohens_dz", "q_value", "length_adjusted_q"];
    parquet_batches(&name, &bytes, &columns, |batch| {
        let other = || {
            let hint = "is it a file of `saescope analyze`?";
            Error::malformed(&name, "columns", "those that this program writes", "others", hint)
        };
        rows(batch, &mut all).ok_or_else(other)
    })?;
    let larger = |a: f64, b: f64| b.total_cmp(&a);
    all.sort_by(|a, b| {
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(larger(a.2, b.2)).then((a.3, a.4).cmp(&(b.3, b.4)))
    });
    let mut compared = Compared::new();
    all.into_iter().for_each(|(.., layer, feature)| compared.entry(layer).or_default().push(feature));
    Ok(compared)
}

/// Adds a batch's features as (place of the verdict, q, |d_z|, layer, feature); none where a column is of another type.
fn rows(batch: &RecordBatch, all: &mut Vec<(usize, f64, f64, usize, u32)>) -> Option<()> {
    let whole = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
    let (layers, features) = (whole("layer")?, whole("feature")?);
    let (dz, q, adjusted) = (number("cohens_dz")?, number("q_value")?, number("length_adjusted_q")?);
    let verdicts = batch.column_by_name("verdict")?.as_string_opt::<i32>()?;
    for row in (0..batch.num_rows()).filter(|&row| verdicts.is_valid(row)) {
        let place = ORDER.iter().position(|verdict| verdict.as_str() == verdicts.value(row)).unwrap_or(ORDER.len());
        let by = if place == 0 { adjusted } else { q };
        let q = if by.is_valid(row) { by.value(row) } else { 1.0 };
        let dz = if dz.is_valid(row) { dz.value(row).abs() } else { 0.0 };
        all.push((place, q, dz, usize::try_from(layers.value(row)).ok()?, u32::try_from(features.value(row)).ok()?));
    }
    Some(())
}

/// Tokens that the first features of each layer promote, by the logit lens.
async fn promoted_tokens(
    args: &ModelArgs,
    run: &Manifest,
    manifest: &Value,
    compared: &Compared,
) -> Result<BTreeMap<(usize, u32), Vec<String>>> {
    let loaded = setup::load(args, true).await?;
    let saes = |of: &mut dyn Iterator<Item = (u64, u64)>| {
        of.map(|(layer, width)| format!("{layer} ({width} features)")).collect::<Vec<_>>().join(", ")
    };
    let said = |name: &str, d: u64, saes: String| format!("{} of width {d} with SAEs at layers {saes}", shown(name));
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let (of_run, of_saes) = (&manifest["model"], manifest["saes"].as_array().into_iter().flatten());
    let wanted = saes(&mut of_saes.map(|sae| (number(&sae["layer"]), number(&sae["d_sae"]))));
    let wanted = said(of_run["name"].as_str().unwrap_or_default(), number(&of_run["d_model"]), wanted);
    let found = saes(&mut loaded.saes.iter().map(|at| (at.layer as u64, at.sae.d_sae as u64)));
    let found = said(&loaded.name, loaded.model.dims().d_model as u64, found);
    if found != wanted {
        return Err(Error::mismatch(
            "model",
            wanted,
            found,
            "promoted tokens are those of the run's own model: name it, and its SAEs, with --model and --sae",
        ));
    }
    // names and widths do not tell two SAEs of a layer apart
    same_model(&loaded, run).await?;
    let compute = Compute::cpu();
    let mut found = BTreeMap::new();
    for at in &loaded.saes {
        let features = compared.get(&at.layer).into_iter().flatten().take(MOST_PROMOTED);
        let features: Vec<u32> = features.copied().filter(|feature| (*feature as usize) < at.sae.d_sae).collect();
        let indices: Vec<usize> = features.iter().map(|&feature| feature as usize).collect();
        let promoted = engine::promoted(&loaded.model, &at.sae, &indices, TOKENS, &compute).await?;
        for (feature, tokens) in features.into_iter().zip(promoted) {
            let words = tokens.iter().map(|&(token, _)| inspect::shown(&loaded.model, token)).collect();
            found.insert((at.layer, feature), words);
        }
    }
    Ok(found)
}
