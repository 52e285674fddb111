//! `features.parquet`: one row per active feature, in long form.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;

use super::tables::{failed, failed_arrow, properties};
use crate::error::{Error, Result};
use crate::metrics::{LayerMeasure, SampleMeasure, TextKind};

/// Name of the file in a run's folder.
pub(super) const FILE: &str = "features.parquet";

/// `features.parquet` as bytes.
///
/// # Errors
/// As [`write_features`].
pub fn features_parquet(samples: &[SampleMeasure]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_features(samples, &mut bytes)?;
    Ok(bytes)
}

/// Writes `sample_id` (string), `text` (string: prompt, fact, hall), `layer` (int64),
/// `feature` (int32), `activation` (float32), sorted by the first four, strings by their bytes.
/// The file's metadata names that order.
///
/// # Errors
/// [`Error::Io`] where writing fails; [`Error::Mismatch`] for a feature index past int32.
pub fn write_features(samples: &[SampleMeasure], to: impl Write + Send) -> Result<()> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("sample_id", DataType::Utf8, false),
        Field::new("text", DataType::Utf8, false),
        Field::new("layer", DataType::Int64, false),
        Field::new("feature", DataType::Int32, false),
        Field::new("activation", DataType::Float32, false),
    ]));
    let mut writer =
        ArrowWriter::try_new(to, schema.clone(), Some(properties(&[0, 1, 2, 3]))).map_err(|e| failed(FILE, e))?;
    let mut samples: Vec<&SampleMeasure> = samples.iter().collect();
    samples.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
    let mut kinds = TextKind::ALL;
    kinds.sort_by_key(|kind| kind.short());
    for sample in samples {
        for kind in kinds {
            let mut layers: Vec<&LayerMeasure> = sample.text(kind).layers.iter().collect();
            layers.sort_by_key(|measured| measured.layer);
            let arrays = columns(sample, kind, &layers)?;
            let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| failed_arrow(FILE, e))?;
            writer.write(&batch).map_err(|e| failed(FILE, e))?;
        }
    }
    writer.close().map_err(|e| failed(FILE, e))?;
    Ok(())
}

/// The five columns of one text.
fn columns(sample: &SampleMeasure, kind: TextKind, layers: &[&LayerMeasure]) -> Result<Vec<ArrayRef>> {
    let count: usize = layers.iter().map(|measured| measured.indices.len()).sum();
    let mut numbers = Vec::with_capacity(count);
    let mut features = Vec::with_capacity(count);
    let mut activations = Vec::with_capacity(count);
    for measured in layers {
        for (&index, &activation) in measured.indices.iter().zip(&measured.activations) {
            numbers.push(measured.layer as i64);
            features.push(i32::try_from(index).map_err(|_| {
                Error::mismatch(
                    format!("{FILE}: sample {}: feature index", sample.sample_id),
                    format!("at most {}", i32::MAX),
                    index.to_string(),
                    "no known SAE is as wide; check its file",
                )
            })?);
            activations.push(activation);
        }
    }
    Ok(vec![
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&sample.sample_id, count))),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(kind.short(), count))),
        Arc::new(Int64Array::from(numbers)),
        Arc::new(Int32Array::from(features)),
        Arc::new(Float32Array::from(activations)),
    ])
}
