//! `--labels FILE`: what features stand for in somebody's words, beside what is measured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::{Value, json};

use super::say;
use crate::dataset::{Labels, neuronpedia_url, parquet_batches};
use crate::error::{Error, Result, shown};
use crate::model::registry;
use crate::output;
use crate::platform::{self, ReadLimits};

/// Labels of a report at most: more than its tables can show.
const MOST: usize = 50_000;

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

/// The labels of a run's compared features, as its report takes them: a list of layer, feature, label and address.
///
/// # Errors
/// A stats_features.parquet that cannot be read.
pub fn of_run(labels: &Labels, manifest: &Value, folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join(output::STATS_FEATURES_FILE);
    let name = path.display().to_string();
    if path.symlink_metadata().is_err() {
        let hint = "an earlier version wrote this run: make the file with `saescope stats RUN`";
        return Err(Error::missing(format!("{name}: comparisons of features, for labels"), hint));
    }
    let bytes = platform::read_all(&path, ReadLimits::default())?;
    let mut compared: BTreeSet<(usize, u32)> = BTreeSet::new();
    parquet_batches(&name, &bytes, &["layer", "feature", "verdict"], |batch| {
        let column = |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let verdicts = batch.column_by_name("verdict");
        let (Some(layers), Some(features), Some(verdicts)) = (column("layer"), column("feature"), verdicts) else {
            let hint = "is it a file of `saescope analyze`?";
            return Err(Error::malformed(&name, "columns", "those that this program writes", "others", hint));
        };
        for row in (0..batch.num_rows()).filter(|&row| verdicts.is_valid(row)) {
            let layer = usize::try_from(layers.value(row)).ok();
            compared.extend(layer.zip(u32::try_from(features.value(row)).ok()));
        }
        Ok(())
    })?;
    let model = manifest["model"]["name"].as_str().and_then(|name| registry::find(name).ok());
    let known = |layer: usize| {
        let sae = model.as_ref()?.saes.iter().find(|sae| sae.layer == layer)?;
        sae.neuronpedia.clone()
    };
    let layers: BTreeSet<usize> = compared.iter().map(|(layer, _)| *layer).collect();
    let mut found = Vec::new();
    for layer in layers {
        let known = known(layer);
        let Some(dictionary) = dictionary(labels, known.as_deref(), layer) else { continue };
        for (_, feature) in compared.range((layer, 0)..=(layer, u32::MAX)) {
            let Some(label) = labels.label(dictionary, *feature) else { continue };
            let url = neuronpedia_url(dictionary, *feature);
            found.push(json!({"layer": layer, "feature": feature, "label": label, "url": url}));
        }
    }
    found.truncate(MOST);
    serde_json::to_vec(&found).map_err(|e| Error::io(name, "write labels of", e.into(), "please report this"))
}
