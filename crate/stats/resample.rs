//! Resampling: the interval that resamples give, and the sign-flip test of a mean of paired differences.

use rand_chacha::rand_core::RngCore;
use statrs::distribution::{ContinuousCDF, Normal};

use super::effect::mean;
use crate::platform::lanes::{Block, Form, Task, Vector};
use crate::random::{Stream, keyed};

/// Bootstrap resamples.
pub const RESAMPLES: usize = 10_000;

/// Random sign patterns of the permutation test, beside the observed one.
pub const PERMUTATIONS: usize = 9_999;

/// Up to this many pairs all 2^n sign patterns are enumerated.
const EXACT_PAIRS: usize = 13;

/// The random stream of one purpose and one domain. All metrics of a domain share it, so that none
/// depends on the others.
pub fn stream(purpose: &str, seed: u64, domain: &str) -> Stream {
    keyed(&[b"saescope/stats/1", purpose.as_bytes(), &seed.to_le_bytes(), domain.as_bytes()])
}

/// Bias-corrected and accelerated 95 % interval of the mean of `values`, given means of resamples.
/// Falls back to the plain percentiles where all resamples lie on one side. None for fewer than
/// two values or no resamples.
///
/// Source: B. Efron, "Better bootstrap confidence intervals", 1987; acceleration by the jackknife,
/// ties with the estimate counted half.
pub fn bca_interval(values: &[f64], resampled: Vec<f64>) -> Option<(f64, f64)> {
    let estimate = mean(values).filter(|_| values.len() > 1)?;
    // leaving out x_i moves the mean by (x_i − mean)/(n − 1) the other way
    let influence: Vec<f64> = values.iter().map(|value| value - estimate).collect();
    bca(estimate, &influence, resampled)
}

/// [`bca_interval`] of any estimate, given what each observation adds to it, up to a common factor.
pub(super) fn bca(estimate: f64, influence: &[f64], mut resampled: Vec<f64>) -> Option<(f64, f64)> {
    if resampled.is_empty() {
        return None;
    }
    resampled.sort_unstable_by(f64::total_cmp);
    // a resample that equals the estimate may have been summed in another order
    let near = 1e-10 * (resampled[resampled.len() - 1] - resampled[0]);
    let below = resampled.partition_point(|&m| m < estimate - near);
    let up_to = resampled.partition_point(|&m| m <= estimate + near);
    let share = (below + up_to) as f64 / (2 * resampled.len()) as f64;

    let (mut squares, mut cubes) = (0.0, 0.0);
    for u in influence {
        squares += u * u;
        cubes += u * u * u;
    }
    let acceleration = if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 };
    let acceleration = if acceleration.is_finite() { acceleration } else { 0.0 };

    let normal = Normal::standard();
    let bias = normal.inverse_cdf(share);
    let (bias, acceleration) = if bias.is_finite() { (bias, acceleration) } else { (0.0, 0.0) };
    let bound = |z: f64| {
        let shifted = bias + z;
        quantile(&resampled, normal.cdf(bias + shifted / (1.0 - acceleration * shifted)))
    };
    let z = normal.inverse_cdf(0.975);
    let (low, high) = (bound(-z), bound(z));
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

/// Quantile of sorted values with linear interpolation (definition 7 of Hyndman and Fan, 1996).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, weight) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + weight * (sorted[high] - sorted[low])
}

/// Two-sided sign-flip permutation test: the share of sign patterns whose |Σ ± d| is at least the
/// observed |Σ d|, that is, the p-value under "the differences are symmetric about zero".
///
/// All 2^n patterns for up to 13 differences; otherwise the observed one and [`PERMUTATIONS`]
/// random ones, p = (b + 1) / (B + 1).
///
/// Sources: R. A. Fisher, "The Design of Experiments", 1935, §21; B. Phipson and G. K. Smyth,
/// "Permutation p-values should never be zero", 2010. None for fewer than three differences.
pub fn sign_flip_p(differences: &[f64], random: &mut impl RngCore) -> Option<f64> {
    let n = differences.len();
    if n < 3 {
        return None;
    }
    let tables = signed_sums(differences);
    let reached = Reached::new(differences.iter().sum(), differences.iter().map(|d| d.abs()).sum());
    if n <= EXACT_PAIRS {
        let sums = (0..1_usize << n).map(|pattern| pattern_sum(&tables, &pattern.to_le_bytes()));
        return Some(reached.p(n, sums));
    }
    let mut pattern = vec![0; tables.len()];
    let sums = (0..PERMUTATIONS).map(|_| {
        random.fill_bytes(&mut pattern);
        pattern_sum(&tables, &pattern)
    });
    Some(reached.p(n, sums))
}

