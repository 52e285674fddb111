//! Closed chains of triples: sets in which facts and hallucinations have the same completion lengths
//! after prompts of nearly the same length.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Triples with which a stratum of prompt lengths takes in no further length.
pub const FULL_STRATUM: usize = 15;

/// Tokens by which prompts of one stratum differ at most.
pub const MAX_PROMPT_SPAN: i64 = 2;

/// Token counts of one triple's texts, BOS included, and the domain in which it may be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCounts {
    /// Number of the domain.
    pub domain: usize,
    /// Of the prompt; 0 for all triples where it is not known.
    pub prompt: i64,
    /// Of prompt and fact.
    pub fact: i64,
    /// Of prompt and hallucination.
    pub hall: i64,
}

/// Sorts triples into closed chains, each a list of positions in `counts`; every triple is in one
/// chain at most, and those that fit into none are left out.
///
/// In a chain each triple's hallucination adds as many tokens to its prompt as the next triple's
/// fact does, and the last one's as many as the first one's fact; a triple of equal length is a
/// chain of its own. So the facts of a chain have the same completion lengths as its hallucinations,
/// and any function of completion length, however curved, cancels from the sum of the chain's
/// differences. Nothing is extrapolated: if all hallucinations are longer than their facts there are
/// no chains.
///
/// Chains are made within a domain and a stratum of nearly equal prompt lengths, so that what length
/// does may be another in each: a function of total length cancels where a chain's prompts are
/// equally long, and nearly so where they differ by [`MAX_PROMPT_SPAN`] tokens, whereas over prompts
/// of any length a curved one would not. A stratum takes in whole prompt lengths, in ascending order,
/// up to that span, and no further one once it has [`FULL_STRATUM`] triples. Within a stratum shorter
/// chains are closed first, and triples are taken in their order. Only token counts are looked at,
/// never a metric.
///
/// A chain is a directed cycle of the graph whose nodes are lengths and whose edges are triples; all
/// cycles of a length are taken out before longer ones are looked for. The list is in the order of
/// each chain's first triple.
pub fn closed_chains(counts: &[TokenCounts]) -> Vec<Vec<usize>> {
    closed_chains_within(counts, usize::MAX)
}

/// [`closed_chains`] that are found in so many steps along edges: for nodes that are as many as triples. Those of one
/// and of two triples, which need no search, are all there.
pub(super) fn closed_chains_within(counts: &[TokenCounts], mut steps: usize) -> Vec<Vec<usize>> {
    let strata = strata(counts);
    let mut chains: Vec<Vec<usize>> = strata.iter().flat_map(|rows| chains_of(rows, counts, &mut steps)).collect();
    chains.sort_unstable_by_key(|chain| chain.iter().min().copied());
    chains
}

/// Positions by stratum, ascending within each.
fn strata(counts: &[TokenCounts]) -> Vec<Vec<usize>> {
    let mut domains: BTreeMap<usize, BTreeMap<i64, Vec<usize>>> = BTreeMap::new();
    for (i, c) in counts.iter().enumerate() {
        domains.entry(c.domain).or_default().entry(c.prompt).or_default().push(i);
    }
    let mut strata: Vec<Vec<usize>> = Vec::new();
    for by_length in domains.into_values() {
        let mut shortest = None;
        for (length, rows) in by_length {
            let near = shortest.is_some_and(|shortest| length - shortest <= MAX_PROMPT_SPAN);
            match strata.last_mut() {
                Some(open) if near && open.len() < FULL_STRATUM => open.extend(rows),
                _ => {
                    shortest = Some(length);
                    strata.push(rows);
                }
            }
        }
    }
    for rows in &mut strata {
        rows.sort_unstable();
    }
    strata
}

