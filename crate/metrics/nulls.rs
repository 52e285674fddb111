//! The nulls of a text's geometry at a layer: what their draws are keyed by, and what is kept of them.

use serde::{Deserialize, Serialize};

use super::layer::GeometryMeasure;
use super::text_kind::TextKind;
pub use crate::geometry::{MOST_FEATURES, POOL_ROWS, Pool};
use crate::geometry::{Null, Standings, standings};
use crate::random::{Stream, choose, keyed};

/// Draws of each null unless something else is asked for.
pub const NULL_DRAWS: usize = 200;

/// Where a text's shape stands among the draws of each null, by [`crate::geometry::shapes()`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Nulls {
    /// The same activations on rows of the decoder drawn at random.
    pub random_rows: Standings,
    /// The same rows with the activations permuted.
    pub permuted: Standings,
    /// The same activations on random directions.
    pub random_dictionary: Standings,
}

/// What a text's draws are keyed by: they depend on nothing else, not on batches, threads or parts of a run.
#[derive(Debug, Clone, Copy)]
pub struct NullKey<'a> {
    /// Of the run.
    pub seed: u64,
    /// The sample's id.
    pub sample_id: &'a str,
    /// Which of its texts.
    pub text: TextKind,
    /// Block number.
    pub layer: usize,
}

impl NullKey<'_> {
    fn stream(&self, null: &str) -> Stream {
        let Self { seed, sample_id, text, layer } = self;
        keyed(&[
            b"saescope/nulls/1",
            null.as_bytes(),
            &seed.to_le_bytes(),
            sample_id.as_bytes(),
            text.as_str().as_bytes(),
            &(*layer as u64).to_le_bytes(),
        ])
    }
}

/// Features whose decoder rows are the pool of a layer's random rows: [`POOL_ROWS`] of `d_sae`, drawn without
/// replacement, ascending; all of a smaller dictionary.
pub fn pool_features(d_sae: usize, layer: usize, seed: u64) -> Vec<usize> {
    let mut random = keyed(&[b"saescope/nulls/1", b"pool", &seed.to_le_bytes(), &(layer as u64).to_le_bytes()]);
    choose(&mut random, d_sae, POOL_ROWS)
}

/// The pool of random directions in d dimensions.
pub fn random_pool(d: usize, seed: u64) -> Pool {
    let key: [&[u8]; 4] = [b"saescope/nulls/1", b"dictionary", &seed.to_le_bytes(), &(d as u64).to_le_bytes()];
    Pool::random(d, &mut keyed(&key))
}

/// What a text's nulls are drawn from: the layer's pool of decoder rows, and that of random directions.
#[derive(Debug, Clone, Copy)]
pub struct PoolsOf<'a> {
    /// Of decoder rows.
    pub dictionary: &'a Pool,
    /// Of random directions.
    pub random: &'a Pool,
}

/// A null, by its number: they are drawn apart, so that no thread waits for another one's.
pub const NULLS: usize = 3;

/// Draws one of the nulls of a text at a layer. `activations`, shape \[n\], are of its active features, `rows` their
/// decoder rows, shape \[n, d\]. None where it has too few or too many features.
pub fn null(
    which: usize,
    key: NullKey<'_>,
    geometry: &GeometryMeasure,
    (activations, rows): (&[f32], &[f32]),
    pools: PoolsOf<'_>,
    draws: usize,
) -> Option<Standings> {
    let n = activations.len();
    if n == 0 || n > MOST_FEATURES {
        return None;
    }
    let GeometryMeasure { sphericity, elongation, dimensionality, eigenvalue_entropy, .. } = *geometry;
    let observed = [sphericity, elongation, dimensionality, eigenvalue_entropy];
    let (null, name) = match which {
        0 => (Null::Rows(pools.dictionary), "random_rows"),
        1 => (Null::Permuted(rows), "permuted"),
        _ => (Null::Rows(pools.random), "random_dictionary"),
    };
    Some(standings(activations, &observed, null, draws, &mut key.stream(name)))
}

impl Nulls {
    /// Of each [`null`], in their order.
    pub fn of([random_rows, permuted, random_dictionary]: [Standings; NULLS]) -> Self {
        Self { random_rows, permuted, random_dictionary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::below;

    #[test]
    fn a_pool_is_spread_distinct_and_seeded() {
        let drawn = pool_features(16_384, 5, 0);
        assert_eq!(drawn.len(), POOL_ROWS);
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]) && drawn[POOL_ROWS - 1] < 16_384);
        let mean = drawn.iter().sum::<usize>() as f64 / POOL_ROWS as f64;
        assert!((mean - 8191.5).abs() < 600.0, "{mean}");
        assert_eq!(drawn, pool_features(16_384, 5, 0));
        assert!(drawn != pool_features(16_384, 5, 1) && drawn != pool_features(16_384, 6, 0));
        assert_eq!(pool_features(7, 5, 0), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn every_text_has_draws_of_its_own() {
        let key = NullKey { seed: 1, sample_id: "a", text: TextKind::Fact, layer: 5 };
        let first = |key: NullKey<'_>, null| below(&mut key.stream(null), 1 << 40);
        let same = first(key, "permuted");
        assert_eq!(first(key, "permuted"), same);
        for other in [
            NullKey { seed: 2, ..key },
            NullKey { sample_id: "b", ..key },
            NullKey { text: TextKind::Hall, ..key },
            NullKey { layer: 6, ..key },
        ] {
            assert_ne!(first(other, "permuted"), same);
        }
        assert_ne!(first(key, "random_rows"), same);
    }
}
