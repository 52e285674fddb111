//! `saescope compare`: two finished runs over the same samples, number by number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use serde_json::Value;

use super::args::Compare;
use super::{catalog, print, report, say, siblings};
use crate::dataset::{parquet_batches, parquet_columns};
use crate::error::{Error, Result, shown};
use crate::metrics;
use crate::{output, platform};

/// Metrics that are listed unless all are asked for.
const LISTED: usize = 10;

/// What is compared of a run.
struct Side {
    manifest: Value,
    /// numbers by column, by sample
    metrics: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// active features by layer, by sample and text
    features: BTreeMap<i64, BTreeMap<(String, String), Vec<i32>>>,
    /// verdicts by metric and domain
    verdicts: BTreeMap<(String, String), String>,
}

/// How alike the active features of a layer are.
#[derive(Debug, PartialEq)]
struct Overlap {
    layer: i64,
    texts: usize,
    /// |A ∩ B| / |A ∪ B|, mean over texts
    mean: f64,
    lowest: f64,
}

/// The largest difference of a metric.
#[derive(Debug, PartialEq)]
struct Difference {
    column: String,
    /// relative to the larger of the two, or to the spread of the first run's values if that is larger
    relative: f64,
    sample: String,
}

/// Runs the command.
///
/// # Errors
/// Folders that are no finished runs, damaged files, runs without a sample in common.
pub fn run(args: &Compare) -> Result<ExitCode> {
    let (a, b) = (Side::read(&args.first)?, Side::read(&args.second)?);
    let unlike = settings(&a.manifest, &b.manifest);
    for line in &unlike {
        print(&format!("{line}\n"))?;
    }
    if unlike.is_empty() {
        print("settings and files: the same\n")?;
    }
    let (differences, common) = differences(&a, &b);
    if common == 0 {
        return Err(Error::mismatch(
            format!("samples of {} and {}", args.first.display(), args.second.display()),
            "some in common",
            "none",
            "compare two runs over the same data set",
        ));
    }
    let (of_a, of_b) = (a.samples(), b.samples());
    if (of_a, of_b) != (common, common) {
        print(&format!("samples: {common} in both of {of_a} and {of_b}\n"))?;
    }
    let overlaps = overlaps(&a, &b);
    for Overlap { layer, texts, mean, lowest } in &overlaps {
        print(&format!(
            "layer {layer}: Jaccard of the active features {mean:.4}, lowest {lowest:.4} of {texts} texts\n"
        ))?;
    }
    let worst = differences.iter().fold(0.0f64, |m, d| m.max(d.relative));
    let different = differences.iter().filter(|d| d.relative > 0.0).count();
    print(&format!("metrics: {different} of {} differ, by at most {worst:.2e}\n", differences.len()))?;
    let listed = differences.iter().filter(|d| args.all || d.relative > 0.0);
    for d in listed.take(if args.all { usize::MAX } else { LISTED }) {
        print(&format!("  {:<44} {:>9.2e}  {}\n", shown(&d.column), d.relative, shown(&d.sample)))?;
    }
    if !args.all && different > LISTED {
        print(&format!("  {} more: --all\n", different - LISTED))?;
    }
    let changed: Vec<_> = a.verdicts.iter().filter_map(|(key, v)| Some((key, v, b.verdicts.get(key)?))).collect();
    let compared = changed.len();
    let changed: Vec<_> = changed.into_iter().filter(|(_, a, b)| a != b).collect();
    print(&format!("verdicts: {} of {compared} changed\n", changed.len()))?;
    for ((metric, domain), a, b) in &changed {
        print(&format!("  {} ({}): {} -> {}\n", shown(metric), shown(domain), shown(a), shown(b)))?;
    }
    let lowest = overlaps.iter().fold(1.0f64, |m, o| m.min(o.mean));
    let good = args.tolerance.is_none_or(|most| worst <= most) && args.jaccard.is_none_or(|least| lowest >= least);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Side {
    fn read(folder: &Path) -> Result<Self> {
        let Some(manifest) = catalog::manifest(folder) else {
            return Err(Error::missing(
                format!("{}: a finished run ({})", folder.display(), output::MANIFEST_FILE),
                "`compare` takes two folders that `analyze` wrote",
            ));
        };
        report::known(folder, &manifest)?;
        if let Some(error) = catalog::without_comparisons(folder, &manifest) {
            return Err(error);
        }
        for line in siblings::unlike(folder, &manifest, u64::MAX) {
            say(&format!("warning: {}: {line}", folder.display()));
        }
        let mut side =
            Self { manifest, metrics: BTreeMap::new(), features: BTreeMap::new(), verdicts: BTreeMap::new() };
        side.read_metrics(folder)?;
        let (name, bytes) = bytes(folder, output::FEATURES_FILE)?;
        parquet_batches(&name, &bytes, &["sample_id", "text", "layer", "feature"], |batch| {
            let (samples, texts) = (text(batch, "sample_id"), text(batch, "text"));
            let layers = batch.column_by_name("layer").and_then(|c| c.as_primitive_opt::<Int64Type>());
            let features = batch.column_by_name("feature").and_then(|c| c.as_primitive_opt::<Int32Type>());
            let (Some(samples), Some(texts), Some(layers), Some(features)) = (samples, texts, layers, features) else {
                return Err(other_types(&name));
            };
            for i in 0..batch.num_rows() {
                let key = (samples[i].clone(), texts[i].clone());
                side.features.entry(layers.value(i)).or_default().entry(key).or_default().push(features.value(i));
            }
            Ok(())
        })?;
        let (name, bytes) = self::bytes(folder, output::STATS_FILE)?;
        parquet_batches(&name, &bytes, &["metric", "domain", "verdict"], |batch| {
            let columns = ["metric", "domain", "verdict"].map(|column| text(batch, column));
            let [Some(metrics), Some(domains), Some(verdicts)] = columns else { return Err(other_types(&name)) };
            let keys = metrics.into_iter().zip(domains);
            side.verdicts.extend(keys.zip(verdicts));
            Ok(())
        })?;
        Ok(side)
    }

    /// Numbers that were measured; what the data set gives is left out.
    fn read_metrics(&mut self, folder: &Path) -> Result<()> {
        let all = metrics::GROUPS.iter().flat_map(|group| group.metrics);
        let given: Vec<&str> = all.filter(|metric| !metric.is_measured()).map(|metric| metric.name).collect();
        let (name, bytes) = bytes(folder, output::METRICS_FILE)?;
        let columns = parquet_columns(&name, &bytes)?;
        let mut wanted: Vec<&str> = columns.iter().map(String::as_str).filter(|c| !given.contains(c)).collect();
        wanted.push("sample_id");
        parquet_batches(&name, &bytes, &wanted, |batch| {
            let Some(samples) = text(batch, "sample_id") else { return Err(other_types(&name)) };
            for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
                let number: Box<dyn Fn(usize) -> f64> = match field.data_type() {
                    DataType::Float64 => Box::new(|i| values.as_primitive::<Float64Type>().value(i)),
                    DataType::Int64 => Box::new(|i| values.as_primitive::<Int64Type>().value(i) as f64),
                    DataType::Boolean => Box::new(|i| f64::from(u8::from(values.as_boolean().value(i)))),
                    _ => continue,
                };
                let column = self.metrics.entry(field.name().clone()).or_default();
                for (i, sample) in samples.iter().enumerate() {
                    column.insert(sample.clone(), values.is_valid(i).then(|| number(i)));
                }
            }
            Ok(())
        })
    }

    fn samples(&self) -> usize {
        self.metrics.values().next().map_or(0, BTreeMap::len)
    }
}

