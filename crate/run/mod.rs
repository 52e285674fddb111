//! A run as a durable thing: what is asked for, what has been measured ([`Spool`]), and the files that
//! come of it. The command line and the page supply devices, sources, hashes and an observer.
//!
//! [`load`] → [`Request`] → [`execute`] (engine → spool) → [`finish`] (spool → files). A spool that is
//! left over goes on with [`execute`]; parts that were measured apart are [`merged`] and finished. Workers of a
//! page measure [`shares`] of a run, which one of them [`keep`]s.

mod again;
mod execute;
mod files;
mod fingerprint;
mod hashed;
mod loaded;
mod manifest;
mod merge;
mod numbers;
mod several;
mod shard;
mod shares;
mod sources;
mod spool;
mod timeline;
mod wanted;
mod whole;

#[cfg(test)]
mod tests;

pub use again::{options, same_data, same_files, same_model};
pub use execute::{Reopen, Request, execute, keep};
pub use files::{Comparisons, Finished, finish};
pub use fingerprint::data_sha256;
pub use loaded::{Loaded, Origin, SaeFiles, load, load_ignoring};
pub use manifest::{Parts, with_statistics};
pub use merge::merged;
pub use numbers::numbers;
pub use shard::Shard;
pub use shares::{Machine, Portion, Portions, pack_samples, shares, unpack_samples};
pub use spool::{Base, Header, PART_FILE, SPOOL_FILE, Spool};
pub use wanted::Wanted;
pub use whole::{Excerpt, Whole};
