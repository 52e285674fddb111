//! What a cloud's shape would be anyway: the shape of clouds that have its sparsity, or its activations, and
//! not its features.
//!
//! A draw is a cloud of as many features as the text has. Positions come from a [`Pool`] whose Gram matrix is
//! computed once, so that a draw is a small submatrix of it, weighted and centred, and its spectrum.

use serde::{Deserialize, Serialize};

use super::gram::gram;
use super::points::Points;
use super::shape::{eigenvalue_entropy, elongation, participation_ratio, sphericity};
use super::sixteens::{RANK_TOLERANCE, Sixteen};
use crate::platform::lanes::{Form, Task, Vector};
use crate::random::{Stream, below, normal_pair};

/// Rows of a pool, where a dictionary has so many.
pub const POOL_ROWS: usize = 1024;

/// Active features up to which a text has nulls: beyond, as at attention sinks, the time of a draw grows with
/// the cube, and so many of a pool's rows are no random draw of a dictionary.
pub const MOST_FEATURES: usize = 256;

/// Active features from which on it has: of three points the shape has no third axis.
pub const LEAST_FEATURES: usize = 4;

/// Numbers of a shape that nulls are made of.
pub const SHAPES: usize = 4;

/// Directions by their scalar products.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    rows: usize,
    /// Scalar products, \[rows, rows\]: in f32, whose rounding is far below what draws differ by.
    gram: Vec<f32>,
}

impl Pool {
    /// Of these rows, shape \[n, d\] row-major.
    pub fn new(rows: &[f32], n: usize, d: usize) -> Self {
        let wide: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
        let lower = gram(&Points::from_values(&wide, n, d));
        let at = |i: usize, j: usize| lower[i.max(j) * n + i.min(j)] as f32;
        Self { rows: n, gram: (0..n * n).map(|x| at(x / n, x % n)).collect() }
    }

    /// Of [`POOL_ROWS`] directions in d dimensions that are drawn uniformly: an untrained dictionary.
    pub fn random(d: usize, random: &mut Stream) -> Self {
        let mut rows = Vec::with_capacity(POOL_ROWS * d);
        for _ in 0..POOL_ROWS {
            let row: Vec<f64> = (0..d.div_ceil(2)).flat_map(|_| <[f64; 2]>::from(normal_pair(random))).collect();
            let norm = row[..d].iter().map(|x| x * x).sum::<f64>().sqrt();
            rows.extend(row[..d].iter().map(|x| (x / norm) as f32));
        }
        Self::new(&rows, POOL_ROWS, d)
    }

    /// How many directions there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// The numbers of a spectrum: sphericity, elongation, participation ratio, eigenvalue entropy.
pub fn shapes(eigenvalues: &[f64]) -> [f64; SHAPES] {
    [
        sphericity(eigenvalues),
        elongation(eigenvalues),
        participation_ratio(eigenvalues),
        eigenvalue_entropy(eigenvalues),
    ]
}

/// Where a text's number stands among those of a null's draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// (number − mean of the draws) / their standard deviation.
    pub z: f64,
    /// Share of the draws, the text itself counted among them, that are as large or larger.
    pub tail: f64,
}

/// The standing of each of [`shapes`]; none where the draws do not vary.
pub type Standings = [Option<Standing>; SHAPES];

