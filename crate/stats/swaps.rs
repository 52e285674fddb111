//! What the verdict says of data in which there is nothing: fact and hallucination of whole clusters swapped at
//! random, many times, and of the same data with an effect of known size in one metric at a time.
//!
//! Swapping turns the sign of a cluster's sum, and a sign-flip test goes through all (or random) signs of those
//! sums. So the sums under its patterns are computed once for all swaps of a metric; an effect that is planted
//! adds the same multiple of the clusters' sizes to each. Token counts are swapped with their texts, so chains are
//! made anew for every swap. Tests, corrections and the rule are those of [`super::compare()`].

use std::collections::HashMap;

use rand_chacha::rand_core::RngCore;

use super::chains::{TokenCounts, closed_chains};
use super::clusters::Clusters;
use super::effect::{mean, standard_deviation, varies};
use super::grounds::Grounds;
use super::length::{Adjusted, MIN_CHAINS, chain_sums};
use super::multiple::benjamini_hochberg;
use super::resample::{Patterns, Reached, as_far, share, stream};
use super::samples::Samples;
use super::series::{Series, series};
use super::verdict::{Evidence, Verdict};
use crate::error::Result;
use crate::metrics::Family;
use crate::platform::lanes::Block;
use crate::platform::{MaybeSync, par_map};
use crate::random;

/// Sets of random sign patterns that the swaps share in turn, so that no rate hangs on one of them.
const SETS: usize = 4;

/// What is swapped and planted.
#[derive(Debug, Clone, PartialEq)]
pub struct SwapSettings {
    /// Of everything that is drawn.
    pub seed: u64,
    /// Swaps of the data.
    pub swaps: usize,
    /// Effects that are planted, in standard deviations of the differences (d_z); each beside none at all.
    pub planted: Vec<f64>,
    /// Clusters that are taken at most, drawn by the seed.
    pub most_clusters: usize,
    /// Whether samples of one cluster are swapped together; see [`super::Settings::clusters`].
    pub clusters: bool,
}

/// What the rule says of a metric in one swap of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The raw difference has q ≤ 0.05.
    pub found: bool,
    /// There is a difference at equal length.
    pub survives: bool,
}

/// A metric, and what the rule says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SwappedMetric {
    /// Name with its layer.
    pub metric: String,
    /// Among which metrics it is tested.
    pub family: Family,
    /// Whether it could be tested at all.
    pub tested: bool,
    /// By swap, with nothing planted anywhere.
    pub nothing: Vec<Outcome>,
    /// By effect of [`SwapSettings::planted`], then by swap: with that effect in this metric alone.
    pub planted: Vec<Vec<Outcome>>,
}

/// What the rule says of swapped data, over all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Swapped {
    /// Metrics in the table's order: neither token counts nor `*_diff` columns.
    pub metrics: Vec<SwappedMetric>,
    /// Samples that were swapped.
    pub samples: usize,
    /// Their clusters.
    pub clusters: usize,
    /// Closed chains of each swap, of the metrics that every sample has.
    pub chains: Vec<usize>,
}

/// Told while data are swapped; may be asked from several threads.
pub trait SwapObserver: MaybeSync {
    /// One more of `swaps` is done: the samples are swapped so often for each set of metrics that the same ones have.
    fn swapped(&self, swaps: usize);
}

/// Nobody listens.
impl SwapObserver for () {
    fn swapped(&self, _swaps: usize) {}
}

