//! The spectrum and the leading eigenvectors of a small dense symmetric matrix, f64, sequential and
//! deterministic.

use super::tridiagonal::Tridiagonal;
use crate::platform::lanes::{Block, Form, Task, Vector, total};

/// All eigenvalues of a symmetric matrix in descending order, and the unit eigenvectors of the first
/// min(k, s) of them (signs arbitrary); none where a value is not finite or it does not converge.
///
/// `gram`: \[s, s\] row-major, of which only the lower triangle is read. An eigenvalue is exact to a few
/// ε·‖A‖ (not to its own size: a zero may come out as ±1e-15 λ1), a vector to a residual of that size;
/// vectors of equal eigenvalues are orthonormal.
///
/// # Method and cost
/// 1. Householder reduction to a tridiagonal T, last row first (EISPACK `tred1`; Golub & Van Loan, Matrix
///    Computations, §8.3.1), the rank-2 update of one step fused with the matrix-vector product of the
///    next, so that the triangle passes through the cache once a step: 4/3·s³ flops.
/// 2. Eigenvalues of T by the root-free QL iteration of Pal, Walker and Kahan (EISPACK `tqlrat`, LAPACK
///    `dsterf`; Parlett, The Symmetric Eigenvalue Problem, §8.15): about s² steps of two divisions.
/// 3. Eigenvectors of T by inverse iteration (EISPACK `tinvit`, LAPACK `dstein`; Golub & Van Loan §8.2.2),
///    each orthogonal to those before, and the reflectors applied to them: 2·s² flops for each.
///
/// Memory: s² + O(s) f64.
pub(super) fn leading(gram: &[f64], s: usize, k: usize) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
    leading_in(Form::best(), gram, s, k)
}

pub(super) fn leading_in(form: Form, gram: &[f64], s: usize, k: usize) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
    assert_eq!(gram.len(), s * s);
    let width = s.div_ceil(8);
    let lower = || (0..s).map(|i| &gram[i * s..][..=i]);
    if !lower().all(|row| row.iter().fold(true, |all, x| all & x.is_finite())) {
        return None;
    }
    // the largest element near 1: a power of two, so that nothing is rounded
    let exponent = exponent(lower().flatten().fold(0.0, |m: f64, x| m.max(x.abs())));
    let scale = power_of_two(-exponent);
    let mut a = vec![Block::default(); 8 * width * width];
    for (i, row) in a.chunks_exact_mut(width.max(1)).take(s).enumerate() {
        for (to, from) in row.iter_mut().zip(gram[i * s..][..=i].chunks(8)) {
            to.0.iter_mut().zip(from).for_each(|(to, from)| *to = from * scale);
        }
    }
    for base in (0..a.len()).step_by(8 * width.max(1)) {
        // the blocks on the diagonal are kept whole
        let block = base / (8 * width);
        for i in 0..8 {
            for j in 0..i {
                a[base + j * width + block].0[i] = a[base + i * width + block].0[j];
            }
        }
    }

    let tridiagonal = form.run(Reduce { a: &mut a, width, s });
    let mut eigenvalues = tridiagonal.eigenvalues()?;
    let mut vectors = Vec::new();
    for value in eigenvalues.iter().take(k) {
        vectors.push(tridiagonal.eigenvector(*value, &vectors)?);
    }
    let vectors = vectors.into_iter().map(|v| form.run(Restore { a: &a, width, vector: v })).collect();
    let back = power_of_two(exponent);
    eigenvalues.iter_mut().for_each(|value| *value *= back);
    eigenvalues.iter().all(|value| value.is_finite()).then_some((eigenvalues, vectors))
}

/// e with 2^e ≤ |x| < 2^(e+1), within ±1000; 0 for 0.
fn exponent(x: f64) -> i32 {
    if x == 0.0 { 0 } else { ((x.abs().to_bits() >> 52) as i32 - 1023).clamp(-1000, 1000) }
}

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// Householder reduction Qᵀ A Q = T with Q = H_{s−1} ⋯ H_1, H_i = I − u uᵀ, |u|² = 2 or u = 0.
///
/// Row i of A, once it is reduced, holds u of H_i in its first i places and zeros after them.
struct Reduce<'a> {
    /// Rows of `width` blocks; below the diagonal and in the blocks on it, whole.
    a: &'a mut [Block],
    width: usize,
    s: usize,
}

