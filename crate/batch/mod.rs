//! Batches without padding: texts are merged into prefix tries, each distinct prefix is computed
//! once, and attention follows the trie by ancestry.

mod pack;
mod trie;

pub use pack::{Batch, BatchLimit, TextSlot, pack};
pub use trie::{NO_PARENT, Trie};