/// A file of a run: its name for messages, and all of it.
fn bytes(folder: &Path, file: &str) -> Result<(String, Vec<u8>)> {
    let path = folder.join(file);
    let bytes = platform::read_all(&path, platform::ReadLimits::default())?;
    Ok((path.display().to_string(), bytes))
}

/// The values of a text column without nulls.
fn text(batch: &RecordBatch, column: &str) -> Option<Vec<String>> {
    let array = batch.column_by_name(column)?.as_string_opt::<i32>()?;
    array.iter().map(|value| value.map(str::to_owned)).collect()
}

fn other_types(name: &str) -> Error {
    Error::malformed(name, "columns", "those that this program writes", "others", "is it a file of `saescope analyze`?")
}

/// What the numbers depend on and differs between two manifests, a line each.
fn settings(a: &Value, b: &Value) -> Vec<String> {
    const SETTINGS: [(&str, &str); 16] = [
        ("program", "/program/version"),
        ("model", "/model/name"),
        ("quantised on reading", "/model/quantized"),
        ("precision", "/compute/precision"),
        ("device", "/compute/device"),
        ("adapter", "/compute/adapter"),
        ("noise", "/noise/rule"),
        ("seed", "/noise/seed"),
        ("draws of the nulls", "/nulls/draws"),
        ("bound of equivalence", "/statistics/equivalence_bound"),
        ("resamples", "/statistics/resamples"),
        ("clusters kept together", "/statistics/clusters"),
        ("seed of the statistics", "/statistics/seed"),
        ("layers", "/layers"),
        ("join", "/dataset/join"),
        ("limit", "/dataset/limit"),
    ];
    let said = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => shown(text).to_string(),
        Some(other) => shown(&other.to_string()).to_string(),
    };
    // a field that earlier runs lack is none there
    let at = |run: &Value, at: &str| run.pointer(at).filter(|value| !value.is_null()).cloned();
    let differing = SETTINGS.into_iter().filter(|(_, place)| at(a, place) != at(b, place));
    let mut lines: Vec<String> =
        differing.map(|(name, at)| format!("{name}: {} -> {}", said(a.pointer(at)), said(b.pointer(at)))).collect();
    let files =
        [("data", "/dataset"), ("weights of the model", "/model"), ("tokenizer", "/tokenizer"), ("SAEs", "/saes")];
    let others = files.into_iter().filter(|(_, at)| contents(a.pointer(at)) != contents(b.pointer(at)));
    lines.extend(others.map(|(name, _)| format!("{name}: other files")));
    lines
}

