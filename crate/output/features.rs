//! `features.parquet`: one row per active feature, in long form.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;

use super::tables::{failed, failed_arrow, properties};
use crate::error::{Error, Result};
use crate::metrics::{Column, Kind, LayerMeasure, SampleMeasure, TextKind};

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

/// Writes the features of samples that are in memory, in any order: see [`FeaturesWriter`].
///
/// # Errors
/// As [`FeaturesWriter`].
pub fn write_features(samples: &[SampleMeasure], to: impl Write + Send) -> Result<()> {
    let mut samples: Vec<&SampleMeasure> = samples.iter().collect();
    samples.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
    let mut writer = FeaturesWriter::new(to)?;
    samples.into_iter().try_for_each(|sample| writer.add(sample))?;
    writer.close()
}

/// A column of `features.parquet`, said once; none holds nulls.
#[derive(Debug, Clone)]
pub struct FeatureColumn {
    /// Name as it stands in the file.
    pub name: &'static str,
    /// Type.
    pub data_type: DataType,
    /// Unit; empty for what is not a quantity.
    pub unit: &'static str,
    /// What it is, without the full stop.
    pub meaning: &'static str,
}

impl FeatureColumn {
    /// What the file's metadata says of it; the kind is not part of that.
    fn described(&self) -> Column {
        Column { unit: self.unit, description: self.meaning.to_owned(), ..Column::new(self.name, Kind::Int64) }
    }
}

/// The columns of `features.parquet`, in file order.
pub static FEATURE_COLUMNS: &[FeatureColumn] = &[
    FeatureColumn {
        name: "sample_id",
        data_type: DataType::Utf8,
        unit: "",
        meaning: "The sample's id in the data set",
    },
    FeatureColumn {
        name: "text",
        data_type: DataType::Utf8,
        unit: "",
        meaning: "Which of its texts: `prompt`, `fact`, `hall`",
    },
    FeatureColumn { name: "layer", data_type: DataType::Int64, unit: "", meaning: "The SAE layer" },
    FeatureColumn {
        name: "feature",
        data_type: DataType::Int32,
        unit: "",
        meaning: "The feature's number in that layer's dictionary",
    },
    FeatureColumn {
        name: "activation",
        data_type: DataType::Float32,
        unit: "activation",
        meaning: "Its activation, which is positive: features that are not active have no row",
    },
];

/// Rows of a row group: what is encoded and not yet written stays in memory.
const GROUP_ROWS: usize = 1 << 20;

/// `features.parquet`, sample by sample: `sample_id` (string), `text` (string: prompt, fact, hall),
/// `layer` (int64), `feature` (int32), `activation` (float32), sorted by the first four, strings by
/// their bytes. The file's metadata names that order. Memory is that of a row group.
///
/// Calls fail with [`Error::Io`] where writing fails.
pub struct FeaturesWriter<W: Write + Send> {
    schema: Arc<Schema>,
    writer: ArrowWriter<W>,
    last: Option<String>,
}

impl<W: Write + Send> FeaturesWriter<W> {
    /// A file without rows.
    ///
    /// # Errors
    /// As the type says.
    pub fn new(to: W) -> Result<Self> {
        let fields = FEATURE_COLUMNS.iter().map(|c| Field::new(c.name, c.data_type.clone(), false));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let described: Vec<Column> = FEATURE_COLUMNS.iter().map(FeatureColumn::described).collect();
        let properties = properties(&described, &[0, 1, 2, 3], GROUP_ROWS);
        let writer = ArrowWriter::try_new(to, schema.clone(), Some(properties)).map_err(|e| failed(FILE, e))?;
        Ok(Self { schema, writer, last: None })
    }

    /// Adds a sample, in the order of `sample_id`s by their bytes.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a sample that belongs before the last one, or a feature index past int32.
    pub fn add(&mut self, sample: &SampleMeasure) -> Result<()> {
        if let Some(last) = self.last.as_ref().filter(|last| **last > sample.sample_id) {
            return Err(Error::mismatch(
                format!("{FILE}: sample {}", sample.sample_id),
                format!("an id after {last}"),
                "one before it",
                "samples come sorted by id; please report this",
            ));
        }
        self.last = Some(sample.sample_id.clone());
        let mut kinds = TextKind::ALL;
        kinds.sort_by_key(|kind| kind.short());
        for kind in kinds {
            let mut layers: Vec<&LayerMeasure> = sample.text(kind).layers.iter().collect();
            layers.sort_by_key(|measured| measured.layer);
            let arrays = columns(sample, kind, &layers)?;
            let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(|e| failed_arrow(FILE, e))?;
            self.writer.write(&batch).map_err(|e| failed(FILE, e))?;
        }
        Ok(())
    }

    /// Ends the file. What it was written to is flushed; to go on with that, give it by `&mut`.
    ///
    /// # Errors
    /// As the type says.
    pub fn close(self) -> Result<()> {
        self.writer.close().map_err(|e| failed(FILE, e))?;
        Ok(())
    }
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