/// A null of a text.
#[derive(Debug, Clone, Copy)]
pub enum Null<'a> {
    /// The text's activations on rows of a pool, drawn without replacement.
    Rows(&'a Pool),
    /// The text's rows, a pool of their own, with its activations permuted.
    Permuted(&'a Pool),
}

/// Where a text with these masses and these [`shapes`] stands among so many draws of a null. None of all where
/// it has too few or too many features ([`LEAST_FEATURES`], [`MOST_FEATURES`]), or more than a pool has rows.
///
/// Source of the share: B. Phipson and G. K. Smyth, "Permutation p-values should never be zero", 2010.
pub fn standings(
    masses: &[f32],
    observed: &[f64; SHAPES],
    null: Null<'_>,
    draws: usize,
    random: &mut Stream,
) -> Standings {
    let n = masses.len();
    let total: f64 = masses.iter().map(|&m| f64::from(m)).sum();
    let (Null::Rows(pool) | Null::Permuted(pool)) = null;
    if !(LEAST_FEATURES..=MOST_FEATURES).contains(&n) || n > pool.rows || total <= 0.0 {
        return [None; SHAPES];
    }
    let weights: Vec<f64> = masses.iter().map(|&m| f64::from(m) / total).collect();
    let mut order: Vec<u32> = (0..pool.rows as u32).collect();
    let mut permuted = weights.clone();
    let mut sixteen = Sixteen::new(n);
    let mut found: Vec<[f64; SHAPES]> = Vec::with_capacity(draws.next_multiple_of(16));
    let mut clouds = Clouds { rows: vec![[0; 16]; n], weights: vec![[0.0; 16]; n] };
    while found.len() < draws {
        for lane in 0..16 {
            match null {
                Null::Rows(_) => {
                    // the first n of a shuffle, from whatever order the last one left
                    for i in 0..n {
                        let j = i + below(random, order.len() - i);
                        order.swap(i, j);
                    }
                }
                Null::Permuted(_) => {
                    for i in (1..n).rev() {
                        permuted.swap(i, below(random, i + 1));
                    }
                }
            }
            clouds.rows.iter_mut().zip(&order).for_each(|(to, from)| to[lane] = *from);
            clouds.weights.iter_mut().zip(&permuted).for_each(|(to, from)| to[lane] = *from as f32);
        }
        Form::best().run(Fill { clouds: &clouds, pool, sixteen: &mut sixteen });
        for spectrum in sixteen.eigenvalues() {
            let mut spectrum = spectrum.unwrap_or_default();
            let largest = spectrum.first().copied().unwrap_or_default();
            spectrum.truncate(spectrum.iter().take_while(|&&l| l > RANK_TOLERANCE * largest).count());
            found.push(shapes(&spectrum));
        }
    }
    found.truncate(draws);
    std::array::from_fn(|shape| standing(observed[shape], found.iter().map(|draw| draw[shape])))
}

/// Sixteen clouds of n features.
struct Clouds {
    /// Their rows in the pool, \[n\] by lane.
    rows: Vec<[u32; 16]>,
    /// Their weights, \[n\] by lane; they sum to 1.
    weights: Vec<[f32; 16]>,
}

/// Gram matrices of the weighted and centred clouds, of trace 1:
/// √(p_i p_j) (r_i − c)·(r_j − c) with (r_i − c)·(r_j − c) = K_ij − k_i − k_j + κ, k = K p, κ = pᵀ k.
struct Fill<'a> {
    clouds: &'a Clouds,
    pool: &'a Pool,
    sixteen: &'a mut Sixteen,
}

impl Task for Fill<'_> {
    type Output = ();

    #[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) {
        let Self { clouds, pool, sixteen } = self;
        let n = clouds.weights.len();
        let mut means = vec![[0.0; 16]; n];
        for i in 0..n {
            let own: [&[f32]; 16] =
                std::array::from_fn(|lane| &pool.gram[clouds.rows[i][lane] as usize * pool.rows..][..pool.rows]);
            let weight = clouds.weights[i];
            let mut mean = means[i];
            for (j, block) in sixteen.row(i).iter_mut().enumerate() {
                let column = clouds.rows[j];
                let products: [f32; 16] = std::array::from_fn(|lane| own[lane][column[lane] as usize]);
                block.0 = products;
                let other = clouds.weights[j];
                if j < i {
                    for lane in 0..16 {
                        mean[lane] += other[lane] * products[lane];
                        means[j][lane] += weight[lane] * products[lane];
                    }
                } else {
                    for lane in 0..16 {
                        mean[lane] += weight[lane] * products[lane];
                    }
                }
            }
            means[i] = mean;
        }
        let (mut centre, mut trace) = ([0.0_f32; 16], [0.0_f32; 16]);
        for (weight, mean) in clouds.weights.iter().zip(&means) {
            for lane in 0..16 {
                centre[lane] += weight[lane] * mean[lane];
            }
        }
        for i in 0..n {
            let own = sixteen.row(i)[i].0;
            for lane in 0..16 {
                trace[lane] += clouds.weights[i][lane] * (own[lane] - 2.0 * means[i][lane] + centre[lane]);
            }
        }
        let scale: [f32; 16] = std::array::from_fn(|lane| if trace[lane] > 0.0 { 1.0 / trace[lane] } else { 0.0 });
        let roots: Vec<[f32; 16]> = clouds.weights.iter().map(|w| w.map(f32::sqrt)).collect();
        for i in 0..n {
            let (mean, root) = (means[i], roots[i]);
            for (j, block) in sixteen.row(i).iter_mut().enumerate() {
                for lane in 0..16 {
                    let centred = block.0[lane] - mean[lane] - means[j][lane] + centre[lane];
                    block.0[lane] = root[lane] * roots[j][lane] * scale[lane] * centred;
                }
            }
        }
    }
}