/// The hashes of the files below a part of a manifest, or their lengths where it has none.
fn contents(part: Option<&Value>) -> Vec<String> {
    match part {
        Some(Value::Object(fields)) if fields.contains_key("bytes") => {
            let hash = fields.get("sha256").and_then(Value::as_str);
            vec![hash.map_or_else(|| fields["bytes"].to_string(), str::to_owned)]
        }
        Some(Value::Object(fields)) => fields.values().flat_map(|value| contents(Some(value))).collect(),
        Some(Value::Array(values)) => values.iter().flat_map(|value| contents(Some(value))).collect(),
        _ => Vec::new(),
    }
}

/// Largest difference of every column that both runs have, the largest first, and the number of samples in
/// common. A null on one side alone counts as infinite.
fn differences(a: &Side, b: &Side) -> (Vec<Difference>, usize) {
    let mut common = 0;
    let mut out = Vec::new();
    let one_sided = |has: &Side, lacks: &Side| -> Vec<Difference> {
        let alone = has.metrics.keys().filter(|column| !lacks.metrics.contains_key(*column));
        alone
            .map(|c| Difference { column: c.clone(), relative: f64::INFINITY, sample: "one run alone".to_owned() })
            .collect()
    };
    out.extend(one_sided(a, b));
    out.extend(one_sided(b, a));
    for (column, of_a) in &a.metrics {
        let Some(of_b) = b.metrics.get(column) else { continue };
        let pairs: Vec<_> = of_a.iter().filter_map(|(sample, x)| Some((sample, *x, *of_b.get(sample)?))).collect();
        common = common.max(pairs.len());
        let values: Vec<f64> = pairs.iter().filter_map(|(_, x, _)| *x).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt();
        let mut worst = Difference { column: column.clone(), relative: 0.0, sample: "-".to_owned() };
        for (sample, x, y) in pairs {
            let relative = match (x, y) {
                (Some(x), Some(y)) if x == y => 0.0,
                (Some(x), Some(y)) => {
                    let relative = (x - y).abs() / x.abs().max(y.abs()).max(spread).max(1e-12);
                    if relative.is_nan() { f64::INFINITY } else { relative }
                }
                (None, None) => 0.0,
                _ => f64::INFINITY,
            };
            if relative > worst.relative {
                worst.relative = relative;
                worst.sample.clone_from(sample);
            }
        }
        out.push(worst);
    }
    out.sort_by(|a, b| b.relative.total_cmp(&a.relative));
    (out, common)
}

/// How alike the active features are, layer by layer, over the texts that have some in either run; samples
/// that one run lacks are left out.
fn overlaps(a: &Side, b: &Side) -> Vec<Overlap> {
    let has = |side: &Side, sample: &str| side.metrics.values().next().is_some_and(|c| c.contains_key(sample));
    let layers: BTreeSet<i64> = a.features.keys().chain(b.features.keys()).copied().collect();
    let (no_texts, no_features) = (BTreeMap::new(), Vec::new());
    let of_layer = |layer: i64| {
        let (of_a, of_b) = (a.features.get(&layer).unwrap_or(&no_texts), b.features.get(&layer).unwrap_or(&no_texts));
        let texts = of_a.keys().chain(of_b.keys().filter(|key| !of_a.contains_key(*key)));
        let texts = texts.filter(|(sample, _)| has(a, sample) && has(b, sample));
        let features = |of: &BTreeMap<(String, String), Vec<i32>>, key: &(String, String)| {
            of.get(key).unwrap_or(&no_features).clone()
        };
        let values: Vec<f64> = texts.map(|key| jaccard(&features(of_a, key), &features(of_b, key))).collect();
        let (texts, sum) = (values.len(), values.iter().sum::<f64>());
        let lowest = values.into_iter().fold(1.0, f64::min);
        // nothing is active in either run where there are no texts
        (texts > 0).then(|| Overlap { layer, texts, mean: sum / texts as f64, lowest })
    };
    layers.into_iter().filter_map(of_layer).collect()
}

