//! What a cloud's shape would be anyway: the shape of clouds that have its sparsity, or its activations, and
//! not its features.
//!
//! A draw is a cloud of as many features as the text has. Positions come from a [`Pool`] whose Gram matrix is
//! computed once, so that a draw is a small submatrix of it, weighted and centred, and its spectrum.

use serde::{Deserialize, Serialize};

use super::gram::gram;
use super::points::Points;
use super::shape::{eigenvalue_entropy, elongation, participation_ratio, sphericity};
use super::sixteens::{Sixteen, spectra};
use super::spectra::sixteen_shapes;
use crate::platform::lanes::{Block16, Form, Single, Task, Vector};
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

/// Scalar products of different rows of a pool that there is room for: a power of two, so that a place is in bounds by
/// its bits alone.
const PRODUCTS: usize = 1 << 19;
const _: () = assert!(POOL_ROWS * (POOL_ROWS - 1) / 2 <= PRODUCTS && POOL_ROWS.is_power_of_two());

/// At most [`POOL_ROWS`] directions by their scalar products: in f32, whose rounding is far below what draws differ by,
/// and each once, so that they lie in a second cache.
#[derive(Debug, Clone)]
pub struct Pool {
    rows: usize,
    /// Row i with row j < i at i(i−1)/2 + j.
    products: Box<[f32; PRODUCTS]>,
    /// Each row with itself.
    squares: Box<[f32; POOL_ROWS]>,
}

/// Of no row.
impl Default for Pool {
    fn default() -> Self {
        Self { rows: 0, products: zeros(), squares: zeros() }
    }
}

impl Pool {
    /// Of these rows, shape \[n, d\] row-major, of which the first [`POOL_ROWS`] count.
    pub fn new(rows: &[f32], n: usize, d: usize) -> Self {
        let n = n.min(POOL_ROWS);
        let wide: Vec<f64> = rows[..n * d].iter().map(|&x| f64::from(x)).collect();
        let lower = gram(&Points::from_values(&wide, n, d));
        let mut pool = Self { rows: n, ..Self::default() };
        for i in 0..n {
            let of = &lower[i * n..][..=i];
            let to = &mut pool.products[triangle(i)..][..i];
            to.iter_mut().zip(of).for_each(|(to, x)| *to = *x as f32);
            pool.squares[i] = of[i] as f32;
        }
        pool
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

/// Where the products of row i begin.
fn triangle(i: usize) -> usize {
    i * i.saturating_sub(1) / 2
}

/// Zeros that were never on the stack.
fn zeros<const N: usize>() -> Box<[f32; N]> {
    vec![0.0; N].into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([0.0; N]))
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
    /// The text's rows, shape \[n, d\] row-major, with its activations permuted.
    Permuted(&'a [f32]),
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
    let few = matches!(null, Null::Rows(pool) if n > pool.rows);
    if !(LEAST_FEATURES..=MOST_FEATURES).contains(&n) || few || total <= 0.0 {
        return [None; SHAPES];
    }
    let weights = masses.iter().map(|&m| (f64::from(m) / total) as f32).collect();
    let mut clouds = Clouds::new(weights, null);
    let (mut one, mut two) = (Sixteen::new(n), Sixteen::new(n));
    let mut found: Vec<[f64; SHAPES]> = Vec::with_capacity(draws.next_multiple_of(16));
    while found.len() < draws {
        clouds.draw(random, &mut one);
        if draws - found.len() > 16 {
            clouds.draw(random, &mut two);
            found.extend(spectra([&mut one, &mut two]).iter().flat_map(sixteen_shapes));
        } else {
            found.extend(sixteen_shapes(&one.eigenvalues()));
        }
    }
    found.truncate(draws);
    std::array::from_fn(|shape| standing(observed[shape], found.iter().map(|draw| draw[shape])))
}

/// Clouds of a null, sixteen at a time.
struct Clouds<'a> {
    null: Null<'a>,
    /// The masses, which sum to 1, in the order that the last permutation left.
    permuted: Vec<f32>,
    /// Scalar products of the text's rows, where those are kept.
    own: Vec<f32>,
    /// Rows of the pool in the order that the last shuffle left.
    order: Vec<u32>,
    /// Which rows of the pool a cloud has, a bit each.
    chosen: [u64; POOL_ROWS / 64],
    /// The mass of each of those.
    of_row: [f32; POOL_ROWS],
    /// Rows of the clouds' features, \[n\] by lane, where they are of a pool.
    rows: Vec<[u32; 16]>,
    /// Masses of the clouds' features, \[n\] by lane.
    weights: Vec<Block16>,
}

impl<'a> Clouds<'a> {
    fn new(weights: Vec<f32>, null: Null<'a>) -> Self {
        let n = weights.len();
        let (own, rows) = match null {
            Null::Rows(pool) => (Vec::new(), pool.rows as u32),
            Null::Permuted(rows) => (own(rows, n), 0),
        };
        Self {
            null,
            permuted: weights,
            own,
            order: (0..rows).collect(),
            chosen: [0; POOL_ROWS / 64],
            of_row: [0.0; POOL_ROWS],
            rows: vec![[0; 16]; n],
            weights: vec![Block16::default(); n],
        }
    }

