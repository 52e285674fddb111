//! What the fuzz targets run: every reader of a foreign file, over bytes in memory.
//!
//! A target fails where a reader panics, takes more memory than the file's length allows, takes more than the
//! fuzzer's time, or says something that nobody can read.

mod memory;
mod readers;

use saescope::{Error, Result};

pub use readers::*;

/// Memory that a reader may take for any file at all: parsing a tokenizer, a checkpoint of the golden models.
const BASE: usize = 64 << 20;
/// And for each byte of the file. Text becomes rows of strings with their place; a compressed page may be a
/// thousandth of what it holds, which readers bound themselves.
const PER_BYTE: usize = 1024;

/// Runs a reader over a file.
pub fn run(reader: fn(&[u8]), file: &[u8]) {
    let taken = memory::measure(|| reader(file));
    let most = BASE + PER_BYTE * file.len();
    assert!(taken <= most, "{taken} bytes taken for a file of {}, at most {most}", file.len());
}

/// What a reader said of a file: an error has to be words that fit a screen.
fn told<T>(result: Result<T>) -> Option<T> {
    result.map_err(|error| check(&error)).ok()
}

fn check(error: &Error) {
    let text = error.to_string();
    assert!(text.len() <= 8192, "an error of {} bytes", text.len());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "control characters in {text:?}");
}

/// The fuzz target of a reader.
#[macro_export]
macro_rules! target {
    ($reader:ident) => {
        libfuzzer_sys::fuzz_target!(|file: &[u8]| $crate::run($crate::$reader, file));
    };
}