/// |A ∩ B| / |A ∪ B| of two ascending lists; 1 for two empty ones.
fn jaccard(a: &[i32], b: &[i32]) -> f64 {
    let both = a.iter().filter(|feature| b.binary_search(feature).is_ok()).count();
    let either = a.len() + b.len() - both;
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(values: &[(&str, Option<f64>)], features: &[(&str, &[i32])]) -> Side {
        let column = values.iter().map(|(sample, v)| ((*sample).to_owned(), *v)).collect();
        let of_layer =
            features.iter().map(|(sample, f)| (((*sample).to_owned(), "fact".to_owned()), f.to_vec())).collect();
        Side {
            manifest: Value::Null,
            metrics: BTreeMap::from([("l5_gini".to_owned(), column)]),
            features: BTreeMap::from([(5, of_layer)]),
            verdicts: BTreeMap::new(),
        }
    }

    #[test]
    fn sets_are_compared_by_jaccard() {
        assert_eq!(jaccard(&[], &[]), 1.0);
        assert_eq!(jaccard(&[1, 2, 3], &[2, 3, 4]), 0.5);
        assert_eq!(jaccard(&[1], &[]), 0.0);
        let a = side(&[("s", Some(1.0)), ("t", Some(1.0))], &[("s", &[1, 2]), ("t", &[7])]);
        let b = side(&[("s", Some(1.0)), ("t", Some(1.0))], &[("s", &[1, 2])]);
        assert_eq!(overlaps(&a, &b), [Overlap { layer: 5, texts: 2, mean: 0.5, lowest: 0.0 }]);
        // a sample that one run lacks says nothing of the other's features
        let b = side(&[("s", Some(1.0))], &[("s", &[1, 2])]);
        assert_eq!(overlaps(&a, &b), [Overlap { layer: 5, texts: 1, mean: 1.0, lowest: 1.0 }]);
        // a layer at which one run has nothing active has lost all of it
        let mut b = side(&[("s", Some(1.0)), ("t", Some(1.0))], &[]);
        b.features.clear();
        assert_eq!(overlaps(&a, &b), [Overlap { layer: 5, texts: 2, mean: 0.0, lowest: 0.0 }]);
        b.metrics.clear();
        assert!(differences(&a, &b).0[0].relative == f64::INFINITY, "a column that one run lacks");
    }

    #[test]
    fn differences_are_relative_to_the_larger_value_or_the_spread() {
        let a = side(&[("s", Some(2.0)), ("t", Some(2.0)), ("u", None)], &[]);
        let b = side(&[("s", Some(1.0)), ("t", Some(2.0)), ("u", None), ("v", Some(9.0))], &[]);
        let (found, common) = differences(&a, &b);
        assert_eq!(common, 3);
        assert_eq!(found, [Difference { column: "l5_gini".into(), relative: 0.5, sample: "s".into() }]);
        // around zero a value's own size means nothing
        let a = side(&[("s", Some(-1.0)), ("t", Some(1.0)), ("u", Some(1e-9))], &[]);
        let b = side(&[("s", Some(-1.0)), ("t", Some(1.0)), ("u", Some(-1e-9))], &[]);
        assert!(differences(&a, &b).0[0].relative < 1e-8);
        let b = side(&[("s", None), ("t", Some(1.0))], &[]);
        assert_eq!(differences(&a, &b).0[0].relative, f64::INFINITY);
    }

    #[test]
    fn settings_that_differ_are_named() {
        let a = serde_json::json!({"compute": {"precision": "f32", "device": "cpu"}, "noise": {"seed": 0}});
        let b = serde_json::json!({"compute": {"precision": "bf16", "device": "cpu"}, "noise": {"seed": 0}});
        assert_eq!(settings(&a, &b), ["precision: f32 -> bf16"]);
        assert!(settings(&a, &a).is_empty());
        let file =
            |sha256: Option<&str>, bytes: u64| serde_json::json!({"path": "p", "bytes": bytes, "sha256": sha256});
        let run = |sae, data| serde_json::json!({"saes": [{"layer": 5, "files": [sae]}], "dataset": {"files": [data]}});
        let a = run(file(Some("a"), 1), file(None, 2));
        assert_eq!(settings(&a, &run(file(Some("b"), 1), file(None, 2))), ["SAEs: other files"]);
        assert_eq!(settings(&a, &run(file(Some("a"), 1), file(None, 3))), ["data: other files"]);
    }
}
