//! Random streams that are a function of their key: the same numbers on every machine, in any order,
//! natively and on the web.
//!
//! The generator is ChaCha8 (D. J. Bernstein, "ChaCha, a variant of Salsa20", 2008); a key of several
//! fields becomes its seed through SHA-256.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::hash::Hasher;

/// A stream of random numbers.
pub type Stream = ChaCha8Rng;

/// SHA-256 of a key's fields. Each is prefixed by its length, so that no two keys share an encoding.
pub fn key(fields: &[&[u8]]) -> [u8; 32] {
    let mut hash = Hasher::new();
    for field in fields {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hash.bytes()
}

/// The stream of a key. Its first field says what for, with a version: `saescope/noise/1`.
pub fn keyed(fields: &[&[u8]]) -> Stream {
    Stream::from_seed(key(fields))
}

/// An item's place in a draw: sorted by it, items come in an order that depends on the seed and on
/// themselves alone, whatever else is drawn from.
pub fn place(purpose: &str, seed: u64, id: &str) -> [u8; 32] {
    // purpose and seed have fixed lengths, so that nothing runs into the id
    let mut hash = Hasher::new();
    hash.update(purpose.as_bytes());
    hash.update(seed.to_le_bytes());
    hash.update(id.as_bytes());
    hash.bytes()
}

/// The stream of a number, for what has no other key.
pub fn seeded(seed: u64) -> Stream {
    Stream::seed_from_u64(seed)
}

/// A uniform index below `n`; 2⁶⁴ draws make no difference of a multiple of n noticeable.
pub fn below(stream: &mut impl RngCore, n: usize) -> usize {
    ((u128::from(stream.next_u64()) * n as u128) >> 64) as usize
}

/// `n` of the indices below `from`, without replacement, ascending; all where there are no more (R. Durstenfeld's
/// shuffle, 1964, of the first `n`).
pub fn choose(stream: &mut impl RngCore, from: usize, n: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..from).collect();
    let n = n.min(from);
    for i in 0..n {
        let j = i + below(stream, from - i);
        all.swap(i, j);
    }
    all.truncate(n);
    all.sort_unstable();
    all
}

/// Two independent standard normal deviates, by G. E. P. Box and M. E. Muller (1958) in f64, with
/// `libm` for the logarithm and the circular functions: the system's own differ in the last bit from
/// machine to machine.
pub fn normal_pair(stream: &mut impl RngCore) -> (f64, f64) {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    // u in (0, 1], so that its logarithm is finite; v in [0, 1)
    let u = ((stream.next_u64() >> 11) + 1) as f64 * STEP;
    let v = (stream.next_u64() >> 11) as f64 * STEP;
    let radius = libm::sqrt(-2.0 * libm::log(u));
    let angle = std::f64::consts::TAU * v;
    (radius * libm::cos(angle), radius * libm::sin(angle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_eq!(key(&[b"a", b"bc"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"abc"]), key(&[b"abc", b""]));
        assert_ne!(keyed(&[b"a"]).next_u64(), keyed(&[b"b"]).next_u64());
        assert_ne!(seeded(0).next_u64(), seeded(1).next_u64());
    }

    #[test]
    fn indices_are_below_their_bound_and_reach_it() {
        let mut stream = seeded(7);
        let drawn: Vec<usize> = (0..200).map(|_| below(&mut stream, 5)).collect();
        assert!((0..5).all(|i| drawn.contains(&i)) && drawn.iter().all(|i| *i < 5));
        assert_eq!(below(&mut stream, 1), 0);
    }

    #[test]
    fn normal_deviates_have_mean_0_and_variance_1() {
        let mut stream = seeded(1);
        let drawn: Vec<f64> = (0..20_000).flat_map(|_| <[f64; 2]>::from(normal_pair(&mut stream))).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
