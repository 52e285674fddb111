//! Samples that stand and fall together: those of one cluster are one draw from the world, not several.

use std::collections::{BTreeMap, HashMap};

/// Clusters below which a domain is no stratum of its own: a bootstrap within a few clusters makes them
/// too much alike.
pub const SMALLEST_STRATUM: usize = 10;

/// The clusters of some rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clusters {
    /// The cluster of each row, numbered in order of appearance.
    of: Vec<usize>,
    /// Clusters in the order in which they are drawn: those of a stratum stand together.
    order: Vec<usize>,
    /// Where each stratum ends in `order`.
    ends: Vec<usize>,
}

impl Clusters {
    /// Of rows with these labels; `domains` are the rows' domains, which are the strata of the bootstrap. A
    /// cluster is of the domain of its first row. Domains of fewer than [`SMALLEST_STRATUM`] clusters make one
    /// stratum; where that has too few as well, it joins the largest.
    pub fn new(labels: &[u32], domains: &[u32]) -> Self {
        let mut number: HashMap<u32, usize> = HashMap::new();
        let mut strata: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut of = Vec::with_capacity(labels.len());
        for (label, &domain) in labels.iter().zip(domains) {
            let next = number.len();
            of.push(*number.entry(*label).or_insert_with(|| {
                strata.entry(domain).or_default().push(next);
                next
            }));
        }
        let (mut whole, small): (Vec<_>, Vec<_>) =
            strata.into_values().partition(|stratum| stratum.len() >= SMALLEST_STRATUM);
        let rest = small.concat();
        match whole.iter_mut().max_by_key(|stratum| stratum.len()) {
            Some(largest) if rest.len() < SMALLEST_STRATUM => largest.extend(rest),
            _ => whole.push(rest),
        }
        let ends = whole.iter().scan(0, |end, stratum| {
            *end += stratum.len();
            Some(*end)
        });
        Self { of, ends: ends.collect(), order: whole.concat() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The cluster of a row.
    pub fn of(&self, row: usize) -> usize {
        self.of[row]
    }

    /// Whether every row is a cluster of its own.
    pub fn are_rows(&self) -> bool {
        self.len() == self.of.len()
    }

    /// Sums of the rows' values, by cluster.
    pub fn sums(&self, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut sums = vec![0.0; self.len()];
        self.of.iter().zip(values).for_each(|(&cluster, value)| sums[cluster] += value);
        sums
    }

    /// Rows of each.
    pub fn sizes(&self) -> Vec<f64> {
        self.sums(self.of.iter().map(|_| 1.0))
    }

    /// Clusters by stratum.
    pub fn strata(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.order[start..end])
    }

    /// Sets of rows, joined where they share a cluster: then no two of them do. In the order of each one's
    /// first row.
    pub fn joined(&self, sets: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
        if self.are_rows() {
            return sets;
        }
        // by cluster: the set that it is in, sets by the one that they were joined with
        let mut holder: Vec<Option<usize>> = vec![None; self.len()];
        let mut parent: Vec<usize> = (0..sets.len()).collect();
        fn root(parent: &mut [usize], mut set: usize) -> usize {
            while parent[set] != set {
                parent[set] = parent[parent[set]];
                set = parent[set];
            }
            set
        }
        for (i, set) in sets.iter().enumerate() {
            for &row in set {
                match holder[self.of[row]] {
                    None => holder[self.of[row]] = Some(i),
                    Some(other) => {
                        let (a, b) = (root(&mut parent, other), root(&mut parent, i));
                        parent[a.max(b)] = a.min(b);
                    }
                }
            }
        }
        let mut joined: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, set) in sets.into_iter().enumerate() {
            joined.entry(root(&mut parent, i)).or_default().extend(set);
        }
        let mut joined: Vec<Vec<usize>> = joined.into_values().collect();
        joined.sort_unstable_by_key(|set| set.iter().min().copied());
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_label_are_one_cluster() {
        let clusters = Clusters::new(&[7, 3, 7, 9], &[0; 4]);
        assert_eq!((clusters.len(), clusters.are_rows()), (3, false));
        assert_eq!(clusters.sums([1.0, 2.0, 4.0, 8.0]), [5.0, 2.0, 8.0]);
        assert_eq!(clusters.sizes(), [2.0, 1.0, 1.0]);
        assert!(Clusters::new(&[1, 2], &[0, 1]).are_rows());
    }

    #[test]
    fn small_domains_are_one_stratum() {
        let sizes = |of_domains: &[usize]| {
            let domains: Vec<u32> = of_domains.iter().zip(0..).flat_map(|(&n, d)| vec![d; n]).collect();
            let labels: Vec<u32> = (0..domains.len() as u32).collect();
            let clusters = Clusters::new(&labels, &domains);
            let mut all: Vec<usize> = clusters.strata().flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, (0..domains.len()).collect::<Vec<_>>());
            clusters.strata().map(<[usize]>::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[12, 60]), [12, 60]);
        assert_eq!(sizes(&[12, 6, 60, 6]), [12, 60, 12]);
        assert_eq!(sizes(&[12, 6, 60]), [12, 66]);
        assert_eq!(sizes(&[3, 4]), [7]);
        assert_eq!(sizes(&[]), [0]);
    }

    #[test]
    fn sets_that_share_a_cluster_are_joined() {
        let clusters = Clusters::new(&[0, 1, 2, 0, 3, 2], &[0; 6]);
        let joined = clusters.joined(vec![vec![0], vec![1], vec![2, 3], vec![4], vec![5]]);
        assert_eq!(joined, [vec![0, 2, 3, 5], vec![1], vec![4]]);
        let alone = Clusters::new(&[0, 1, 2], &[0; 3]);
        assert_eq!(alone.joined(vec![vec![2], vec![0]]), [vec![2], vec![0]]);
    }
}
