//! Does the instrument work on a finished run's model, SAEs and data.

use std::cell::Cell;

use super::devices;
use super::settings;
use super::subject::{Subjects, file_infos, verify};
use super::task::{Reporter, Task};
use crate::calibrate::{LIMIT, OF_DATA, OF_MODEL, OfModel, SWAPS, Subject, left_out, of_metrics, of_model, whole};
use crate::dataset::Sample;
use crate::error::{Error, Result};
use crate::hash;
use crate::output::{self, FileInfo, LeftOut, Manifest, Precision};
use crate::protocol::{Bytes, CalibrateWith, DataChoice, Event};
use crate::run;
use crate::stats::{Samples, SwapObserver};

/// What to do about a model or data that are not the run's.
const HINT: &str = "choose the run's own under Set up, and calibrate again";

/// The run's calibration.json. What cannot be had of the model or the data leaves out what needs it, and says so.
///
/// # Errors
/// Files that are no finished run of this version, or not of one run; [`Error::Cancelled`].
pub(super) async fn calibrate(
    subjects: &Subjects,
    task: &Task,
    metrics: &Bytes,
    manifest: &str,
    seed: u64,
    swaps: Option<usize>,
    with: Option<&CalibrateWith>,
) -> Result<String> {
    let manifest = read(manifest)?;
    let bytes = metrics.0.as_slice();
    let file = FileInfo {
        path: output::METRICS_FILE.to_owned(),
        bytes: bytes.len() as u64,
        sha256: Some(hash::sha256(bytes)),
    };
    let own = manifest.files.iter().find(|known| known.path == file.path);
    if own.is_none_or(|own| own.sha256 != file.sha256) {
        let hint = "open the run's own files together";
        return Err(Error::mismatch(output::METRICS_FILE, "the file that manifest.json names", "another", hint));
    }
    let (samples, _) = run::numbers(output::METRICS_FILE, bytes, &manifest.layers)?;
    let clusters = manifest.statistics.as_ref().is_none_or(|s| s.clusters);
    let told = Told { task, done: Cell::new(0) };
    let swapped = of_metrics(&samples, swaps.unwrap_or(SWAPS), seed, clusters, &told)?;
    let (measured, missing) = match with {
        None => (OfModel::nothing(), left_out(&OF_MODEL, "the run's model was not at hand")),
        Some(with) => match with_model(subjects, task, with, &manifest, &samples, seed).await {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => (OfModel::nothing(), left_out(&OF_MODEL, &reason(&error))),
            Ok(found) => found,
        },
    };
    let calibration = whole(&manifest, file, seed, swapped, measured, missing);
    Ok(String::from_utf8_lossy(&output::calibration_json(&calibration)?).into_owned())
}

/// A manifest of this version.
fn read(text: &str) -> Result<Manifest> {
    let hint = "run it again with this version";
    let wrong =
        |expected: String, found: String| Error::malformed(output::MANIFEST_FILE, "contents", expected, found, hint);
    let whole = || "a manifest of this version".to_owned();
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| wrong(whole(), e.to_string()))?;
    let version = &value["schema_version"];
    if *version != output::SCHEMA_VERSION {
        let expected = format!("schema_version {}", output::SCHEMA_VERSION);
        return Err(wrong(expected, version.to_string()));
    }
    serde_json::from_value(value).map_err(|e| wrong(whole(), e.to_string()))
}

/// What needs the model, and what was left out of it.
async fn with_model(
    subjects: &Subjects,
    task: &Task,
    with: &CalibrateWith,
    manifest: &Manifest,
    metrics: &Samples,
    seed: u64,
) -> Result<(OfModel, Vec<LeftOut>)> {
    let (compute, _) = devices::compute(with.device, Precision::F32).await?;
    let opened = subjects.open(task, &with.subject).await?;
    let loaded = &opened.loaded;
    run::same_model(loaded, manifest, HINT)?;
    verify(&opened).await?;
    run::same_files(&file_infos(&opened, &loaded.model_files()).await?, &manifest.model.files, HINT)?;
    for (at, known) in loaded.saes.iter().zip(&manifest.saes) {
        run::same_files(&file_infos(&opened, at.sae.sources()).await?, &known.files, HINT)?;
    }
    let (own, mut missing) = match with.data.as_ref().map(|choice| data(choice, manifest)) {
        Some(Ok(samples)) => (samples, Vec::new()),
        Some(Err(error)) => (Vec::new(), left_out(&OF_DATA, &reason(&error))),
        None => (Vec::new(), left_out(&OF_DATA, "the run's data were not at hand")),
    };
    let options = run::options(manifest)?;
    let computes = [compute];
    let (model, saes) = (&loaded.model, &loaded.saes);
    let subject = Subject { model, computes: &computes, saes, options: &options, own: &own, metrics };
    let measured = of_model(subject, LIMIT, seed, &Reporter { task }).await?;
    if !own.is_empty() {
        missing.extend(measured.unmeasured());
    }
    Ok((measured, missing))
}

/// The run's samples.
fn data(choice: &DataChoice, manifest: &Manifest) -> Result<Vec<Sample>> {
    let mut data = settings::dataset(choice)?;
    if let Some(limit) = manifest.dataset.limit {
        data.limit(limit, manifest.noise.seed);
    }
    run::same_data(&mut data, manifest, HINT)?;
    Ok(data.samples)
}

/// An error in a line, as a reason.
fn reason(error: &Error) -> String {
    error.message().lines().next().unwrap_or_default().to_owned()
}

/// Tells the page of swaps, a few dozen times in all.
struct Told<'a> {
    task: &'a Task,
    done: Cell<usize>,
}

impl SwapObserver for Told<'_> {
    fn swapped(&self, total: usize) {
        let done = self.done.get() + 1;
        self.done.set(done);
        if done == total || done.is_multiple_of(total.div_ceil(50).max(1)) {
            self.task.event(&Event::Swaps { done, total });
        }
    }
}
