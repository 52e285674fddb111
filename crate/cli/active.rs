//! The active features of a finished run, from its features.parquet.

use std::collections::HashMap;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type};

use crate::dataset::parquet_batches;
use crate::error::{Error, Result};
use crate::metrics::TextKind;
use crate::output;
use crate::platform::{self, ReadLimits};
use crate::stats::{Active, FeatureSource};

/// A run's features.parquet, of the samples of its metrics.parquet.
pub struct ActiveFeatures {
    name: String,
    bytes: Vec<u8>,
    /// Places of the samples.
    places: HashMap<String, usize>,
}

impl ActiveFeatures {
    /// That of a run's folder; `samples` are its samples' ids, in order. None where there is no such file.
    ///
    /// # Errors
    /// A file that is too large to be read again, or cannot be read.
    pub fn open(folder: &Path, samples: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let path = folder.join(output::FEATURES_FILE);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let bytes = platform::read_all(&path, ReadLimits::default())?;
        Ok(Some(Self { name: path.display().to_string(), bytes, places: samples.zip(0..).collect() }))
    }

    fn other(&self) -> Error {
        let hint = "is it a file of `saescope analyze`?";
        Error::malformed(&self.name, "columns", "those that this program writes", "others", hint)
    }
}

/// Rows of one text at one layer, as they come.
#[derive(Default)]
struct Open {
    at: Option<(usize, TextKind, usize)>,
    features: Vec<u32>,
    activations: Vec<f32>,
}

impl Open {
    fn give(&mut self, take: &mut dyn FnMut(Active<'_>)) {
        if let Some((sample, text, layer)) = self.at.take() {
            let (features, activations) = (&self.features, &self.activations);
            take(Active { sample, text, layer, features, activations, x: None });
        }
        self.features.clear();
        self.activations.clear();
    }
}

impl ActiveFeatures {
    /// Adds a batch's rows; none where a column is of another type.
    fn rows(&self, batch: &RecordBatch, open: &mut Open, take: &mut dyn FnMut(Active<'_>)) -> Option<()> {
        let samples = batch.column_by_name("sample_id")?.as_string_opt::<i32>()?;
        let texts = batch.column_by_name("text")?.as_string_opt::<i32>()?;
        let layers = batch.column_by_name("layer")?.as_primitive_opt::<Int64Type>()?;
        let features = batch.column_by_name("feature")?.as_primitive_opt::<Int32Type>()?;
        let activations = batch.column_by_name("activation")?.as_primitive_opt::<Float32Type>()?;
        for row in 0..batch.num_rows() {
            let sample = self.places.get(samples.value(row)).copied();
            let text = TextKind::ALL.into_iter().find(|kind| kind.short() == texts.value(row))?;
            let layer = usize::try_from(layers.value(row)).ok()?;
            let feature = u32::try_from(features.value(row)).ok()?;
            let at = sample.map(|sample| (sample, text, layer));
            if at != open.at {
                open.give(take);
                open.at = at;
            }
            open.features.push(feature);
            open.activations.push(activations.value(row));
        }
        Some(())
    }
}

impl FeatureSource for ActiveFeatures {
    fn each(&self, take: &mut dyn FnMut(Active<'_>)) -> Result<()> {
        let mut open = Open::default();
        parquet_batches(&self.name, &self.bytes, &["sample_id", "text", "layer", "feature", "activation"], |batch| {
            self.rows(batch, &mut open, take).ok_or_else(|| self.other())
        })?;
        open.give(take);
        Ok(())
    }
}
