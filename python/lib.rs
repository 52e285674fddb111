//! `saescope._saescope`: what the Python package is built on. Thin: it turns Python's values into the library's and
//! back; the words and the waiting are in `python/saescope`.

mod activations;
mod call;
mod cluster;
mod errors;
mod rows;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use saescope::cli::embed::{self, Ask, FeaturesAsk, Steer};
use saescope::engine::Positions;

use cluster::{Engine, Survey};
use table::Table;

/// Runs an analysis and gives its folder. `words` are those of a command line after `saescope analyze`; `data` are
/// rows in memory: JSON as bytes, or an object with `__arrow_c_stream__`; `listener` has the methods `note(text)`
/// and `progress(done, total, rate, eta, layer, layers)`.
#[pyfunction]
fn analyze(
    py: Python<'_>,
    words: Vec<String>,
    resume: Option<PathBuf>,
    data: Option<Bound<'_, PyAny>>,
    listener: Bound<'_, PyAny>,
) -> PyResult<PathBuf> {
    let rows = data.map(|data| rows::of(&data)).transpose()?;
    let steer = Arc::new(Steer::default());
    let ask = Ask { words, resume, rows, steer: steer.clone() };
    call::wait(py, &listener, steer, move |teller, tell| embed::analyze(&ask, teller, tell))
}

/// Active features of texts as a table. `words` say which model, SAEs and device; the rest is as in `analyze`.
#[pyfunction]
fn features(
    py: Python<'_>,
    words: Vec<String>,
    texts: Vec<String>,
    every_token: bool,
    listener: Bound<'_, PyAny>,
) -> PyResult<Table> {
    let positions = if every_token { Positions::All } else { Positions::Last };
    let ask = FeaturesAsk { words, texts, positions };
    let found = call::wait(py, &listener, Arc::default(), move |teller, tell| embed::features(&ask, teller, tell))?;
    py.detach(|| activations::table(&found, positions)).map_err(|error| errors::of_arrow(py, &error))
}

/// A table of a run's folder, read from its file.
#[pyfunction]
fn read_table(py: Python<'_>, path: PathBuf) -> PyResult<Table> {
    py.detach(|| Table::read(&path)).map_err(|error| errors::of(py, &error))
}

/// A finished run as one HTML document.
#[pyfunction]
fn report(py: Python<'_>, run: PathBuf, listener: Bound<'_, PyAny>) -> PyResult<String> {
    call::wait(py, &listener, Arc::default(), move |_, tell| embed::report(&run, tell))
}

/// Writes such a document.
#[pyfunction]
fn save_report(py: Python<'_>, html: &str, path: PathBuf, force: bool) -> PyResult<()> {
    py.detach(|| embed::save_report(html, &path, force)).map_err(|error| errors::of(py, &error))
}

/// The command line; gives the exit status. Help and usage errors end the process.
#[pyfunction]
fn main(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| saescope::cli::main_with(words))
}

/// The compiled part of the package.
#[pymodule]
mod _saescope {
    #[pymodule_export]
    use super::{Engine, Survey, Table, analyze, features, main, read_table, report, save_report};

    /// The program's version.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