/// The closed chains of one stratum.
fn chains_of(rows: &[usize], counts: &[TokenCounts], steps: &mut usize) -> Vec<Vec<usize>> {
    let (equal, unequal): (Vec<usize>, Vec<usize>) = rows.iter().partition(|&&i| counts[i].fact == counts[i].hall);
    let mut chains: Vec<Vec<usize>> = equal.into_iter().map(|i| vec![i]).collect();
    let ends = |i: &usize| (counts[*i].fact - counts[*i].prompt, counts[*i].hall - counts[*i].prompt);
    let mut graph = Graph::new(unequal.iter().map(|i| (*i, ends(i))));
    for start in 0..graph.next.len() {
        while let Some(other) = graph.there_and_back(start) {
            chains.push(graph.take(&[start, other]));
        }
    }
    // lengths that may lie on a cycle, by the size of the shortest: it can only grow as edges go
    let mut starts: BTreeSet<(usize, usize)> = (0..graph.next.len()).map(|start| (3, start)).collect();
    while let Some((size, start)) = starts.pop_first() {
        let Some(cycle) = graph.shortest_cycle(start, steps) else { continue };
        starts.insert((cycle.len(), start));
        if cycle.len() == size {
            chains.push(graph.take(&cycle));
        }
    }
    chains
}

/// Triples of unequal length as edges from the fact's length to the hallucination's. Lengths are
/// numbered in ascending order.
struct Graph {
    /// Triples by (from, to), in their order; never empty.
    edges: BTreeMap<(usize, usize), VecDeque<usize>>,
    /// Where edges lead from each length.
    next: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// Triples with their two lengths.
    fn new(triples: impl Iterator<Item = (usize, (i64, i64))> + Clone) -> Self {
        let lengths: BTreeSet<i64> = triples.clone().flat_map(|(_, (from, to))| [from, to]).collect();
        let number: BTreeMap<i64, usize> = lengths.into_iter().enumerate().map(|(i, length)| (length, i)).collect();
        let mut graph = Self { edges: BTreeMap::new(), next: vec![BTreeSet::new(); number.len()] };
        for (triple, (from, to)) in triples {
            let (from, to) = (number[&from], number[&to]);
            graph.edges.entry((from, to)).or_default().push_back(triple);
            graph.next[from].insert(to);
        }
        graph
    }

    /// The smallest length that an edge leads to from `start`, and another one back from.
    fn there_and_back(&self, start: usize) -> Option<usize> {
        self.next[start].iter().copied().find(|&other| self.next[other].contains(&start))
    }

    /// Lengths along a shortest cycle through `start`, which stands first; breadth first, smaller
    /// lengths before larger ones. None, too, where the `steps` are used up.
    fn shortest_cycle(&self, start: usize, steps: &mut usize) -> Option<Vec<usize>> {
        *steps = steps.checked_sub(self.next.len() / 8)?;
        let mut previous = vec![None; self.next.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            for &to in &self.next[from] {
                *steps = steps.checked_sub(1)?;
                if to == start {
                    let mut cycle = vec![from];
                    cycle.extend(std::iter::successors(previous[from], |&before: &usize| previous[before]));
                    cycle.reverse();
                    return Some(cycle);
                }
                if previous[to].is_none() {
                    previous[to] = Some(from);
                    queue.push_back(to);
                }
            }
        }
        None
    }

