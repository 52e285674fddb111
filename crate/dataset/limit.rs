//! A part of a data set that stands for the whole.

use std::collections::{HashMap, HashSet};

use super::Dataset;
use crate::random::place;

impl Dataset {
    /// Keeps `n` samples, or all where there are no more: from each domain in proportion to its size
    /// (largest remainders; of equal ones, the domain that comes first), within it by a draw that
    /// depends on nothing but `seed` and the samples' ids. Samples keep the data set's order.
    pub fn limit(&mut self, n: usize, seed: u64) {
        let total = self.samples.len();
        if n >= total {
            return;
        }
        let mut order: Vec<&str> = Vec::new();
        let mut domains: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, sample) in self.samples.iter().enumerate() {
            let members = domains.entry(&sample.domain).or_default();
            if members.is_empty() {
                order.push(&sample.domain);
            }
            members.push(i);
        }
        let size = |domain: &str| domains.get(domain).map_or(0, Vec::len);
        let mut share: Vec<usize> = order.iter().map(|d| n * size(d) / total).collect();
        let mut by_remainder: Vec<usize> = (0..order.len()).collect();
        by_remainder.sort_by_key(|&d| std::cmp::Reverse(n * size(order[d]) % total));
        let left = n - share.iter().sum::<usize>();
        for &d in by_remainder.iter().take(left) {
            share[d] += 1;
        }
        let mut kept = HashSet::new();
        for (domain, share) in order.iter().zip(share) {
            let mut members = domains.remove(domain).unwrap_or_default();
            members.sort_by_cached_key(|&i| place("saescope/limit/1", seed, &self.samples[i].id));
            kept.extend(members.into_iter().take(share));
        }
        let mut i = 0;
        self.samples.retain(|_| {
            i += 1;
            kept.contains(&(i - 1))
        });
    }
}