/// Which sums of a sign-flip test are as far from zero as the observed one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached(f64);

impl Reached {
    /// `observed` is Σ d, `size` is Σ |d|: a pattern equal to the observed one may sum in another order.
    pub fn new(observed: f64, size: f64) -> Self {
        Self(observed.abs() - 1e-12 * size)
    }

    /// The test's p of `n` differences, from the sums under its patterns.
    pub fn p(self, n: usize, sums: impl Iterator<Item = f64>) -> f64 {
        share(n, sums.filter(|sum| sum.abs() >= self.0).count())
    }
}

/// p of a test of `n` differences, of whose sums under its patterns so many are as far from zero as the observed one.
pub(super) fn share(n: usize, as_far: usize) -> f64 {
    if n <= EXACT_PAIRS {
        as_far as f64 / (1_usize << n) as f64
    } else {
        (as_far + 1) as f64 / (PERMUTATIONS + 1) as f64
    }
}

/// The sign patterns that [`sign_flip_p`] goes through, for tests that share them.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    /// Eight signs a byte, pattern after pattern.
    bytes: Vec<u8>,
    /// Bytes of a pattern.
    width: usize,
}

impl Patterns {
    /// Those of `n` differences; the same that [`sign_flip_p`] draws from this stream.
    pub fn new(n: usize, random: &mut impl RngCore) -> Self {
        let width = n.div_ceil(8).max(1);
        if n <= EXACT_PAIRS {
            let bytes = (0..1_usize << n).flat_map(|pattern| pattern.to_le_bytes().into_iter().take(width));
            return Self { bytes: bytes.collect(), width };
        }
        let mut bytes = vec![0; width * PERMUTATIONS];
        // pattern by pattern: a stream gives whole words
        bytes.chunks_exact_mut(width).for_each(|pattern| random.fill_bytes(pattern));
        Self { bytes, width }
    }

    /// Σ ± of eight sets of values under each pattern, those of one pattern beside each other; the sets are equally
    /// long.
    pub fn sums(&self, sets: [&[f64]; 8]) -> Vec<Block> {
        let bytes = sets[0].len().div_ceil(8);
        let value = |i: usize| Block(std::array::from_fn(|set| sets[set].get(i).copied().unwrap_or_default()));
        let values: Vec<Block> = (0..8 * bytes).map(value).collect();
        Form::best().run(Sums { patterns: self, values: values.as_chunks().0 })
    }
}

/// Adds up what every byte of a pattern stands for, in their order.
struct Sums<'a> {
    patterns: &'a Patterns,
    /// What each byte gives signs to; zeros where there is nothing any more.
    values: &'a [[Block; 8]],
}

impl Task for Sums<'_> {
    type Output = Vec<Block>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<Block> {
        let Patterns { bytes, width } = self.patterns;
        // no closures: those are compiled for any processor
        let mut tables = vec![[Block::default(); 256]; self.values.len()];
        for (table, values) in tables.iter_mut().zip(self.values) {
            // every partial sum once: those of one more value are those before it, plus and minus that
            let mut known = 1;
            for (bit, value) in values.iter().enumerate() {
                for pattern in 0..known {
                    for part in 0..V::PARTS {
                        let value = V::load(&value.0, part);
                        let before = if bit == 0 { V::splat(0.0) } else { V::load(&table[pattern].0, part) };
                        before.add(value).store(&mut table[pattern].0, part);
                        before.sub(value).store(&mut table[known + pattern].0, part);
                    }
                }
                known *= 2;
            }
        }
        let mut out = vec![Block::default(); bytes.len() / width];
        for (out, pattern) in out.iter_mut().zip(bytes.chunks_exact(*width)) {
            for part in 0..V::PARTS {
                let mut sum = V::splat(0.0);
                for (table, &byte) in tables.iter().zip(pattern) {
                    sum = sum.add(V::load(&table[usize::from(byte)].0, part));
                }
                sum.store(&mut out.0, part);
            }
        }
        out
    }
}

/// For eight tests that share their patterns: how many of the sums, with `added` times what each pattern adds, are as
/// far from zero as `least` says.
pub(super) fn as_far(sums: &[Block], adds: &[f64], added: &Block, least: [Reached; 8]) -> [usize; 8] {
    Form::best().run(AsFar { sums, adds, added, least: &Block(least.map(|reached| reached.0)) })
}