    /// Sixteen more, as their Gram matrices.
    fn draw(&mut self, random: &mut Stream, sixteen: &mut Sixteen) {
        for lane in 0..16 {
            match self.null {
                Null::Rows(_) => self.features(random, lane),
                Null::Permuted(_) => {
                    for i in (1..self.permuted.len()).rev() {
                        self.permuted.swap(i, below(random, i + 1));
                    }
                    self.weights.iter_mut().zip(&self.permuted).for_each(|(to, from)| to.0[lane] = *from);
                }
            }
        }
        let (form, weights) = (Form::best(), self.weights.as_slice());
        match self.null {
            Null::Rows(pool) => form.run(Fill { products: OfPool(pool, &self.rows), weights, sixteen }),
            Null::Permuted(_) => form.run(Fill { products: OfText(&self.own, weights.len()), weights, sixteen }),
        }
    }

    /// Rows of the pool, drawn without replacement, for one cloud.
    fn features(&mut self, random: &mut Stream, lane: usize) {
        // the first n of a shuffle, from whatever order the last one left
        for i in 0..self.permuted.len() {
            let j = i + below(random, self.order.len() - i);
            self.order.swap(i, j);
        }
        // a cloud is the same in any order; in that of the pool its products lie side by side
        for (&row, &weight) in self.order.iter().zip(&self.permuted) {
            self.chosen[row as usize / 64] |= 1_u64 << (row % 64);
            self.of_row[row as usize] = weight;
        }
        let mut to = self.rows.iter_mut().zip(&mut self.weights);
        for (word, bits) in self.chosen.iter_mut().enumerate() {
            while *bits != 0 {
                let row = 64 * word + bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                if let Some((to, weight)) = to.next() {
                    to[lane] = row as u32;
                    weight.0[lane] = self.of_row[row];
                }
            }
        }
    }
}

/// The scalar products of n rows, row-major: those below the diagonal and on it.
fn own(rows: &[f32], n: usize) -> Vec<f32> {
    let wide: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
    gram(&Points::from_values(&wide, n, rows.len() / n)).into_iter().map(|x| x as f32).collect()
}

/// The scalar products of sixteen clouds of n features.
trait Products: Copy {
    /// Puts those of row i into it, where they are each cloud's own.
    fn lay(self, i: usize, row: &mut [Block16]);

    /// Element (i, j) in the lanes of one part, once its row was laid; `block` is what was laid there.
    fn at<S: Single>(self, i: usize, j: usize, block: &Block16, part: usize) -> S;
}

/// Of clouds of these rows of a pool, \[n\] by lane, ascending.
#[derive(Clone, Copy)]
struct OfPool<'a>(&'a Pool, &'a [[u32; 16]]);

impl Products for OfPool<'_> {
    #[inline(always)]
    fn lay(self, i: usize, row: &mut [Block16]) {
        let Self(pool, rows) = self;
        gather(pool, &rows[..=i], row);
        row[i].0 = rows[i].map(|row| pool.squares[row as usize % POOL_ROWS]);
    }

