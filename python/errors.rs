//! The library's errors as exceptions of `saescope._errors`.

use arrow_schema::ArrowError;
use pyo3::prelude::*;
use saescope::Error;

/// The exception for an error, by its kind.
pub fn of(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Io { .. } => "IoError",
        Error::Malformed { .. } => "MalformedError",
        Error::Missing { .. } => "MissingError",
        Error::Unsupported { .. } => "UnsupportedError",
        Error::Mismatch { .. } => "MismatchError",
        Error::Device { .. } => "DeviceError",
        Error::OutOfMemory { .. } => "OutOfMemoryError",
        Error::Usage { .. } => "UsageError",
        _ => "Error",
    };
    let made = py
        .import("saescope._errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1((error.message(), error.hint(), error.expected(), error.found())));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// What Arrow could not do with a table.
pub fn of_arrow(py: Python<'_>, error: &ArrowError) -> PyErr {
    let hint = "give a table with text columns prompt, fact and hallucination";
    of(py, &Error::malformed("rows in memory", "content", "an Arrow table", error.to_string(), hint))
}
