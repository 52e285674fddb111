//! What goes to a graphics device and what comes back.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Counts what a [`super::Compute`] and its copies move. Nothing moves where tensors lie in host memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    uploaded: AtomicU64,
    read_back: AtomicU64,
    waits: AtomicU64,
}

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Bytes of weights, indices and activations that were given to the device.
    pub uploaded: u64,
    /// Bytes that were read back.
    pub read_back: u64,
    /// How often the host waited for that.
    pub waits: u64,
}

impl Traffic {
    pub(super) fn sent(&self, bytes: usize) {
        self.0.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn came_back(&self, bytes: usize) {
        self.0.read_back.fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted since it was last asked.
    pub(super) fn take(&self) -> Moved {
        let of = |sum: &AtomicU64| sum.swap(0, Ordering::Relaxed);
        Moved { uploaded: of(&self.0.uploaded), read_back: of(&self.0.read_back), waits: of(&self.0.waits) }
    }
}

impl AddAssign for Moved {
    fn add_assign(&mut self, other: Self) {
        let Self { uploaded, read_back, waits } = other;
        self.uploaded += uploaded;
        self.read_back += read_back;
        self.waits += waits;
    }
}