/// What rounding makes of a number of a draw, which is f32, in that number.
const ROUNDING: f64 = 1e-5;

/// Where a number stands among draws. A draw that differs from it by rounding alone is as large: of few features, many
/// permutations are the text itself.
fn standing(observed: f64, draws: impl ExactSizeIterator<Item = f64> + Clone) -> Option<Standing> {
    let n = draws.len() as f64;
    let mean = draws.clone().sum::<f64>() / n;
    let spread = (draws.clone().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let rounding = ROUNDING * mean.abs().max(observed.abs());
    // what it leaves is no spread
    if spread.is_nan() || spread <= rounding {
        return None;
    }
    let as_large = draws.filter(|draw| *draw >= observed - rounding).count() as f64;
    let standing = Standing { z: (observed - mean) / spread, tail: (1.0 + as_large) / (1.0 + n) };
    standing.z.is_finite().then_some(standing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Cloud;
    use crate::geometry::symmetric_tests::Random;
    use crate::random::keyed;

    fn rows(n: usize, d: usize, seed: u64) -> Vec<f32> {
        Random(seed).values(n * d).into_iter().map(|x| x as f32).collect()
    }

    fn observed(rows: &[f32], masses: &[f32], d: usize) -> [f64; SHAPES] {
        shapes(&Cloud::new(rows, masses, d).unwrap().eigenvalues)
    }

    #[test]
    fn draws_have_the_shapes_of_their_clouds() {
        // the same clouds one by one, from the definition
        let (n, d) = (12, 20);
        let pool_rows = rows(40, d, 3);
        let pool = Pool::new(&pool_rows, 40, d);
        let masses: Vec<f32> = (0..n).map(|i| 0.5 + i as f32).collect();
        let total: f64 = masses.iter().map(|&m| f64::from(m)).sum();
        let mut random = Random(5);
        let mut clouds = Clouds { rows: vec![[0; 16]; n], weights: vec![[0.0; 16]; n] };
        let mut expected = Vec::new();
        for lane in 0..16 {
            let mut chosen: Vec<u32> = (0..40).collect();
            let keys = random.values(40);
            chosen.sort_by(|a, b| keys[*a as usize].total_cmp(&keys[*b as usize]));
            clouds.rows.iter_mut().zip(&chosen).for_each(|(to, from)| to[lane] = *from);
            clouds.weights.iter_mut().zip(&masses).for_each(|(w, &m)| w[lane] = (f64::from(m) / total) as f32);
            let own: Vec<f32> = chosen[..n].iter().flat_map(|&r| pool_rows[r as usize * d..][..d].to_vec()).collect();
            expected.push(observed(&own, &masses, d));
        }
        let mut sixteen = Sixteen::new(n);
        Form::best().run(Fill { clouds: &clouds, pool: &pool, sixteen: &mut sixteen });
        for (spectrum, expected) in sixteen.eigenvalues().into_iter().zip(&expected) {
            let mut spectrum = spectrum.unwrap();
            spectrum.pop();
            for (found, expected) in shapes(&spectrum).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5 * expected.max(1.0), "{found} {expected}");
            }
        }
    }

    #[test]
    fn what_is_drawn_like_the_null_stands_in_its_midst_and_what_is_not_does_not() {
        let d = 48;
        let pool_rows = rows(POOL_ROWS, d, 7);
        let pool = Pool::new(&pool_rows, POOL_ROWS, d);
        let masses: Vec<f32> = Random(9).values(24).into_iter().map(|x| 0.1 + x.abs() as f32).collect();
        let mut tails = Vec::new();
        for text in 0..40 {
            let own = &pool_rows[text * 24 * d..][..24 * d];
            let mut random = keyed(&[b"test", &(text as u64).to_le_bytes()]);
            let found = standings(&masses, &observed(own, &masses, d), Null::Rows(&pool), 200, &mut random);
            tails.extend(found.map(|s| s.unwrap().tail));
        }
        let mean = tails.iter().sum::<f64>() / tails.len() as f64;
        assert!((mean - 0.5).abs() < 0.12, "{mean}");
        assert!(tails.iter().all(|tail| *tail > 0.0 && *tail <= 1.0));
        // a cloud along one line
        let line: Vec<f32> = (0..24)
            .flat_map(|i| (0..d).map(move |k| if k == 0 { i as f32 } else { 1e-3 * ((i * k) % 7) as f32 }))
            .collect();
        let found = standings(&masses, &observed(&line, &masses, d), Null::Rows(&pool), 200, &mut keyed(&[b"line"]));
        assert!(found.iter().all(|s| s.unwrap().z < -5.0 && s.unwrap().tail == 1.0), "{found:?}");
    }

    #[test]
    fn permuting_equal_masses_changes_nothing_and_says_nothing() {
        let (n, d) = (10, 16);
        let own = rows(n, d, 2);
        let pool = Pool::new(&own, n, d);
        let null = Null::Permuted(&pool);
        let equal = vec![2.0; n];
        assert_eq!(standings(&equal, &observed(&own, &equal, d), null, 64, &mut keyed(&[b"a"])), [None; SHAPES]);
        let masses: Vec<f32> = (1..=n).map(|i| i as f32).collect();
        let found = standings(&masses, &observed(&own, &masses, d), null, 64, &mut keyed(&[b"a"]));
        assert!(found.iter().all(|s| s.is_some_and(|s| s.z.abs() < 6.0)), "{found:?}");
        assert_eq!(found, standings(&masses, &observed(&own, &masses, d), null, 64, &mut keyed(&[b"a"])));
        assert_ne!(found, standings(&masses, &observed(&own, &masses, d), null, 64, &mut keyed(&[b"b"])));
    }

    #[test]
    fn permutations_that_are_the_text_itself_are_as_large() {
        let (n, d) = (5, 16);
        let own = rows(n, d, 4);
        let pool = Pool::new(&own, n, d);
        let masses = [1.0, 1.0, 2.0, 2.0, 3.0];
        let observed = observed(&own, &masses, d);
        let standing = |factor: f64| {
            let near = observed.map(|x| x * factor);
            standings(&masses, &near, Null::Permuted(&pool), 480, &mut keyed(&[b"ties"])).map(|s| s.unwrap().tail)
        };
        // of 120 permutations four are the text: some 16 of 480 draws
        let (below, at, above) = (standing(1.0 - 1e-4), standing(1.0), standing(1.0 + 1e-4));
        assert_eq!([at, standing(1.0 + 2e-6), standing(1.0 - 2e-6)], [below; 3]);
        for (at, above) in at.into_iter().zip(above) {
            assert!((8.0..28.0).contains(&((at - above) * 481.0)), "{at} {above}");
        }
    }

    #[test]
    fn too_few_features_and_too_many_have_no_null() {
        let pool = Pool::new(&rows(300, 8, 1), 300, 8);
        for n in [0, LEAST_FEATURES - 1, MOST_FEATURES + 1] {
            let masses = vec![1.0; n];
            let found = standings(&masses, &[0.5; SHAPES], Null::Rows(&pool), 8, &mut keyed(&[b"a"]));
            assert_eq!(found, [None; SHAPES], "{n}");
        }
        let small = Pool::new(&rows(6, 8, 1), 6, 8);
        assert_eq!(standings(&[1.0; 7], &[0.5; SHAPES], Null::Rows(&small), 8, &mut keyed(&[b"a"])), [None; SHAPES]);
    }

    #[test]
    fn random_directions_are_unit_and_nearly_orthogonal() {
        let pool = Pool::random(200, &mut keyed(&[b"directions"]));
        assert_eq!(pool.len(), POOL_ROWS);
        assert!((0..POOL_ROWS).all(|i| (pool.gram[i * POOL_ROWS + i] - 1.0).abs() < 1e-5));
        let square: f32 = pool.gram[1..POOL_ROWS].iter().map(|x| x * x).sum::<f32>() / (POOL_ROWS - 1) as f32;
        assert!((square * 200.0 - 1.0).abs() < 0.2, "{square}");
    }
}
