//! When to try again after a broken transfer: as long as something comes, and a few times without.

use std::time::Duration;

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(60);

/// Attempts in a row without anything new, and the wait after each, which doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in a row without anything new before giving up.
    pub attempts: u32,
    /// Wait before the second attempt; doubles each time.
    pub backoff: Duration,
}

/// Attempts so far.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    rule: Retry,
    failures: u32,
}

impl Retry {
    /// Before the first attempt.
    pub const fn begin(self) -> Tries {
        Tries { rule: self, failures: 0 }
    }
}

impl Tries {
    /// After an attempt that broke off: the wait before the next, or none when it is enough.
    /// `progressed`: whether it brought anything new.
    pub fn failed(&mut self, progressed: bool) -> Option<Duration> {
        self.failures = if progressed { 1 } else { self.failures + 1 };
        let doubled = self.rule.backoff.saturating_mul(2u32.saturating_pow(self.failures - 1));
        (self.failures < self.rule.attempts).then_some(doubled.min(LONGEST))
    }

    /// Attempts in a row without anything new.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_while_something_comes() {
        let second = Duration::from_secs(1);
        let mut tries = Retry { attempts: 3, backoff: second }.begin();
        assert_eq!(tries.failed(false), Some(second));
        assert_eq!(tries.failed(false), Some(2 * second));
        for _ in 0..9 {
            assert_eq!(tries.failed(true), Some(second), "something came");
        }
        assert_eq!(tries.failed(false), Some(2 * second));
        assert_eq!(tries.failed(false), None);
        assert_eq!(tries.failures(), 3);
    }

    #[test]
    fn waits_stay_bounded() {
        let mut tries = Retry { attempts: 100, backoff: Duration::from_millis(500) }.begin();
        let longest = (1..100).filter_map(|_| tries.failed(false)).max();
        assert_eq!(longest, Some(LONGEST));
    }
}
