//! Linear probes on pairs of texts: each is scored on pairs that it was not fitted to, beside permuted labels.

use crate::output::Probed;
use crate::random::{self, Stream};
use crate::stats::{Auroc, Kernel, Probe, paired_auroc};
use rand_chacha::rand_core::RngCore;

/// Folds, where there are as many groups.
const FOLDS: usize = 5;

/// The fold of each row: rows of one group share it. Groups go, the largest first, to the fold with the fewest
/// rows. None for fewer than two groups.
pub fn folds(groups: &[u32]) -> Option<Vec<usize>> {
    let mut sizes: Vec<(u32, usize)> = Vec::new();
    for &group in groups {
        match sizes.iter_mut().find(|(known, _)| *known == group) {
            Some((_, size)) => *size += 1,
            None => sizes.push((group, 1)),
        }
    }
    if sizes.len() < 2 {
        return None;
    }
    // stable: groups of one size stay in the order of their first rows
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut taken = vec![0; FOLDS.min(sizes.len())];
    let mut fold_of = std::collections::HashMap::new();
    for (group, size) in sizes {
        let fold = (0..taken.len()).min_by_key(|&fold| taken[fold]).unwrap_or_default();
        taken[fold] += size;
        fold_of.insert(group, fold);
    }
    Some(groups.iter().map(|group| fold_of[group]).collect())
}

/// Pairs: their first texts are rows 0 to n − 1 of a kernel, their second ones rows n to 2n − 1.
pub struct Pairs<'a> {
    /// By pair: what is kept in one fold.
    pub groups: &'a [u32],
    /// By pair: what counts as independent.
    pub clusters: &'a [u32],
    /// Label permutations behind the floor.
    pub permutations: usize,
    /// Their seed.
    pub seed: u64,
}

/// A probe's area, and those of permuted labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Areas {
    found: Auroc,
    /// By permutation, the same for all probes of the same pairs.
    permuted: Vec<f64>,
}

/// Probes of one question beside each other, such as those of several layers: each with its own p, and with that of the
/// largest area over all of them under the same permuted labels, which many probes do not make small.
///
/// Source: P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", 1993, §2.3 (single step).
pub fn beside(areas: &[Option<Areas>]) -> Vec<Option<Probed>> {
    let permutations = areas.iter().flatten().map(|of| of.permuted.len()).min().unwrap_or_default();
    let largest: Vec<f64> = (0..permutations)
        .map(|i| areas.iter().flatten().map(|of| of.permuted[i]).fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let share = |areas: &[f64], least: f64| {
        let reached = areas.iter().filter(|area| **area >= least - 1e-12).count();
        (reached + 1) as f64 / (areas.len() + 1) as f64
    };
    let of = |of: &Areas| {
        let mut sorted = of.permuted.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let (low, high) = of.found.interval.unzip();
        Probed {
            auroc: of.found.area,
            low,
            high,
            floor: sorted.get((sorted.len() * 19 / 20).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.5),
            p: share(&sorted, of.found.area),
            p_corrected: share(&largest, of.found.area),
        }
    };
    areas.iter().map(|areas| areas.as_ref().map(of)).collect()
}

impl Pairs<'_> {
    /// How well a probe tells second texts from first ones. None for too few groups, or where nothing varies.
    pub fn areas(&self, kernel: &Kernel) -> Option<Areas> {
        let n = self.groups.len();
        let both: Vec<u32> = self.groups.iter().chain(self.groups).copied().collect();
        let probe = Probe::new(kernel, kernel.penalty(), &folds(&both)?)?;
        let area = |signs: &[f64]| {
            let labels: Vec<f64> = signs.iter().map(|sign| -sign).chain(signs.iter().copied()).collect();
            let scores = probe.scores(&labels);
            // labels that are swapped name the other text the second one
            let side = |first: bool| {
                let at = |i: usize| if (signs[i] > 0.0) == first { scores[i] } else { scores[n + i] };
                (0..n).map(at).collect::<Vec<f64>>()
            };
            paired_auroc(&side(true), &side(false), self.clusters)
        };
        let found = area(&vec![1.0; n])?;
        let mut random = random::keyed(&[b"saescope/calibrate/labels/1".as_slice(), &self.seed.to_le_bytes()]);
        let mut permuted = || area(&self.signs(&mut random)).map(|found| found.area);
        Some(Areas { found, permuted: (0..self.permutations).map(|_| permuted().unwrap_or(0.5)).collect() })
    }

    /// +1 or −1 for each pair, the same within a cluster.
    fn signs(&self, random: &mut Stream) -> Vec<f64> {
        let mut known = std::collections::HashMap::new();
        let mut draw = || if random.next_u32() & 1 == 1 { -1.0 } else { 1.0 };
        self.clusters.iter().map(|&cluster| *known.entry(cluster).or_insert_with(&mut draw)).collect()
    }
}