    #[inline(always)]
    fn at<S: Single>(self, _: usize, _: usize, block: &Block16, part: usize) -> S {
        S::load(&block.0, part)
    }
}

/// Of clouds that all have the same rows, whose products these are, row-major \[n, n\].
#[derive(Clone, Copy)]
struct OfText<'a>(&'a [f32], usize);

impl Products for OfText<'_> {
    #[inline(always)]
    fn lay(self, _: usize, _: &mut [Block16]) {}

    #[inline(always)]
    fn at<S: Single>(self, i: usize, j: usize, _: &Block16, _: usize) -> S {
        S::splat(self.0[i * self.1 + j])
    }
}

/// Gram matrices of the weighted and centred clouds, of trace 1:
/// √(p_i p_j) (r_i − c)·(r_j − c) with (r_i − c)·(r_j − c) = K_ij − k_i − k_j + κ, k = K p, κ = pᵀ k.
struct Fill<'a, P> {
    products: P,
    /// Of the features, \[n\] by lane; they sum to 1.
    weights: &'a [Block16],
    sixteen: &'a mut Sixteen,
}

impl<P: Products> Task for Fill<'_, P> {
    type Output = ();

    #[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) {
        let Self { products, weights, sixteen } = self;
        let n = weights.len();
        let mut means = vec![Block16::default(); n];
        let mut squares = vec![Block16::default(); n];
        for i in 0..n {
            let row = sixteen.row(i);
            products.lay(i, row);
            let (above, rest) = means.split_at_mut(i);
            for part in 0..V::Single::PARTS {
                let weight = V::Single::load(&weights[i].0, part);
                let square: V::Single = products.at(i, i, &row[i], part);
                square.store(&mut squares[i].0, part);
                let mut mean = weight.mul(square);
                for (j, ((block, other), above)) in row.iter().zip(weights).zip(above.iter_mut()).enumerate() {
                    let product: V::Single = products.at(i, j, block, part);
                    mean = product.mul_add(V::Single::load(&other.0, part), mean);
                    product.mul_add(weight, V::Single::load(&above.0, part)).store(&mut above.0, part);
                }
                mean.store(&mut rest[0].0, part);
            }
        }
        let (mut centre, mut trace) = ([0.0_f32; 16], [0.0_f32; 16]);
        for (weight, mean) in weights.iter().zip(&means) {
            for lane in 0..16 {
                centre[lane] += weight.0[lane] * mean.0[lane];
            }
        }
        for i in 0..n {
            let own = squares[i].0;
            for lane in 0..16 {
                trace[lane] += weights[i].0[lane] * (own[lane] - 2.0 * means[i].0[lane] + centre[lane]);
            }
        }
        let scale: [f32; 16] = std::array::from_fn(|lane| if trace[lane] > 0.0 { 1.0 / trace[lane] } else { 0.0 });
        let roots: Vec<Block16> = weights.iter().map(|w| Block16(w.0.map(f32::sqrt))).collect();
        let minus = V::Single::splat(-1.0);
        for i in 0..n {
            let (mut own, mut factor) = ([0.0; 16], [0.0; 16]);
            for lane in 0..16 {
                own[lane] = centre[lane] - means[i].0[lane];
                factor[lane] = roots[i].0[lane] * scale[lane];
            }
            let row = sixteen.row(i);
            for part in 0..V::Single::PARTS {
                let (own, factor) = (V::Single::load(&own, part), V::Single::load(&factor, part));
                // √p_i √p_j (K_ij + (κ − k_i) − k_j)
                for (j, ((block, other), mean)) in row.iter_mut().zip(&roots).zip(&means).enumerate() {
                    let factor = factor.mul(V::Single::load(&other.0, part));
                    let beside = minus.mul_add(V::Single::load(&mean.0, part), own);
                    let product = factor.mul(products.at(i, j, block, part));
                    factor.mul_add(beside, product).store(&mut block.0, part);
                }
            }
        }
    }
}