/// Swaps fact and hallucination of each cluster with a chance of one half, again and again, and asks of every metric
/// what [`super::compare()`] asks over all samples; `observer` is told of every swap.
///
/// # Errors
/// As [`super::compare_samples`].
pub fn swapped(samples: &Samples, settings: &SwapSettings, observer: &dyn SwapObserver) -> Result<Swapped> {
    let Grounds { tokens, domain_of, .. } = Grounds::new(samples)?;
    let label = |row: usize| if settings.clusters { samples.cluster(row) } else { row as u32 };
    let taken = taken(samples.len(), settings, label);
    let asked: Vec<Series> = series(&samples.columns)
        .into_iter()
        .filter(|series| series.difference_of.is_none() && !series.is_control())
        .collect();
    // metrics that the same samples have are looked at together
    let mut designs: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    let mut place: HashMap<Vec<usize>, usize> = HashMap::new();
    let mut values: Vec<Vec<[f64; 2]>> = Vec::with_capacity(asked.len());
    for (metric, series) in asked.iter().enumerate() {
        let triples = series.triples(samples)?;
        let (rows, sides): (Vec<usize>, Vec<[f64; 2]>) = taken
            .iter()
            .filter(|&&row| tokens[row].is_some())
            .filter_map(|&row| triples(row).map(|triple| (row, [triple.fact, triple.hall])))
            .unzip();
        values.push(sides);
        match place.get(&rows) {
            Some(&design) => designs[design].1.push(metric),
            None => {
                place.insert(rows.clone(), designs.len());
                designs.push((rows, vec![metric]));
            }
        }
    }
    let mut found: Vec<Vec<Vec<Found>>> = vec![Vec::new(); asked.len()];
    let (mut tested, mut chains, mut most) = (vec![false; asked.len()], Vec::new(), 0);
    let all = designs.len() * settings.swaps;
    for (rows, metrics) in designs {
        let counts: Vec<TokenCounts> = rows.iter().filter_map(|&row| tokens[row]).collect();
        let labels: Vec<u32> = rows.iter().map(|&row| label(row)).collect();
        let domains: Vec<u32> = rows.iter().map(|&row| domain_of[row] as u32).collect();
        let design = Design { clusters: Clusters::new(&labels, &domains), labels, counts };
        let of: Vec<Metric> = metrics.iter().map(|&metric| Metric::new(&values[metric], &design.clusters)).collect();
        let by_swap = design.swaps(&of, settings, &|| observer.swapped(all));
        if rows.len() > most {
            (most, chains) = (rows.len(), by_swap.iter().map(|(chains, _)| *chains).collect());
        }
        for ((&metric, of), i) in metrics.iter().zip(&of).zip(0..) {
            tested[metric] = of.tested;
            found[metric] = by_swap.iter().map(|(_, metrics)| metrics[i].clone()).collect();
        }
    }
    let families: Vec<Family> = asked.iter().map(|series| series.family).collect();
    let by_swap = par_map(settings.swaps, |swap| {
        let of_swap: Vec<&[Found]> = found.iter().map(|of| of[swap].as_slice()).collect();
        outcomes(&of_swap, &families, settings.planted.len())
    });
    let effects = settings.planted.len();
    let metrics = asked.into_iter().enumerate().map(|(i, series)| {
        let of = |effect: usize| by_swap.iter().map(|swap| swap[i][effect]).collect::<Vec<Outcome>>();
        SwappedMetric {
            metric: series.metric,
            family: series.family,
            tested: tested[i],
            nothing: of(0),
            planted: (1..=effects).map(of).collect(),
        }
    });
    let labels: std::collections::HashSet<u32> = taken.iter().map(|&row| label(row)).collect();
    Ok(Swapped { metrics: metrics.collect(), samples: taken.len(), clusters: labels.len(), chains })
}

/// The samples that are taken: all, or those of as many clusters as are wanted, in their order.
fn taken(n: usize, settings: &SwapSettings, label: impl Fn(usize) -> u32) -> Vec<usize> {
    let mut clusters: Vec<u32> = (0..n).map(&label).collect();
    clusters.sort_unstable();
    clusters.dedup();
    if clusters.len() <= settings.most_clusters {
        return (0..n).collect();
    }
    clusters.sort_by_cached_key(|c| random::place("saescope/calibrate/clusters/1", settings.seed, &c.to_string()));
    let wanted: std::collections::HashSet<u32> = clusters.into_iter().take(settings.most_clusters).collect();
    (0..n).filter(|&row| wanted.contains(&label(row))).collect()
}

/// One metric of the samples of a design.
struct Metric {
    /// hallucination − fact.
    differences: Vec<f64>,
    /// Their sums by cluster.
    sums: Vec<f64>,
    /// Largest magnitude of the values.
    scale: f64,
    tested: bool,
}

impl Metric {
    fn new(values: &[[f64; 2]], clusters: &Clusters) -> Self {
        let differences: Vec<f64> = values.iter().map(|[fact, hall]| hall - fact).collect();
        let scale = values.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
        let tested = clusters.len() > 2 && varies(&differences, scale);
        Self { sums: clusters.sums(differences.iter().copied()), differences, scale, tested }
    }
}

/// The tests of a metric in one swap, for one effect; none where it cannot be tested.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    n_clusters: usize,
    difference: Option<f64>,
    p: Option<f64>,
    at_equal: Option<Adjusted>,
}

/// Samples that some metrics have.
struct Design {
    labels: Vec<u32>,
    clusters: Clusters,
    counts: Vec<TokenCounts>,
}