/// A part of a row that has a square sum up to this (the largest element of A is near 1) counts as zero.
const NOTHING: f64 = 1e-60;

impl Task for Reduce<'_> {
    type Output = Tridiagonal;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Tridiagonal {
        let Self { a, width, s } = self;
        let (mut d, mut e) = (vec![0.0; s], vec![0.0; s.saturating_sub(1)]);
        // A − v wᵀ − w vᵀ is what is left to reduce; u is the next reflector, p = A u
        let mut vectors = vec![Block::default(); 4 * width];
        let (v, rest) = vectors.split_at_mut(width);
        let (w, rest) = rest.split_at_mut(width);
        let (u, p) = rest.split_at_mut(width);
        let mut pending = false;
        for i in (0..s).rev() {
            let used = i / 8 + 1;
            let (v, w, u, p) = (&mut v[..used], &mut w[..used], &mut u[..used], &mut p[..used]);
            let row = &mut a[i * width..][..used];
            add_scaled::<V>(row, -v[i / 8].0[i % 8], w);
            add_scaled::<V>(row, -w[i / 8].0[i % 8], v);
            d[i] = row[i / 8].0[i % 8];
            if i == 0 {
                break;
            }
            row[i / 8].0[i % 8..].fill(0.0);
            let pivot = &mut row[(i - 1) / 8].0[(i - 1) % 8];
            let alpha = std::mem::take(pivot);
            let rest = dot::<V>(row, row);
            let reflects = rest > NOTHING;
            e[i - 1] = alpha;
            if reflects {
                let norm = (rest + alpha * alpha).sqrt();
                e[i - 1] = -norm.copysign(alpha);
                let first = alpha + norm.copysign(alpha);
                row[(i - 1) / 8].0[(i - 1) % 8] = first;
                let scale = 1.0 / (norm * first.abs()).sqrt();
                row.iter_mut().for_each(|block| block.0.iter_mut().for_each(|x| *x *= scale));
            } else {
                row.fill(Block::default());
            }
            u.copy_from_slice(row);
            if !(reflects || pending) {
                continue;
            }
            v[i / 8].0[i % 8..].fill(0.0);
            w[i / 8].0[i % 8..].fill(0.0);
            update_and_multiply::<V, T>(&mut a[..i * width], width, v, w, u, p);
            p[i / 8].0[i % 8..].fill(0.0);
            // w = p − (pᵀu / 2) u
            let half = -0.5 * dot::<V>(p, u);
            add_scaled::<V>(p, half, u);
            w.copy_from_slice(p);
            v.copy_from_slice(u);
            pending = reflects;
        }
        Tridiagonal::new(d, e)
    }
}

/// A −= v wᵀ + w vᵀ, and p = A u for what A is then; A has `a.len() / width` rows, the vectors zeros after
/// as many elements (p: anything).
#[inline(always)]
fn update_and_multiply<V: Vector, const T: usize>(
    a: &mut [Block],
    width: usize,
    v: &[Block],
    w: &[Block],
    u: &[Block],
    p: &mut [Block],
) {
    let blocks = (a.len() / width).div_ceil(8);
    let (v, w, u) = (&v[..blocks], &w[..blocks], &u[..blocks]);
    for (i, rows) in a.chunks_mut(T * width).enumerate() {
        let (block, lane) = (i * T / 8, i * T % 8);
        if rows.len() == T * width {
            let mut rest = rows.chunks_exact_mut(width);
            let rows: [&mut [Block]; T] = std::array::from_fn(|_| &mut rest.next().expect("T rows")[..block + 1]);
            update_rows::<V, T>(rows, block, lane, v, w, u, p);
        } else {
            for (t, row) in rows.chunks_exact_mut(width).enumerate() {
                update_rows::<V, 1>([&mut row[..block + 1]], block, lane + t, v, w, u, p);
            }
        }
    }
}

