//! The only place that tells native from web. Whole modules are swapped, never lines elsewhere.
//!
//! Both sides offer the same names: [`ByteSource`] and its boxed futures, [`spawn`], [`sleep`],
//! [`Clock`], data-parallel loops ([`par_chunks_mut`], [`par_map`]), and [`quietly`] for libraries that panic.

#[cfg(native)]
#[path = "native.rs"]
mod imp;
#[cfg(web)]
#[path = "web.rs"]
mod imp;

pub(crate) mod gemm;
mod journal;
pub(crate) mod lanes;
mod origin;
mod retry;
mod sink;
mod source;

pub use imp::*;
pub use journal::{Journal, MemoryJournal};
pub use origin::{Bundled, Hub, Origin, Package, PackagePart, RemoteFile};
pub use retry::{Retry, Tries};
pub use sink::{FileSink, MemoryFiles, Scratch};
pub use source::{ByteSource, MemorySource, Source, components, file_name, sha256, whole};
