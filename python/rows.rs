//! Rows that a Python program has in memory.

use arrow_array::RecordBatchReader;
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_schema::ArrowError;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};
use saescope::dataset::Rows;

use crate::errors;

/// JSON as bytes, or a table behind `__arrow_c_stream__`.
pub fn of(data: &Bound<'_, PyAny>) -> PyResult<Rows> {
    if let Ok(json) = data.cast::<PyBytes>() {
        return Ok(Rows::Json(json.as_bytes().to_vec()));
    }
    let py = data.py();
    let capsule = data.call_method0("__arrow_c_stream__")?;
    let capsule =
        capsule.cast::<PyCapsule>().map_err(|_| PyTypeError::new_err("__arrow_c_stream__ gave no capsule"))?;
    let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: a capsule of this name holds such a stream, which is ours by the protocol: what is moved out of it
    // leaves it released, as its destructor expects
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
    // its producer may need the GIL on other threads
    let read = py.detach(move || -> Result<Rows, ArrowError> {
        let reader = RecordBatchStreamReader::try_new(stream)?;
        let schema = reader.schema();
        Ok(Rows::Table { schema, batches: reader.collect::<Result<_, _>>()? })
    });
    read.map_err(|error| errors::of_arrow(py, &error))
}