/// [`update_and_multiply`] for rows `8 * block + lane..` with their columns up to the diagonal block.
#[allow(clippy::needless_range_loop)] // plain loops over constants are what becomes registers
#[inline(always)]
fn update_rows<V: Vector, const T: usize>(
    rows: [&mut [Block]; T],
    block: usize,
    lane: usize,
    v: &[Block],
    w: &[Block],
    u: &[Block],
    p: &mut [Block],
) {
    let mut sums = [[0.0; 8]; T];
    let at = |x: &[Block], t: usize| x[block].0[lane + t];
    let (mut vr, mut wr, mut ur) = ([V::splat(0.0); T], [V::splat(0.0); T], [V::splat(0.0); T]);
    for t in 0..T {
        (vr[t], wr[t], ur[t]) = (V::splat(-at(v, t)), V::splat(-at(w, t)), V::splat(at(u, t)));
    }
    let mut dots = [[V::splat(0.0); 4]; T];
    for c in 0..block {
        for part in 0..V::PARTS {
            let (vc, wc, uc) = (V::load(&v[c].0, part), V::load(&w[c].0, part), V::load(&u[c].0, part));
            let mut pc = V::load(&p[c].0, part);
            for t in 0..T {
                let x = updated(&mut rows[t][c], part, vr[t], wr[t], vc, wc);
                dots[t][part] = x.mul_add(uc, dots[t][part]);
                pc = x.mul_add(ur[t], pc);
            }
            pc.store(&mut p[c].0, part);
        }
    }
    // the block on the diagonal is whole: it has no mirror
    for part in 0..V::PARTS {
        let (vc, wc, uc) = (V::load(&v[block].0, part), V::load(&w[block].0, part), V::load(&u[block].0, part));
        for t in 0..T {
            let x = updated(&mut rows[t][block], part, vr[t], wr[t], vc, wc);
            dots[t][part] = x.mul_add(uc, dots[t][part]);
        }
    }
    for t in 0..T {
        for part in 0..V::PARTS {
            dots[t][part].store(&mut sums[t], part);
        }
        p[block].0[lane + t] = total(&sums[t]);
    }
}

#[inline(always)]
fn updated<V: Vector>(x: &mut Block, part: usize, vr: V, wr: V, vc: V, wc: V) -> V {
    let new = wr.mul_add(vc, vr.mul_add(wc, V::load(&x.0, part)));
    new.store(&mut x.0, part);
    new
}

/// The dot product of two rows of one length.
#[inline(always)]
pub(super) fn dot<V: Vector>(a: &[Block], b: &[Block]) -> f64 {
    let mut lanes = [0.0; 8];
    for part in 0..V::PARTS {
        let mut sum = V::splat(0.0);
        for (a, b) in a.iter().zip(b) {
            sum = V::load(&a.0, part).mul_add(V::load(&b.0, part), sum);
        }
        sum.store(&mut lanes, part);
    }
    total(&lanes)
}

/// `to += factor · x`
#[inline(always)]
pub(super) fn add_scaled<V: Vector>(to: &mut [Block], factor: f64, x: &[Block]) {
    let factor = V::splat(factor);
    for (to, x) in to.iter_mut().zip(x) {
        for part in 0..V::PARTS {
            factor.mul_add(V::load(&x.0, part), V::load(&to.0, part)).store(&mut to.0, part);
        }
    }
}

/// Q x, by the reflectors that [`Reduce`] left.
struct Restore<'a> {
    a: &'a [Block],
    width: usize,
    vector: Vec<f64>,
}

impl Task for Restore<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<f64> {
        let Self { a, width, mut vector } = self;
        let mut x = vec![Block::default(); width];
        for (to, from) in x.iter_mut().zip(vector.chunks(8)) {
            to.0[..from.len()].copy_from_slice(from);
        }
        for i in 1..vector.len() {
            let used = i / 8 + 1;
            let (u, x) = (&a[i * width..][..used], &mut x[..used]);
            let factor = -dot::<V>(u, x);
            add_scaled::<V>(x, factor, u);
        }
        for (to, from) in vector.chunks_mut(8).zip(&x) {
            to.copy_from_slice(&from.0[..to.len()]);
        }
        vector
    }
}
