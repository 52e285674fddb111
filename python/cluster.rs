//! A run in parts, for a program that deals them out to workers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use saescope::Error;
use saescope::cli::cluster::{self, Done, Part};
use saescope::cli::embed::Steer;
use saescope::dataset::Sample;
use saescope::run::Shard;

use crate::table::Table;
use crate::{call, errors, rows};

/// A data set, read once; see `saescope.Survey`.
#[pyclass(frozen, module = "saescope._saescope")]
pub struct Survey {
    survey: cluster::Survey,
}

/// Number, line, id and reason of a row that is no sample, and its file.
type Rejected = (String, usize, Option<usize>, Option<String>, String);

#[pymethods]
impl Survey {
    /// Of `files`: name, domain, bytes.
    #[new]
    fn new(
        py: Python<'_>,
        words: Vec<String>,
        files: Vec<(String, Option<String>, Vec<u8>)>,
        listener: Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let read = move |_: &call::Teller<_>, tell| cluster::Survey::read(&words, &files, tell);
        Ok(Self { survey: call::wait(py, &listener, Arc::default(), read)? })
    }

    /// Samples in all.
    #[getter]
    fn samples(&self) -> usize {
        self.survey.samples().len()
    }

    /// Rows that are no samples: file, row, line, id, reason.
    #[getter]
    fn rejected(&self) -> Vec<Rejected> {
        let row = |r: &saescope::dataset::Rejected| (r.file.clone(), r.row, r.line, r.id.clone(), r.reason.clone());
        self.survey.rejected().iter().map(row).collect()
    }

    /// What an engine is told of it with every part.
    #[getter]
    fn whole<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let whole = self.survey.whole().map_err(|error| errors::of(py, &error))?;
        Ok(PyBytes::new(py, &whole))
    }

    /// The parts that have samples: number, from 1, and table.
    fn parts(&self, py: Python<'_>, of: u32) -> PyResult<Vec<(u32, Table)>> {
        let parts = py.detach(|| self.survey.parts(of)).map_err(|error| errors::of(py, &error))?;
        let made: Result<Vec<(u32, Table)>, ArrowError> = py.detach(|| {
            parts.into_iter().map(|(index, places)| Ok((index, table(self.survey.samples(), &places)?))).collect()
        });
        made.map_err(|error| errors::of_arrow(py, &error))
    }
}

/// Samples at these places.
fn table(samples: &[Sample], places: &[usize]) -> Result<Table, ArrowError> {
    let text = |of: fn(&Sample) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(places.iter().map(|&at| of(&samples[at]))))
    };
    let clusters: StringArray = places.iter().map(|&at| samples[at].cluster.as_deref()).collect();
    let place = |at: &usize| i64::try_from(*at).unwrap_or(i64::MAX);
    let columns: [(&str, DataType, bool, ArrayRef); 8] = [
        ("place", DataType::Int64, false, Arc::new(Int64Array::from_iter_values(places.iter().map(place)))),
        ("id", DataType::Utf8, false, text(|s| &s.id)),
        ("domain", DataType::Utf8, false, text(|s| &s.domain)),
        (
            "complexity",
            DataType::Int64,
            false,
            Arc::new(Int64Array::from_iter_values(places.iter().map(|&at| samples[at].complexity))),
        ),
        ("cluster", DataType::Utf8, true, Arc::new(clusters)),
        ("prompt", DataType::Utf8, false, text(|s| &s.prompt)),
        ("fact", DataType::Utf8, false, text(|s| &s.fact)),
        ("hallucination", DataType::Utf8, false, text(|s| &s.hallucination)),
    ];
    let field = |(name, kind, null, _): &(&str, DataType, bool, ArrayRef)| Field::new(*name, kind.clone(), *null);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|(.., array)| array).collect();
    Ok(Table { schema: schema.clone(), batches: vec![RecordBatch::try_new(schema, arrays)?] })
}

/// Model, SAEs and device, opened once; see `saescope.Engine`.
#[pyclass(frozen, module = "saescope._saescope")]
pub struct Engine {
    engine: Arc<Mutex<cluster::Engine>>,
}

/// Samples measured, those of them that were there before, id and reason of each that failed.
type Finished = (usize, usize, Vec<(String, String)>);

#[pymethods]
impl Engine {
    /// Opens what `words` name.
    #[new]
    fn new(py: Python<'_>, words: Vec<String>, listener: Bound<'_, PyAny>) -> PyResult<Self> {
        let open = move |_: &call::Teller<_>, tell| cluster::Engine::open(words, tell);
        let engine = call::wait(py, &listener, Arc::default(), open)?;
        Ok(Self { engine: Arc::new(Mutex::new(engine)) })
    }

    /// Measures a part; calls wait for each other.
    #[expect(clippy::too_many_arguments, reason = "one call of Python's")]
    fn part(
        &self,
        py: Python<'_>,
        data: Bound<'_, PyAny>,
        places: Vec<usize>,
        whole: Vec<u8>,
        shard: &str,
        out: PathBuf,
        run_id: String,
        listener: Bound<'_, PyAny>,
    ) -> PyResult<Finished> {
        let shard: Shard = shard.parse().map_err(|said: String| {
            errors::of(py, &Error::usage(said, "a part is named by its number and their count: \"3/8\""))
        })?;
        let steer = Arc::new(Steer::default());
        let part = Part { rows: rows::of(&data)?, places, whole, shard, out, run_id, steer: steer.clone() };
        let engine = self.engine.clone();
        let measured = move |teller: &call::Teller<_>, tell| {
            engine.lock().unwrap_or_else(PoisonError::into_inner).part(part, teller, tell)
        };
        let Done { measured, kept, failed } = call::wait(py, &listener, steer, measured)?;
        Ok((measured, kept, failed.into_iter().map(|f| (f.sample_id, f.reason)).collect()))
    }
}