    /// Takes the first triple of every edge along the cycle.
    fn take(&mut self, cycle: &[usize]) -> Vec<usize> {
        let ends = cycle.iter().skip(1).chain(cycle.first());
        let mut taken = Vec::with_capacity(cycle.len());
        for edge @ (from, to) in cycle.iter().copied().zip(ends.copied()) {
            let Some(triples) = self.edges.get_mut(&edge) else { continue };
            taken.extend(triples.pop_front());
            if triples.is_empty() {
                self.edges.remove(&edge);
                self.next[from].remove(&to);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn triples(prompt: i64, completions: &[(i64, i64)]) -> Vec<TokenCounts> {
        completions.iter().map(|(f, h)| TokenCounts { domain: 0, prompt, fact: prompt + f, hall: prompt + h }).collect()
    }

    #[test]
    fn by_hand() {
        // 1→2→1, 2→3→1→2 is left of 1→2 2→3 3→1, 4→4 alone, 1→9 in none
        let counts = triples(5, &[(1, 2), (4, 4), (2, 3), (1, 2), (2, 1), (3, 1), (1, 9)]);
        let chains = closed_chains(&counts);
        assert_eq!(chains, [vec![0, 4], vec![1], vec![3, 2, 5]]);
    }

    #[test]
    fn lengths_apart_close_no_chain() {
        assert!(closed_chains(&triples(2, &[(1, 2), (1, 3), (2, 4), (1, 4), (3, 4)])).is_empty());
        assert!(closed_chains(&[]).is_empty());
        // touching: only the equal ones
        assert_eq!(closed_chains(&triples(2, &[(1, 2), (1, 1), (1, 3), (1, 1)])), [[1], [3]]);
    }

    #[test]
    fn prompts_of_other_lengths_close_no_chain() {
        let of = |prompts: [i64; 2], n: usize| {
            let (short, long) = (triples(prompts[0], &vec![(1, 2); n]), triples(prompts[1], &vec![(2, 1); n]));
            closed_chains(&[short, long].concat()).len()
        };
        // however few there are
        for n in [1, FULL_STRATUM - 1, FULL_STRATUM] {
            assert_eq!(of([3, 30], n), 0);
            assert_eq!(of([3, 4 + MAX_PROMPT_SPAN], n), 0);
        }
        // near ones do, up to a stratum's size
        assert_eq!(of([3, 4], FULL_STRATUM - 1), FULL_STRATUM - 1);
        assert_eq!(of([3, 4], FULL_STRATUM), 0);
    }

    #[test]
    fn strata_span_few_prompt_lengths() {
        let counts: Vec<TokenCounts> = [9, 3, 5, 4, 6, 8, 12].iter().flat_map(|&p| triples(p, &[(1, 1)])).collect();
        assert_eq!(strata(&counts), [vec![1, 2, 3], vec![4, 5], vec![0], vec![6]]);
    }

    #[test]
    fn without_steps_there_are_the_chains_that_need_none() {
        let counts = triples(5, &[(1, 2), (4, 4), (2, 3), (1, 2), (2, 1), (3, 1), (1, 9)]);
        assert_eq!(closed_chains_within(&counts, 0), [vec![0, 4], vec![1]]);
        assert_eq!(closed_chains_within(&counts, 1000), closed_chains(&counts));
    }

    #[test]
    fn domains_close_no_chain() {
        let mut counts = triples(3, &[(1, 2), (2, 1)]);
        counts[1].domain = 1;
        assert!(closed_chains(&counts).is_empty());
    }

    proptest! {
        #[test]
        fn length_cancels_in_every_chain(
            rows in prop::collection::vec((0..2_usize, 1..9_i64, 1..9_i64, 1..9_i64), 0..80),
        ) {
            let counts: Vec<TokenCounts> =
                rows.iter().map(|&(domain, p, f, h)| TokenCounts { domain, prompt: p, fact: p + f, hall: p + h }).collect();
            let chains = closed_chains(&counts);
            let mut seen = BTreeSet::new();
            for chain in &chains {
                prop_assert!(chain.iter().all(|&i| seen.insert(i)), "a triple twice in {chains:?}");
                let sorted = |value: fn(&TokenCounts) -> i64| {
                    let mut lengths: Vec<i64> = chain.iter().map(|&i| value(&counts[i])).collect();
                    lengths.sort_unstable();
                    lengths
                };
                prop_assert_eq!(sorted(|c| c.fact - c.prompt), sorted(|c| c.hall - c.prompt));
                prop_assert!(chain.iter().all(|&i| counts[i].domain == counts[chain[0]].domain));
                let prompts = sorted(|c| c.prompt);
                prop_assert!(prompts[prompts.len() - 1] - prompts[0] <= MAX_PROMPT_SPAN);
            }
            let equal = counts.iter().enumerate().filter(|(_, c)| c.fact == c.hall);
            prop_assert!(equal.map(|(i, _)| i).all(|i| chains.contains(&vec![i])));
            // what is left over closes no more chains within its strata
            for rows in strata(&counts) {
                let left: Vec<usize> = rows.into_iter().filter(|i| !seen.contains(i)).collect();
                prop_assert!(chains_of(&left, &counts, &mut usize::MAX.clone()).is_empty());
            }
        }
    }
}