struct AsFar<'a> {
    sums: &'a [Block],
    adds: &'a [f64],
    added: &'a Block,
    least: &'a Block,
}

impl Task for AsFar<'_> {
    type Output = [usize; 8];

    #[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> [usize; 8] {
        let Self { sums, adds, added, least } = self;
        // whole numbers far below 2⁵³, so that they are counted in the same vectors
        let mut counts = [0.0; 8];
        for (sum, adds) in sums.iter().zip(adds) {
            for lane in 0..8 {
                let far = (sum.0[lane] + added.0[lane] * adds).abs() >= least.0[lane];
                counts[lane] += if far { 1.0 } else { 0.0 };
            }
        }
        counts.map(|count| count as usize)
    }
}

/// For every eight differences: their signed sum under each of the 256 sign patterns.
fn signed_sums(differences: &[f64]) -> Vec<[f64; 256]> {
    let tables = differences.chunks(8).map(|eight| {
        std::array::from_fn(|pattern| {
            eight.iter().enumerate().map(|(bit, &d)| if pattern >> bit & 1 == 1 { -d } else { d }).sum()
        })
    });
    tables.collect()
}

/// Σ ± d for one sign pattern, eight signs a byte.
fn pattern_sum(tables: &[[f64; 256]], pattern: &[u8]) -> f64 {
    tables.iter().zip(pattern).map(|(table, &byte)| table[usize::from(byte)]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_are_enumerated() {
        let mut random = stream("test", 0, "all");
        // only +++ and −−− reach the observed sum
        assert_eq!(sign_flip_p(&[1.0, 2.0, 3.0], &mut random), Some(0.25));
        // |1 + 2 − 3| = 0 is reached by all
        assert_eq!(sign_flip_p(&[1.0, 2.0, -3.0], &mut random), Some(1.0));
        assert_eq!(sign_flip_p(&[1.0, 2.0], &mut random), None);
        // thirteen equal differences: 2 / 2^13
        assert_eq!(sign_flip_p(&[0.1; 13], &mut random), Some(2.0 / 8192.0));
    }

    #[test]
    fn shared_patterns_give_the_same_p() {
        for n in [3, 8, 9, 13, 14, 40] {
            let differences: Vec<f64> = (0..n).map(|i| ((i * 7919) % 13) as f64 - 5.0).collect();
            let patterns = Patterns::new(n, &mut stream("test", 2, "all"));
            // eight sets, each with something added to it
            let sets: [Vec<f64>; 8] =
                std::array::from_fn(|set| differences.iter().map(|d| d * (set as f64 - 2.5)).collect());
            let sums = patterns.sums(std::array::from_fn(|set| sets[set].as_slice()));
            let ones = [vec![1.0; n].as_slice(); 8].map(|ones| ones.to_vec());
            let adds = patterns.sums(std::array::from_fn(|set| ones[set].as_slice()));
            let adds: Vec<f64> = adds.iter().map(|block| block.0[0]).collect();
            let added = Block(std::array::from_fn(|set| 0.4 * set as f64));
            let whole: Vec<Vec<f64>> =
                sets.iter().zip(added.0).map(|(set, added)| set.iter().map(|d| d + added).collect()).collect();
            let least = std::array::from_fn(|set| {
                Reached::new(whole[set].iter().sum(), whole[set].iter().map(|d: &f64| d.abs()).sum())
            });
            for (set, count) in as_far(&sums, &adds, &added, least).into_iter().enumerate() {
                let alone = sign_flip_p(&whole[set], &mut stream("test", 2, "all"));
                assert_eq!(Some(share(n, count)), alone, "{n} {set}");
            }
        }
    }

    #[test]
    fn sampled_and_exact_agree() {
        let differences: Vec<f64> = (0..14).map(|i| ((i * 7919) % 13) as f64 - 4.0).collect();
        let sampled = sign_flip_p(&differences, &mut stream("test", 1, "all")).unwrap();
        let observed = differences.iter().sum::<f64>().abs();
        let exact = (0..1_u32 << 14)
            .filter(|p| {
                let sum: f64 = differences.iter().enumerate().map(|(i, d)| if p >> i & 1 == 1 { -d } else { *d }).sum();
                sum.abs() >= observed
            })
            .count() as f64
            / f64::from(1 << 14);
        assert!((sampled - exact).abs() < 0.02, "{sampled} {exact}");
    }
}