impl Design {
    /// For each swap: how many chains it closes, and by metric, then by effect (none first), what the tests say.
    fn swaps(
        &self,
        metrics: &[Metric],
        settings: &SwapSettings,
        told: &(impl Fn() + MaybeSync),
    ) -> Vec<(usize, Vec<Vec<Found>>)> {
        let n = self.clusters.len();
        let sets = par_map(SETS.min(settings.swaps), |set| {
            let patterns = Patterns::new(n, &mut stream("sign-flip", of_swap(settings.seed, set), "all"));
            let sums: Vec<Vec<Block>> =
                metrics.chunks(8).map(|eight| patterns.sums(each(eight, |m| &m.sums))).collect();
            (patterns, sums)
        });
        par_map(settings.swaps, |swap| {
            let (patterns, sums) = &sets[swap % sets.len()];
            let found = self.swap(swap, metrics, patterns, sums, settings);
            told();
            found
        })
    }

    fn swap(
        &self,
        swap: usize,
        metrics: &[Metric],
        patterns: &Patterns,
        sums: &[Vec<Block>],
        settings: &SwapSettings,
    ) -> (usize, Vec<Vec<Found>>) {
        let seed = of_swap(settings.seed, swap);
        let signs = self.signs(seed);
        let n = self.clusters.len();
        let counts: Vec<TokenCounts> = self.counts.iter().enumerate().map(|(row, &c)| turned(c, signs[row])).collect();
        let chains = self.clusters.joined(closed_chains(&counts));
        let chain_sizes: Vec<f64> = chains.iter().map(|chain| chain.len() as f64).collect();
        let matched: f64 = chain_sizes.iter().sum();
        let of_chains = Patterns::new(chains.len(), &mut stream("sign-flip", seed, "all"));
        let controlled = chains.len() >= MIN_CHAINS;
        let sizes = self.clusters.sizes();
        let of_cluster = self.clusters.sums(signs.iter().copied());
        let sign_of = |cluster: usize| of_cluster[cluster].signum();
        // what an effect of one adds to the sum under each pattern
        let adds_of = |patterns: &Patterns, sizes: &[f64]| -> Vec<f64> {
            patterns.sums([sizes; 8]).iter().map(|block| block.0[0]).collect()
        };
        let adds = adds_of(patterns, &of_cluster);
        let chains_add = if controlled { adds_of(&of_chains, &chain_sizes) } else { Vec::new() };
        let effects: Vec<f64> = std::iter::once(0.0).chain(settings.planted.iter().copied()).collect();

        let of_eight = |(eight, sums): (&[Metric], &Vec<Block>)| -> Vec<Vec<Found>> {
            let swapped: Vec<Swap> = eight
                .iter()
                .map(|metric| {
                    let differences: Vec<f64> =
                        metric.differences.iter().zip(&signs).map(|(d, sign)| d * sign).collect();
                    Swap {
                        spread: standard_deviation(&differences).unwrap_or_default(),
                        mean: mean(&differences),
                        sums: metric.sums.iter().enumerate().map(|(c, sum)| sum * sign_of(c)).collect(),
                        chained: if controlled { chain_sums(&differences, &chains, metric.scale) } else { Vec::new() },
                    }
                })
                .collect();
            let of_chained = controlled.then(|| of_chains.sums(each(&swapped, |swap| &swap.chained)));
            let of_effect = |&dz: &f64| -> Vec<Found> {
                let added: Vec<f64> = swapped.iter().map(|swap| dz * swap.spread).collect();
                let test = |values: fn(&Swap) -> &[f64], sizes: &[f64], sums: &[Block], adds: &[f64]| {
                    let least = |i: usize| {
                        swapped.get(i).map_or(Reached::new(0.0, 0.0), |swap| reached(values(swap), sizes, added[i]))
                    };
                    let least = std::array::from_fn(least);
                    let added = Block(std::array::from_fn(|i| added.get(i).copied().unwrap_or_default()));
                    as_far(sums, adds, &added, least).map(|count| share(sizes.len(), count))
                };
                let p = test(|swap| &swap.sums, &sizes, sums, &adds);
                let equal = of_chained.as_ref().map(|sums| test(|swap| &swap.chained, &chain_sizes, sums, &chains_add));
                let found = |(i, swap): (usize, &Swap)| Found {
                    n_clusters: n,
                    difference: swap.mean.map(|mean| mean + added[i]),
                    p: Some(p[i]),
                    at_equal: equal.map(|p| Adjusted {
                        difference: swap.chained.iter().sum::<f64>() / matched + added[i],
                        interval: None,
                        p: p[i],
                    }),
                };
                swapped.iter().enumerate().map(found).collect()
            };
            let by_effect: Vec<Vec<Found>> = effects.iter().map(of_effect).collect();
            let of_metric = |(i, metric): (usize, &Metric)| {
                let found = |of: &Vec<Found>| if metric.tested { of[i] } else { Found::default() };
                by_effect.iter().map(found).collect()
            };
            eight.iter().enumerate().map(of_metric).collect()
        };
        let found = metrics.chunks(8).zip(sums).flat_map(of_eight).collect();
        (chains.len(), found)
    }

