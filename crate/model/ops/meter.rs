//! What each operation takes, where somebody asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Op;
use crate::platform::Clock;

/// Adds up how often the operations of a [`super::Compute`] ran on the host, and for how long. Off, it is a
/// pointer that is not there; on, it looks at a clock twice per operation. Either way the numbers are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Option<Arc<[Sum; Op::ALL.len()]>>);

#[derive(Debug, Default)]
struct Sum {
    calls: AtomicU64,
    nanos: AtomicU64,
}

/// What an operation took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpTime {
    /// Which one.
    pub op: Op,
    /// How often it ran.
    pub calls: u64,
    /// How long, together.
    pub seconds: f64,
}

impl Meter {
    /// One that measures.
    pub(super) fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Does the work, and writes down how long it took.
    pub(crate) fn time<T>(&self, op: Op, work: impl FnOnce() -> T) -> T {
        let Some(sums) = &self.0 else { return work() };
        let clock = Clock::start();
        let out = work();
        let Sum { calls, nanos } = &sums[op as usize];
        calls.fetch_add(1, Ordering::Relaxed);
        nanos.fetch_add((clock.seconds() * 1e9) as u64, Ordering::Relaxed);
        out
    }

    /// What has been measured, of operations that ran.
    pub(super) fn read(&self) -> Vec<OpTime> {
        let Some(sums) = &self.0 else { return Vec::new() };
        let of = |op: Op| {
            let Sum { calls, nanos } = &sums[op as usize];
            let seconds = nanos.load(Ordering::Relaxed) as f64 / 1e9;
            OpTime { op, calls: calls.load(Ordering::Relaxed), seconds }
        };
        Op::ALL.map(of).into_iter().filter(|time| time.calls > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::random;
    use super::super::{Activation, Compute, Linear, RmsNorm, gated_activation, host_values, residual_add};
    use super::*;
    use crate::checkpoint::HostTensor;

    #[test]
    fn operations_are_told_apart_and_the_numbers_are_the_same() {
        let run = |compute: &Compute| {
            let matrix = HostTensor { shape: vec![8, 8], data: random(64, 1) };
            let linear = Linear::out_in(matrix, None, compute);
            let norm = RmsNorm::new(HostTensor { shape: vec![8], data: random(8, 2) }, 1e-6, compute);
            let x = compute.tensor2(random(24, 3), 3, 8);
            let [gate, up] = Linear::forward_each([&linear, &linear], norm.forward(x.clone()));
            host_values(residual_add(x, gated_activation(gate, up, Activation::Silu, compute), compute))
        };
        let metered = Compute::cpu().metered();
        assert_eq!(run(&metered), run(&Compute::cpu()));
        let times = metered.times();
        let calls: Vec<(Op, u64)> = times.iter().map(|time| (time.op, time.calls)).collect();
        // maps that share their rows are one
        assert_eq!(calls, [(Op::Linear, 1), (Op::Activation, 1), (Op::Norm, 1), (Op::ResidualAdd, 1)]);
        assert!(times.iter().all(|time| time.seconds > 0.0), "{times:?}");
        assert_eq!(Compute::cpu().times(), []);
        // a copy adds to the same sums, another one has its own
        run(&metered.clone());
        assert_eq!(metered.times()[0].calls, 2);
        assert_eq!(Compute::cpu().metered().times(), []);
    }
}