/// The products of the last of these rows with those before it, by lane.
#[inline(always)]
fn gather(pool: &Pool, rows: &[[u32; 16]], to: &mut [Block16]) {
    let Some((last, before)) = rows.split_last() else { return };
    let begin = last.map(|row| triangle(row as usize) as u32);
    for (block, columns) in to.iter_mut().zip(before) {
        for lane in 0..16 {
            block.0[lane] = pool.products[(begin[lane] + columns[lane]) as usize % PRODUCTS];
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
        let (mut chosen, mut weights) = (vec![[0; 16]; n], vec![Block16::default(); n]);
        let mut expected = Vec::new();
        for lane in 0..16 {
            let keys = random.values(40);
            let mut drawn: Vec<u32> = (0..40).collect();
            drawn.sort_by(|a, b| keys[*a as usize].total_cmp(&keys[*b as usize]));
            drawn.truncate(n);
            drawn.sort_unstable();
            chosen.iter_mut().zip(&drawn).for_each(|(to, from)| to[lane] = *from);
            weights.iter_mut().zip(&masses).for_each(|(w, &m)| w.0[lane] = (f64::from(m) / total) as f32);
            let own: Vec<f32> = drawn.iter().flat_map(|&r| pool_rows[r as usize * d..][..d].to_vec()).collect();
            expected.push(observed(&own, &masses, d));
        }
        fn drawn(products: impl Products, weights: &[Block16]) -> [[f64; SHAPES]; 16] {
            let mut sixteen = Sixteen::new(weights.len());
            Form::best().run(Fill { products, weights, sixteen: &mut sixteen });
            sixteen_shapes(&sixteen.eigenvalues())
        }
        let near = |found: &[f64; SHAPES], expected: &[f64; SHAPES]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5 * expected.max(1.0), "{found} {expected}");
            }
        };
        let found = drawn(OfPool(&pool, &chosen), &weights);
        found.iter().zip(&expected).for_each(|(found, expected)| near(found, expected));
        // all of the same rows
        let own = own(&pool_rows[..n * d], n);
        let expected = observed(&pool_rows[..n * d], &masses, d);
        drawn(OfText(&own, n), &weights).iter().for_each(|found| near(found, &expected));
    }

    #[test]
    fn rows_are_drawn_without_replacement_and_evenly() {
        // of orthogonal rows one is longer than all others together: the draws that have it stand apart
        let (rows, n) = (64, 16);
        let mut pool = Pool::new(&vec![0.0; rows], rows, 1);
        pool.squares[..rows].fill(1.0);
        pool.squares[5] = 1e6;
        let mut random = keyed(&[b"even"]);
        let masses: Vec<f32> = (1..=n).map(|i| i as f32).collect();
        let found = standings(&masses, &[0.5; SHAPES], Null::Rows(&pool), 3200, &mut random);
        // a quarter of them has it; what has it is a line, what has not is no line
        let share = 1.0 - (found[1].unwrap().tail * 3201.0 - 1.0) / 3200.0;
        assert!((share - 0.25).abs() < 0.03, "{share}");
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
        let null = Null::Permuted(&own);
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
        let masses = [1.0, 1.0, 2.0, 2.0, 3.0];
        let observed = observed(&own, &masses, d);
        let standing = |factor: f64| {
            let near = observed.map(|x| x * factor);
            standings(&masses, &near, Null::Permuted(&own), 480, &mut keyed(&[b"ties"])).map(|s| s.unwrap().tail)
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
        assert!(pool.squares.iter().all(|square| (square - 1.0).abs() < 1e-5));
        let square: f32 = pool.products[triangle(POOL_ROWS - 1)..][..POOL_ROWS - 1].iter().map(|x| x * x).sum::<f32>()
            / (POOL_ROWS - 1) as f32;
        assert!((square * 200.0 - 1.0).abs() < 0.2, "{square}");
    }
}