    /// +1 or −1 for each sample, the same within a cluster: a cluster's turn hangs on its own number alone, so
    /// that metrics that some samples lack are swapped as the others are.
    fn signs(&self, seed: u64) -> Vec<f64> {
        let purpose = b"saescope/calibrate/swap/1".as_slice();
        let sign = |label: u32| {
            let mut random = random::keyed(&[purpose, &seed.to_le_bytes(), &label.to_le_bytes()]);
            if random.next_u32() & 1 == 1 { -1.0 } else { 1.0 }
        };
        let mut known: HashMap<u32, f64> = HashMap::new();
        self.labels.iter().map(|&label| *known.entry(label).or_insert_with(|| sign(label))).collect()
    }
}

/// The seed of one of the swaps: another seed of all has no swap in common with this one.
fn of_swap(seed: u64, swap: usize) -> u64 {
    let key = random::key(&[b"saescope/calibrate/seed/1", &seed.to_le_bytes(), &(swap as u64).to_le_bytes()]);
    key.iter().take(8).fold(0, |seed, &byte| seed << 8 | u64::from(byte))
}

/// Token counts of a triple, with its texts swapped where the sign says so.
fn turned(counts: TokenCounts, sign: f64) -> TokenCounts {
    if sign > 0.0 { counts } else { TokenCounts { fact: counts.hall, hall: counts.fact, ..counts } }
}

/// A metric's numbers in one swap.
struct Swap {
    /// Of the differences.
    spread: f64,
    mean: Option<f64>,
    /// Of each cluster.
    sums: Vec<f64>,
    /// Of each chain, where there is a control.
    chained: Vec<f64>,
}

/// The values of up to eight, the last one's again where there are fewer.
fn each<T>(eight: &[T], values: impl Fn(&T) -> &Vec<f64>) -> [&[f64]; 8] {
    std::array::from_fn(|i| eight.get(i).or(eight.last()).map_or(&[][..], |of| values(of)))
}

/// How far from zero the sum is of sums to which `added` times their sizes is added.
fn reached(sums: &[f64], sizes: &[f64], added: f64) -> Reached {
    let (mut observed, mut size) = (0.0, 0.0);
    for (sum, rows) in sums.iter().zip(sizes) {
        let of = sum + added * rows;
        observed += of;
        size += of.abs();
    }
    Reached::new(observed, size)
}

/// By metric, then by effect (none first): what the rule says, the other metrics being without any.
fn outcomes(found: &[&[Found]], families: &[Family], effects: usize) -> Vec<Vec<Outcome>> {
    let mut out = vec![vec![Outcome::default(); effects + 1]; found.len()];
    for family in [Family::Metrics, Family::Nulls] {
        let own: Vec<usize> = (0..found.len()).filter(|&i| families[i] == family).collect();
        let mut raw: Vec<Option<f64>> = own.iter().map(|&i| found[i][0].p).collect();
        let mut equal: Vec<Option<f64>> = own.iter().map(|&i| found[i][0].at_equal.map(|a| a.p)).collect();
        let (q, equal_q) = (benjamini_hochberg(&raw), benjamini_hochberg(&equal));
        for (place, &i) in own.iter().enumerate() {
            out[i][0] = judged(&found[i][0], q[place], equal_q[place]);
            for effect in 1..=effects {
                let of = &found[i][effect];
                let kept = (raw[place], equal[place]);
                (raw[place], equal[place]) = (of.p, of.at_equal.map(|a| a.p));
                out[i][effect] = judged(of, benjamini_hochberg(&raw)[place], benjamini_hochberg(&equal)[place]);
                (raw[place], equal[place]) = kept;
            }
        }
    }
    out
}

fn judged(found: &Found, q: Option<f64>, equal_q: Option<f64>) -> Outcome {
    let evidence = Evidence {
        is_control: false,
        n_clusters: found.n_clusters,
        mean_diff: found.difference,
        q,
        at_equal: found.at_equal.zip(equal_q),
        equivalence_p: None,
    };
    Outcome { found: evidence.found(), survives: evidence.verdict() == Verdict::SurvivesLengthControl }
}

#[cfg(test)]
mod tests;
