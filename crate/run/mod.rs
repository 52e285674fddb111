//! A run from its inputs to its four files: what the command line and the page have in common.

mod files;
mod hash;
mod loaded;
mod manifest;

pub use files::{Finished, finish};
pub use hash::{hex, sha256};
pub use loaded::{Loaded, Origin, SaeFiles, load, load_ignoring};
pub use manifest::Parts;
